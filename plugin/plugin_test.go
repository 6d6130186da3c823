package plugin

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The arrows of the architecture: inspect imports neither (and what reads NVML, nothing at all), fixes imports inspect, only cmd imports plugin.
func TestArrows(t *testing.T) {
	const module = "github.com/docker-gpu/docker-gpu/"
	may := map[string][]string{"inspect": {"inspect/gpu"}, "inspect/gpu": nil, "fixes": {"inspect"}, "plugin": {"inspect", "fixes", "plugin/announce", "plugin/nvmlchild", "plugin/timerslack"},
		"plugin/announce": nil, "plugin/timerslack": nil, "plugin/nvmlchild": {"inspect/gpu"}, "cmd/docker-gpu": {"plugin", "plugin/announce"}}
	for folder, allowed := range may {
		files, _ := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if len(files) == 0 {
			t.Errorf("%s has no files", folder)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range parsed.Imports {
				path := strings.Trim(i.Path.Value, `"`)
				if path == module+"e2e/simengine" && strings.HasSuffix(file, "_test.go") {
					continue // an engine made of answers, for tests alone
				}
				if own, ok := strings.CutPrefix(path, module); ok && !strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+own+" ") {
					t.Errorf("%s imports %s", file, own)
				}
				if strings.HasPrefix(path, "github.com/docker/docker/") {
					t.Errorf("%s imports the frozen %s", file, path)
				}
			}
		}
	}
}

func TestStatusScreen(t *testing.T) {
	goldenStatus(t, "../examples/snapshots/eight-gpus.json", map[string]int{"eight-gpus-80": 80, "eight-gpus-160": 160})
}

// goldenStatus holds the status of a snapshot to its golden files, by name and width: no line is wider than the terminal.
func goldenStatus(t *testing.T, snapshot string, widths map[string]int) {
	t.Helper()
	s, err := readSnapshot(snapshot, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, width := range widths {
		var out bytes.Buffer
		if err := writeStatus(&out, width, statusAnswer{s, fixes.Judge(s)}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if cells(strings.TrimRight(line, "\n")) > width {
				t.Errorf("%s: wider than the terminal: %q", name, line)
			}
		}
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSnapshotSurvivesJSON(t *testing.T) {
	s, err := readSnapshot("../examples/snapshots/eight-gpus.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeJSON(&out, s, "  "); err != nil {
		t.Fatal(err)
	}
	again, err := readSnapshot("-", &out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, again); diff != "" {
		t.Error(diff)
	}
}

func TestReadSnapshotRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "is not a snapshot"},
		{"no JSON", "hello", "not JSON at byte 1"},
		{"something else", `{"a": 1}`, "has no schemaVersion"},
		{"newer", `{"schemaVersion": 99}`, "reads up to 1: update docker gpu"},
		{"damaged", `{"schemaVersion": 1, "gpus": 3}`, "damaged snapshot"},
	} {
		if _, err := readSnapshot("-", strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Names from outside can neither move the cursor nor turn the reading direction, in text or JSON.
func TestHostileNames(t *testing.T) {
	hostile := "a\x1b[2Jb\u202ec\u009bd\ne\xff"
	s := &inspect.Snapshot{SchemaVersion: 1, Host: &inspect.Host{Name: hostile, OS: hostile}, GPUs: []inspect.GPU{{Name: hostile, Error: hostile}},
		Containers: []inspect.Container{{Name: hostile, State: hostile, Grant: inspect.Grant{By: []string{hostile}, GPUs: []string{hostile}}}},
		Sources:    []inspect.Reading{{Name: "nvml", Error: hostile}}}
	var text, object bytes.Buffer
	if err := writeStatus(&text, 80, statusAnswer{s, fixes.Judge(s)}); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(&object, s, "  "); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), object.String()} {
		for _, r := range out {
			if r != '\n' && r != '\ufffd' && harmful(r) {
				t.Errorf("%q is in the output", r)
			}
		}
	}
	if !json.Valid(object.Bytes()) {
		t.Error("the escaped JSON is none")
	}
}

func TestStandalone(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"docker-gpu", "docker-gpu gpu"},
		{"docker-gpu status", "docker-gpu gpu status"},
		{"docker-gpu --context ada status", "docker-gpu --context ada gpu status"},
		{"docker-gpu -H=tcp://x status", "docker-gpu -H=tcp://x gpu status"},
		{"docker-gpu gpu status", "docker-gpu gpu status"},
		{"docker-gpu --help", "docker-gpu gpu --help"},
		{"docker-gpu --context", "docker-gpu --context gpu"},
	} {
		if got := strings.Join(standalone(strings.Fields(c.in)), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}
