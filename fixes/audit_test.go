package fixes

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

func wellMade() inspect.Container {
	limit := uint64(32 << 30)
	return inspect.Container{ID: strings.Repeat("a", 64), Name: "trainer", Image: "registry.example.com/ml/train:1", State: "running", Runtime: "runc", ComposeProject: "train-a",
		Grant: inspect.Grant{By: []string{inspect.ByGPUs}, GPUs: []string{"0"}, Capabilities: []string{"utility", "compute"}, Detail: []string{"--gpus device=0"}},
		Asks:  inspect.Asks{MemoryLimitBytes: &limit, User: "1000"}}
}

// Each id of the audit, on a container or machine that has the fault; the well-made one has none.
func TestAudit(t *testing.T) {
	no := false
	for _, c := range []struct {
		id     ID
		change func(*inspect.Snapshot, *inspect.Container)
	}{
		{"", func(*inspect.Snapshot, *inspect.Container) {}},
		{"", func(_ *inspect.Snapshot, c *inspect.Container) { // no GPU: not this review's concern
			c.Grant, c.Privileged, c.Asks = inspect.Grant{By: []string{}}, false, inspect.Asks{DockerSocket: true, PidMode: "host", CapAdd: []string{"ALL"}}
		}},
		{"", func(_ *inspect.Snapshot, c *inspect.Container) { c.State, c.Privileged = "exited", true }},
		{"audit-privileged", func(_ *inspect.Snapshot, c *inspect.Container) { c.Privileged = true }},
		{"audit-privileged", func(_ *inspect.Snapshot, c *inspect.Container) {
			c.Privileged, c.Grant.By = true, []string{inspect.ByPrivileged}
		}},
		{"audit-docker-socket", func(_ *inspect.Snapshot, c *inspect.Container) { c.Asks.DockerSocket = true }},
		{"audit-host-pid", func(_ *inspect.Snapshot, c *inspect.Container) { c.Asks.PidMode = "host" }},
		{"audit-host-ipc", func(_ *inspect.Snapshot, c *inspect.Container) { c.Asks.IpcMode = "host" }},
		{"", func(_ *inspect.Snapshot, c *inspect.Container) {
			c.Asks.IpcMode, c.Asks.PidMode = "private", "container:x"
		}},
		{"audit-sys-admin", func(_ *inspect.Snapshot, c *inspect.Container) { c.Asks.CapAdd = []string{"CAP_SYS_ADMIN"} }},
		{"audit-sys-admin", func(_ *inspect.Snapshot, c *inspect.Container) { c.Asks.CapAdd = []string{"ALL"} }},
		{"", func(_ *inspect.Snapshot, c *inspect.Container) { c.Asks.CapAdd = []string{"SYS_NICE"} }},
		{"audit-raw-device", func(_ *inspect.Snapshot, c *inspect.Container) {
			c.Grant.By, c.Grant.Detail = []string{inspect.ByDevice}, []string{"--device /dev/nvidia0"}
		}},
		{"audit-raw-device", func(_ *inspect.Snapshot, c *inspect.Container) {
			c.Grant.By, c.Grant.Detail = []string{inspect.ByCgroupRule}, []string{"--device-cgroup-rule c 195:* rmw"}
		}},
		{"audit-all-gpus", func(_ *inspect.Snapshot, c *inspect.Container) {
			c.Grant.GPUs = []string{"0", "1", "2", "3", "4", "5", "6", "7"}
		}},
		{"audit-all-gpus", func(_ *inspect.Snapshot, c *inspect.Container) { c.Grant.GPUs = []string{"all"} }},
		{"", func(s *inspect.Snapshot, c *inspect.Container) { s.GPUs, c.Grant.GPUs = s.GPUs[:1], []string{"all"} }},
		{"", func(s *inspect.Snapshot, c *inspect.Container) { s.GPUs, c.Grant.GPUs = s.GPUs[:4], []string{"all"} }}, // all of them busy
		{"audit-default-runtime-nvidia", func(s *inspect.Snapshot, _ *inspect.Container) { s.Engine.DefaultRuntime = "nvidia" }},
		{"", func(s *inspect.Snapshot, _ *inspect.Container) {
			s.Engine.DefaultRuntime, s.Toolkit.Config.AcceptEnvUnprivileged = "nvidia", &no
		}},
		{"audit-variable-from-unprivileged", func(_ *inspect.Snapshot, c *inspect.Container) {
			c.Grant.By, c.Grant.Detail = []string{inspect.ByRuntime}, []string{"NVIDIA_VISIBLE_DEVICES=0"}
		}},
		{"audit-no-memory-limit", func(_ *inspect.Snapshot, c *inspect.Container) { c.Asks.MemoryLimitBytes = nil }},
		{"audit-shared-gpu", func(s *inspect.Snapshot, c *inspect.Container) {
			other := *c
			other.ID, other.Name, other.ComposeProject = strings.Repeat("b", 64), "notebook", "lab"
			s.Containers = append(s.Containers, other)
		}},
		{"", func(s *inspect.Snapshot, c *inspect.Container) {
			other := *c
			other.ID, other.Name = strings.Repeat("b", 64), "worker"
			s.Containers = append(s.Containers, other)
		}},
		{"audit-host-process", func(s *inspect.Snapshot, _ *inspect.Container) {
			s.GPUs[5].Processes = []inspect.GPUProcess{{PID: 7, Kinds: []string{"compute"}, Name: "python", Cgroup: "/user.slice/user-1000.slice"}}
		}},
		{"", func(s *inspect.Snapshot, _ *inspect.Container) { // of podman, of a desktop, of nobody known
			s.GPUs[5].Processes = []inspect.GPUProcess{{PID: 7, Kinds: []string{"compute"}, Cgroup: "/machine.slice/libpod-" + strings.Repeat("c", 64) + ".scope"},
				{PID: 8, Kinds: []string{"graphics"}, Name: "Xorg", Cgroup: "/user.slice/x"}, {PID: 9, Kinds: []string{"compute"}}}
		}},
		{"audit-toolkit-cve", func(s *inspect.Snapshot, _ *inspect.Container) { s.Toolkit.Version = "1.17.7" }},
	} {
		s := readTestSnapshot(t, "testdata/snapshots/healthy.eight-gpus.json")
		s.Toolkit.Version = "1.20.1"
		one := wellMade()
		s.Containers = []inspect.Container{one}
		changed := &s.Containers[0]
		c.change(s, changed)
		s.Containers[0] = *changed
		want := []ID{}
		if c.id != "" {
			want = append(want, c.id)
		}
		if got := Audit(s, nil, Scope{}); !slices.Equal(idsOf(got.Findings), want) {
			t.Errorf("%v, want %v\n%+v", idsOf(got.Findings), want, got.Findings)
		}
	}
}

// Every id of the audit that is in the knowledge table is found by a check, and none but these.
func TestAuditIsComplete(t *testing.T) {
	ids := []ID{"audit-unapproved"}
	for _, c := range auditChecks {
		ids = append(ids, c.ID)
	}
	for _, e := range Knowledge().Entries {
		if e.Playbook == "audit" != slices.Contains(ids, e.ID) {
			t.Errorf("%s", e.ID)
		}
	}
}

func TestAdvisories(t *testing.T) {
	for _, a := range Advisories() {
		if !strings.HasPrefix(a.CVE, "CVE-20") || a.Fixed == "" || a.Summary == "" || !strings.HasPrefix(a.Bulletin, "https://nvidia.custhelp.com/") {
			t.Errorf("%+v", a)
		}
	}
	for version, want := range map[string]int{"1.16.1": 10, "1.16.2": 8, "1.17.2": 7, "1.17.3": 4, "1.17.7": 3, "1.17.8": 1, "1.19.0": 1, "1.19.1": 0, "1.20.1": 0, "": 0, "dev": 0} {
		got := 0
		for _, f := range toolkitAdvisories(&inspect.Snapshot{Toolkit: &inspect.Toolkit{Installed: true, Version: version}}) {
			got = len(f.Evidence) - 1
		}
		if got != want {
			t.Errorf("toolkit %q: %d advisories, want %d", version, got, want)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	if _, err := ParsePolicy([]byte(ExamplePolicy)); err != nil {
		t.Errorf("the example: %v", err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "is empty"},
		{"only comments", "# nothing\n", "is empty"},
		{"unknown key", "version: 1\nallow:\n  - name: a\n    colour: red\n", "line 4: unknown key colour"},
		{"unknown key at the top", "version: 1\ndeny: []\n", "line 2: unknown key deny"},
		{"wrong kind", "version: 1\nallow:\n  - maxGPUs: many\n", "line 3"},
		{"no YAML", "version: 1\nallow: [\n", "line 2"},
		{"no version", "allow: []\n", "version is 0"},
		{"newer", "version: 2\n", "version is 2"},
		{"no pattern", "version: 1\nallow:\n  - images: ['[a']\n", "is not a pattern"},
		{"no way", "version: 1\nallow:\n  - grants: [magic]\n", "there is no way \"magic\""},
		{"negative", "version: 1\nallow:\n  - maxGPUs: -1\n", "less than 0"},
		{"two documents", "version: 1\n---\nversion: 1\n", "more than one document"},
		{"twice", "version: 1\nversion: 1\n", "line 2"},
	} {
		if _, err := ParsePolicy([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestPolicyJudges(t *testing.T) {
	for _, c := range []struct {
		name, rule string
		change     func(*inspect.Container)
		approved   bool
		reason     string
	}{
		{"an empty rule allows all", "{name: any}", nil, true, ""},
		{"image", "{images: ['registry.example.com/*']}", nil, true, ""},
		{"other image", "{images: ['nvcr.io/*']}", nil, false, "no rule is about this container"},
		{"project", "{projects: ['train-*']}", nil, true, ""},
		{"other project", "{projects: [lab]}", nil, false, "no rule is about"},
		{"name", "{containers: [trainer]}", nil, true, ""},
		{"label", "{labels: {team: 'ml-?'}}", func(c *inspect.Container) { c.Labels = map[string]string{"team": "ml-1"} }, true, ""},
		{"label missing", "{labels: {team: '*'}}", nil, false, "no rule is about"},
		{"user", "{users: ['1000']}", nil, true, ""},
		{"root", "{users: ['1000']}", func(c *inspect.Container) { c.Asks.User = "" }, false, "no rule is about"},
		{"GPU", "{gpus: ['0', '1']}", nil, true, ""},
		{"other GPU", "{gpus: ['1']}", nil, false, "GPU 0 is not among its GPUs"},
		{"by UUID", "{gpus: [GPU-x]}", func(c *inspect.Container) { c.Grant.UUIDs = []string{"GPU-x"} }, true, ""},
		{"too many", "{maxGPUs: 1}", func(c *inspect.Container) { c.Grant.GPUs = []string{"0", "1"} }, false, "has 2 GPUs, 1 are allowed"},
		{"all is as many as there are", "{maxGPUs: 2}", func(c *inspect.Container) { c.Grant.GPUs = []string{"all"} }, false, "has 8 GPUs"},
		{"capability", "{capabilities: [utility]}", nil, false, "capability compute is not allowed"},
		{"capabilities", "{capabilities: [utility, compute]}", nil, true, ""},
		{"way", "{grants: [cdi]}", nil, false, "access by gpus is not allowed"},
		{"privileged", "{name: any}", func(c *inspect.Container) { c.Privileged = true }, false, "is privileged"},
		{"privileged allowed", "{privileged: true}", func(c *inspect.Container) { c.Privileged = true }, true, ""},
		{"none allowed", "", nil, false, "no rule is about this container"},
	} {
		text := "version: 1\nallow: []\n"
		if c.rule != "" {
			text = "version: 1\nallow: [" + c.rule + "]\n"
		}
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		container := wellMade()
		if c.change != nil {
			c.change(&container)
		}
		j := p.Judge(&container, 8)
		if j.Approved != c.approved || !strings.Contains(strings.Join(j.Reasons, "; "), c.reason) {
			t.Errorf("%s: %+v, want %t %q", c.name, j, c.approved, c.reason)
		}
		s := readTestSnapshot(t, "testdata/snapshots/healthy.eight-gpus.json")
		s.Toolkit.Version, s.Containers = "1.20.1", []inspect.Container{container}
		if found := slices.Contains(idsOf(Audit(s, p, Scope{}).Findings), "audit-unapproved"); found == c.approved {
			t.Errorf("%s: audit-unapproved found: %t", c.name, found)
		}
	}
}

// The published schema has the keys that the program reads.
func TestPolicySchema(t *testing.T) {
	data, err := os.ReadFile("../docs/gpu-policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]any `json:"properties"`
		Defs       map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	same := func(what string, kind reflect.Type, properties map[string]any) {
		var keys []string
		for i := range kind.NumField() {
			keys = append(keys, kind.Field(i).Tag.Get("yaml"))
		}
		for _, key := range keys {
			if _, ok := properties[key]; !ok {
				t.Errorf("%s: the schema lacks %s", what, key)
			}
		}
		if len(keys) != len(properties) {
			t.Errorf("%s: the schema has %d keys, the program reads %d", what, len(properties), len(keys))
		}
	}
	same("policy", reflect.TypeFor[Policy](), schema.Properties)
	same("rule", reflect.TypeFor[Rule](), schema.Defs["rule"].Properties)
	if !strings.Contains(string(data), `"`+strings.Join(grantWays, `", "`)+`"`) {
		t.Error("the schema's grants are not those of the program")
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(ExamplePolicy))
	f.Add([]byte("version: 1\nallow:\n  - labels: {a: '['}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicy(data)
		if err != nil {
			return
		}
		c := wellMade()
		if j := p.Judge(&c, 8); j.Approved == (len(j.Reasons) > 0) {
			t.Errorf("%+v", j)
		}
	})
}
