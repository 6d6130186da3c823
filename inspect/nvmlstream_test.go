//go:build linux

package inspect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// stream is a stream whose children are a shell script; each answer's driver version is the child's PID.
func stream(t *testing.T, script string) *NVMLStream {
	t.Helper()
	ignore := goleak.IgnoreCurrent() // children of other tests that were left behind
	s := NewNVMLStream("/bin/sh", "-c", script)
	t.Cleanup(func() {
		s.Close()
		goleak.VerifyNone(t, ignore)
	})
	return s
}

const answers = `while read -r line; do echo '{"driver": {"version": "'$$'"}, "gpus": []}'; done`

func TestNVMLStreamKeepsItsChild(t *testing.T) {
	s := stream(t, answers)
	var pids []string
	for range 3 {
		answer, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, answer.Driver.Version)
	}
	if pids[0] != pids[1] || pids[1] != pids[2] {
		t.Errorf("not one child: %q", pids)
	}
	s.Close()
	answer, err := s.Read(t.Context())
	if err != nil || answer.Driver.Version == pids[0] {
		t.Errorf("after Close: %+v, %v", answer, err)
	}
}

func TestNVMLStreamReplacesItsChild(t *testing.T) {
	first := filepath.Join(t.TempDir(), "first")
	once := func(what string) string {
		return fmt.Sprintf("[ -e %[1]s ] || { touch %[1]s; %[2]s; }; %[3]s", first, what, answers)
	}
	for _, c := range []struct{ name, script, want string }{
		{"crash", once("read -r line; kill -SEGV $$"), "signal: segmentation fault"},
		{"words", once("read -r line; echo 'symbol lookup error: undefined symbol: nvmlX' >&2; exit 127"), "undefined symbol: nvmlX"},
		{"nonsense", once("read -r line; echo '{half'"), "answer not understood"},
		{"silent end", once("read -r line; exit 0"), "ended without an answer"},
		{"hang", once("exec sleep 60"), "NVML does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_ = os.Remove(first)
			s := stream(t, c.script)
			ctx, cancel := context.WithCancel(t.Context())
			if c.name == "hang" { // only this one is to meet its deadline, however slow the machine
				ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
			}
			defer cancel()
			_, err := s.Read(ctx)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if _, err := s.Read(t.Context()); err != nil {
				t.Errorf("the next reading: %v", err)
			}
		})
	}
}

// A driver that fails whenever it is asked is asked less and less often.
func TestNVMLStreamBacksOff(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	s := stream(t, "echo >>"+started+"; exit 3")
	clock := time.Unix(0, 0)
	s.now = func() time.Time { return clock }
	starts := func() int {
		data, _ := os.ReadFile(started)
		return len(data)
	}
	var at []int
	for second := range 100 {
		clock = time.Unix(int64(second), 0)
		before := starts()
		_, err := s.Read(t.Context())
		if err == nil {
			t.Fatal("no error")
		}
		if starts() > before {
			at = append(at, second)
		} else if !strings.Contains(err.Error(), "exit status 3; next attempt in") {
			t.Fatalf("while it waits: %v", err)
		}
	}
	if got, want := fmt.Sprint(at), "[0 1 2 4 8 16 32 62 92]"; got != want {
		t.Errorf("started at %s, want %s", got, want)
	}
}

// A library that does not start is loaded anew by the next child: an update may have mended it.
func TestNVMLStreamReloadsAFailedLibrary(t *testing.T) {
	s := stream(t, `read -r line; echo '{"driver": {"nvmlError": "Driver/library version mismatch", "version": "'$$'"}, "gpus": null}'; read -r line; echo '{}'`)
	a, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Read(t.Context())
	if err != nil || b.Driver == nil || a.Driver.Version == b.Driver.Version {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestNVMLStreamReadsWaitForOneAnother(t *testing.T) {
	s := stream(t, "read -r line; exec sleep 60")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := s.Read(ctx)
			done <- err
		}()
	}
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// A child that tells only what moves is understood by what it told before, and by nothing else.
func TestNVMLStreamCompletes(t *testing.T) {
	s := stream(t, `read -r line; echo '{"gpus": [{"index": 0, "uuid": "GPU-a", "temperatureCelsius": 40, "nvlinks": [{"link": 3}]}]}'
read -r line; echo '{"gpus": [{"index": 0, "temperatureCelsius": 41, "fanPercent": 7}], "kept": [0]}'
read -r line; echo '{"gpus": [{"index": 0}], "kept": [0]}'
read -r line; echo '{"gpus": [{"index": 0}, {"index": 1}], "kept": [1]}'`)
	for i, want := range []GPU{
		{UUID: "GPU-a", TemperatureCelsius: ptr(40), NVLinks: []NVLink{{Link: 3}}},
		{UUID: "GPU-a", TemperatureCelsius: ptr(41), FanPercent: ptr(uint32(7)), NVLinks: []NVLink{{Link: 3}}},
		{UUID: "GPU-a", NVLinks: []NVLink{{Link: 3}}},
	} {
		answer, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]GPU{want}, answer.GPUs); diff != "" || answer.Kept != nil {
			t.Errorf("answer %d, kept %v:\n%s", i, answer.Kept, diff)
		}
	}
	if _, err := s.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "builds on one that was not given") {
		t.Errorf("what was never told is made up: %v", err)
	}
}
