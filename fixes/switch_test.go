package fixes

import (
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

func twoGPUs() *inspect.Snapshot {
	s := healthy()
	s.GPUs = []inspect.GPU{
		{Index: 0, UUID: "GPU-fef8089b-0000-4000-8000-000000000000"},
		{Index: 1, UUID: "GPU-11111111-0000-4000-8000-000000000000", MIG: &inspect.MIG{Enabled: true, Devices: []inspect.MIGDevice{{Index: 0, UUID: "MIG-22222222-0000-5000-8000-000000000000"}}}},
	}
	s.CDI = &inspect.CDI{Devices: []string{"nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all"}}
	return s
}

func TestCheckDevices(t *testing.T) {
	for _, c := range []struct {
		name, value, written, text, nearest string
		syntax                              bool
	}{
		{"all", "all", "all", "", "", false},
		{"none", "none", "none", "", "", false},
		{"list with blanks", "0, 1", "0,1", "", "", false},
		{"whole UUID", "GPU-fef8089b-0000-4000-8000-000000000000", "GPU-fef8089b-0000-4000-8000-000000000000", "", "", false},
		{"MIG by index", "1:0", "1:0", "", "", false},
		{"MIG by UUID", "MIG-22222222-0000-5000-8000-000000000000", "MIG-22222222-0000-5000-8000-000000000000", "", "", false},
		{"CDI names", "nvidia.com/gpu=0,nvidia.com/gpu=1", "nvidia.com/gpu=0,nvidia.com/gpu=1", "", "", false},
		{"index out of range", "2", "", "there is no 2 here: this machine has the GPUs 0 to 1", "1", false},
		{"one of a list out of range", "0,7", "", "there is no 7 here", "1", false},
		{"short UUID", "GPU-fef8089b", "", "there is no GPU-fef8089b here", "GPU-fef8089b-0000-4000-8000-000000000000", false},
		{"MIG device that is not there", "1:3", "", "there is no 1:3 here", "1:0", false},
		{"MIG UUID that is not there", "MIG-22222222-0000-5000-8000-000000000001", "", "there is no MIG-", "MIG-22222222-0000-5000-8000-000000000000", false},
		{"CDI device that is not there", "nvidia.com/gpu=2", "", "there is no nvidia.com/gpu=2 here", "nvidia.com/gpu=0", false},
		{"index and CDI name", "0,nvidia.com/gpu=1", "", "mixes the CDI name", "", true},
		{"twice", "0,1,0", "", "0 is twice", "0,1", true},
		{"all in a list", "0,all", "", "stands alone", "", true},
		{"void in a list", "void,0", "", "stands alone", "", true},
		{"empty", "", "", "empty entry", "", true},
		{"empty entry", "0,,1", "", "empty entry", "", true},
		{"misspelt", "al", "", "names no GPU", "all", true},
		{"negative", "-1", "", "names no GPU", "", true},
		{"hostile", "0;rm -rf /", "", "names no GPU", "", true},
		{"line feed", "GPU-1\nA=1", "", "names no GPU", "", true},
	} {
		written, unchecked, refusal := CheckDevices(twoGPUs(), c.value)
		switch {
		case (refusal == nil) != (c.text == ""):
			t.Errorf("%s: %v", c.name, refusal)
		case refusal == nil && (written != c.written || unchecked != ""):
			t.Errorf("%s: %q %q", c.name, written, unchecked)
		case refusal != nil && (!strings.Contains(refusal.Text, c.text) || refusal.Syntax != c.syntax || c.nearest != "" && refusal.Nearest != c.nearest):
			t.Errorf("%s: %+v", c.name, refusal)
		}
	}
	s := twoGPUs()
	s.GPUs = nil
	if written, unchecked, refusal := CheckDevices(s, "7"); written != "7" || unchecked == "" || refusal != nil {
		t.Errorf("GPUs that could not be read: %q %q %v", written, unchecked, refusal)
	}
	s.GPUs = []inspect.GPU{}
	if _, _, refusal := CheckDevices(s, "0"); refusal == nil || !strings.Contains(refusal.Text, "this machine has no NVIDIA GPU") {
		t.Errorf("no GPU: %v", refusal)
	}
}

func TestCheckCapabilities(t *testing.T) {
	if written, refusal := CheckCapabilities(" compute, utility"); written != "compute,utility" || refusal != nil {
		t.Errorf("%q %v", written, refusal)
	}
	for value, want := range map[string]string{"compute,utilty": "did you mean utility?", "compute,compute": "is twice", "compute,": "empty entry", "x": "is no driver capability"} {
		if _, refusal := CheckCapabilities(value); refusal == nil || !strings.Contains(refusal.Error(), want) {
			t.Errorf("%q: %v, want %q", value, refusal, want)
		}
	}
}

func TestSwitchWarnings(t *testing.T) {
	no := false
	for _, c := range []struct {
		name, value, capabilities string
		toolkit                   *inspect.Toolkit
		want                      string
	}{
		{"nothing to say", "all", "", &inspect.Toolkit{Installed: true, Version: "1.17.8"}, ""},
		{"no toolkit", "all", "compute", nil, ""},
		{"capabilities in CDI mode", "all", "compute", &inspect.Toolkit{Installed: true, Version: "1.20.1"}, "ignores NVIDIA_DRIVER_CAPABILITIES"},
		{"capabilities in legacy mode", "all", "compute", &inspect.Toolkit{Installed: true, Version: "1.20.1", Config: &inspect.ToolkitConfig{Mode: "legacy"}}, ""},
		{"variable refused", "0", "", &inspect.Toolkit{Installed: true, Version: "1.17.8", Config: &inspect.ToolkitConfig{Path: "/etc/c.toml", AcceptEnvUnprivileged: &no}}, "false in /etc/c.toml"},
		{"variable refused, switched off", "void", "", &inspect.Toolkit{Installed: true, Config: &inspect.ToolkitConfig{AcceptEnvUnprivileged: &no}}, ""},
		{"none that gives all", "none", "", &inspect.Toolkit{Installed: true, Version: "1.18.0"}, "takes none for all"},
	} {
		got := strings.Join(SwitchWarnings(&inspect.Snapshot{Toolkit: c.toolkit}, c.value, c.capabilities), "; ")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCannotStart(t *testing.T) {
	project := &inspect.Project{EnvFile: &inspect.EnvFile{Path: ".devcontainer/.env"}, Uses: []inspect.ComposeUse{{By: inspect.UseCompose, ReadsSwitch: true}}}
	service := func(by, text string) inspect.GPUService {
		return inspect.GPUService{Name: "app", By: []string{by}, Runtime: "nvidia", Devices: []string{"/dev/nvidia0"}, Follows: true, WouldFollow: true,
			VisibleDevices: &inspect.Setting{Value: "all"}, Requests: []inspect.GPURequest{{By: by, Text: text}}}
	}
	for _, c := range []struct {
		name    string
		service inspect.GPUService
		change  func(*inspect.Snapshot)
		want    Effect
	}{
		{"runtime", service(inspect.ByRuntime, "runtime: nvidia"), func(*inspect.Snapshot) {}, Follows},
		{"runtime that is not registered", service(inspect.ByRuntime, "runtime: nvidia"), func(s *inspect.Snapshot) { s.Engine.Runtimes = map[string]inspect.Runtime{"runc": {}} }, CannotStart},
		{"runtimes not known", service(inspect.ByRuntime, "runtime: nvidia"), func(s *inspect.Snapshot) { s.Engine.Runtimes = nil }, Follows},
		{"no engine answers", service(inspect.ByRuntime, "runtime: nvidia"), func(s *inspect.Snapshot) { s.Engine = &inspect.Engine{Unreachable: "denied"} }, Follows},
		{"reservation", service(inspect.ByGPUs, "gpus: all"), func(*inspect.Snapshot) {}, KeepsGPU},
		{"reservation without GPU", service(inspect.ByGPUs, "gpus: all"), func(s *inspect.Snapshot) {
			s.GPUs, s.Driver, s.Host.PCI = []inspect.GPU{}, nil, []inspect.PCIDevice{}
		}, CannotStart},
		{"reservation without toolkit", service(inspect.ByGPUs, "gpus: all"), func(s *inspect.Snapshot) { s.Toolkit, s.Engine.Runtimes = &inspect.Toolkit{}, nil }, CannotStart},
		{"CDI without devices", service(inspect.ByCDI, "devices: nvidia.com/gpu=0"), func(*inspect.Snapshot) {}, CannotStart},
		{"raw device that is not there", service(inspect.ByDevice, "devices: /dev/nvidia0"), func(s *inspect.Snapshot) { s.Host.DeviceNodes = []inspect.DeviceNode{} }, CannotStart},
		{"raw device", service(inspect.ByDevice, "devices: /dev/nvidia0"), func(s *inspect.Snapshot) { s.Host.DeviceNodes = []inspect.DeviceNode{{Path: "/dev/nvidia0"}} }, KeepsGPU},
		{"privileged", service(inspect.ByPrivileged, "privileged: true"), func(*inspect.Snapshot) {}, KeepsGPU},
	} {
		s := healthy()
		p := *project
		p.Services = []inspect.GPUService{c.service}
		s.Project = &p
		c.change(s)
		if got := Effects(s)[0]; got.Effect != c.want {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

func TestFollowSwitch(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"mapping with comment", "a:\n  NVIDIA_VISIBLE_DEVICES: all # every one\n  B: 1\n", "a:\n  NVIDIA_VISIBLE_DEVICES: ${NVIDIA_VISIBLE_DEVICES:-void} # every one\n  B: 1\n"},
		{"quoted", "NVIDIA_VISIBLE_DEVICES:   \"0,1\"\r\nB: 'x'\r\n", "NVIDIA_VISIBLE_DEVICES:   \"${NVIDIA_VISIBLE_DEVICES:-void}\"\r\nB: 'x'\r\n"},
		{"list", "a:\n- B=1\n- NVIDIA_VISIBLE_DEVICES=0,1   # two\n", "a:\n- B=1\n- NVIDIA_VISIBLE_DEVICES=${NVIDIA_VISIBLE_DEVICES:-void}   # two\n"},
		{"quoted entry", "- 'NVIDIA_VISIBLE_DEVICES=all'", "- \"NVIDIA_VISIBLE_DEVICES=${NVIDIA_VISIBLE_DEVICES:-void}\""},
		{"flow", "a: {B: 1, NVIDIA_VISIBLE_DEVICES: all, C: [NVIDIA_VISIBLE_DEVICES=0]}\n", "a: {B: 1, NVIDIA_VISIBLE_DEVICES: \"${NVIDIA_VISIBLE_DEVICES:-void}\", C: [\"NVIDIA_VISIBLE_DEVICES=${NVIDIA_VISIBLE_DEVICES:-void}\"]}\n"},
		{"anchor", "a: &x\n  NVIDIA_VISIBLE_DEVICES: &v all\nb: *v\n", "a: &x\n  NVIDIA_VISIBLE_DEVICES: &v ${NVIDIA_VISIBLE_DEVICES:-void}\nb: *v\n"},
		{"umlauts before", "a: {\"ä\": ü, NVIDIA_VISIBLE_DEVICES: 0}\n", "a: {\"ä\": ü, NVIDIA_VISIBLE_DEVICES: \"${NVIDIA_VISIBLE_DEVICES:-void}\"}\n"},
		{"already", "NVIDIA_VISIBLE_DEVICES: ${X:-all}\n", "NVIDIA_VISIBLE_DEVICES: ${X:-all}\n"},
	} {
		got, err := FollowSwitch([]byte(c.old), []int{1, 2, 3})
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	for name, old := range map[string]string{"block scalar": "NVIDIA_VISIBLE_DEVICES: |\n  all\n", "escapes": `NVIDIA_VISIBLE_DEVICES: "\x61ll"`, "no YAML": "a: [\n"} {
		if got, err := FollowSwitch([]byte(old), []int{1, 2}); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzFollowSwitch(f *testing.F) {
	f.Add([]byte("a: {NVIDIA_VISIBLE_DEVICES: all}\nb:\n- NVIDIA_VISIBLE_DEVICES=0 # x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := FollowSwitch(data, []int{1, 2, 3})
		if err != nil {
			return
		}
		if again, err := FollowSwitch(got, []int{1, 2, 3}); err != nil || string(again) != string(got) {
			t.Errorf("%q, then %q, %v", got, again, err)
		}
	})
}
