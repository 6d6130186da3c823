//go:build !unix

package plugin

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"

	"github.com/docker/cli/cli"
)

// become runs a program with our streams and exit code. An interrupt reaches it by the console itself;
// here it must only not end us first.
func become(path string, argv, environ []string) error {
	signal.Ignore(os.Interrupt)
	cmd := exec.Command(path, argv[1:]...)
	cmd.Env = environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return cli.StatusError{StatusCode: exit.ExitCode()}
	}
	return err
}
