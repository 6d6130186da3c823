//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	}{
		{"hooks", `{"auths":{},"filler":"` + filler + "\"}\n", "config.json", []string{"hooks install", "hooks uninstall"}, func(text string) bool {
			var v struct {
				Filler  string
				Plugins map[string]map[string]string
			}
			return json.Unmarshal([]byte(text), &v) == nil && v.Filler == filler && (len(v.Plugins) == 0 || v.Plugins["gpu"]["error-hooks"] == "run,start,exec,compose up")
		}, 1, false},
		{"report", "", "report.json", []string{"report --from {{examples}}/eight-gpus.json -o {{file}}", "report --from {{examples}}/eight-gpus.json -o {{file}} --html {{file}}.html"}, func(text string) bool {
			return text == "" || json.Valid([]byte(text)) && strings.Contains(text, `"snapshot"`)
		}, 4, true},
		{"recording", "", "recording", []string{"top -n 8 --interval 100ms --record {{file}}"}, func(string) bool { return true }, 1, true},
	} {
		t.Run(w.name, func(t *testing.T) {
			project, home := t.TempDir(), t.TempDir()
			file := filepath.Join(home, "docker", w.file)
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
			run := func(command string) (*bytes.Buffer, func() error, func()) {
				args := strings.Fields(strings.NewReplacer("{{file}}", file, "{{examples}}", examples).Replace(command))
				cmd := dockerGPU(t, project, home, args...)
				cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+filepath.Dir(file), "PATH="+bin+":"+os.Getenv("PATH"))
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
						if err := wait(); err != nil && !strings.Contains(said.String(), "empty") && !strings.Contains(said.String(), "no recording") {
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
