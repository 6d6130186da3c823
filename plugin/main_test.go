package plugin

import (
	"os"
	"slices"
	"testing"
)

// The test binary stands in for docker-gpu where that starts itself to read NVML in a process of its own.
func TestMain(m *testing.M) {
	if at := slices.Index(os.Args, nvmlCommand); at == 1 {
		os.Exit(serveNVML(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
