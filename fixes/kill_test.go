//go:build unix

package fixes

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const killedIn = "DOCKER_GPU_TEST_KILLED_IN"

// killFiles are what the plan below edits, and what each may hold: the old text or the new, never another.
var killFiles = []struct{ name, old string }{
	{"etc/docker/daemon.json", "{\n\t\"labels\": [\"keep\"]\n}\n"},
	{"etc/nvidia-container-runtime/config.toml", toolkitTOML},
	{"etc/modprobe.d/blacklist-nouveau.conf", ""},
	{"compose.yaml", "services:\n  a:\n    environment:\n      NVIDIA_VISIBLE_DEVICES: all\n"},
}

func killPlan(dir string) Plan {
	edits := []func([]byte) ([]byte, error){
		func(old []byte) ([]byte, error) { return EditJSON("daemon.json", old, nvidiaRuntime) },
		func(old []byte) ([]byte, error) {
			return EditTOML("config.toml", old, "nvidia-container-cli", "no-cgroups", true)
		},
		func([]byte) ([]byte, error) { return []byte("blacklist nouveau\noptions nouveau modeset=0\n"), nil },
		func(old []byte) ([]byte, error) { return followLine("compose.yaml", old, 4) },
	}
	plan := Plan{Name: "fix"}
	for i, f := range killFiles {
		plan.Steps = append(plan.Steps, &FileStep{Description: Description{Text: f.name}, Path: filepath.Join(dir, f.name), Edit: edits[i]})
	}
	return plan
}

// TestKilledWorker is the process that TestKills kills.
func TestKilledWorker(t *testing.T) {
	dir := os.Getenv(killedIn)
	if dir == "" {
		return // it is a part of TestKills
	}
	x := &Executor{Host: LocalHost{}, Journal: NewJournal(filepath.Join(dir, "state"), time.Now)}
	for { // fix and undo without end, so that a kill meets either at any moment
		if _, err := x.Run(context.Background(), killPlan(dir)); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Undo(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// A fix that is killed at any moment leaves every file whole, a journal that is true, and undo works.
// DOCKER_GPU_KILLS sets how many kills; few by default.
func TestKills(t *testing.T) {
	kills := 8
	if n, err := strconv.Atoi(os.Getenv("DOCKER_GPU_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	for _, f := range killFiles {
		if f.old != "" {
			write(t, filepath.Join(dir, f.name), f.old, 0o644)
		}
	}
	var news [][]byte
	for i, step := range killPlan(dir).Steps {
		var old []byte
		if killFiles[i].old != "" {
			old = []byte(killFiles[i].old)
		}
		text, err := step.(*FileStep).Edit(old)
		if err != nil {
			t.Fatal(err)
		}
		news = append(news, text)
	}
	x := &Executor{Host: LocalHost{}, Journal: NewJournal(filepath.Join(dir, "state"), time.Now)}
	x.Journal.Wait = 5 * time.Minute
	undone := 0
	for range kills {
		worker := exec.Command(os.Args[0], "-test.run=^TestKilledWorker$")
		worker.Env = append(os.Environ(), killedIn+"="+dir)
		var out bytes.Buffer
		worker.Stdout, worker.Stderr = &out, &out
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20*time.Millisecond + rand.N(60*time.Millisecond))
		if err := worker.Process.Kill(); err != nil {
			t.Fatalf("the worker ended by itself: %v\n%s", err, out.String())
		}
		_ = worker.Wait()
		for i, f := range killFiles {
			now, err := readOrNil(LocalHost{}, filepath.Join(dir, f.name))
			if err != nil {
				t.Fatal(err)
			}
			if string(now) != f.old && !bytes.Equal(now, news[i]) || f.old == "" && now != nil && len(now) == 0 {
				t.Fatalf("%s is neither old nor new: %q", f.name, now)
			}
		}
		entries, err := x.Journal.Entries()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Damage != "" {
				t.Fatalf("entry %d of the journal: %s", e.ID, e.Damage)
			}
		}
		for len(entries) > 0 && entries[0].Undoable() {
			if _, err := x.Undo(context.Background(), 0); err != nil {
				t.Fatal(err)
			}
			undone++
			if entries, err = x.Journal.Entries(); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range killFiles {
			now, err := readOrNil(LocalHost{}, filepath.Join(dir, f.name))
			if err != nil || string(now) != f.old {
				t.Fatalf("after undo %s holds %q, %v", f.name, now, err)
			}
		}
	}
	t.Logf("%d kills, %d of them had something to undo", kills, undone)
}
