package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

func TestStatusChanges_AreReadAsTheyWereAndAsTheyAre(t *testing.T) {
	at := time.Date(2026, 11, 24, 8, 0, 0, 123_000_000, time.UTC)
	want := statusChanges{{Status: enlace.Queued, At: at}, {Status: enlace.Read, At: at.Add(time.Second)}}
	now, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal([]enlace.StatusChange(want))
	if err != nil {
		t.Fatal(err)
	}
	if len(now) >= len(before)/2+10 {
		t.Errorf("%s is not much shorter than %s", now, before)
	}
	for _, text := range [][]byte{now, before} {
		var got statusChanges
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{`[["queued"]]`, `[[1,2]]`, `["queued"]`, `{}`} {
		var got statusChanges
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is read as %v", bad, got)
		}
	}
}
