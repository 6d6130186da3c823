package fixes

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func newExecutor(t *testing.T) *Executor {
	t.Helper()
	j := NewJournal(t.TempDir(), func() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) })
	j.Wait = 5 * time.Minute // a slow machine is no failure
	return &Executor{Host: LocalHost{}, Journal: j}
}

func put(path, text string) *FileStep {
	return &FileStep{Description: Description{Text: "put " + text}, Path: path, Edit: func([]byte) ([]byte, error) { return []byte(text), nil }}
}

func TestRunAndUndo(t *testing.T) {
	dir := t.TempDir()
	x, ctx := newExecutor(t), context.Background()
	a, b, c := write(t, filepath.Join(dir, "a"), "old\r\n", 0o640), filepath.Join(dir, "new", "b"), write(t, filepath.Join(dir, "c"), "gone", 0o600)
	touched := filepath.Join(dir, "touched")
	plan := Plan{Name: "test", Steps: []Step{
		put(a, "new\n"), put(b, "b"),
		&FileStep{Description: Description{Text: "delete c"}, Path: c, Edit: func([]byte) ([]byte, error) { return nil, nil }},
		&CommandStep{Description: Description{Text: "touch", Command: []string{"touch", touched}}, Undo: [][]string{{"rm", "-f", touched}}},
	}}
	result, err := x.Run(ctx, plan)
	if err != nil || result.Entry != 1 || !result.Changed() {
		t.Fatalf("%+v, %v", result, err)
	}
	if content(t, a) != "new\n" || content(t, b) != "b" {
		t.Error("not written")
	}
	if _, err := os.Stat(c); err == nil {
		t.Error("c is still there")
	}
	again, err := x.Run(ctx, Plan{Name: "test", Steps: plan.Steps[:3]})
	if err != nil || again.Entry != 0 || again.Changed() {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	entry, err := x.Undo(ctx, 0)
	if err != nil || !entry.Undone() {
		t.Fatalf("undo: %+v, %v", entry, err)
	}
	if content(t, a) != "old\r\n" || content(t, c) != "gone" {
		t.Error("undo is not byte for byte")
	}
	if info, _ := os.Stat(c); info.Mode().Perm() != 0o600 {
		t.Errorf("mode after undo: %v", info.Mode())
	}
	for _, path := range []string{b, filepath.Dir(b), touched} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s stays after undo", path)
		}
	}
	if _, err := x.Undo(ctx, 1); err == nil || !strings.Contains(err.Error(), "already undone") {
		t.Errorf("undone twice: %v", err)
	}
	if _, err := x.Undo(ctx, 0); err == nil || !strings.Contains(err.Error(), "nothing to undo") {
		t.Errorf("undone twice: %v", err)
	}
}

func TestUndoRefusesWhereChangedSince(t *testing.T) {
	dir := t.TempDir()
	x, ctx := newExecutor(t), context.Background()
	a, b := write(t, filepath.Join(dir, "a"), "1\n", 0o644), write(t, filepath.Join(dir, "b"), "1\n", 0o644)
	if _, err := x.Run(ctx, Plan{Name: "test", Steps: []Step{put(a, "2\n"), put(b, "2\n")}}); err != nil {
		t.Fatal(err)
	}
	write(t, a, "mine\n", 0o644)
	_, err := x.Undo(ctx, 0)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !strings.Contains(conflict.Ours, "+2") || !strings.Contains(conflict.Theirs, "+mine") {
		t.Fatalf("%v", err)
	}
	if content(t, a) != "mine\n" || content(t, b) != "2\n" {
		t.Error("a refused undo changed files")
	}
}

func TestRunStopsAtTheFirstFailure(t *testing.T) {
	dir := t.TempDir()
	x, ctx := newExecutor(t), context.Background()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	fail := &CommandStep{Description: Description{Text: "fail", Command: []string{"ls", filepath.Join(dir, "nothing")}}}
	result, err := x.Run(ctx, Plan{Name: "test", Steps: []Step{put(a, "1"), fail, put(b, "1")}})
	var step *StepError
	if !errors.As(err, &step) || step.Step != 1 || !step.Earlier || !strings.Contains(err.Error(), "docker gpu fix --undo 1") {
		t.Fatalf("%+v, %v", result, err)
	}
	if _, err := os.Stat(b); err == nil {
		t.Error("a step after the failure was carried out")
	}
	if _, err := x.Undo(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a); err == nil {
		t.Error("a stays after undo")
	}
}

// What stands in the journal before Apply is enough to undo, whatever came of it.
func TestJournalIsWrittenFirst(t *testing.T) {
	dir := t.TempDir()
	x := newExecutor(t)
	a := write(t, filepath.Join(dir, "a"), "old", 0o644)
	x.Host = crashing{}
	func() {
		defer func() { _ = recover() }()
		_, _ = x.Run(context.Background(), Plan{Name: "test", Steps: []Step{put(a, "new")}})
	}()
	x.Host = LocalHost{}
	entries, err := x.Journal.Entries()
	if err != nil || len(entries) != 1 || len(entries[0].Steps) != 1 || entries[0].Steps[0].State != StepBegun || string(entries[0].Steps[0].Record.Before) != "old" {
		t.Fatalf("%+v, %v", entries, err)
	}
	if content(t, a) != "new" {
		t.Error("the test's host did not write")
	}
	if _, err := x.Undo(context.Background(), 0); err != nil || content(t, a) != "old" {
		t.Errorf("undo after a crash: %v", err)
	}
}

// crashing writes, and then the process is gone.
type crashing struct{ LocalHost }

func (c crashing) Replace(path string, old, new []byte, mode os.FileMode) error {
	_ = c.LocalHost.Replace(path, old, new, mode)
	panic("crash")
}

func TestDamagedJournalIsSaid(t *testing.T) {
	head := `{"schemaVersion":1,"id":1,"name":"enable","at":"2026-11-25T12:00:00Z"}` + "\n"
	begun := `{"at":"2026-11-25T12:00:00Z","step":0,"state":"begun","description":{"text":"x","harm":"edit","root":false,"undoes":true},"record":{"path":"/nowhere/x","exists":true,"after":"eA=="}}` + "\n"
	for _, c := range []struct{ name, text, damage string }{
		{"whole", head + begun, ""},
		{"cut short", head + begun + `{"at":"2026`, ""},
		{"empty", "", ""},
		{"cut in the head", head[:20], ""},
		{"garbage", head + "hello\n" + begun, "line 2: "},
		{"zeros", head + begun + "\x00\x00\x00\n", "line 3: "},
		{"no head", begun, "line 1: is no head"},
		{"newer", strings.Replace(head, ":1,", ":9,", 1), "line 1: is no head of version 1"},
		{"unknown state", head + strings.Replace(begun, `"begun"`, `"gone"`, 1), "does not begin"},
		{"step from nowhere", head + strings.Replace(begun, `"step":0`, `"step":4`, 1), "line 2: is of no step"},
		{"another number", strings.Replace(head, `"id":1`, `"id":7`, 1), "it says that it is entry 7"},
	} {
		x := newExecutor(t)
		write(t, x.Journal.path(1), c.text, 0o600)
		entries, err := x.Journal.Entries()
		if err != nil || len(entries) != 1 {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := entries[0].Damage; (got == "") != (c.damage == "") || !strings.Contains(got, c.damage) {
			t.Errorf("%s: damage %q, want %q", c.name, got, c.damage)
		}
		if _, err := x.Undo(context.Background(), 0); c.damage != "" && (err == nil || !strings.Contains(err.Error(), "damaged")) {
			t.Errorf("%s: undo of a damaged entry: %v", c.name, err)
		}
		if _, err := x.Run(context.Background(), Plan{Name: "test", Steps: []Step{put(filepath.Join(t.TempDir(), "a"), "1")}}); err != nil {
			t.Errorf("%s: damage keeps new changes from being made: %v", c.name, err)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":1,"id":1,"name":"enable","at":"2026-11-25T12:00:00Z"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := parseEntry(data)
		if e.Damage == "" && len(e.Steps) > bytes.Count(data, []byte("\n")) {
			t.Errorf("%d steps of %q", len(e.Steps), data)
		}
	})
}

func TestJournalIsPruned(t *testing.T) {
	x := newExecutor(t)
	for id := 1; id <= keepEntries+5; id++ {
		write(t, x.Journal.path(id), "", 0o600)
	}
	if _, err := x.Run(context.Background(), Plan{Name: "test", Steps: []Step{put(filepath.Join(t.TempDir(), "a"), "1")}}); err != nil {
		t.Fatal(err)
	}
	ids, err := x.Journal.files()
	if err != nil || len(ids) != keepEntries || ids[len(ids)-1] != keepEntries+6 {
		t.Errorf("%d entries up to %d, %v", len(ids), ids[len(ids)-1], err)
	}
}

var changesEach = flag.Int("changes", 6, "changes of each of the eight writers")

// Eight writers, half of them with journals of their own, as other users have them, count in one file:
// none of the changes is lost.
func TestWritersDoNotLoseChanges(t *testing.T) {
	const writers = 8
	changes := *changesEach
	file := write(t, filepath.Join(t.TempDir(), "count"), "", 0o644)
	var wg sync.WaitGroup
	for w := range writers {
		x := newExecutor(t)
		if w%2 == 1 {
			x.Journal = newExecutor(t).Journal
		}
		wg.Go(func() {
			for range changes {
				done := false
				step := &FileStep{Description: Description{Text: "count"}, Path: file, Edit: func(old []byte) ([]byte, error) {
					if done {
						return old, nil
					}
					return append(old, []byte(strconv.Itoa(w)+"\n")...), nil
				}}
				for {
					_, err := x.Run(context.Background(), Plan{Name: "count", Steps: []Step{afterApply{step, &done}}})
					if err == nil {
						break
					}
					if !errors.Is(err, ErrChanged) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	counts := map[string]int{}
	for line := range strings.Lines(content(t, file)) {
		counts[strings.TrimSpace(line)]++
	}
	for w := range writers {
		if got := counts[fmt.Sprint(w)]; got != changes {
			t.Errorf("writer %d: %d of %d changes", w, got, changes)
		}
	}
}

// afterApply notes that the step was applied, as an edit that is not idempotent must.
type afterApply struct {
	*FileStep
	done *bool
}

func (a afterApply) Apply(ctx context.Context, h Host, p Preview) (Record, error) {
	r, err := a.FileStep.Apply(ctx, h, p)
	*a.done = err == nil
	return r, err
}

func (a afterApply) Verify(context.Context, Host) error { return nil } // others write on at once
