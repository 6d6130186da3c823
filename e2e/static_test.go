//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() { commands["static"] = staticCommand }

// buildStatic builds the plugin for containers, as `make static` does, once for all scenarios, beside the plugin under test.
var buildStatic = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(filepath.Dir(plugin), "docker-gpu-static")
	cmd := exec.Command("go", "build", "-modfile", filepath.Join(startup, "go.mod"), "-trimpath", "-tags", "container,grpcnotrace", "-gcflags=all=-l", "-ldflags", "-s -w", "-o", binary, "../cmd/docker-gpu")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build without cgo: %w: %s", err, out)
	}
	info, err := os.Stat(binary)
	if err == nil && info.Size() >= mostStatic {
		err = fmt.Errorf("the static binary has %d bytes: containers are promised less than %d", info.Size(), mostStatic)
	}
	return binary, err
})

// mostStatic is the size that an image is asked to take in for its health check.
const mostStatic = 25_000_000

// staticCommand: "static" sets STATIC to the path of a plugin that needs no libc, for mounting it into containers.
func staticCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: static")
	}
	binary, err := buildStatic()
	ts.Check(err)
	ts.Setenv("STATIC", binary)
}
