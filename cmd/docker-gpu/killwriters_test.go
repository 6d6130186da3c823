//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/docker-gpu/docker-gpu/e2e/simengine"
)

// Every command that writes a file, killed at any moment: what stands there is the old or the new one, the journal
// is true, and the next run works and clears up. -kills says how often each is killed.
func TestKilledWriters(t *testing.T) {
	filler := strings.Repeat("x", 1<<20) // writing it takes a while
	for _, w := range []struct {
		name      string
		there     string   // in the file to begin with
		file      string   // below the home folder
		commands  []string // in turns
		is        func(text string) bool
		aside     int // files that may be left beside it, by one kill
		noJournal bool
		machine   func(t *testing.T, root string) (environ []string) // that it is on, nil: one without anything
	}{
		{"swarm", `{"labels":["filler=` + filler + "\"]}\n", "etc/docker/daemon.json", []string{"swarm enable --yes --allow restart --sudo", "swarm disable --yes --allow restart --sudo"}, func(text string) bool {
			names, ok := genericResources(text)
			return ok && strings.Contains(text, filler) && (len(names) == 0 || len(names) == 1 && names[0] == "GPU-11111111-2222-3333-4444-555555555555")
		}, 1, false, swarmMachine},
		{"hooks", `{"auths":{},"filler":"` + filler + "\"}\n", "docker/config.json", []string{"hooks install", "hooks uninstall"}, func(text string) bool {
			var v struct {
				Filler  string
				Plugins map[string]map[string]string
			}
			return json.Unmarshal([]byte(text), &v) == nil && v.Filler == filler && (len(v.Plugins) == 0 || v.Plugins["gpu"]["error-hooks"] == "run,start,exec,compose up")
		}, 1, false, nil},
		{"report", "", "docker/report.json", []string{"report --from {{examples}}/eight-gpus.json -o {{file}}", "report --from {{examples}}/eight-gpus.json -o {{file}} --html {{file}}.html"}, func(text string) bool {
			return text == "" || json.Valid([]byte(text)) && strings.Contains(text, `"snapshot"`)
		}, 4, true, nil},
		{"recording", "", "docker/recording", []string{"top -n 8 --interval 100ms --record {{file}}"}, func(string) bool { return true }, 1, true, nil},
	} {
		t.Run(w.name, func(t *testing.T) {
			project, home := t.TempDir(), t.TempDir()
			file := filepath.Join(home, filepath.FromSlash(w.file))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if w.there != "" {
				put(t, file, w.there)
			}
			bin := filepath.Join(home, "bin") // hooks need a docker CLI that knows them
			put(t, filepath.Join(bin, "docker"), "#!/bin/sh\necho 29.9.0\n")
			if err := os.Chmod(filepath.Join(bin, "docker"), 0o755); err != nil {
				t.Fatal(err)
			}
			examples, err := filepath.Abs(filepath.Join("..", "..", "examples", "snapshots"))
			if err != nil {
				t.Fatal(err)
			}
			var environ []string
			if w.machine != nil {
				environ = w.machine(t, home)
			}
			run := func(command string) (*bytes.Buffer, func() error, func()) {
				args := strings.Fields(strings.NewReplacer("{{file}}", file, "{{examples}}", examples).Replace(command))
				cmd := dockerGPU(t, project, home, args...)
				cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+filepath.Dir(file), "PATH="+bin+":"+os.Getenv("PATH"))
				cmd.Env = append(cmd.Env, environ...)
				var said bytes.Buffer
				cmd.Stdout, cmd.Stderr = &said, &said
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				return &said, cmd.Wait, func() { _ = cmd.Process.Kill() }
			}
			forget := func() { // a report and a recording are never written over another's file unless told so
				if w.there == "" && w.name == "recording" {
					if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(err)
					}
				}
			}
			start := time.Now()
			said, wait, _ := run(w.commands[0])
			if err := wait(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			usual := time.Since(start)
			killed := 0
			for i := range *kills {
				forget()
				_, wait, kill := run(w.commands[(i+1)%len(w.commands)])
				time.Sleep(time.Duration(rand.Int64N(int64(usual) * 5 / 4)))
				kill()
				if wait() != nil {
					killed++
				}
				if text := read(t, file); !w.is(text) {
					t.Fatalf("kill %d: neither the old nor the new file: %d bytes: %.100q", i, len(text), text)
				}
				left, err := os.ReadDir(filepath.Dir(file))
				if err != nil || len(left) > 1+w.aside*(i+1) || !w.noJournal && len(left) > 3 {
					t.Fatalf("kill %d: left beside the file: %v, %v", i, left, err)
				}
				if w.name == "recording" {
					if text := read(t, file); text != "" {
						said, wait, _ := run("top --replay {{file}} -n 1")
						err := wait()
						begun := strings.Contains(said.String(), "cut off") && !hasFrame(t, text) // killed within the first frame
						if err != nil && !begun && !strings.Contains(said.String(), "empty") && !strings.Contains(said.String(), "no recording") {
							t.Fatalf("kill %d: what was recorded cannot be played: %v: %s", i, err, said)
						}
					}
				}
			}
			t.Logf("%s: %d killed, %d were done before", w.name, killed, *kills-killed)
			for _, command := range w.commands {
				forget()
				said, wait, _ := run(command)
				if err := wait(); err != nil {
					t.Fatalf("after it all: %v: %s", err, said)
				}
			}
			if text := read(t, file); !w.is(text) || text == "" {
				t.Errorf("after it all: %.100q", text)
			}
			if w.noJournal {
				return
			}
			holdJournal(t, home)
			if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
				t.Errorf("left after the next run: %v", left)
			}
		})
	}
}

// hasFrame tells if a recording has a whole frame, which is a line.
func hasFrame(t *testing.T, recording string) bool {
	t.Helper()
	z, err := zstd.NewReader(strings.NewReader(recording), zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	data, _ := io.ReadAll(z) // as far as it goes
	return bytes.ContainsRune(data, '\n')
}

// genericResources are the names of a daemon.json, if it is one.
func genericResources(text string) (names []string, ok bool) {
	var config struct {
		Resources []string `json:"node-generic-resources"`
	}
	if json.Unmarshal([]byte(text), &config) != nil {
		return nil, false
	}
	for _, entry := range config.Resources {
		names = append(names, strings.TrimPrefix(entry, "NVIDIA-GPU="))
	}
	return names, true
}

// swarmMachine lays a machine with a GPU, a toolkit and an engine that systemd manages, which offers what its daemon.json
// says. The toolkit's configuration, which is written first, is held to be the old or the new one, too.
func swarmMachine(t *testing.T, root string) []string {
	t.Helper()
	folder, err := os.MkdirTemp("", "swarm") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "e.sock")
	for name, text := range machineFiles {
		if name != "etc/docker/daemon.json" {
			put(t, filepath.Join(root, name), text)
		}
	}
	put(t, filepath.Join(root, "proc", "4242", "comm"), "dockerd\n")
	put(t, filepath.Join(root, "proc", "4242", "cmdline"), "dockerd\x00--host=unix://"+socket+"\x00")
	put(t, filepath.Join(root, "proc", "4242", "cgroup"), "0::/system.slice/docker.service\n")
	put(t, filepath.Join(root, "bin", "systemctl"), "#!/bin/sh\nexit 0\n")
	put(t, filepath.Join(root, "bin", "sudo"), "#!/bin/sh\nwhile [ \"${1#-}\" != \"$1\" ]; do shift; done\nexec \"$@\"\n") // the files are the tester's own
	for _, program := range []string{"systemctl", "sudo"} {
		if err := os.Chmod(filepath.Join(root, "bin", program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	toolkit := filepath.Join(root, "etc", "nvidia-container-runtime", "config.toml")
	filler := strings.Repeat("# filler\n", 100<<10)
	put(t, toolkit, filler+machineFiles["etc/nvidia-container-runtime/config.toml"])
	engine, err := simengine.Start(socket, "1.41", func(w http.ResponseWriter, _ *http.Request, path string) bool {
		switch path {
		case "/version":
			return simengine.JSON(w, map[string]any{"Version": "28.5.2", "ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"})
		case "/info":
			text, err := os.ReadFile(filepath.Join(root, "etc", "docker", "daemon.json"))
			names, ok := genericResources(string(text))
			if err != nil || !ok {
				return false
			}
			var offered []any
			for _, name := range names {
				offered = append(offered, map[string]any{"NamedResourceSpec": map[string]any{"Kind": "NVIDIA-GPU", "Value": name}})
			}
			return simengine.JSON(w, map[string]any{"ServerVersion": "28.5.2", "OSType": "linux", "KernelVersion": "6.8.0-48", "MemTotal": 131072 << 10, "DefaultRuntime": "runc", "GenericResources": offered,
				"Runtimes": map[string]any{"runc": map[string]any{"path": "runc"}, "nvidia": map[string]any{"path": "nvidia-container-runtime"}}})
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = engine.Close()
		_ = os.RemoveAll(folder)
		if text := read(t, toolkit); !strings.HasPrefix(text, filler) || !strings.Contains(text, "mode = \"auto\"") || strings.Contains(text, "swarm-resource = \"") {
			t.Errorf("the toolkit's configuration is damaged: %d bytes", len(text))
		}
		if left, _ := os.ReadDir(filepath.Dir(toolkit)); len(left) != 1 {
			t.Errorf("left beside the toolkit's configuration: %v", left)
		}
	})
	return []string{"DOCKER_HOST=unix://" + socket}
}

// holdJournal fails where a whole line of the journal is damaged, or it grows without end.
func holdJournal(t *testing.T, state string) {
	t.Helper()
	folder := filepath.Join(state, "docker-gpu", "journal")
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) > 201 || len(entries) == 0 {
		t.Errorf("the journal has %d entries, %v", len(entries), err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".jsonl") {
			continue
		}
		for line := range strings.Lines(read(t, filepath.Join(folder, entry.Name()))) {
			if strings.HasSuffix(line, "\n") && !json.Valid([]byte(line)) {
				t.Errorf("%s: a damaged line: %.80q", entry.Name(), line)
			}
		}
	}
}
