//go:build unix

// Package pane runs a program in a terminal of its own that nobody sees (tmux), to measure what it takes.
package pane

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Pane is a terminal of 160 × 50 cells and the program in it.
type Pane struct {
	PID     int // of the program
	socket  string
	environ []string
}

// Start runs a command line of the shell. Socket is a path where nothing is: a terminal that was closed leaves its own for
// a moment.
func Start(socket string, environ []string, program string) (*Pane, error) {
	p := &Pane{socket: socket, environ: environ}
	if _, err := p.tmux("new-session", "-d", "-x", "160", "-y", "50", "exec "+program); err != nil {
		return nil, fmt.Errorf("tmux: %w", err)
	}
	pid, err := p.tmux("list-panes", "-F", "#{pane_pid}")
	if err == nil {
		p.PID, err = strconv.Atoi(strings.TrimSpace(pid))
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("%s ended at once: %w", program, err)
	}
	return p, nil
}

// Screen is what stands in the terminal.
func (p *Pane) Screen() (string, error) { return p.tmux("capture-pane", "-p") }

// Close ends the program and its terminal.
func (p *Pane) Close() { _, _ = p.tmux("kill-server") } // what has ended needs no end

func (p *Pane) tmux(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-S", p.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = p.environ
	out, err := cmd.Output()
	return string(out), err
}
