package fixes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// planText is a plan as it is reviewed: the text of a step is its expectation.
func planText(plan Plan, manual []Manual) string {
	var b strings.Builder
	for _, s := range plan.Steps {
		d := s.Describe()
		root := ""
		if d.Root {
			root = " as root"
		}
		b.WriteString(string(d.Harm) + root + ": " + d.Text)
		if len(d.Command) > 0 {
			b.WriteString(" $ " + strings.Join(d.Command, " "))
		}
		b.WriteString("\n")
	}
	for _, m := range manual {
		b.WriteString("by hand: " + string(m.Finding))
		if m.Why != "" {
			b.WriteString(", " + m.Why)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Every cause that diagnose finds has a plan, or says what is left to people.
func TestEveryFindingHasAPlanOrWords(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "snapshots", "*.json"))
	if err != nil || len(files) < 40 {
		t.Fatalf("%d snapshots, %v", len(files), err)
	}
	for _, file := range files {
		s := readTestSnapshot(t, file)
		found := Diagnose(s, Scope{}).Findings
		plan, manual := PlanFix("fix", s, found, Target{Reading: true, User: "grace", Root: inspect.Root(t.TempDir())})
		for _, f := range found {
			planned := slices.ContainsFunc(plan.Steps, func(s Step) bool { return s.Describe().Reason == f.ID })
			left := slices.ContainsFunc(manual, func(m Manual) bool { return m.Finding == f.ID && len(m.Steps) > 0 })
			if !planned && !left {
				t.Errorf("%s: %s has neither steps nor words", filepath.Base(file), f.ID)
			}
		}
		for _, step := range plan.Steps {
			d := step.Describe()
			if d.Text == "" || d.Harm == "" || d.Reason == "" {
				t.Errorf("%s: a step says too little: %+v", filepath.Base(file), d)
			}
			for _, arg := range d.Command {
				if slices.Contains([]string{"sh", "bash", "-c"}, arg) && !strings.HasPrefix(d.Text, "Make") {
					t.Errorf("%s: %v goes through a shell", filepath.Base(file), d.Command)
				}
			}
		}
	}
}

// The file that is written is the one that was read: of the machine whose root folder this is, or of this system, where
// the engine was seen in its own /proc.
func TestEngineFileBelowItsRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc", "42"), 0o755); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]string{0: filepath.Join(root, "etc/docker/daemon.json"), 42: filepath.Join(root, "etc/docker/daemon.json"), 43: "/etc/docker/daemon.json"} {
		s := &inspect.Snapshot{Engine: &inspect.Engine{ConfigFile: &inspect.ConfigFile{Path: "/etc/docker/daemon.json"}}}
		if pid != 0 {
			s.Engine.Process = &inspect.EngineProcess{PID: pid}
		}
		p := &planner{s: s, target: Target{Root: inspect.Root(root)}}
		if step := p.engineSetting("Set", false, nil); step.Path != want || !strings.Contains(step.Text, " /etc/docker/daemon.json") {
			t.Errorf("engine's process %d: %q, want %q", pid, step.Path, want)
		}
	}
}

func TestPlans(t *testing.T) {
	yes, no := true, false
	base := func() *inspect.Snapshot {
		return &inspect.Snapshot{
			Host: &inspect.Host{OSID: "ubuntu", Init: "systemd", Kernel: "6.8.0-48-generic"},
			Engine: &inspect.Engine{Version: "28.5.2", Location: "local", Endpoint: "unix:///var/run/docker.sock", Rootless: &no,
				ConfigFile: &inspect.ConfigFile{Path: "/etc/docker/daemon.json"}},
		}
	}
	for _, c := range []struct {
		name   string
		ids    []ID
		change func(*inspect.Snapshot)
		want   string
	}{
		{"toolkit on Ubuntu", []ID{"toolkit-not-installed"}, nil, `install as root: Fetch the key of NVIDIA's package repository $ curl --fail --silent --show-error --location --max-time 60 --create-dirs --output /usr/share/keyrings/nvidia-container-toolkit-keyring.asc https://nvidia.github.io/libnvidia-container/gpgkey
edit as root: Add NVIDIA's package repository
install as root: Read the package lists $ apt-get update
install as root: Install nvidia-container-toolkit $ apt-get install --yes nvidia-container-toolkit
restart as root: Register the runtime "nvidia" in /etc/docker/daemon.json
`},
		{"toolkit on Rocky", []ID{"toolkit-not-installed"}, func(s *inspect.Snapshot) { s.Host.OSID = "rocky" }, `edit as root: Add NVIDIA's package repository
install as root: Install nvidia-container-toolkit $ dnf install --assumeyes nvidia-container-toolkit
restart as root: Register the runtime "nvidia" in /etc/docker/daemon.json
`},
		{"toolkit on openSUSE", []ID{"toolkit-not-installed"}, func(s *inspect.Snapshot) { s.Host.OSID = "opensuse-leap" }, `edit as root: Add NVIDIA's package repository
install as root: Install nvidia-container-toolkit $ zypper --non-interactive --gpg-auto-import-keys install nvidia-container-toolkit
restart as root: Register the runtime "nvidia" in /etc/docker/daemon.json
`},
		{"toolkit on a system of its own", []ID{"toolkit-not-installed"}, func(s *inspect.Snapshot) { s.Host.OSID = "nixos" }, "by hand: toolkit-not-installed, how packages are installed on this system is not known here\n"},
		{"legacy packages", []ID{"legacy-nvidia-docker2"}, func(s *inspect.Snapshot) {
			s.Host.Packages = []inspect.Package{{Name: "nvidia-docker2", Version: "2.13"}}
		}, `install as root: Remove nvidia-docker2 $ apt-get remove --yes nvidia-docker2
edit as root: Remove the old repository /etc/apt/sources.list.d/nvidia-docker.list
edit as root: Remove the old repository /etc/apt/sources.list.d/nvidia-container-runtime.list
install as root: Fetch the key of NVIDIA's package repository $ curl --fail --silent --show-error --location --max-time 60 --create-dirs --output /usr/share/keyrings/nvidia-container-toolkit-keyring.asc https://nvidia.github.io/libnvidia-container/gpgkey
edit as root: Add NVIDIA's package repository
install as root: Read the package lists $ apt-get update
install as root: Install nvidia-container-toolkit $ apt-get install --yes nvidia-container-toolkit
restart as root: Register the runtime "nvidia" in /etc/docker/daemon.json
`},
		{"two findings, one step", []ID{"runtime-not-registered", "runtime-not-registered"}, nil, "reload as root: Register the runtime \"nvidia\" in /etc/docker/daemon.json\n"},
		{"rootless engine", []ID{"runtime-not-registered"}, func(s *inspect.Snapshot) {
			s.Engine.Rootless, s.Engine.ConfigFile.Path = &yes, "/home/u/.config/docker/daemon.json"
		}, "reload: Register the runtime \"nvidia\" in /home/u/.config/docker/daemon.json\n"},
		{"Docker Desktop", []ID{"runtime-not-registered"}, func(s *inspect.Snapshot) { s.Engine.Desktop = &yes }, "by hand: runtime-not-registered, Docker Desktop keeps the engine's settings itself: Settings > Docker Engine\n"},
		{"engine elsewhere", []ID{"cdi-spec-missing"}, func(s *inspect.Snapshot) { s.Engine.Location = "remote" }, "by hand: cdi-spec-missing, the engine runs on another machine: run docker gpu fix there\n"},
		{"broken daemon.json", []ID{"runtime-not-registered"}, func(s *inspect.Snapshot) {
			s.Engine.ConfigFile.Problem = &inspect.FileProblem{Line: 3, Column: 5, Message: "JSON has no comments"}
		}, "by hand: runtime-not-registered, /etc/docker/daemon.json does not parse at line 3, column 5 (JSON has no comments): correct that first\n"},
		{"CDI", []ID{"cdi-not-enabled", "cdi-spec-missing"}, func(s *inspect.Snapshot) { s.Engine.Version = "27.5.1" }, `restart as root: Enable CDI in /etc/docker/daemon.json
edit as root: Describe the GPUs in /etc/cdi/nvidia.yaml $ nvidia-ctk cdi generate --format=yaml
`},
		{"CDI of an old engine", []ID{"cdi-not-enabled"}, func(s *inspect.Snapshot) { s.Engine.Version = "24.0.7" }, "by hand: cdi-not-enabled, this engine is older than 25.0, which brought CDI: update it\n"},
		{"reboots come last", []ID{"nouveau-loaded", "rootful-no-cgroups"}, nil, `edit as root: Keep nouveau from loading
driver as root: Build the initial ramdisk without nouveau $ update-initramfs -u
edit as root: Let the toolkit set device cgroups, no-cgroups = false, in /etc/nvidia-container-runtime/config.toml
reboot as root: Reboot, so that the NVIDIA driver gets the card $ systemctl reboot
`},
		{"the driver is its owner's", []ID{"driver-not-installed", "cuda-driver-too-old"}, nil, "by hand: driver-not-installed, drivers are not installed or changed by docker gpu\nby hand: cuda-driver-too-old, drivers are not installed or changed by docker gpu\n"},
		{"compute mode", []ID{"compute-mode-exclusive"}, func(s *inspect.Snapshot) {
			s.GPUs = []inspect.GPU{{Index: 0, ComputeMode: "default"}, {Index: 1, ComputeMode: "exclusive-process"}}
		}, "driver as root: Let several processes use GPU 1 $ nvidia-smi --id=1 --compute-mode=DEFAULT\n"},
		{"services", []ID{"fabric-manager-not-running"}, nil, `edit as root: Start the fabric manager at every start $ systemctl enable nvidia-fabricmanager
restart as root: Start the fabric manager $ systemctl restart nvidia-fabricmanager
`},
		{"the group of the engine", []ID{"docker-socket-permission"}, nil, "edit as root: Put grace into the group docker, which may do what root may $ usermod --append --groups docker grace\n"},
		{"the hardware is nobody's program's", []ID{"gpu-lost-xid"}, nil, "by hand: gpu-lost-xid\n"},
	} {
		s := base()
		if c.change != nil {
			c.change(s)
		}
		var found []Finding
		for _, id := range c.ids {
			found = append(found, NewFinding(id))
		}
		root := t.TempDir()
		plan, manual := PlanFix("fix", s, found, Target{Reading: true, User: "grace", Root: inspect.Root(root)})
		if got := strings.ReplaceAll(planText(plan, manual), root, ""); got != c.want {
			t.Errorf("%s:\n%s", c.name, Diff("plan", []byte(c.want), []byte(got)))
		}
	}
}

func TestFreeMemoryAsksForEach(t *testing.T) {
	gib := func(n uint64) *inspect.Usage { n <<= 30; return &inspect.Usage{MemoryUsedBytes: &n} }
	s := &inspect.Snapshot{Engine: &inspect.Engine{Endpoint: "unix:///var/run/docker.sock"}, Containers: []inspect.Container{
		{Name: "small", State: "running", Usage: gib(1)}, {Name: "starved", State: "running", Usage: gib(2)},
		{Name: "large", State: "running", Usage: gib(30)}, {Name: "idle", State: "running"}, {Name: "gone", State: "exited", Usage: gib(3)}}}
	f := NewFinding("cuda-out-of-memory")
	f.Container = "starved"
	plan, _ := PlanFix("fix", s, []Finding{f}, Target{})
	if got, want := planText(plan, nil), "restart: Stop container large, which holds 30.0 GiB of GPU memory $ docker --host unix:///var/run/docker.sock stop large\n"+
		"restart: Stop container small, which holds 1.0 GiB of GPU memory $ docker --host unix:///var/run/docker.sock stop small\n"; got != want {
		t.Errorf("%s", got)
	}
	for _, step := range plan.Steps {
		if _, ok := step.(OneByOne); !ok {
			t.Errorf("%s is not asked for on its own", step.Describe().Text)
		}
	}
}

func TestFollowLine(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"map", "      NVIDIA_VISIBLE_DEVICES: all", "      NVIDIA_VISIBLE_DEVICES: ${NVIDIA_VISIBLE_DEVICES:-void}"},
		{"quoted", `      NVIDIA_VISIBLE_DEVICES: "0,1" # two`, `      NVIDIA_VISIBLE_DEVICES: "${NVIDIA_VISIBLE_DEVICES:-void}" # two`},
		{"list", "      - NVIDIA_VISIBLE_DEVICES=all\r", "      - NVIDIA_VISIBLE_DEVICES=${NVIDIA_VISIBLE_DEVICES:-void}\r"},
		{"quoted list", `      - "NVIDIA_VISIBLE_DEVICES=all"`, `      - "NVIDIA_VISIBLE_DEVICES=${NVIDIA_VISIBLE_DEVICES:-void}"`},
		{"flow", "    environment: {NVIDIA_VISIBLE_DEVICES: all}", `    environment: {NVIDIA_VISIBLE_DEVICES: "${NVIDIA_VISIBLE_DEVICES:-void}"}`},
	} {
		in := "services:\n" + c.line + "\nx: 1\n"
		got, err := followLine("compose.yaml", []byte(in), 2)
		if err != nil || string(got) != "services:\n"+c.want+"\nx: 1\n" {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if again, err := followLine("compose.yaml", got, 2); err != nil || string(again) != string(got) {
			t.Errorf("%s: a second time: %q, %v", c.name, again, err)
		}
	}
	if _, err := followLine("compose.yaml", []byte("a\n"), 1); err == nil {
		t.Error("a line without the variable was edited")
	}
}
