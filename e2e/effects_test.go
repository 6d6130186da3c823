//go:build e2e && linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What enable and disable say of the projects in fixes/testdata/projects is what docker compose says.
func TestEffectsAgainstCompose(t *testing.T) {
	program := filepath.Join(bench, "cli-plugins", "docker-compose")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("docker compose is not on the bench: %v", err)
	}
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "^TestEffectsAgainstCompose$", "../fixes")
	cmd.Env = append(os.Environ(), "DOCKER_GPU_COMPOSE="+program)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestEffectsAgainstCompose") {
		t.Errorf("%v\n%s", err, out)
	}
}
