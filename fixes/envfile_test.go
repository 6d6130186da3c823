package fixes

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/docker-gpu/docker-gpu/inspect"
)

const visible = "NVIDIA_VISIBLE_DEVICES"

func TestSetEnv(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"empty file", "", visible + "=all\n"},
		{"only a BOM", "\ufeff", "\ufeff" + visible + "=all\n"},
		{"absent", "A=1\n", "A=1\n" + visible + "=all\n"},
		{"absent, no final newline", "A=1", "A=1\n" + visible + "=all"},
		{"absent, CRLF", "A=1\r\n", "A=1\r\n" + visible + "=all\r\n"},
		{"absent, CRLF, no final newline", "A=1\r\nB=2", "A=1\r\nB=2\r\n" + visible + "=all"},
		{"plain", visible + "=void\nA=1\n", visible + "=all\nA=1\n"},
		{"already", visible + "=all", visible + "=all"},
		{"comment behind", visible + "=void # no GPU\n", visible + "=all # no GPU\n"},
		{"comment that compose takes for the value", visible + "= # no GPU\n", visible + "= all # no GPU\n"},
		{"blanks and CR", "  export\t" + visible + " =  void  \r\n", "  export\t" + visible + " =  all  \r\n"},
		{"quotes", visible + `="void" # "x"` + "\n", visible + `="all" # "x"` + "\n"},
		{"single quotes", visible + `='void'`, visible + `='all'`},
		{"colon", visible + ": void\n", visible + ": all\n"},
		{"empty value", visible + "=\nA=1\n", visible + "=all\nA=1\n"},
		{"interpolation", visible + "=${OTHER:-void}\n", visible + "=all\n"},
		{"name alone", "export " + visible + " \nA=1\n", "export " + visible + "=all \nA=1\n"},
		{"duplicates", visible + "=0\nA=1\n" + visible + "=void\n", visible + "=0\nA=1\n" + visible + "=all\n"},
		{"commented out", "#" + visible + "=void\n", "#" + visible + "=void\n" + visible + "=all\n"},
		{"longer name", "X" + visible + "=0\n" + visible + "_X=0\n", "X" + visible + "=0\n" + visible + "_X=0\n" + visible + "=all\n"},
		{"name within a value of several lines", "A=\"1\n" + visible + "=void\n\"\n", "A=\"1\n" + visible + "=void\n\"\n" + visible + "=all\n"},
		{"value of several lines", visible + "='vo\nid'\nA=1\n", visible + "='all'\nA=1\n"},
		{"two on a line", `A="1" ` + visible + "=void\n", `A="1" ` + visible + "=all\n"},
		{"invalid UTF-8 in a value", "A=\xff\xfe\n" + visible + "=void\n", "A=\xff\xfe\n" + visible + "=all\n"},
		{"unset required variable", "A=${B:?is needed}\n" + visible + "=void\n", "A=${B:?is needed}\n" + visible + "=all\n"},
	} {
		got, err := SetEnv([]byte(c.old), Assignment{visible, "all"})
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
		again, err := SetEnv(got, Assignment{visible, "all"})
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s, again: %q, %v", c.name, again, err)
		}
	}
	two, err := SetEnv(nil, Assignment{visible, "0,1"}, Assignment{"NVIDIA_DRIVER_CAPABILITIES", "compute,utility"})
	if err != nil || string(two) != visible+"=0,1\nNVIDIA_DRIVER_CAPABILITIES=compute,utility\n" {
		t.Errorf("%q, %v", two, err)
	}
}

func TestSetEnvRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, value, want string }{
		{"open quote", "A=1\nB=\"x\n", "all", "line 2: the quote at the value of B does not end"},
		{"no variable name", "A=1\nhello world!\n", "all", "line 2: unexpected character '!'"},
		{"space in a name", "A B=1\n", "all", "line 1: a variable name cannot contain a space"},
		{"broken template", "A=${\n", "all", "Invalid template"},
		{"invalid UTF-8 in a name", "\xff=1\n", "all", "line 1: unexpected character"},
		{"value with a blank", "", "0, 1", "cannot stand in an env file"},
		{"value with a line", "", "0\nA=1", "cannot stand in an env file"},
		{"value with a dollar", "", "$A", "cannot stand in an env file"},
	} {
		if got, err := SetEnv([]byte(c.old), Assignment{visible, c.value}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestSetEnvOfTenMegabytes(t *testing.T) {
	var b bytes.Buffer
	for i := 0; b.Len() < 10<<20; i++ {
		fmt.Fprintf(&b, "VARIABLE_%d=\"value %d\" # comment\n", i, i)
	}
	old := append(bytes.Clone(b.Bytes()), visible+"=void\n"...)
	got, err := SetEnv(old, Assignment{visible, "all"})
	if err != nil || !bytes.Equal(got, append(b.Bytes(), visible+"=all\n"...)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if diff := Diff("f", old, got); strings.Count(diff, "\n") != 8 {
		t.Errorf("diff:\n%s", diff)
	}
}

// envPiece is what the generated files are made of: everything that compose's reader takes or refuses.
func envPiece() *rapid.Generator[string] {
	name := rapid.OneOf(rapid.Just(visible), rapid.Just(visible), rapid.SampledFrom([]string{"A", "B", "_X1", "NVIDIA_DRIVER_CAPABILITIES", visible + "_OLD", "x.y-z", "ARR[0]", "É"}))
	blanks := rapid.SampledFrom([]string{"", "", "", " ", "\t", "  ", "\u00a0", "\v"})
	value := rapid.OneOf(
		rapid.SampledFrom([]string{"", "void", "all", "0,1", "GPU-1234", "nvidia.com/gpu=0", "${A}", "${" + visible + "}", "$B", "${C:-x}", "$$", "a#b", "# no comment", "\xff\xfe", "'", `\"`, "=", "a b", "${D:?must}"}),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab0,:=#'\"\\ $\t")), 0, 8, -1))
	quoted := rapid.OneOf(
		rapid.Map(value, func(v string) string { return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(v) + `"` }),
		rapid.Map(value, func(v string) string { return "'" + strings.NewReplacer("'", `\'`, `\`, `\\`).Replace(v) + "'" }),
		rapid.SampledFrom([]string{"\"a\n" + visible + "=0\nb\"", "'\n" + visible + "=void\n'", `"\n"`, `"\\"`, `'\''`, "\"x\r\ny\"", `"unclosed`}))
	return rapid.Custom(func(t *rapid.T) string {
		lineEnd := rapid.SampledFrom([]string{"\n", "\n", "\n", "\r\n", ""}).Draw(t, "end")
		comment := rapid.SampledFrom([]string{"", "", " # comment", "#tight", " # " + visible + "=1", `# "`}).Draw(t, "comment")
		indent := blanks.Draw(t, "indent")
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return indent + "# comment " + visible + "=x" + lineEnd
		case 1:
			return indent + lineEnd
		case 2:
			return indent + rapid.SampledFrom([]string{"", "export "}).Draw(t, "export") + name.Draw(t, "bare") + indent + lineEnd
		case 3:
			return rapid.SampledFrom([]string{"export\n", "export", "exportA=1\n", "hello world\n", "?=1\n", "\u2028", "\r", "\ufeff"}).Draw(t, "odd")
		}
		v := value
		if rapid.Bool().Draw(t, "quoted") {
			v = quoted
		}
		return indent + rapid.SampledFrom([]string{"", "", "export ", "export\t "}).Draw(t, "export") + name.Draw(t, "name") + blanks.Draw(t, "b1") +
			rapid.SampledFrom([]string{"=", "=", "=", ":"}).Draw(t, "sign") + blanks.Draw(t, "b2") + v.Draw(t, "value") + comment + lineEnd
	})
}

// Over generated files: what compose's reader takes is edited, what it refuses is refused; compose reads
// the asked value and every other one as before; outside the one value, not a byte differs.
func TestSetEnvAgainstCompose(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("20000"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Value.Set(f.DefValue) }()
	}
	edited, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		bom := rapid.SampledFrom([]string{"", "", "", "\ufeff"}).Draw(t, "bom")
		file := []byte(bom + strings.Join(rapid.SliceOfN(envPiece(), 0, 9).Draw(t, "pieces"), ""))
		value := rapid.SampledFrom([]string{"all", "void", "0,1", "GPU-6a8d2e52-0000-4000-8000-000000000000", "nvidia.com/gpu=0,nvidia.com/gpu=1", "0:1"}).Draw(t, "value")
		if checkSetEnv(t, file, value) {
			edited++
		} else {
			refused++
		}
	})
	t.Logf("%d files edited, %d refused as compose refuses them", edited, refused)
}

type failer interface {
	Fatalf(format string, args ...any)
}

func checkSetEnv(t failer, file []byte, value string) (edited bool) {
	before, readErr := readEnv(file)
	got, err := SetEnv(file, Assignment{visible, value})
	if err != nil && readErr == nil {
		// Compose overlooks words at the very end, without line feed, but no line can follow them.
		if _, withEnd := readEnv(append(bytes.Clone(file), '\n')); withEnd != nil {
			return false
		}
	}
	if (readErr == nil) != (err == nil) {
		t.Fatalf("compose: %v, we: %v, file %q", readErr, err, file)
	}
	if err != nil {
		return false
	}
	after, err := readEnv(got)
	if err != nil || after[visible] != value {
		t.Fatalf("compose reads %q, %v from %q", after[visible], err, got)
	}
	for _, key := range []string{visible, ""} { // "" is what compose makes of a name at the very end
		delete(before, key)
		delete(after, key)
	}
	statements, err := inspect.ScanEnv(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	last := inspect.LastEnv(statements, visible)
	if end := statements; len(end) > 0 && end[len(end)-1].Bare && !bytes.HasSuffix(file, []byte("\n")) {
		// A name at the very end, without line feed, is no variable for compose, and becomes one by the
		// line feed that the new line needs before it.
		delete(after, end[len(end)-1].Key)
		delete(before, end[len(end)-1].Key)
	}
	for key, old := range before { // what refers to the variable changes with it
		if old != after[key] && bytes.Contains(file, []byte(visible+"}")) {
			after[key] = old
		}
	}
	if !maps.Equal(before, after) {
		t.Fatalf("other variables: %q, were %q; file %q became %q", after, before, file, got)
	}
	if last == nil {
		if !bytes.HasPrefix(got, file) || bytes.Count(got, []byte("\n"))-bytes.Count(file, []byte("\n")) != 1 {
			t.Fatalf("%q became %q", file, got)
		}
		return true
	}
	if !bytes.HasPrefix(got, file[:last.Start]) || !bytes.HasSuffix(got, file[last.End:]) {
		t.Fatalf("bytes around the value changed: %q became %q", file, got)
	}
	return true
}

func FuzzSetEnv(f *testing.F) {
	for _, seed := range []string{"", visible + "=void\r\n", "\ufeffexport A='b\nc' " + visible + ": \"x\" # y", "A=${B:-\n}", "export\n" + visible} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) { checkSetEnv(t, file, "0,1") })
}
