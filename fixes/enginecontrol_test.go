package fixes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// fakeEngine reads a daemon.json when it is told to, as dockerd does on SIGHUP.
type fakeEngine struct {
	EngineControl
	file     string
	runtimes map[string]system.RuntimeWithStatus
	deaf     bool // it takes nothing over
	runs     []string
}

func (e *fakeEngine) Info(context.Context, client.InfoOptions) (client.SystemInfoResult, error) {
	return client.SystemInfoResult{Info: system.Info{Runtimes: e.runtimes}}, nil
}

// engineFiles is a host whose programs are the fake engine's.
type engineFiles struct {
	LocalHost
	engine   *fakeEngine
	validate error // what dockerd --validate says
}

func (h engineFiles) Run(_ context.Context, argv ...string) ([]byte, error) {
	line := strings.Join(argv, " ")
	h.engine.runs = append(h.engine.runs, line)
	switch {
	case strings.HasSuffix(line, "--help"):
		return []byte("      --validate   Validate daemon configuration and exit"), nil
	case slices.Contains(argv, "--validate"):
		return nil, h.validate
	case strings.HasPrefix(line, "kill -HUP") || strings.HasPrefix(line, "systemctl reload"):
		if h.engine.deaf {
			return nil, nil
		}
		data, err := os.ReadFile(h.engine.file)
		if err != nil {
			return nil, err
		}
		h.engine.runtimes = map[string]system.RuntimeWithStatus{"runc": {}}
		if readJSON(data, "runtimes", "nvidia") != nil {
			h.engine.runtimes["nvidia"] = system.RuntimeWithStatus{}
		}
	}
	return nil, nil
}

func engineStep(t *testing.T, text string, change func(*fakeEngine, *inspect.EngineProcess)) (*EngineConfigStep, *fakeEngine, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "daemon.json")
	if text != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	engine := &fakeEngine{file: file, runtimes: map[string]system.RuntimeWithStatus{"runc": {}}}
	process := &inspect.EngineProcess{PID: 4711, Executable: "/usr/bin/dockerd", ManagedBy: "systemd", Unit: "docker.service"}
	if change != nil {
		change(engine, process)
	}
	return &EngineConfigStep{
		FileStep: FileStep{Description: Description{Text: "register"}, Path: file, Edit: func(old []byte) ([]byte, error) { return EditJSON(file, old, nvidiaRuntime) }},
		Service:  engineService{Control: engine, Endpoint: "unix:///nowhere/docker.sock", Root: inspect.Root(t.TempDir()), Process: process, Wait: 300 * time.Millisecond},
		Want:     hasRuntime, Keys: []string{"runtimes"},
	}, engine, file
}

func TestEngineConfigStep(t *testing.T) {
	const before = "{\n  \"debug\": true\n}\n"
	step, engine, file := engineStep(t, before, nil)
	x := newExecutor(t)
	x.Host = engineFiles{engine: engine}
	result, err := x.Run(context.Background(), Plan{Name: "fix", Steps: []Step{step}})
	if err != nil || !result.Changed() || !hasRuntime(system.Info{Runtimes: engine.runtimes}) || !strings.Contains(content(t, file), `"debug": true`) {
		t.Fatalf("%+v, %v\n%s", result, err, content(t, file))
	}
	if !slices.Contains(engine.runs, "systemctl reload docker.service") || !slices.ContainsFunc(engine.runs, func(r string) bool { return strings.HasPrefix(r, "/usr/bin/dockerd --validate") }) {
		t.Errorf("%q", engine.runs)
	}
	if again, err := x.Run(context.Background(), Plan{Name: "fix", Steps: []Step{step}}); err != nil || again.Changed() {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	var dialled string
	x.Host = EngineHost{Host: engineFiles{engine: engine}, Root: step.Service.Root, Dial: func(endpoint string) (EngineControl, error) {
		dialled = endpoint
		return engine, nil
	}}
	// The engine's process is not this machine's in a test: undoing says so, and the file is back all the same.
	_, err = x.Undo(context.Background(), 0)
	if content(t, file) != before || dialled != "unix:///nowhere/docker.sock" || !errors.Is(err, errUnseen) {
		t.Errorf("undo: %v, %q\n%s", err, dialled, content(t, file))
	}
}

// Where the engine refuses, the old file is back, and the engine has read it.
func TestEngineConfigStepTakesBack(t *testing.T) {
	for _, c := range []struct {
		name, before string
		change       func(*fakeEngine, *inspect.EngineProcess)
		validate     error
		want         string
	}{
		{"dockerd would not start", "{}\n", nil, errors.New("dockerd: exit status 1: unable to configure the Docker daemon with file x: y"), "would not start with it: unable to configure the Docker daemon"},
		{"the reload has no effect", "{}\n", func(e *fakeEngine, _ *inspect.EngineProcess) { e.deaf = true }, nil, "did not take it over"},
		{"there was no file", "", func(e *fakeEngine, _ *inspect.EngineProcess) { e.deaf = true }, nil, "did not take it over"},
	} {
		step, engine, file := engineStep(t, c.before, c.change)
		x := newExecutor(t)
		x.Host = engineFiles{engine: engine, validate: c.validate}
		_, err := x.Run(context.Background(), Plan{Name: "fix", Steps: []Step{step}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "is back") {
			t.Errorf("%s: %v", c.name, err)
		}
		data, err := os.ReadFile(file)
		if c.before == "" && !errors.Is(err, os.ErrNotExist) || c.before != "" && string(data) != c.before {
			t.Errorf("%s: the file holds %q, %v", c.name, data, err)
		}
	}
}

func TestEngineConfigStepRefuses(t *testing.T) {
	step, engine, file := engineStep(t, "{}", func(_ *fakeEngine, p *inspect.EngineProcess) { p.Args = []string{"--add-runtime", "mine=/bin/true"} })
	x := newExecutor(t)
	x.Host = engineFiles{engine: engine}
	if _, err := x.Run(context.Background(), Plan{Name: "fix", Steps: []Step{step}}); err == nil || !strings.Contains(err.Error(), `--add-runtime=mine=/bin/true and refuses to start with "runtimes"`) || content(t, file) != "{}" {
		t.Errorf("%v", err)
	}
}

// A daemon.json that says it already, and an engine that does not know: the reload alone is the step.
func TestEngineConfigStepReloadsOnly(t *testing.T) {
	text := `{"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}}}`
	step, engine, file := engineStep(t, text, nil)
	x := newExecutor(t)
	x.Host = engineFiles{engine: engine}
	result, err := x.Run(context.Background(), Plan{Name: "fix", Steps: []Step{step}})
	if err != nil || !result.Changed() || content(t, file) != text || !hasRuntime(system.Info{Runtimes: engine.runtimes}) {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestCommandsByManager(t *testing.T) {
	for _, c := range []struct{ manager, unit, reload, restart string }{
		{"systemd", "docker.service", "systemctl reload docker.service", "systemctl restart docker.service"},
		{"systemd-user", "docker.service", "systemctl --user reload docker.service", "systemctl --user restart docker.service"},
		{"openrc", "docker", "rc-service docker reload", "rc-service docker restart"},
		{"snap", "snap.docker.dockerd.service", "kill -HUP 7", "snap restart docker"},
		{"none", "", "kill -HUP 7", ""},
	} {
		p := &inspect.EngineProcess{PID: 7, ManagedBy: c.manager, Unit: c.unit}
		if reload, restart := strings.Join(reloadCommand(p), " "), strings.Join(restartCommand(p), " "); reload != c.reload || restart != c.restart {
			t.Errorf("%s: %q, %q", c.manager, reload, restart)
		}
	}
}

func TestEngineHostRefusesWhatItDoesNotKnow(t *testing.T) {
	h := EngineHost{Host: LocalHost{}, Dial: func(string) (EngineControl, error) { return nil, errors.New("no engine") }}
	for _, argv := range [][]string{{"docker-gpu", "undo", "format-disk", "unix:///x"}, {"docker-gpu", "undo", "restore-container", "unix:///x", "id"}} {
		if _, err := h.Run(context.Background(), argv...); err == nil || !strings.Contains(err.Error(), "update it") {
			t.Errorf("%v: %v", argv, err)
		}
	}
	if _, err := DialEngine("tcp://10.0.0.1:2375"); err == nil {
		t.Error("an engine elsewhere is dialled")
	}
}
