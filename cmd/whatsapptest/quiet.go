package main

import signallog "go.mau.fi/libsignal/logger"

// quiet silences libsignal, which else prints every ciphertext that does not
// decrypt: here those are made on purpose.
type quiet struct{}

var _ signallog.Loggable = quiet{}

func (quiet) Debug(_, _ string)   {}
func (quiet) Info(_, _ string)    {}
func (quiet) Warning(_, _ string) {}
func (quiet) Error(_, _ string)   {}
func (quiet) Configure(string)    {}
