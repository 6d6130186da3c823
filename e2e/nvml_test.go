//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/docker-gpu/docker-gpu/e2e/fakenvml"
)

func init() { commands["nvml"] = nvmlCommand }

// buildNVML builds the fake NVML library once for all scenarios, beside the plugin under test.
var buildNVML = sync.OnceValues(func() (fakenvml.Library, error) {
	return fakenvml.Build(filepath.Join(filepath.Dir(plugin), "nvml"))
})

// nvmlCommand: "nvml [-535] SCENARIO" puts the fake NVML library on the loader's path. SCENARIO is a file of
// the script, or the name of one of fakenvml/scenarios; it becomes $WORK/nvml.scenario, and another nvml
// command replaces it while programs run. -535 takes the library with the functions of driver 535 alone.
func nvmlCommand(ts *testscript.TestScript, neg bool, args []string) {
	old := len(args) == 2 && args[0] == "-535"
	if old {
		args = args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: nvml [-535] SCENARIO")
	}
	library, err := buildNVML()
	ts.Check(err)
	from := ts.MkAbs(args[0])
	if !exists(from) {
		from = fakenvml.Scenario(args[0])
	}
	text, err := os.ReadFile(from)
	ts.Check(err)
	to := filepath.Join(ts.Getenv("WORK"), "nvml.scenario")
	ts.Check(fakenvml.Write(to, os.Expand(string(text), func(name string) string {
		if value := ts.Getenv(name); value != "" {
			return value
		}
		return "$" + name
	})))
	folder := library.Folder
	if old {
		folder = library.Driver535
	}
	ts.Setenv("LD_LIBRARY_PATH", folder)
	ts.Setenv(fakenvml.ScenarioVariable, to)
	ts.Setenv("NVML_LIBRARY", filepath.Join(folder, "libnvidia-ml.so.1"))
}
