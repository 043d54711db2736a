package main

import "testing"

func TestByteSize(t *testing.T) {
	for text, want := range map[string]byteSize{
		"1": 1, "512": 512, "64KiB": 64 << 10, "256MiB": 256 << 20, "2 GiB": 2 << 30, "1048576GiB": 1 << 50,
	} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: want %d, got %d, %v", text, want, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "0", "-1", "1.5GiB", "256MB", "1048577GiB", "9999999999999999999"} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: want an error, got %d", text, got)
		}
	}
}
