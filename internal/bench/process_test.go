package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// ownProcess is the test's own process.
func ownProcess(t *testing.T) *process {
	t.Helper()
	own, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return &process{cmd: &exec.Cmd{Process: own}}
}

func TestCPU_GrowsWithWork(t *testing.T) {
	own := ownProcess(t)
	before := own.cpu()
	deadline := time.Now().Add(10 * time.Second)
	for own.cpu() < before+20*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatalf("after seconds of work the process has still used %v", own.cpu())
		}
	}
	if gone := (&process{cmd: &exec.Cmd{Process: &os.Process{Pid: 1 << 30}}}).cpu(); gone != 0 {
		t.Errorf("a process that is not there has used %v", gone)
	}
}
