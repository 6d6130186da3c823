//go:build unix

package plugin

import (
	"fmt"
	"syscall"
)

// become puts a program in the place of this process: exit code, signals, terminal and streams are its
// own. It comes back only where that fails.
func become(path string, argv, environ []string) error {
	if err := syscall.Exec(path, argv, environ); err != nil {
		return fmt.Errorf("docker gpu: %s: %w", path, err)
	}
	return nil
}
