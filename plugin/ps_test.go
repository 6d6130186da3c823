package plugin

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/google/go-cmp/cmp"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// runGPU runs a command of the plugin against the engine at host, away from the user's own configuration.
func runGPU(t testing.TB, host string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = report(&errOut, runCLI(t, host, &out, &errOut, args...))
	return out.String(), errOut.String(), code
}

func runCLI(t testing.TB, host string, out, errOut io.Writer, args ...string) error {
	t.Helper()
	root := newRootCmd(appFor(t, host, out, errOut))
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(cli.FlagErrorFunc) // as docker's frame for plugins does
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	return root.ExecuteContext(t.Context())
}

func appFor(t testing.TB, host string, out, errOut io.Writer) *app {
	t.Helper()
	cli, err := command.NewDockerCli(command.WithOutputStream(out), command.WithErrorStream(errOut), command.WithInputStream(io.NopCloser(strings.NewReader(""))))
	if err != nil {
		t.Fatal(err)
	}
	if err := cli.Initialize(&flags.ClientOptions{Hosts: []string{host}, LogLevel: "error"}); err != nil {
		t.Fatal(err)
	}
	return newApp(cli, "test")
}

// holdGolden holds got against testdata/name.
func holdGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

const sharedGPUs = "testdata/ps/shared.json"

func TestPsGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"table", nil},
		{"all", []string{"-a"}},
		{"no-trunc", []string{"--no-trunc"}},
		{"quiet", []string{"-q"}},
		{"quiet-no-trunc", []string{"-q", "--no-trunc"}},
		{"json", []string{"--format", "json"}},
		{"template", []string{"--format", "{{.ID}} {{.Name}} {{.GPUs}} {{.Memory}} {{.Util}} {{.Project}}/{{.Service}} {{.Label \"owner\"}}"}},
		{"template-table", []string{"--format", "table {{.Name}}\t{{.GrantedBy}}\t{{.Memory}}"}},
		{"template-json-names", []string{"--format", "{{.name}} {{.grant.by}} {{.usage.memoryUsedBytes}}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, stderr, code := runGPU(t, "unix:///nowhere", append([]string{"ps", "--from", sharedGPUs}, c.args...)...)
			if code != 0 {
				t.Fatalf("exit %d: %s", code, stderr)
			}
			holdGolden(t, "ps/"+c.name+".golden", out)
		})
	}
}

func TestPsFitsTheTerminal(t *testing.T) {
	s, err := readSnapshot(sharedGPUs, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &psOptions{all: true}
	for _, width := range []int{60, 80, 120, 200} {
		var out bytes.Buffer
		if err := writePsTable(&out, width, true, true, psLines(s, o)); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if cells(strings.TrimRight(line, "\n")) > width {
				t.Errorf("wider than %d: %q", width, line)
			}
		}
	}
}

// The JSON is the contract: these keys and no others, whatever is known.
func TestPsJSONKeys(t *testing.T) {
	out, _, _ := runGPU(t, "unix:///nowhere", "ps", "-a", "--from", sharedGPUs, "--format", "json")
	for line := range strings.Lines(out) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		keys := func(v any) string { return strings.Join(slices.Sorted(maps.Keys(v.(map[string]any))), " ") }
		if got, want := keys(object), "composeProject composeService grant id image name state usage"; got != want {
			t.Errorf("keys %s, want %s", got, want)
		}
		if got, want := keys(object["grant"]), "by capabilities gpus"; got != want {
			t.Errorf("keys of grant %s, want %s", got, want)
		}
		if got, want := keys(object["usage"]), "gpuUtilPercent memoryUsedBytes processes"; got != want {
			t.Errorf("keys of usage %s, want %s", got, want)
		}
	}
}

// What the lines hold of a GPU is what its processes hold.
func TestPsLinesAddUp(t *testing.T) {
	s, err := readSnapshot(sharedGPUs, nil)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[int]uint64{}
	for _, line := range psLines(s, &psOptions{}) {
		for _, p := range line.Usage.Processes {
			sums[p.GPU] += *p.MemoryUsedBytes
		}
	}
	for _, g := range s.GPUs {
		// The driver's own share is what no process holds.
		if own := *g.MemoryUsedBytes - sums[g.Index]; sums[g.Index] > *g.MemoryUsedBytes || own > 1<<30 {
			t.Errorf("GPU %d: NVML says %d, the lines hold %d", g.Index, *g.MemoryUsedBytes, sums[g.Index])
		}
	}
}

func TestPsFilter(t *testing.T) {
	for _, c := range []struct{ name, filter, want string }{
		{"name anywhere in it", "name=train", "trainer"},
		{"name as an expression", "name=^/?(trainer|notebook)$", "trainer notebook"},
		{"one of two names", "name=trainer name=notebook", "trainer notebook"},
		{"GPU by index, the host's line included", "gpu=0", "trainer notebook privileged host"},
		{"GPU by UUID", "gpu=GPU-00000000-0000-0000-0000-000000000001", "trainer inference privileged"},
		{"MIG device", "gpu=1:0", "inference privileged"},
		{"MIG device by UUID", "gpu=MIG-00000000-0000-0000-0000-000000000010", "inference privileged"},
		{"grant", "grant=cdi", "notebook"},
		{"grant as typed", "grant=--gpus", "trainer inference"},
		{"two grants", "grant=cdi grant=privileged", "notebook privileged"},
		{"project", "project=lab", "trainer notebook"},
		{"label that is set", "label=owner", "trainer notebook"},
		{"label of a value", "label=owner=eva", "notebook"},
		{"all labels", "label=owner=eva label=team=b", ""},
		{"two keys", "project=lab gpu=1", "trainer"},
		{"nothing", "name=zzz", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"ps", "--from", sharedGPUs, "--format", "{{.Name}}"}
			for one := range strings.FieldsSeq(c.filter) {
				args = append(args, "--filter", one)
			}
			out, stderr, code := runGPU(t, "unix:///nowhere", args...)
			if code != 0 {
				t.Fatal(stderr)
			}
			if got := strings.Join(strings.Fields(out), " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestPsUsage(t *testing.T) {
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"unknown key", "unknown key \"foo\"", []string{"ps", "--filter", "foo=1"}},
		{"unknown grant", "nothing is granted by \"magic\"", []string{"ps", "--filter", "grant=magic"}},
		{"no value", "needs a value", []string{"ps", "--filter", "gpu="}},
		{"bad expression", "name=(", []string{"ps", "--filter", "name=("}},
		{"arguments", "takes no arguments", []string{"ps", "x"}},
		{"bad template", "--format", []string{"ps", "--format", "{{.Name"}},
		{"no time", "--timeout", []string{"ps", "--timeout", "0s"}},
		{"both", "exclude each other", []string{"ps", "--all-contexts", "--from", "x"}},
	} {
		out, stderr, code := runGPU(t, "unix:///nowhere", c.args...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || out != "" {
			t.Errorf("%s: exit %d, %q on stdout, stderr %q, want %q", c.name, code, out, stderr, c.want)
		}
	}
}

func TestPsWithoutEngine(t *testing.T) {
	out, stderr, code := runGPU(t, "unix:///nowhere/docker.sock", "ps")
	if code != 1 || out != "" || !strings.Contains(stderr, "No Docker engine answers at unix:///nowhere/docker.sock") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, stderr)
	}
	out, _, code = runGPU(t, "unix:///nowhere/docker.sock", "ps", "--all-contexts", "--format", "json")
	var line contextError
	if err := json.Unmarshal([]byte(out), &line); err != nil || code != 1 || line.Context != "default" || line.Error == "" {
		t.Errorf("exit %d, %q: %v", code, out, err)
	}
}

// The command that starts the engine is that of the machine's own way to start services.
func TestPsSaysHowTheEngineIsStarted(t *testing.T) {
	for init, want := range map[string]string{"systemd": "Next: sudo systemctl start docker", "openrc-init": "Next: sudo service docker start"} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "proc/1"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "proc/1/comm"), []byte(init+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Setenv("DOCKER_GPU_ROOT", root)
		r := &reading{timeout: time.Minute}
		s := &inspect.Snapshot{Engine: &inspect.Engine{Context: "default", Endpoint: "unix:///var/run/docker.sock", Unreachable: "not-running"}}
		err := r.cannotList(t.Context(), appFor(t, "unix:///var/run/docker.sock", io.Discard, io.Discard), s)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", init, err)
		}
	}
}

// One question for the list, one for each container that the filters leave, and none about the rest.
func TestPsAsksNoMoreThanItShows(t *testing.T) {
	engine := startEngine(t, crowd(40)...)
	out, stderr, code := runGPU(t, "unix://"+engine.socket, "ps", "--filter", "project=project-1", "--format", "{{.Name}}")
	if code != 0 || strings.Join(strings.Fields(out), " ") != "job-20 job-30" {
		t.Errorf("exit %d: %q %q", code, out, stderr)
	}
	engine.mu.Lock()
	defer engine.mu.Unlock()
	if len(engine.inspected) != 20 {
		t.Errorf("%d containers were inspected, want 20", len(engine.inspected))
	}
}

// A dead context is named, and does not take the others with it. An engine that hangs costs its deadline.
func TestPsHangingContainer(t *testing.T) {
	engine := startEngine(t, crowd(3)...)
	never := make(chan struct{})
	defer close(never)
	engine.hang["/containers/"+simID(1)+"/json"] = never
	out, stderr, code := runGPU(t, "unix://"+engine.socket, "ps", "--timeout", "1s")
	if code != 1 || out != "" || !strings.Contains(stderr, "containers: no answer within 1s") {
		t.Errorf("exit %d: %q %q", code, out, stderr)
	}
}

func TestPsHostileNames(t *testing.T) {
	hostile := "a\x1b[2Jb\u202ec\u009bd\ne" + strings.Repeat("x", 4096)
	c := inspect.Container{ID: simID(1), Name: hostile, Image: hostile, State: "running", Labels: map[string]string{hostile: hostile},
		Grant: inspect.Grant{By: []string{"gpus"}, GPUs: []string{hostile}}, ComposeProject: hostile}
	s := &inspect.Snapshot{Containers: []inspect.Container{c}, GPUs: []inspect.GPU{{Processes: []inspect.GPUProcess{{PID: 0, Name: hostile}, {PID: -1}}}}}
	lines := psLines(s, &psOptions{})
	var table, template, object bytes.Buffer
	if err := writePsTable(&table, 80, true, false, lines); err != nil {
		t.Fatal(err)
	}
	if err := writePsTemplate(&template, "{{.Name}} {{.Labels}} {{.Image}}", true, lines[:1]); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(&object, lines, ""); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"table": table.String(), "template": template.String(), "json": object.String()} {
		for _, r := range out {
			if r != '\n' && harmful(r) {
				t.Errorf("%s: %q is in the output", name, r)
			}
		}
	}
}
