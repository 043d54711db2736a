package signal

import "go.mau.fi/libsignal/logger"

// libsignal prints to standard output until it is given a logger, and takes the
// first one without a lock, so that this cannot wait. What it has to say it also
// returns as errors.
func init() {
	var silent logger.Loggable = silentLogger{}
	logger.Setup(&silent)
}

type silentLogger struct{}

func (silentLogger) Debug(_, _ string)   {}
func (silentLogger) Info(_, _ string)    {}
func (silentLogger) Warning(_, _ string) {}
func (silentLogger) Error(_, _ string)   {}
func (silentLogger) Configure(string)    {}
