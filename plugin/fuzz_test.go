package plugin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	dockeropts "github.com/docker/cli/opts"
	"github.com/spf13/pflag"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// fuzzedCommands answer from a file; %s stands for it.
var fuzzedCommands = [][]string{
	{"status"}, {"status", "--format", "json"}, {"ps", "-a"}, {"ps", "--format", "json"}, {"diagnose"}, {"diagnose", "--format", "json"},
	{"audit"}, {"health", "--require"}, {"topo"}, {"mig", "ls"}, {"pick", "--explain"}, {"top", "-n", "1"}, {"report", "-o", "-"}, {"k8s"}, {"k8s", "diagnose"}, {"k8s", "--format", "json"},
}

// Whatever file somebody gives to --from: it is refused with its name, or answered with words that do no harm.
func FuzzSnapshot(f *testing.F) {
	for i, name := range []string{"cdi-spec-stale", "healthy.one-gpu", "driver-capabilities-missing", "apparmor-denied", "mig-mode-mismatch", "visible-devices-void", "power-capped", "docker-desktop-vm"} {
		if data, err := os.ReadFile(testSnapshot(name)); err == nil {
			f.Add(data, uint8(i))
		}
	}
	f.Add([]byte(`{"schemaVersion":1,"takenAt":"2026-11-25T10:00:00Z","nodes":[{"name":"n","capacity":{"nvidia.com/gpu":1},"allocatable":{},"inUse":{}}],"pods":[{"namespace":"d","name":"p","phase":"Pending","requests":{"nvidia.com/gpu":2},"containers":[]}],"runtimeClasses":[],"daemonSets":[],"sources":[]}`), uint8(14))
	f.Add([]byte(`{"schemaVersion":1,"snapshot":{"schemaVersion":1,"gpus":[{"index":-1,"mig":{"enabled":true,"devices":[{}]}}]}}`), uint8(9))
	f.Add([]byte(`{"schemaVersion":1,"topology":{"gpus":[{"index":7}],"pairs":[{"a":7,"b":9,"level":"x"}]},"gpus":[{"index":7},{"index":7}]}`), uint8(8))
	file := filepath.Join(f.TempDir(), "from.json")
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		call := fuzzedCommands[int(which)%len(fuzzedCommands)]
		stdout, stderr, code := runGPU(t, noEngineHost, append(slices.Clone(call), "--from", file)...)
		what := strings.Join(call, " ")
		if code != 0 && code != 1 {
			t.Errorf("%s: exit code %d", what, code)
		}
		if stdout+stderr == "" && code != 0 {
			t.Errorf("%s: exit code %d without a word", what, code)
		}
		holdHarmless(t, what, stdout+stderr)
		for _, bad := range []string{"goroutine ", "%!", "<nil>"} {
			if strings.Contains(stdout+stderr, bad) && !strings.Contains(string(data), bad[:2]) {
				t.Errorf("%s: %q is no word for users: %.300s", what, bad, stdout+stderr)
			}
		}
		if slices.Contains(call, "json") || slices.Contains(call, "-o") {
			for object := range jsonObjects(stdout) {
				if !json.Valid([]byte(object)) {
					t.Errorf("%s: no JSON: %.200q", what, object)
				}
			}
		}
	})
}

// --filter takes a value, or says what is wrong with it.
func FuzzPsFilter(f *testing.F) {
	for _, seed := range []string{"name=x", "name=(", "gpu=0", "gpu=GPU-", "grant=cdi", "grant=--gpus", "label=a=b", "label", "project=", "=", "x=y", "name=\x1b[2J", "gpu=0:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		stdout, stderr, code := runGPU(t, noEngineHost, "ps", "-a", "--from", sharedGPUs, "--filter", filter)
		if code != 0 && !strings.Contains(stderr, "filter") { // where the flag itself does not parse, the root's own code is main's to set
			t.Errorf("%q: exit code %d: %s", filter, code, stderr)
		}
		holdHarmless(t, filter, stdout+stderr)
	})
}

// --format takes a template, or says what is wrong with it; what comes out is harmless, whatever it is made of.
func FuzzFormat(f *testing.F) {
	for _, seed := range []string{"{{.}}", "table {{.Verdict.Text}}", "{{json .}}", "{{", "{{.Nope}}", "{{printf \"%c[2J\" 27}}", "{{index .GPUs 99}}", "{{slice .GPUs 1 0}}", "{{truncate \"x\" -1}}", "{{pad \"x\" -1 9}}", "{{join .GPUs \",\"}}"} {
		f.Add(seed)
	}
	s, err := readSnapshot(sharedGPUs, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, format string) {
		if strings.ContainsAny(format, "0123456789") || strings.Contains(format, "range") || strings.Contains(format, "define") {
			return // as long as whoever typed it wants it to be
		}
		var out strings.Builder
		if err := writeTemplate(&out, format, s); err == nil {
			holdHarmless(t, format, out.String())
		}
	})
}

// Sizes and times of pick: a value that is accepted is one that can be meant.
func FuzzPickValues(f *testing.F) {
	for _, seed := range []string{"20g", "0", "-1", "1e3", "9999999999g", "20 GiB", "90s", "2h", "-5m", "true", "false", "", "١"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size dockeropts.MemBytes
		if size.Set(text) == nil {
			p := pickFlags{count: 1, prefer: "idle", maxUtil: -1, timeout: time.Second, freeMemory: size}
			if err := p.check(newPickCmd(newApp(nil, "test"), nil)); err == nil && (size < 0 || p.wish().FreeMemory != uint64(size)) {
				t.Errorf("%q is %d bytes", text, size)
			}
		}
		var wait waitFlag
		if wait.Set(text) == nil && (wait.most < 0 || !wait.on && wait.most != 0) {
			t.Errorf("%q: %+v", text, wait)
		}
		keys, wrong := parseTopColumns(strings.Split(text, ","))
		if wrong == "" {
			for _, key := range keys {
				if !slices.Contains(gpuColumnKeys(), key) {
					t.Errorf("%q shows the column %q", text, key)
				}
			}
		}
	})
}

// Of the arguments of run and compose, ours are taken and all others go on to docker as they came.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{"-n\x002\x00--rm\x00image", "--wait\x00--free-memory=20g\x00-it\x00image\x00--gpus", "-n2\x00--\x00--gpus", "--gpu\x00on\x00-f\x00a.yaml\x00up\x00-d", "--gpu=off\x00--print\x00--profile\x00x\x00up", "-fa.yaml\x00--env-file=x\x00config", "--gpu", "-", "--"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
		(&pickFlags{}).addFlags(flags)
		own, rest := splitRunArgs(flags, slices.Clone(args))
		whole := slices.Concat(own, rest)
		if len(own)+len(rest) < len(args) && args[len(own)] == "--" {
			whole = slices.Concat(own, []string{"--"}, rest)
		}
		if !slices.Equal(whole, args) {
			t.Errorf("%q became %q and %q", args, own, rest)
		}
		_ = asksForGPU(rest)
		opts, _, err := parseCompose(slices.Clone(args))
		if err != nil {
			return
		}
		at := 0 // compose's are the others, in their order
		for _, arg := range slices.Concat(opts.global, opts.rest) {
			for at < len(args) && args[at] != arg && !strings.HasPrefix(args[at], arg) && !strings.HasSuffix(args[at], arg) {
				at++
			}
			if at == len(args) {
				t.Fatalf("%q: %q is none of them", args, arg)
			}
		}
	})
}

// A recording becomes curves of figures, or a reason why not.
func FuzzCurves(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":1,"takenAt":"2026-11-25T10:00:00Z","gpus":[{"index":0,"uuid":"GPU-1","temperatureCelsius":50,"powerWatts":1e308}],"containers":[{"id":"a","name":"b","usage":{"memoryUsedBytes":1}}]}` + "\n" + `{"schemaVersion":1,"takenAt":"0001-01-01T00:00:00Z","gpus":null}` + "\n"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"))
	f.Add([]byte("{"))
	file := filepath.Join(f.TempDir(), "recording")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		groups, err := readCurves(file, inspect.NewRedactor(&inspect.Snapshot{}, inspect.Identity{}))
		if err != nil {
			return
		}
		text := ""
		var gather func(v reflect.Value)
		gather = func(v reflect.Value) {
			switch v.Kind() {
			case reflect.Struct:
				for i := range v.NumField() {
					gather(v.Field(i))
				}
			case reflect.Slice:
				for i := range v.Len() {
					gather(v.Index(i))
				}
			case reflect.String:
				text += v.String() + "\n"
			}
		}
		gather(reflect.ValueOf(groups))
		holdHarmless(t, "curves", text)
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("no figures: %.300s", text)
		}
	})
}
