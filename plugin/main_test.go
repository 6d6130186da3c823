package plugin

import (
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// The test binary stands in for docker-gpu where that starts itself to try devices in a process of its own; for NVML package nvmlchild
// does so.
func TestMain(m *testing.M) {
	if at := slices.Index(os.Args, openCommand); at == 1 {
		os.Exit(serveOpen(os.Args[2:], os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
