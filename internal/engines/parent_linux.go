package engines

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system kill the command when the thread that starts it ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
