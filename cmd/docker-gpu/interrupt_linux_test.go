package main

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Who stops waiting for the end of a log gets what was in it until then, and is told so.
func TestExplainInterrupted(t *testing.T) {
	for _, c := range []struct{ name, text, out string }{
		{"with an answer", "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 23.65 GiB total capacity)\n", "(cuda-out-of-memory)"},
		{"with none", "listening on port 8080\n", "Nothing in this text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := dockerGPU(t, t.TempDir(), t.TempDir(), "explain")
			var out, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &said
			theirs, in, err := os.Pipe() // which stays open: this log has no end
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			cmd.Stdin = theirs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = theirs.Close()
			if _, err := in.Write([]byte(c.text)); err != nil {
				t.Fatal(err)
			}
			for left := 1; left > 0; time.Sleep(100 * time.Millisecond) { // what it has read, it reads after it listens for signals
				if left, err = unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			code := cmd.ProcessState.ExitCode()
			if want := map[bool]int{true: 0, false: 1}[strings.HasPrefix(c.out, "(")]; code != want || !strings.Contains(out.String(), c.out) || !strings.Contains(said.String(), "interrupted before the text ended") {
				t.Errorf("code %d, %q, %q", code, out.String(), said.String())
			}
		})
	}
}
