package fixes

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// What a command pays that explains one error message: the symptoms unpacked and their index made anew each time.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s := newScanner(newSymptomIndex(withSymptoms(Knowledge().Entries)))
		if err := s.scan("", strings.NewReader(`docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].`), true); err != nil {
			b.Fatal(err)
		}
	}
}

// A log of a busy service without a word about GPUs that fail.
func BenchmarkLog(b *testing.B) {
	line := []byte("2026-11-25T10:41:07.318845Z api-3 INFO request completed in 41 ms handler=items user=41 status=200 cache=hit model=layer gpu=0 session closed\n")
	log := bytes.Repeat(line, (1<<18)/len(line))
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Explain(io.MultiReader(bytes.NewReader(log), strings.NewReader("CUDA out of memory\n"))); err != nil {
			b.Fatal(err)
		}
	}
}
