//go:build !linux

package engines

import "os/exec"

// dieWithParent does nothing: only Stop ends an engine on this system.
func dieWithParent(*exec.Cmd) {}
