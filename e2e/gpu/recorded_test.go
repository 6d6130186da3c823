//go:build linux && cgo && !gpu

package gpu

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker-gpu/docker-gpu/e2e/fakenvml"
	"github.com/docker-gpu/docker-gpu/inspect"
	"github.com/docker-gpu/docker-gpu/plugin/nvmlchild"
)

// The fake driver, told what a real one said, is held against what nvidia-smi and docker gpu said of the same machine:
// what every test here rests on is like the real thing.
var recorded = map[string]string{
	"h100-recorded": "testdata/1x-nvidia-h100-80gb-hbm3-580.159.04",
	"h200-recorded": "testdata/1x-nvidia-h200-580.159.04",
}

func fake(t *testing.T, scenario string) inspect.Machine {
	t.Helper()
	lib, err := fakenvml.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range fakenvml.Env(lib.Folder, fakenvml.Scenario(scenario)) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return inspect.Machine{Root: inspect.Root(t.TempDir()), Now: time.Now, NVML: inspect.NVMLFromChild(self, nvmlchild.Command),
		NVMLTopology: inspect.NVMLFromChild(self, nvmlchild.Command, "--topology")}
}

func readGPUs(t *testing.T, m inspect.Machine, source inspect.Source) *inspect.Snapshot {
	t.Helper()
	s := inspect.Collect(t.Context(), m, time.Minute, source)
	if len(s.GPUs) != 1 {
		t.Fatalf("%+v", s.Sources)
	}
	return s
}

func TestFakeAgainstRecordedNVIDIASMI(t *testing.T) {
	for scenario, files := range recorded {
		t.Run(scenario, func(t *testing.T) {
			ours := readGPUs(t, fake(t, scenario), inspect.NVMLSource)
			theirs := readGPUs(t, inspect.Machine{Root: inspect.Root(t.TempDir()), Now: time.Now, Run: func(context.Context, ...string) ([]byte, error) {
				return os.ReadFile(files + ".xml")
			}}, inspect.NVMLSource)
			for _, line := range compare(ours.GPUs, theirs.GPUs, ours.GPUs) {
				t.Error(line)
			}
			if n := len(figures(theirs.GPUs)); n < 60 {
				t.Errorf("only %d figures were compared", n)
			}
		})
	}
}

// movesByItself are figures that are another the next moment.
var movesByItself = regexp.MustCompile(`UtilPercent$|[tT]emperatureCelsius$|powerWatts|energyJoules|ClockMHz$|ViolationSeconds$|BytesPerSecond$`)

// The figures that the real driver had, the fake one has, and no others; those that do not move are the same.
func TestFakeAgainstRecordedSnapshot(t *testing.T) {
	for scenario, files := range recorded {
		t.Run(scenario, func(t *testing.T) {
			data, err := os.ReadFile(files + ".json")
			if err != nil {
				t.Fatal(err)
			}
			told := &inspect.Snapshot{}
			if err := json.Unmarshal(data, told); err != nil {
				t.Fatal(err)
			}
			s := readGPUs(t, fake(t, scenario), inspect.TopologySource)
			want, got := figures(told.GPUs), figures(s.GPUs)
			maps.Copy(want, figuresOf("topology", told.Topology))
			maps.Copy(got, figuresOf("topology", s.Topology))
			for _, path := range slices.Sorted(maps.Keys(want)) {
				if _, ok := got[path]; !ok {
					t.Errorf("%s: the real driver has %v, the fake one nothing", path, want[path])
				}
			}
			same := 0
			for _, path := range slices.Sorted(maps.Keys(got)) {
				switch v, ok := want[path]; {
				case movesByItself.MatchString(path), strings.Contains(path, "throttleReasons"):
				case !ok:
					t.Errorf("%s: the fake driver has %v, the real one nothing", path, got[path])
				case v != got[path]:
					t.Errorf("%s: the real driver has %v, the fake one %v", path, v, got[path])
				default:
					same++
				}
			}
			if same < 40 {
				t.Errorf("only %d figures are the same", same)
			}
			for _, text := range []string{told.Driver.Version, told.Driver.CUDAVersion} {
				if text != s.Driver.Version && text != s.Driver.CUDAVersion {
					t.Errorf("driver: %q", text)
				}
			}
		})
	}
}
