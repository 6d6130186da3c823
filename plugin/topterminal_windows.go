//go:build !container

package plugin

import "os"

// terminalSignals are none on Windows, where a new size comes in with the keys.
var terminalSignals []os.Signal

func resumes(os.Signal) bool { return false }
