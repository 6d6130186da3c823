// Package nvmlchild reads NVML where the program has started itself for that, before the rest of the program is
// initialised: as package announce does, and after it. Most of what a Go program of this size does at its start is
// to initialise packages, and this one needs few.
package nvmlchild

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect/gpu"
)

// Command is the hidden command by which the binary reads NVML in a process of its own.
const Command = "__nvml"

func init() {
	if len(os.Args) > 1 && os.Args[1] == Command {
		os.Exit(serve(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
}

// serve is the child process: one reading as JSON, with --brief one without what only a full listing shows, with
// --topology one with the wiring, or with --stream one for each line of input.
func serve(args []string, in io.Reader, out, stderr io.Writer) int {
	switch {
	case slices.Contains(args, "--stream"):
	case slices.Contains(args, "--topology"):
		in = strings.NewReader(gpu.TopologyRequest + "\n")
	case slices.Contains(args, "--brief"):
		in = strings.NewReader(gpu.BriefRequest + "\n")
	default:
		in = strings.NewReader("\n")
	}
	if err := gpu.Serve(context.Background(), in, out); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}
