//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() { commands["package"] = packageCommand }

// buildPackage makes this machine's deb and rpm once for all scenarios, and gives the folder that they are in.
var buildPackage = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("make", "-C", "..", "package", "ARCHS="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make package: %w: %s", err, out)
	}
	return filepath.Abs("../dist")
})

// packageCommand: "package" makes the packages and sets DEB and RPM to their paths.
func packageCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: package")
	}
	folder, err := buildPackage()
	ts.Check(err)
	for kind, name := range map[string]string{"deb": "DEB", "rpm": "RPM"} {
		made, err := filepath.Glob(filepath.Join(folder, "*."+kind))
		ts.Check(err)
		if len(made) != 1 {
			ts.Fatalf("make package left %d files %s in %s", len(made), kind, folder)
		}
		data, err := os.ReadFile(made[0])
		ts.Check(err)
		file := ts.MkAbs("docker-gpu." + kind)
		ts.Check(os.WriteFile(file, data, 0o644))
		ts.Setenv(name, file)
	}
}
