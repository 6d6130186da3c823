//go:build linux

package inspect

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Whatever the driver does to the child, the parent gets an answer or a sentence, in time.
func TestNVMLChild(t *testing.T) {
	for _, c := range []struct {
		name string
		argv []string
		want string
	}{
		{"answers", []string{"/bin/echo", `{"driver": {"version": "570.86.15"}, "gpus": []}`}, ""},
		{"answers and does not end", []string{"/bin/sh", "-c", `echo '{"driver": {"version": "570.86.15"}, "gpus": []}'; exec sleep 0.1`}, ""},
		{"half a line", []string{"/bin/sh", "-c", `printf '{"driver": {"version": "570.86.15"}, "gpus": []'`}, "in the middle of its answer"},
		{"hangs", []string{"/bin/sleep", "60"}, "NVML does not answer"},
		{"garbage", []string{"/bin/echo", "{half"}, "answer not understood"},
		{"fails with words", []string{"/bin/sh", "-c", "echo 'symbol lookup error: undefined symbol: nvmlX' >&2; exit 127"}, "exit status 127: symbol lookup error: undefined symbol: nvmlX"},
		{"crashes", []string{"/bin/sh", "-c", "kill -SEGV $$"}, "signal: segmentation fault"},
		{"is not there", []string{"/nowhere/docker-gpu"}, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if c.name != "hangs" { // only the hanging one is to meet its deadline, however slow the machine
				ctx = t.Context()
			}
			answer, err := NVMLFromChild(c.argv[0], c.argv[1:]...)(ctx)
			switch {
			case c.want == "" && (err != nil || answer.Driver.Version != "570.86.15"):
				t.Errorf("got %+v, %v", answer, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
			if c.name == "hangs" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not say that the deadline passed", err)
			}
		})
	}
}
