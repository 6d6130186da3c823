package fixes

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// project is a project of testdata/projects: its comment says what it is, where one stands in it, with
// which environment, and what the switch does to each service.
type project struct {
	name, folder, cwd string
	env, want         []string
}

func unpackProject(t *testing.T, file, into string) project {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := project{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), folder: into, want: []string{}}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "#")), ": ")
		switch key {
		case "cwd":
			p.cwd = value
		case "env":
			p.env = append(p.env, value)
		case "want":
			p.want = append(p.want, value)
		}
	}
	for _, f := range archive.Files {
		write(t, filepath.Join(into, f.Name), string(f.Data), 0o644)
	}
	if err := os.MkdirAll(filepath.Join(into, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.cwd = filepath.Join(into, p.cwd)
	return p
}

func (p project) snapshot() *inspect.Snapshot {
	return inspect.Collect(context.Background(), inspect.Machine{
		WorkDir: p.cwd, Getenv: func(string) string { return "" }, Environ: func() []string { return p.env }, Now: time.Now,
	}, time.Minute, inspect.ProjectSource)
}

func projects(t *testing.T) []project {
	files, err := filepath.Glob("testdata/projects/*.txtar")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d projects, %v", len(files), err)
	}
	var all []project
	for _, file := range files {
		all = append(all, unpackProject(t, file, t.TempDir()))
	}
	return all
}

func TestEffectsOfProjects(t *testing.T) {
	for _, p := range projects(t) {
		s := p.snapshot()
		if s.Project == nil {
			t.Errorf("%s: no project: %+v", p.name, s.Sources)
			continue
		}
		got := []string{}
		for _, e := range Effects(s) {
			got = append(got, e.Name+" "+string(e.Effect))
			if e.File == "" || e.Line == 0 || e.Why == "" || e.Effect != Follows && e.Write == "" {
				t.Errorf("%s: where, why or what instead is missing: %+v", p.name, e)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(p.want, got); diff != "" || len(s.Project.Problems) > 0 {
			t.Errorf("%s (-want +got):\n%s%+v", p.name, diff, s.Project.Problems)
		}
	}
}
