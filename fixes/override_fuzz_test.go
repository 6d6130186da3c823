package fixes

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Whatever services are called and ask for: the override is YAML that changes them, and nothing but them.
func FuzzOverride(f *testing.F) {
	f.Add([]byte(`[{"name":"a","use":0,"by":["runtime","gpus","device"],"requests":[{"by":"runtime","text":"runtime: nvidia"},{"by":"gpus","text":"gpus: all"},{"by":"gpus","text":"deploy.resources.reservations.devices: all","count":-1},{"by":"device","text":"devices: /dev/nvidia0"}],"runtime":"nvidia","otherDevices":["/dev/fuse:/dev/fuse:r"]}]`), true)
	f.Add([]byte(`[{"name":"!reset","use":0,"by":["cdi"],"requests":[{"by":"cdi","text":"devices: nvidia.com/gpu=0","ids":["a"]}],"otherDevices":["#","*x","&y","!z","a: b"]},{"name":"\u0085null","use":0,"by":[],"visibleDevices":{"value":"all"}}]`), false)
	f.Fuzz(func(t *testing.T, data []byte, on bool) {
		var services []inspect.GPUService
		if json.Unmarshal(data, &services) != nil {
			return
		}
		mode := ComposeOff
		if on {
			mode = ComposeOn
		}
		s := &inspect.Snapshot{Project: &inspect.Project{EnvFile: &inspect.EnvFile{}, Uses: []inspect.ComposeUse{{By: inspect.UseCompose}}, Services: services},
			GPUs:   []inspect.GPU{{UUID: "GPU-1"}},
			Engine: &inspect.Engine{Version: "28.5.2", APIVersion: "1.51", APIVersionMax: "1.51", Location: "local", DefaultRuntime: "runc", Runtimes: map[string]inspect.Runtime{"nvidia": {Path: "nvidia-container-runtime"}}}}
		o, err := ComposeOverride(s, mode)
		if err != nil || o.Content == nil {
			return
		}
		var read struct {
			Services map[string]yaml.Node `yaml:"services"`
		}
		dec := yaml.NewDecoder(bytes.NewReader(o.Content))
		dec.KnownFields(true)
		if err := dec.Decode(&read); err != nil {
			t.Fatalf("%s: %v", o.Content, err)
		}
		named := map[string]bool{}
		for _, service := range services {
			named[service.Name] = true
		}
		for name := range read.Services {
			if !named[name] && !strings.Contains(name, "\ufffd") {
				t.Errorf("%q is none of them:\n%s", name, o.Content)
			}
		}
		for _, name := range o.Changed {
			if _, there := read.Services[name]; !there && !strings.ContainsAny(name, "\r\ufffd") {
				t.Errorf("%q is not in:\n%s", name, o.Content)
			}
		}
	})
}

// A diff says what changed: laid over the old text it gives the new one.
func FuzzDiff(f *testing.F) {
	f.Add([]byte("a\nb\nc\n"), []byte("a\nx\nc\n"))
	f.Add([]byte("a"), []byte("a\n"))
	f.Add([]byte(""), []byte("\n\n-x\n+y\n"))
	f.Add([]byte("1\n2\n3\n4\n5\n6\n7\n8\n9\n"), []byte("1\n2\n3\n4\n5\n6\n7\n8\n9\n10"))
	f.Fuzz(func(t *testing.T, old, new []byte) {
		if len(old)+len(new) > 16<<10 {
			return
		}
		diff := Diff("/etc/x", old, new)
		if bytes.Equal(old, new) && (old == nil) == (new == nil) {
			if diff != "" {
				t.Errorf("of nothing: %q", diff)
			}
			return
		}
		minus, plus := 0, 0
		for i, line := range strings.Split(diff, "\n") {
			switch {
			case i < 2:
			case strings.HasPrefix(line, "-"):
				minus++
				if !bytes.Contains(old, []byte(line[1:])) {
					t.Errorf("%q never stood there", line)
				}
			case strings.HasPrefix(line, "+"):
				plus++
				if !bytes.Contains(new, []byte(line[1:])) {
					t.Errorf("%q does not come", line)
				}
			}
		}
		if minus+plus == 0 {
			t.Errorf("%q and %q differ in %q", old, new, diff)
		}
		if got := bytes.Count(new, []byte("\n")) - bytes.Count(old, []byte("\n")); len(old) > 0 && len(new) > 0 && old[len(old)-1] == '\n' && new[len(new)-1] == '\n' && plus-minus != got {
			t.Errorf("%d lines more, and %d - %d in\n%s", got, plus, minus, diff)
		}
	})
}
