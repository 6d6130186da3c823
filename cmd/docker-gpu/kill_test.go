//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/docker-gpu/docker-gpu/plugin"
)

var (
	kills  = flag.Int("kills", 12, "how often docker gpu is killed while it writes")
	binary = flag.String("binary", "", "the docker-gpu to kill; empty: this test's own")
	writes = flag.Int("writes", 3, "how often each of eight writers writes")
)

// TestMain lets this test's program be docker gpu itself.
func TestMain(m *testing.M) {
	if os.Getenv("DOCKER_GPU_TEST_MAIN") == "1" {
		os.Exit(plugin.Main("test", os.Args))
	}
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// dockerGPU is docker gpu in a project, with a state folder and no engine.
func dockerGPU(t *testing.T, project, state string, args ...string) *exec.Cmd {
	t.Helper()
	program := *binary
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = project
	cmd.Env = []string{"DOCKER_GPU_TEST_MAIN=1", "HOME=" + state, "XDG_STATE_HOME=" + state, "PATH=" + os.Getenv("PATH"),
		"DOCKER_HOST=unix://" + state + "/none.sock", "DOCKER_GPU_ROOT=" + state, "GORACE=atexit_sleep_ms=0"}
	return cmd
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
}

// Killed at any moment, enable and disable leave the old file or the new one, and nothing that grows.
func TestKilled(t *testing.T) {
	project, state := t.TempDir(), t.TempDir()
	env := filepath.Join(project, ".devcontainer", ".env")
	filler := strings.Repeat("FILLER=\"0123456789 0123456789 0123456789\" # stays\n", 20000) // 1 MB: writing it takes a while
	off, on := filler+"NVIDIA_VISIBLE_DEVICES=void\r\n", filler+"NVIDIA_VISIBLE_DEVICES=all\r\n"
	put(t, env, off)
	start := time.Now()
	if out, err := dockerGPU(t, project, state, "enable").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	usual := time.Since(start)
	var killed, inTime, changed, midway int
	for i := range *kills {
		command, old, new := "disable", on, off
		if got := read(t, env); got == off {
			command, old, new = "enable", off, on
		} else if got != on {
			t.Fatalf("kill %d: the file is neither the old nor the new one: %d bytes", i, len(got))
		}
		cmd := dockerGPU(t, project, state, command)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(usual) * 5 / 4)))
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err == nil {
			inTime++
		} else {
			killed++
		}
		switch read(t, env) {
		case new:
			changed++
		case old:
		default:
			t.Fatalf("kill %d: the file is neither the old nor the new one", i)
		}
		if info, err := os.Stat(env); err != nil || info.Mode().Perm() != 0o640 {
			t.Fatalf("kill %d: %v %v", i, info.Mode(), err)
		}
		left, err := os.ReadDir(filepath.Dir(env))
		if err != nil || len(left) > 2 {
			t.Fatalf("kill %d: %v is left beside the file, %v", i, left, err)
		}
		if len(left) == 2 {
			midway++
		}
	}
	t.Logf("%d killed, %d were done before, %d left the new file, %d were killed between making the new file and putting it in place", killed, inTime, changed, midway)
	for _, command := range []string{"disable", "enable"} { // what follows a crash works, and clears up
		if out, err := dockerGPU(t, project, state, command).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(env)); len(left) != 1 {
		t.Errorf("left after the next run: %v", left)
	}
	entries, err := os.ReadDir(filepath.Join(state, "docker-gpu", "journal"))
	if err != nil || len(entries) > 201 {
		t.Errorf("the journal grew to %d entries, %v", len(entries), err)
	}
	for _, entry := range entries {
		if name := filepath.Join(state, "docker-gpu", "journal", entry.Name()); strings.HasSuffix(name, ".jsonl") {
			for line := range strings.Lines(read(t, name)) {
				if strings.HasSuffix(line, "\n") && !json.Valid([]byte(line)) {
					t.Errorf("%s: a damaged line: %.80q", entry.Name(), line)
				}
			}
		}
	}
	if read(t, env) != on {
		t.Error("the last run did not enable")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// Eight of them at once, each with a file of its own choice of two, lose none of each other's changes:
// half write the devices, half the capabilities of the same file.
func TestWritersAtOnce(t *testing.T) {
	project := t.TempDir()
	env := filepath.Join(project, ".devcontainer", ".env")
	put(t, env, "A=1\nNVIDIA_DRIVER_CAPABILITIES=utility\nNVIDIA_VISIBLE_DEVICES=void\nB=2\n")
	states := []string{t.TempDir(), t.TempDir()} // two users, with a journal each
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range *writes {
				args := []string{"enable"}
				if w%2 == 0 {
					args = []string{"disable"}
				} else if i%2 == 0 {
					args = []string{"enable", "--capabilities", "compute,utility"}
				}
				cmd := dockerGPU(t, project, states[w%2], args...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("writer %d, %q: %v: %s", w, args, err, out)
				}
			}
		})
	}
	wg.Wait()
	got := read(t, env)
	for _, line := range []string{"A=1\n", "NVIDIA_DRIVER_CAPABILITIES=compute,utility\n", "B=2\n"} {
		if !strings.Contains(got, line) || strings.Count(got, "\n") != 4 {
			t.Errorf("%q is lost: %q", line, got)
		}
	}
}
