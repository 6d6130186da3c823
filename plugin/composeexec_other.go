//go:build !unix

package plugin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/docker/cli/cli"
)

// becomeCompose runs docker compose with our streams and exit code. An interrupt reaches it by the
// console itself; here it must only not end us first.
func (a *app) becomeCompose(args, environ []string) error {
	path, argv, err := a.composeCommand(args)
	if err != nil {
		return fmt.Errorf("docker gpu: compose: %w", err)
	}
	signal.Ignore(os.Interrupt)
	cmd := exec.Command(path, argv[1:]...)
	cmd.Env = composeEnviron(environ...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return cli.StatusError{StatusCode: exit.ExitCode()}
	}
	return err
}
