package plugin

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

func writeSnapshot(t *testing.T, s *inspect.Snapshot) string {
	t.Helper()
	s.SchemaVersion = inspect.SchemaVersion
	var out bytes.Buffer
	if err := writeJSON(&out, s, ""); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot.json")
	if err := fixes.WriteOutput(file, out.Bytes()); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestHealthAnswers(t *testing.T) {
	void := "void"
	lost := &inspect.Inside{DeviceNodes: []inspect.DeviceNode{{Path: "/dev/nvidia0", Major: 195, Device: true}}, DriverMounts: []string{"/usr/bin/nvidia-smi"}, DeviceRules: []string{}}
	none := &inspect.Inside{DeviceNodes: []inspect.DeviceNode{}, DriverMounts: []string{}}
	outside := writeSnapshot(t, &inspect.Snapshot{
		Engine: &inspect.Engine{Version: "28.5.2", Location: "local"},
		Containers: []inspect.Container{
			{ID: strings.Repeat("a1", 32), Name: "web", State: "running", Inside: none},
			{ID: strings.Repeat("a2", 32), Name: "lost", State: "running", Inside: lost, Asks: inspect.Asks{VisibleDevices: &void}, Grant: inspect.Grant{By: []string{"cdi"}, GPUs: []string{"0"}}},
			{ID: strings.Repeat("b3", 32), Name: "old", State: "exited", ExitCode: new(137)},
		}})
	inside := writeSnapshot(t, &inspect.Snapshot{Inside: none})
	for _, c := range []struct {
		name, file string
		args       []string
		code       int
		out, err   string
	}{
		{"all that have a GPU", outside, nil, 1, "✗ lost: cgroup-device-lost: ", ""},
		{"without one", outside, []string{"web"}, 0, "– web: no GPU is expected: skipped\n", ""},
		{"without one, and one is required", outside, []string{"--require", "web"}, 1, "✗ web: gpu-not-requested: ", ""},
		{"only to be told", outside, []string{"--warn-only", "lost"}, 0, "devices.list: no rule for /dev/nvidia0 (c 195:0)", ""},
		{"by the beginning of an id", outside, []string{"a2a2"}, 1, "✗ lost: ", ""},
		{"not running", outside, []string{"old"}, 1, "✗ old: it is not running (exited with 137)\n", ""},
		{"no such", outside, []string{"nope"}, 1, "", "no such container: nope"},
		{"ambiguous", outside, []string{"a"}, 1, "", "is the beginning of 2 container ids"},
		{"taken inside", inside, nil, 0, "– this container: no GPU is expected: skipped\n", ""},
		{"taken inside, required", inside, []string{"--require"}, 1, "✗ this container: gpu-not-requested", ""},
		{"nothing makes sense of both", outside, []string{"--inside"}, exitUsage, "", "exclude each other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, stderr, code := runGPU(t, "unix:///nowhere", append([]string{"health", "--from", c.file}, c.args...)...)
			if code != c.code || !strings.Contains(out, c.out) || c.out == "" && out != "" || !strings.Contains(stderr, c.err) {
				t.Errorf("exit %d, want %d\n%s\n%s", code, c.code, out, stderr)
			}
		})
	}
	out, _, code := runGPU(t, "unix:///nowhere", "health", "--from", outside, "--format", "json", "lost", "web")
	var answer healthAnswer
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	if code != 1 || answer.Status != fixes.Unhealthy || len(answer.Findings) != 1 || answer.Findings[0].ID != "cgroup-device-lost" || len(answer.Containers) != 2 || answer.Containers[1].Status != fixes.Skipped {
		t.Errorf("exit %d: %s", code, out)
	}
}

// Of thousands of containers only the one that is asked about is asked for.
func TestHealthAsksForOne(t *testing.T) {
	engine := startEngine(t, crowd(30)...)
	out, stderr, code := runGPU(t, "unix://"+engine.socket, "health", "job-3")
	if code != 0 || !strings.HasPrefix(out, "– job-3: no GPU is expected: skipped\n") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	engine.mu.Lock()
	defer engine.mu.Unlock()
	if len(engine.inspected) != 1 {
		t.Errorf("%d containers were inspected", len(engine.inspected))
	}
}
