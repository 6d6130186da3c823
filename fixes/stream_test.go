package fixes

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const oom = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB."

func utf16Text(text string, big bool) string {
	var b strings.Builder
	for i := range len(text) {
		if big {
			b.WriteString("\x00" + text[i:i+1])
		} else {
			b.WriteString(text[i:i+1] + "\x00")
		}
	}
	return b.String()
}

func packed(t *testing.T, text string, pack func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := pack(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A message is found however its text reached us, and the evidence says where.
func TestForms(t *testing.T) {
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zst := func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	long := strings.Repeat("step done, loss 0.1 ", 4000) + "\n"
	zipped := packed(t, strings.Repeat(long, 20)+oom+"\n"+strings.Repeat(long, 200), gz)
	for _, c := range []struct {
		name, text string
		line       int
	}{
		{"plain", "a\nb\n" + oom, 3},
		{"CRLF", "a\r\nb\r\n" + oom + "\r\n", 3},
		{"UTF-16 LE with mark", "\xff\xfe" + utf16Text("a\r\n"+oom+"\r\n", false), 2},
		{"UTF-16 BE with mark", "\xfe\xff" + utf16Text("a\n"+oom+"\n", true), 2},
		{"UTF-16 LE", utf16Text("a\n"+oom+"\n", false), 2},
		{"UTF-16 BE", utf16Text("a\n"+oom+"\n", true), 2},
		{"gzip", packed(t, "a\n"+oom, gz), 2},
		{"zstd", packed(t, "a\n"+oom, zst), 2},
		{"gzip in zstd", packed(t, packed(t, "a\n"+oom, gz), zst), 2},
		{"gzip cut short", zipped[:len(zipped)-20], 21},
		{"NUL bytes", "a\nRuntime\x00Error: CUDA out\x00 of memory. Tried\n", 2},
		{"invalid UTF-8", "\xff\xfa a\n\xc3RuntimeError: CUDA out of \xe2memory.\n", 2},
		{"colours", "a\n\x1b[31mRuntimeError: CUDA \x1b[1mout of\x1b[0m memory.\x1b[0m\n", 2},
		{"colours as text", "a\n^[[31mRuntimeError: CUDA out of\\u001b[0m memory.\n", 2},
		{"progress bar", "a\n 10%\r 20%\r 30%\r" + oom + "\n", 2},
		{"soft wrap", "a\nWe started the training as every night on the second machine and it said CUDA out of\nmemory. Tried to allocate 2.00 GiB.\n", 2},
		{"hard wrap", "a\nRuntimeError in the training of the large model on the second machine: CUDA out o\nf memory. Tried to allocate 2.00 GiB.\n", 2},
		{"wrapped behind a prefix", "w-1  | RuntimeError in the training of the large model on the second machine: CUDA out o\nw-1  | f memory. Tried to allocate 2.00 GiB.\n", 1},
		{"JSON", `{"log":"a\n","stream":"stderr","time":"2026-11-25T10:41:07Z"}` + "\n" + `{"log":"` + oom + `\n","stream":"stderr","time":"2026-11-25T10:41:07Z"}` + "\n", 2},
		{"a long line", "a\n" + strings.Repeat("x ", 1<<20) + oom + strings.Repeat(" y", 1<<20), 2},
		{"across the pieces of a long line", "a\n" + strings.Repeat("x", lineMax-20) + oom + strings.Repeat("y", 1<<20), 2},
		{"behind a long line of its own words", strings.Repeat("out of CUDA memory, no. ", 1<<16) + "\n" + oom, 2},
		{"deep in a long text", strings.Repeat("server: request completed\n", 100000) + oom + "\n" + strings.Repeat("server: request completed\n", 100000), 100001},
	} {
		for name, r := range map[string]io.Reader{"": strings.NewReader(c.text), " byte by byte": iotest.HalfReader(strings.NewReader(c.text))} {
			e, err := Explain(r)
			if err != nil {
				t.Errorf("%s%s: %v", c.name, name, err)
			}
			if first(e) != "cuda-out-of-memory" {
				t.Errorf("%s%s: explained as %q", c.name, name, first(e))
				continue
			}
			if got := e.Findings[0].Evidence[0].Line; got != c.line {
				t.Errorf("%s%s: found in line %d, want %d", c.name, name, got, c.line)
			}
		}
	}
}

func TestNothingToExplain(t *testing.T) {
	for name, text := range map[string]string{
		"empty":       "",
		"NULs":        strings.Repeat("\x00", 100000),
		"blank lines": strings.Repeat("\n", 100000),
		"binary": string(func() []byte {
			b := make([]byte, 1<<18)
			for i := range b {
				b[i] = byte(i * i >> 3)
			}
			return b
		}()),
		"ordinary": "npm ERR! code ENOENT\nnpm ERR! syscall open\n",
	} {
		if e, err := Explain(strings.NewReader(text)); err != nil || len(e.Findings)+len(e.Related) > 0 || e.Findings == nil || e.Related == nil {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// What other services say beside a message, or beside what a person tells, is not taken for that person's words.
func TestPersonBesideLog(t *testing.T) {
	const log = `2026-01-21T04:12:00.1Z accepted connection from 10.4.0.12:51544, user=orders
2026-01-21T04:12:01.1Z we retry: upload failed, is the bucket gone?
2026-01-21T04:12:02.1Z worker 7 took job 55120 from queue "thumbnails"
2026-01-21T04:12:03.1Z reloading configuration, 14 runtimes, no restart
2026-01-21T04:12:04.1Z job 55120 done in 412 ms
2026-01-21T04:12:05.1Z slow query: 1,204 ms, SELECT count(*) FROM visits
2026-01-21T04:12:06.1Z session 8812 closed, error 32
2026-01-21T04:12:07.1Z cannot find favicon.ico
`
	const told = "After each boot my containers see no GPU until I type modprobe nvidia by hand. Why?\n"
	for _, test := range []struct {
		name, text string
		want       ID
	}{
		{"a message in a log", log + "2026-01-21T04:12:08.1Z fork/exec /usr/bin/nvidia-container-runtime-hook: no such file or directory\n", "runtime-binary-missing"},
		{"a harmless line in a log", log + "2026-01-21T04:12:08.1Z SW Power Cap : Active\n", "healthy"},
		{"a person alone", told, "driver-module-not-loaded"},
		{"a person beside a log", told + log, "driver-module-not-loaded"},
		{"the same words in a log", log + "2026-01-21T04:12:08.1Z " + told, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, _ := answer(t, test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	if _, err := Explain(iotest.ErrReader(io.ErrClosedPipe)); err == nil {
		t.Error("a text that cannot be read gives no error")
	}
	e, err := Explain(io.MultiReader(strings.NewReader(oom+"\n"), iotest.ErrReader(io.ErrClosedPipe)))
	if err == nil || first(e) != "cuda-out-of-memory" {
		t.Errorf("what was read before the error is lost: %q, %v", first(e), err)
	}
}

// A text of any size takes the memory of a small one.
func TestMemoryIsConstant(t *testing.T) {
	line := []byte("2026-11-25T10:41:07Z api-3 INFO request completed in 41 ms, gpu=0 cache=hit, CUDA memory 3 GiB\n")
	text := &endless{line: line}
	if _, err := Explain(io.LimitReader(text, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if text.peak > 40<<20 {
		t.Errorf("8 MiB of log held %d bytes at a time", text.peak)
	}
}

type endless struct {
	line  []byte
	at    int
	reads int
	peak  uint64 // of what was still in use, measured now and then
}

func (e *endless) Read(p []byte) (int, error) {
	if e.reads++; e.reads%64 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		e.peak = max(e.peak, m.HeapAlloc)
	}
	n := 0
	for n < len(p) {
		c := copy(p[n:], e.line[e.at:])
		n += c
		e.at = (e.at + c) % len(e.line)
	}
	return n, nil
}

// No text crashes the search, and what it finds stands in the table.
func FuzzExplain(f *testing.F) {
	f.Add([]byte(oom))
	f.Add([]byte("\xff\xfeN\x00V\x00"))
	f.Add([]byte("NVRM: installed in this system is not supported by open\nNVRM: nvidia.ko because"))
	f.Add([]byte("{\"log\":\"NVRM: Xid (PCI:0000:01:00): 79, pid=1\\n\",\"stream\":\"stderr\"}\n\x1b[31mx\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Explain(bytes.NewReader(text))
		if err != nil {
			return
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, finding := range append(e.Findings, e.Related...) {
			if _, ok := Knowledge().Entry(finding.ID); !ok || len(finding.Evidence) == 0 {
				t.Errorf("%+v", finding)
			}
			for _, evidence := range finding.Evidence {
				if evidence.Line < 1 || evidence.Line > lines && !bytes.Contains(text, []byte{0}) && !bytes.HasPrefix(text, []byte{0x1f}) && !bytes.HasPrefix(text, []byte{0x28}) && utf16Order(text) == 0 {
					t.Errorf("line %d of %d", evidence.Line, lines)
				}
			}
		}
	})
}

// Taking off what terminals and journals add never fails, and a second time changes nothing.
func FuzzCanon(f *testing.F) {
	f.Add([]byte("\x1b[31mNov 25 10:41:07 host dockerd[1]: \"x\" \\n \xff"))
	f.Add([]byte(`{"msg":"a \"b\" \u0041","level":"error"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if n := prefixLength(line); n < 0 || n > len(line) {
			t.Fatalf("a prefix of %d bytes in %d", n, len(line))
		}
		text := canon(line)
		if strings.ContainsAny(text, "\"'`\\\x00\x1b\n\r\t") || strings.Contains(text, "  ") {
			t.Errorf("%q", text)
		}
	})
}
