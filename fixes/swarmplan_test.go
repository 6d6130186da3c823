package fixes

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// swarmSnapshot is a local engine with two GPUs, one of them cut into two MIG devices.
func swarmSnapshot(change func(*inspect.Snapshot)) *inspect.Snapshot {
	s := &inspect.Snapshot{
		Engine: &inspect.Engine{Version: "28.5.2", Location: "local", Endpoint: "unix:///run/docker.sock", DefaultRuntime: "nvidia",
			Runtimes:   map[string]inspect.Runtime{"nvidia": {Path: "nvidia-container-runtime"}, "runc": {Path: "runc"}},
			Swarm:      &inspect.Swarm{State: "active", Manager: true},
			ConfigFile: &inspect.ConfigFile{Path: "/etc/docker/daemon.json", Exists: true}},
		Toolkit: &inspect.Toolkit{Installed: true},
		GPUs: []inspect.GPU{{Index: 0, UUID: "GPU-aa"}, {Index: 1, UUID: "GPU-bb", MIG: &inspect.MIG{Enabled: true,
			Devices: []inspect.MIGDevice{{Index: 0, UUID: "MIG-b0"}, {Index: 1, UUID: "MIG-b1"}}}}},
	}
	if change != nil {
		change(s)
	}
	return s
}

// planSwarm is the plan with its two edits.
func planSwarm(t *testing.T, s *inspect.Snapshot, opts SwarmOptions) (plan SwarmPlan, config, daemon func([]byte) ([]byte, error)) {
	t.Helper()
	plan, err := PlanSwarm(s, opts, Target{Reading: true})
	if err != nil {
		t.Fatal(err)
	}
	return plan, plan.Steps[0].(*FileStep).Edit, plan.Steps[1].(*EngineConfigStep).Edit
}

func TestPlanSwarm(t *testing.T) {
	const three = `"NVIDIA-GPU=GPU-aa", "NVIDIA-GPU=MIG-b0", "NVIDIA-GPU=MIG-b1"`
	for _, c := range []struct {
		name               string
		opts               SwarmOptions
		config, wantConfig string
		daemon, wantDaemon string
		wantError          string // of either edit
		configGone         bool   // nothing is left of it
	}{
		{"beside others", SwarmOptions{Enable: true}, "#swarm-resource = \"DOCKER_RESOURCE_GPU\"\ndisable-require = false\n", "#swarm-resource = \"DOCKER_RESOURCE_GPU\"\nswarm-resource = \"DOCKER_RESOURCE_NVIDIA-GPU\"\ndisable-require = false\n",
			"{\n  \"labels\": [],\n  \"node-generic-resources\": [\"SSD=2\", \"FPGA=card0\"]\n}\n", "{\n  \"labels\": [],\n  \"node-generic-resources\": [\"SSD=2\", \"FPGA=card0\", " + three + "]\n}\n", "", false},
		{"a variable of another", SwarmOptions{Enable: true}, "swarm-resource = \"DOCKER_RESOURCE_GPU\"\n", "swarm-resource = \"DOCKER_RESOURCE_GPU,DOCKER_RESOURCE_NVIDIA-GPU\"\n", "{}", "", "", false},
		{"a GPU that is gone, and one by its short name", SwarmOptions{Enable: true}, "", "swarm-resource = \"DOCKER_RESOURCE_NVIDIA-GPU\"\n", `{"node-generic-resources": ["NVIDIA-GPU=GPU-old", "NVIDIA-GPU=GPU-aa", "NVIDIA-GPU=special"]}`,
			`{"node-generic-resources": ["NVIDIA-GPU=GPU-aa", "NVIDIA-GPU=special", "NVIDIA-GPU=MIG-b0", "NVIDIA-GPU=MIG-b1"]}`, "", false},
		{"the default runtime", SwarmOptions{Enable: true, DefaultRuntime: true}, "", "", `{"default-runtime": "runc", "node-generic-resources": ["SSD=1", "SSD2=1"]}`,
			`{"default-runtime": "nvidia", "node-generic-resources": ["SSD=1", "SSD2=1", ` + three + `]}`, "", false},
		{"a count of the same", SwarmOptions{Enable: true}, "", "", `{"node-generic-resources": ["NVIDIA-GPU=2"]}`, "", `counts its GPUs ("NVIDIA-GPU=2"`, false},
		{"another kind is mixed already", SwarmOptions{Enable: true}, "", "", `{"node-generic-resources": ["SSD=2", "SSD=sda"]}`, "", "mixes counts and names of SSD", false},
		{"no list", SwarmOptions{Enable: true}, "", "", `{"node-generic-resources": "NVIDIA-GPU=GPU-aa"}`, "", "where a list belongs", false},
		{"no JSON", SwarmOptions{Enable: true}, "", "", `{"node-generic-resources": [`, "", "line 1", false},
		{"no TOML", SwarmOptions{Enable: true}, "a = [\n", "", `{}`, "", "config.toml does not parse", false},
		{"off: those alone", SwarmOptions{}, "swarm-resource = \"DOCKER_RESOURCE_GPU,DOCKER_RESOURCE_NVIDIA-GPU\"\n", "swarm-resource = \"DOCKER_RESOURCE_GPU\"\n",
			`{"node-generic-resources": ["SSD=2", "NVIDIA-GPU=GPU-aa", "NVIDIA-GPU=special", "NVIDIA-GPU=MIG-old"], "default-runtime": "nvidia"}`, `{"node-generic-resources": ["SSD=2", "NVIDIA-GPU=special"], "default-runtime": "nvidia"}`, "", false},
		{"off: a count is not ours", SwarmOptions{}, "disable-require = false\n", "disable-require = false\n", `{"node-generic-resources": ["NVIDIA-GPU=2"]}`, `{"node-generic-resources": ["NVIDIA-GPU=2"]}`, "", false},
		{"off: nothing is left of the file", SwarmOptions{}, "swarm-resource = \"DOCKER_RESOURCE_NVIDIA-GPU\"\n", "", "{}", "{}", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, config, daemon := planSwarm(t, swarmSnapshot(nil), c.opts)
			gotConfig, configErr := config([]byte(c.config))
			gotDaemon, daemonErr := daemon([]byte(c.daemon))
			if c.wantError != "" {
				if text := strings.Join([]string{errorText(configErr), errorText(daemonErr)}, " "); !strings.Contains(text, c.wantError) {
					t.Errorf("%s, want %s", text, c.wantError)
				}
				return
			}
			if configErr != nil || daemonErr != nil {
				t.Fatal(configErr, daemonErr)
			}
			if (c.wantConfig != "" || c.configGone) && string(gotConfig) != c.wantConfig || c.configGone != (gotConfig == nil) {
				t.Errorf("config.toml: %q, want %q", gotConfig, c.wantConfig)
			}
			if c.wantDaemon != "" && string(gotDaemon) != c.wantDaemon {
				t.Errorf("daemon.json:\n%s, want\n%s", gotDaemon, c.wantDaemon)
			}
			if again, err := daemon(gotDaemon); err != nil || string(again) != string(gotDaemon) {
				t.Errorf("a second time changes daemon.json: %s, %v", again, err)
			}
			if again, err := config(gotConfig); err != nil || string(again) != string(gotConfig) {
				t.Errorf("a second time changes config.toml: %s, %v", again, err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// disable takes out exactly what enable wrote.
func TestSwarmThereAndBack(t *testing.T) {
	for _, c := range []struct{ config, daemon string }{
		{toolkitTOML, "{\n    \"runtimes\": {\n        \"nvidia\": {\"path\": \"nvidia-container-runtime\"}\n    }\n}\n"},
		{"", "{}\n"},
		{"swarm-resource = \"DOCKER_RESOURCE_GPU\"", "{\n\t\"node-generic-resources\": [\n\t\t\"SSD=2\"\n\t],\n\t\"debug\": true\n}"},
		{"#swarm-resource = \"DOCKER_RESOURCE_GPU\"\r\n[nvidia-ctk]\r\n", `{"node-generic-resources":["SSD=sda","SSD=sdb"]}`},
	} {
		_, config, daemon := planSwarm(t, swarmSnapshot(nil), SwarmOptions{Enable: true})
		_, configBack, daemonBack := planSwarm(t, swarmSnapshot(nil), SwarmOptions{})
		for _, pair := range []struct {
			in          string
			there, back func([]byte) ([]byte, error)
		}{{c.config, config, configBack}, {c.daemon, daemon, daemonBack}} {
			changed, err := pair.there([]byte(pair.in))
			if err != nil || string(changed) == pair.in {
				t.Errorf("%q: %q, %v", pair.in, changed, err)
			}
			if back, err := pair.back(changed); err != nil || string(back) != pair.in {
				t.Errorf("%q became %q, %v", pair.in, back, err)
			}
		}
	}
}

// What stands in the way is said before anything is begun.
func TestPlanSwarmRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   SwarmOptions
		change func(*inspect.Snapshot)
		want   string
	}{
		{"no GPU", SwarmOptions{Enable: true}, func(s *inspect.Snapshot) { s.GPUs = []inspect.GPU{} }, "there is no NVIDIA GPU here"},
		{"GPUs not read", SwarmOptions{Enable: true}, func(s *inspect.Snapshot) {
			s.GPUs, s.Sources = nil, []inspect.Reading{{Name: "nvml", Error: "Driver Not Loaded"}}
		}, "could not be read (Driver Not Loaded)"},
		{"a UUID not read", SwarmOptions{Enable: true}, func(s *inspect.Snapshot) { s.GPUs[0].UUID = "" }, "the UUID of GPU 0"},
		{"MIG without devices alone", SwarmOptions{Enable: true}, func(s *inspect.Snapshot) { s.GPUs = s.GPUs[1:]; s.GPUs[0].MIG.Devices = nil }, "it is in MIG mode and has no MIG device"},
		{"a remote engine", SwarmOptions{}, func(s *inspect.Snapshot) { s.Engine.Location = "remote" }, "another machine"},
		{"Docker Desktop", SwarmOptions{}, func(s *inspect.Snapshot) { yes := true; s.Engine.Desktop = &yes }, "Docker Desktop"},
		{"daemon.json does not parse", SwarmOptions{}, func(s *inspect.Snapshot) { s.Engine.ConfigFile.Problem = &inspect.FileProblem{} }, "does not parse"},
		{"no runtime for the default", SwarmOptions{Enable: true, DefaultRuntime: true}, func(s *inspect.Snapshot) { delete(s.Engine.Runtimes, "nvidia") }, "docker gpu fix runtime-not-registered"},
	} {
		if _, err := PlanSwarm(swarmSnapshot(c.change), c.opts, Target{Reading: true}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPlanSwarmWarns(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   SwarmOptions
		change func(*inspect.Snapshot)
		want   []string
	}{
		{"nothing", SwarmOptions{Enable: true}, nil, nil},
		{"runc is the default", SwarmOptions{Enable: true}, func(s *inspect.Snapshot) { s.Engine.DefaultRuntime = "runc" }, []string{"--default-runtime"}},
		{"runc is the default still", SwarmOptions{Enable: true, DefaultRuntime: true}, func(s *inspect.Snapshot) { s.Engine.DefaultRuntime = "runc" }, nil},
		{"no toolkit, no swarm", SwarmOptions{Enable: true}, func(s *inspect.Snapshot) { s.Toolkit.Installed, s.Engine.Swarm = false, nil }, []string{"is not installed", "in no swarm yet"}},
		{"a lost GPU", SwarmOptions{Enable: true}, func(s *inspect.Snapshot) { s.GPUs[1].Error = "GPU is lost" }, []string{"GPU 1 is left out: GPU is lost"}},
		{"nvidia stays the default", SwarmOptions{}, nil, []string{"stays the engine's default runtime"}},
	} {
		plan, err := PlanSwarm(swarmSnapshot(c.change), c.opts, Target{Reading: true})
		if err != nil || len(plan.Warnings) != len(c.want) {
			t.Errorf("%s: %v %q", c.name, err, plan.Warnings)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(plan.Warnings[i], want) {
				t.Errorf("%s: %q, want %q", c.name, plan.Warnings[i], want)
			}
		}
	}
}

// The engine has taken it over when it offers just these names.
func TestSwarmWant(t *testing.T) {
	info := func(names ...string) system.Info {
		i := system.Info{GenericResources: []swarm.GenericResource{{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: "SSD", Value: 2}}}}
		for _, n := range names {
			i.GenericResources = append(i.GenericResources, swarm.GenericResource{NamedResourceSpec: &swarm.NamedGenericResource{Kind: SwarmKind, Value: n}})
		}
		return i
	}
	on, _, _ := planSwarm(t, swarmSnapshot(nil), SwarmOptions{Enable: true})
	off, _, _ := planSwarm(t, swarmSnapshot(nil), SwarmOptions{})
	if !slices.Equal(on.Names, []string{"GPU-aa", "MIG-b0", "MIG-b1"}) {
		t.Errorf("%q", on.Names)
	}
	for _, c := range []struct {
		info    system.Info
		on, off bool
	}{{info(), false, true}, {info("MIG-b1", "GPU-aa", "MIG-b0"), true, false}, {info("GPU-aa"), false, false}, {info("special"), false, true}} {
		if got := on.Steps[1].(*EngineConfigStep).Want(c.info); got != c.on {
			t.Errorf("on: %+v: %t", c.info.GenericResources, got)
		}
		if got := off.Steps[1].(*EngineConfigStep).Want(c.info); got != c.off {
			t.Errorf("off: %+v: %t", c.info.GenericResources, got)
		}
	}
	if h := on.Steps[1].Describe(); h.Harm != HarmRestart || !h.Root || !h.Undoes {
		t.Errorf("%+v", h)
	}
}
