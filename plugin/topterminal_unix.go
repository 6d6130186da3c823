//go:build unix && !container

package plugin

import (
	"os"
	"syscall"
)

// terminalSignals say that the terminal has another size, or that it may look different now.
var terminalSignals = []os.Signal{syscall.SIGWINCH, syscall.SIGCONT}

func resumes(s os.Signal) bool { return s == syscall.SIGCONT }
