package inspect

import (
	"os/exec"
	"syscall"
)

// endWithParent: a child that outlives its parent would hold the driver for nobody.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
