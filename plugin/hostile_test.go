package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	ref "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// hostile does harm where it reaches a terminal, a shell, a page, a template, a metric or a line of a table as it is.
const hostile = "\x1b[2J\x1b]0;owned\x07\u202eevil\u2066\u200b\r\nFORGED\ttab\x00\u009b31m$(touch /tmp/owned)`id`';\"{{.}}{{printf \"%d\" 41}}<script>owned()</script>\xff"

// fromArgs are the arguments that commands with --from need to answer anything, beyond --from itself. All that is not
// named here gets none: a new command is held by these tests as soon as it exists.
var fromArgs = map[string][][]string{
	"docker gpu check":  {{"IMAGE"}},
	"docker gpu fix":    {{"--dry-run"}, {"--dry-run", "cdi"}, {"--dry-run", "gpu-not-detected"}, {"--dry-run", "driver-mismatch"}},
	"docker gpu pick":   {{}, {"--explain"}},
	"docker gpu ps":     {{}, {"-a", "--no-trunc"}, {"-q"}},
	"docker gpu report": {{"-o", "-"}, {"--show"}},
	"docker gpu top":    {{"-n", "1"}, {"-n", "1", "--columns", "all"}},
	"docker gpu health": {{}, {"--require"}},
	"docker gpu mig ls": {{}, {"-q"}},
}

// readingCommands is every command that takes --from, with its arguments.
func readingCommands(t *testing.T) (calls [][]string) {
	t.Helper()
	docker, err := Commands("test")
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "image.tar")
	config := v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Env: []string{"NVIDIA_VISIBLE_DEVICES=all", "CUDA_VERSION=12.8", "NVIDIA_REQUIRE_CUDA=cuda>=12.8 brand=" + hostile}}}
	made, err := mutate.ConfigFile(empty.Image, &config)
	if err == nil {
		err = tarball.WriteToFile(image, ref.MustParseReference("acme/train:1"), made)
	}
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, cmd := range Documented(docker.Commands()[0]) {
		if cmd.Flags().Lookup("from") == nil {
			continue
		}
		commands++
		variants, ok := fromArgs[cmd.CommandPath()]
		if !ok {
			variants = [][]string{{}}
		}
		for _, args := range variants {
			call := append(strings.Fields(strings.TrimPrefix(cmd.CommandPath(), "docker gpu ")), args...)
			for i := range call {
				if call[i] == "IMAGE" {
					call[i] = image
				}
			}
			calls = append(calls, call)
		}
	}
	if commands < 10 {
		t.Fatalf("only %d commands take --from", commands)
	}
	return calls
}

// hostileSnapshots are Snapshots in which outside text does harm: one with every field there is, and real machines
// with the text put behind, or in place of, every text in them.
func hostileSnapshots(t *testing.T) map[string]any {
	t.Helper()
	all := map[string]any{}
	for i, kind := range []any{&inspect.Snapshot{}, &inspect.Cluster{}} {
		v := reflect.ValueOf(kind).Elem()
		plant(v, func(string) string { return hostile }, true)
		v.FieldByName("SchemaVersion").SetInt(1)
		all[fmt.Sprintf("every field %d", i)] = kind
	}
	// Words that decide what a command looks at stay as they are in half of the cases.
	words := func(old string) bool {
		return len(old) < 12 && strings.ToLower(old) == old && !strings.ContainsAny(old, "/.:- ")
	}
	for name, change := range map[string]func(string) string{
		"instead": func(string) string { return hostile },
		"behind":  func(old string) string { return old + hostile },
		"but for words": func(old string) string {
			if words(old) {
				return old
			}
			return old + hostile
		},
	} {
		for _, file := range []string{"../examples/snapshots/eight-gpus.json", sharedGPUs, testSnapshot("cdi-spec-stale"), testSnapshot("healthy.one-gpu"), testSnapshot("driver-capabilities-missing")} {
			s, err := readSnapshot(file, nil)
			if err != nil {
				t.Fatal(err)
			}
			plant(reflect.ValueOf(s).Elem(), change, false)
			all[name+" "+filepath.Base(file)] = s
		}
	}
	return all
}

// evidenceIndent is what lines of a finding's evidence have in front, which may be several of a log.
const evidenceIndent = "         "

// plant changes every string of v; with grow it makes what is missing, one of each.
func plant(v reflect.Value, change func(string) string, grow bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() && grow {
			v.Set(reflect.New(v.Type().Elem()))
		}
		if !v.IsNil() {
			plant(v.Elem(), change, grow)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				plant(v.Field(i), change, grow)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return // raw JSON
		}
		if v.IsNil() && grow {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			plant(v.Index(i), change, grow)
		}
	case reflect.Array:
		for i := range v.Len() {
			plant(v.Index(i), change, grow)
		}
	case reflect.Map:
		if v.IsNil() && grow {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem())
		}
		for _, key := range v.MapKeys() {
			newKey, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			newKey.Set(key)
			value.Set(v.MapIndex(key))
			plant(newKey, change, grow)
			plant(value, change, grow)
			v.SetMapIndex(key, reflect.Value{})
			v.SetMapIndex(newKey, value)
		}
	case reflect.String:
		v.SetString(change(v.String()))
	case reflect.Bool:
		if grow {
			v.SetBool(true)
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		if grow {
			v.SetInt(1)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if grow {
			v.SetUint(1)
		}
	case reflect.Float64:
		if grow {
			v.SetFloat(1)
		}
	default: // a text in it would go untried
		panic(fmt.Sprintf("a field of kind %s: let plant fill it", v.Kind()))
	}
}

// What explain is given is shown in the answer, harmlessly: evidence in every form, of every kind of message.
func TestHostileText(t *testing.T) {
	for _, message := range []string{"NVRM: Xid (PCI:0000:17:00): 79, pid=1, name=", "could not select device driver \"\" with capabilities: [[gpu]] ", "CUDA out of memory. Tried to allocate 2.00 GiB ", "nvidia-container-cli: initialization error: driver rpc error ", "unresolvable CDI devices nvidia.com/gpu="} {
		file := filepath.Join(t.TempDir(), "a\u202e.log")
		if err := os.WriteFile(file, []byte(hostile+"\n"+message+hostile+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"", "json", "{{json .}}", "{{.}}"} {
			stdout, stderr, code := runGPU(t, noEngineHost, "explain", "--format", format, file)
			if code != 0 {
				t.Errorf("%q: exit code %d: %s", message, code, stderr)
			}
			holdHarmless(t, "explain "+format, stdout+stderr)
		}
	}
}

// A command that is printed to be typed means to a shell what docker gpu itself would start, whatever others are called.
func TestPrintedCommands(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell to try it with")
	}
	for _, arg := range []string{"$(touch owned)", "`touch owned`", "'; touch owned; '", "\"; touch owned; \"", "a b", "", "~", "*", "a\\", "!x", "#", "-n", "{a,b}", "$HOME", "&touch owned&", "|touch owned", ">owned", "é"} {
		folder := t.TempDir()
		cmd := exec.Command(shell, "-c", "printf '%s|' "+quoteArgs([]string{"first", arg, "last"}))
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "first|"+arg+"|last|" {
			t.Errorf("%q became %q (%v)", arg, out, err)
		}
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("%q did something: %v", arg, left)
		}
	}
}

// Nothing that containers, images, drivers, files or logs are called can do anything to who looks at them.
func TestHostileSnapshot(t *testing.T) {
	calls := readingCommands(t)
	folder := t.TempDir()
	page := filepath.Join(folder, "page.html")
	at := 0
	for name, s := range hostileSnapshots(t) {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		at++
		file := filepath.Join(folder, fmt.Sprint(at, ".json"))
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, call := range calls {
			for _, format := range []string{"", "json", "{{json .}}", "{{.}}"} {
				args := append(slices.Clone(call), "--from", file)
				if format != "" {
					if slices.Contains(call, "-q") || slices.Contains(call, "--show") || slices.Contains(call, "-") {
						continue
					}
					args = append(args, "--format", format)
				}
				stdout, stderr, code := runGPU(t, noEngineHost, args...)
				what := fmt.Sprintf("%s: %v", name, args)
				if code != 0 && code != 1 && code != exitUsage {
					t.Errorf("%s: exit code %d", what, code)
				}
				holdHarmless(t, what, stdout+stderr)
				if format == "json" || slices.Contains(call, "-") {
					for object := range jsonObjects(stdout) {
						if !json.Valid([]byte(object)) {
							t.Errorf("%s: no JSON: %.200q", what, object)
						}
					}
				} else if format == "" {
					for line := range strings.Lines(stdout + stderr) {
						if strings.HasPrefix(strings.TrimLeft(line, " \t"), "FORGED") && !strings.HasPrefix(line, evidenceIndent) {
							t.Errorf("%s: a text forged a line of its own: %q", what, line)
							break
						}
					}
				}
			}
		}
		if _, ok := s.(*inspect.Snapshot); ok {
			_, stderr, code := runGPU(t, noEngineHost, "report", "--from", file, "--html", page)
			html, err := os.ReadFile(page)
			if code != 0 || err != nil {
				t.Fatalf("%s: report --html: %d %v %s", name, code, err, stderr)
			}
			if strings.Contains(string(html), "<script>owned") {
				t.Errorf("%s: a text became part of the page", name)
			}
			holdHarmless(t, name+": page", string(html))
			if err := os.Remove(page); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// jsonObjects are the objects that a command printed: one, or one a line.
func jsonObjects(text string) func(func(string) bool) {
	if strings.HasPrefix(text, "{\n") {
		return func(yield func(string) bool) { yield(text) }
	}
	return strings.Lines(text)
}

// holdHarmless fails where text can do anything to a terminal but move on by lines and tabs.
func holdHarmless(t *testing.T, what, text string) {
	t.Helper()
	for i, r := range text {
		if harmful(r) && r != '\n' && r != '\t' && r != utf8.RuneError { // that one is itself what JSON makes of broken text
			t.Errorf("%s: %q got through: %q", what, r, text[max(0, i-80):min(len(text), i+40)])
			return
		}
	}
}

// What is scraped of a hostile machine is metrics, and their labels are harmless where a dashboard shows them.
func TestHostileMetrics(t *testing.T) {
	for name, planted := range hostileSnapshots(t) {
		hostile, ok := planted.(*inspect.Snapshot)
		if !ok {
			continue
		}
		_, server := exporterOn(t, func(s *inspect.Snapshot) { *s = *hostile })
		text, families := scrape(t, server)
		holdHarmless(t, name, text)
		for family := range families {
			if strings.Contains(family, "FORGED") {
				t.Errorf("%s: a text forged the metric %s", name, family)
			}
		}
		server.Close()
	}
}

// What users are told to type holds nothing that others wrote: a container called $(…) is not run by who mends it.
func TestStepsHoldNothingForeign(t *testing.T) {
	const foreign = "$(touch /tmp/owned)"
	files, err := filepath.Glob(testSnapshot("*"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d snapshots: %v", len(files), err)
	}
	findings := 0
	for _, file := range files {
		s, err := readSnapshot(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		plant(reflect.ValueOf(s).Elem(), func(old string) string {
			if len(old) < 12 && strings.ToLower(old) == old && !strings.ContainsAny(old, "/.:- ") {
				return old
			}
			return old + foreign
		}, false)
		for i := range s.Containers {
			s.Containers[i].Name = foreign
		}
		for _, f := range append(fixes.Diagnose(s, fixes.Scope{}).Findings, fixes.Audit(s, nil, fixes.Scope{}).Findings...) {
			findings++
			for _, step := range f.Steps {
				if strings.Contains(step, foreign) {
					t.Errorf("%s: %s: %s", filepath.Base(file), f.ID, step)
				}
			}
		}
	}
	if findings < 50 {
		t.Errorf("only %d findings were looked at", findings)
	}
}
