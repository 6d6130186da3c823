package plugin

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/streams"

	"github.com/docker-gpu/docker-gpu/fixes"
)

func TestExplanationText(t *testing.T) {
	e, err := fixes.ExplainTexts(fixes.Text{Name: "build.log", Reader: strings.NewReader("one\ndocker: Error response from daemon: could not select device driver \"\" with capabilities: [[gpu]].\n\x1b[2J")})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeExplanation(&out, 0, "", e); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"(toolkit-not-installed)", "build.log:2: docker: Error response", "sudo nvidia-ctk runtime configure --runtime=docker", "Not sure?", "docker gpu explain toolkit-not-installed", "https://"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the answer lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("the answer moves the cursor: %q", out.String())
	}
}

func TestExplanationOfNothing(t *testing.T) {
	e := fixes.ExplainString("", "npm ERR! code ENOENT")
	var text, object bytes.Buffer
	if err := writeExplanation(&text, 0, "table", e); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); got != "Nothing in this text is about a GPU that fails.\n" {
		t.Errorf("%q", got)
	}
	if err := writeExplanation(&object, 0, "json", e); err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	if string(fields["findings"]) != "[]" || string(fields["related"]) != "[]" || string(fields["schemaVersion"]) != "1" {
		t.Errorf("%s", object.String())
	}
}

// A guess by words is told as one.
func TestExplanationOfAGuess(t *testing.T) {
	data, err := os.ReadFile("../fixes/testdata/wording/guess.json")
	if err != nil {
		t.Fatal(err)
	}
	var e fixes.Explanation
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeExplanation(&out, 80, "", e); err != nil {
		t.Fatal(err)
	}
	holdGolden(t, "explain-guess.golden", out.String())
}

func TestExplanationTemplate(t *testing.T) {
	e := fixes.ExplainString("", "CUDA out of memory")
	var out bytes.Buffer
	if err := writeExplanation(&out, 0, "{{range .Findings}}{{.ID}}{{end}}", e); err != nil || out.String() != "cuda-out-of-memory\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// An id prints its page, unless a file of that name is there.
func TestExplainAskedFor(t *testing.T) {
	t.Chdir(t.TempDir())
	if e, ok := askedFor([]string{"shm-too-small"}); !ok || e.ID != "shm-too-small" {
		t.Errorf("%v %v", e.ID, ok)
	}
	if err := os.WriteFile("shm-too-small", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"shm-too-small"}, {"no-such-cause"}, {"healthy", "healthy"}, nil} {
		if _, ok := askedFor(args); ok {
			t.Errorf("%q is taken for an id", args)
		}
	}
}

func TestOpenTexts(t *testing.T) {
	folder := t.TempDir()
	good := filepath.Join(folder, "good")
	if err := os.WriteFile(good, []byte("CUDA out of memory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var failed []string
	texts, closeAll := openTexts(t.Context(), strings.NewReader("x"), []string{good, folder, filepath.Join(folder, "missing"), "-"}, func(err error) { failed = append(failed, err.Error()) })
	defer closeAll()
	if len(texts) != 2 || texts[0].Name != good || texts[1].Name != "standard input" {
		t.Errorf("%+v", texts)
	}
	if len(failed) != 2 || !strings.Contains(failed[0], "is a directory: name the files in it") || !strings.Contains(failed[1], "nor is it the id of a cause") {
		t.Errorf("%q", failed)
	}
}

// Whether a text may be waited for depends on what it is read from, not on the standard input of this program.
func TestExplainFromFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, []byte("CUDA out of memory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	for what, test := range map[string]struct {
		in   io.Reader
		want bool
	}{
		"a file":           {streams.NewIn(file), true},
		"a pipe":           {streams.NewIn(read), false},
		"a text in memory": {streams.NewIn(io.NopCloser(strings.NewReader("x"))), false},
		"no stream":        {strings.NewReader("x"), false},
	} {
		if got := isFile(test.in); got != test.want {
			t.Errorf("%s is taken for a file: %v", what, got)
		}
	}
}
