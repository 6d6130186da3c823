//go:build unix

package plugin

import (
	"os/exec"
	"syscall"
)

// ownSession keeps a terminal's ^C and hang-up from a process that has to outlive this one.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
