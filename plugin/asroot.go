package plugin

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/docker-gpu/docker-gpu/fixes"
)

// rootCommand is the hidden command by which docker gpu does as root what a user's own docker gpu tells it.
const rootCommand = "__as-root"

// startRoot starts that command by sudo, which asks for the password on the terminal where it needs one. On
// whatever ends the user's process, its standard input ends.
func startRoot() (io.WriteCloser, io.Reader, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.Command("sudo", "--", self, rootCommand)
	cmd.Stderr = os.Stderr // sudo's question
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, nil, fmt.Errorf("sudo: %w", err)
	}
	return in, out, cmd.Wait, nil
}

// serveRoot is that command. A ^C on the terminal reaches it, too: whether to break off is decided by the process that
// it works for.
func serveRoot(in io.Reader, out, stderr io.Writer) int {
	signals := make(chan os.Signal, 1) // caught, not ignored: programs that it starts would ignore it, too
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := fixes.ServeRoot(in, out, fixes.LocalHost{}); err != nil {
		fmt.Fprintln(stderr, "docker gpu:", err)
		return 1
	}
	return 0
}
