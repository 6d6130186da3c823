//go:build unix

package plugin

import (
	"fmt"
	"syscall"
)

// becomeCompose puts docker compose in the place of this process: exit code, signals, terminal and
// streams are its own. It comes back only where that fails.
func (a *app) becomeCompose(args, environ []string) error {
	path, argv, err := a.composeCommand(args)
	if err != nil {
		return fmt.Errorf("docker gpu: compose: %w", err)
	}
	if err := syscall.Exec(path, argv, composeEnviron(environ...)); err != nil {
		return fmt.Errorf("docker gpu: compose: %s: %w", path, err)
	}
	return nil
}
