package plugin

import (
	"os"
	"slices"
	"testing"
)

// The test binary stands in for docker-gpu where that starts itself to ask the driver in a process of its own.
func TestMain(m *testing.M) {
	if at := slices.Index(os.Args, nvmlCommand); at == 1 {
		os.Exit(serveNVML(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if at := slices.Index(os.Args, openCommand); at == 1 {
		os.Exit(serveOpen(os.Args[2:], os.Stdout))
	}
	os.Exit(m.Run())
}
