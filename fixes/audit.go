package fixes

import (
	"bytes"
	_ "embed" // the advisories
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// auditChecks review who has GPU access. Like those of diagnose they are functions of the Snapshot; what is
// not known is no finding.
var auditChecks = []Check{
	{ID: "audit-toolkit-cve", Needs: []string{"toolkit"}, Find: toolkitAdvisories},
	{ID: "audit-default-runtime-nvidia", Needs: []string{"engine"}, Find: defaultRuntimeNVIDIA},
	{ID: "audit-privileged", Needs: []string{"containers"}, Find: eachHolder("audit-privileged", privilegedHolder)},
	{ID: "audit-docker-socket", Needs: []string{"containers"}, Find: eachHolder("audit-docker-socket", socketHolder)},
	{ID: "audit-host-pid", Needs: []string{"containers"}, Find: eachHolder("audit-host-pid", func(_ *inspect.Snapshot, c *inspect.Container) string {
		return when(c.Asks.PidMode == "host", "--pid=host")
	})},
	{ID: "audit-host-ipc", Needs: []string{"containers"}, Find: eachHolder("audit-host-ipc", func(_ *inspect.Snapshot, c *inspect.Container) string {
		return when(c.Asks.IpcMode == "host", "--ipc=host")
	})},
	{ID: "audit-sys-admin", Needs: []string{"containers"}, Find: eachHolder("audit-sys-admin", adminHolder)},
	{ID: "audit-raw-device", Needs: []string{"containers"}, Find: eachHolder("audit-raw-device", rawHolder)},
	{ID: "audit-all-gpus", Needs: []string{"containers", "nvml"}, Find: eachHolder("audit-all-gpus", idleHolder)},
	{ID: "audit-variable-from-unprivileged", Needs: []string{"engine", "containers"}, Find: byVariableAlone},
	{ID: "audit-no-memory-limit", Needs: []string{"containers"}, Find: eachHolder("audit-no-memory-limit", func(_ *inspect.Snapshot, c *inspect.Container) string {
		return when(c.Asks.MemoryLimitBytes == nil, "no --memory")
	})},
	{ID: "audit-shared-gpu", Needs: []string{"containers"}, Find: sharedGPUs},
	{ID: "audit-host-process", Needs: []string{"nvml", "containers"}, Find: hostProcesses},
}

// Audit reviews who has GPU access, and holds it against a policy if there is one.
func Audit(s *inspect.Snapshot, policy *Policy, scope Scope) Diagnosis {
	d := Diagnosis{Findings: []Finding{}, Related: []Finding{}, Unexamined: []ID{}}
	checks := auditChecks
	if policy != nil {
		checks = append(slices.Clone(checks), Check{ID: "audit-unapproved", Needs: []string{"containers"}, Find: func(s *inspect.Snapshot) []Finding { return unapproved(s, policy) }})
	}
	for _, check := range checks {
		if slices.ContainsFunc(check.Needs, func(name string) bool { return unread(s, name) }) {
			d.Unexamined = append(d.Unexamined, check.ID)
			continue
		}
		found := check.Find(s)
		if len(found) == 0 && slices.ContainsFunc(check.Needs, func(name string) bool { return failed(source(s, name)) }) {
			d.Unexamined = append(d.Unexamined, check.ID)
		}
		d.Findings = append(d.Findings, found...)
	}
	if len(scope.Containers) > 0 {
		d.Findings = slices.DeleteFunc(d.Findings, func(f Finding) bool {
			return f.Container != "" && !slices.ContainsFunc(s.Containers, func(c inspect.Container) bool { return c.Name == f.Container && scope.Has(&c) })
		})
	}
	if len(scope.Only) > 0 {
		d.Findings = slices.DeleteFunc(d.Findings, func(f Finding) bool { return !slices.Contains(scope.Only, f.ID) })
		d.Unexamined = slices.DeleteFunc(d.Unexamined, func(id ID) bool { return !slices.Contains(scope.Only, id) })
	}
	SortFindings(d.Findings)
	return d
}

// holds tells if a container has a GPU now: it runs and was given one. A privileged container counts only
// where the machine is known to have one to see.
func holds(s *inspect.Snapshot, c *inspect.Container) bool {
	return (c.State == "running" || c.State == "paused" || c.State == "restarting") && Granted(s, c)
}

// Granted tells if a container was given a GPU, whether or not it runs.
func Granted(s *inspect.Snapshot, c *inspect.Container) bool {
	if slices.Equal(c.Grant.By, []string{inspect.ByPrivileged}) {
		return gpuPresence(s) == present
	}
	return len(c.Grant.By) > 0
}

// eachHolder applies a review to each container that has a GPU; the review says what it saw, or "".
func eachHolder(id ID, review func(*inspect.Snapshot, *inspect.Container) string) func(*inspect.Snapshot) []Finding {
	return func(s *inspect.Snapshot) []Finding {
		var found []Finding
		for i := range s.Containers {
			c := &s.Containers[i]
			if !holds(s, c) {
				continue
			}
			if text := review(s, c); text != "" {
				found = append(found, inContainer(id, c, ofContainer(c, "%s", text), ofContainer(c, "GPU access by %s", strings.Join(c.Grant.By, ", "))))
			}
		}
		return found
	}
}

func when(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

func privilegedHolder(_ *inspect.Snapshot, c *inspect.Container) string {
	return when(c.Privileged, "--privileged")
}

func socketHolder(_ *inspect.Snapshot, c *inspect.Container) string {
	return when(c.Asks.DockerSocket, "docker.sock is mounted")
}

// adminHolder: a privileged container has all capabilities, which is the finding of being privileged.
func adminHolder(_ *inspect.Snapshot, c *inspect.Container) string {
	for _, capability := range c.Asks.CapAdd {
		switch strings.TrimPrefix(strings.ToUpper(capability), "CAP_") {
		case "SYS_ADMIN", "ALL":
			return when(!c.Privileged, "--cap-add "+capability)
		}
	}
	return ""
}

func rawHolder(_ *inspect.Snapshot, c *inspect.Container) string {
	var raw []string
	for _, detail := range c.Grant.Detail {
		if strings.HasPrefix(detail, "--device /dev/nvidia") || strings.HasPrefix(detail, "--device-cgroup-rule") {
			raw = append(raw, detail)
		}
	}
	return strings.Join(raw, ", ")
}

// idleHolder: all GPUs of several, of which some have no process and no load.
func idleHolder(s *inspect.Snapshot, c *inspect.Container) string {
	if len(s.GPUs) < 2 || slices.Equal(c.Grant.By, []string{inspect.ByPrivileged}) {
		return ""
	}
	var idle []string
	for _, g := range s.GPUs {
		index := strconv.Itoa(g.Index)
		if !slices.Contains(c.Grant.GPUs, "all") && !slices.Contains(c.Grant.GPUs, index) {
			return ""
		}
		if g.Processes != nil && len(g.Processes) == 0 && g.GPUUtilPercent != nil && *g.GPUUtilPercent == 0 && g.Error == "" {
			idle = append(idle, index)
		}
	}
	switch len(idle) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("has all %d GPUs; GPU %s is idle", len(s.GPUs), idle[0])
	}
	return fmt.Sprintf("has all %d GPUs; GPUs %s are idle", len(s.GPUs), strings.Join(idle, ", "))
}

func defaultRuntimeNVIDIA(s *inspect.Snapshot) []Finding {
	e := s.Engine
	if e == nil || e.DefaultRuntime == "" || e.DefaultRuntime != "nvidia" && !strings.Contains(e.Runtimes[e.DefaultRuntime].Path, "nvidia-container-runtime") {
		return nil
	}
	if c := toolkitConfigOf(s); c != nil && c.AcceptEnvUnprivileged != nil && !*c.AcceptEnvUnprivileged {
		return nil // the variable of an image gives nothing
	}
	return []Finding{NewFinding("audit-default-runtime-nvidia", saw("engine", "default runtime %s", e.DefaultRuntime))}
}

func toolkitConfigOf(s *inspect.Snapshot) *inspect.ToolkitConfig {
	if s.Toolkit == nil {
		return nil
	}
	return s.Toolkit.Config
}

// byVariableAlone: nothing but the variable gave the GPU. Where the image set it, or the engine starts
// everything by the nvidia runtime, nobody even asked.
func byVariableAlone(s *inspect.Snapshot) []Finding {
	var found []Finding
	for i := range s.Containers {
		c := &s.Containers[i]
		byVariable := len(c.Grant.By) == 1 && (c.Grant.By[0] == inspect.ByRuntime || c.Grant.By[0] == inspect.ByDefaultRuntime)
		if !holds(s, c) || !byVariable || c.Privileged {
			continue
		}
		f := inContainer("audit-variable-from-unprivileged", c, ofContainer(c, "%s", strings.Join(c.Grant.Detail, ", ")))
		switch {
		case c.Asks.VisibleFromImage && c.Grant.By[0] == inspect.ByDefaultRuntime:
			f.Severity = Warning
			f.Evidence = append(f.Evidence, ofContainer(c, "the image %s sets it, and nvidia is the default runtime", c.Image))
		case c.Grant.By[0] == inspect.ByDefaultRuntime && c.Asks.LegacyImage && c.Asks.VisibleDevices == nil:
			f.Severity = Warning
			f.Evidence = append(f.Evidence, ofContainer(c, "the image %s is a legacy CUDA image, and nvidia is the default runtime", c.Image))
		}
		found = append(found, f)
	}
	return found
}

// sharedGPUs: one GPU, running containers of different compose projects; those of no project count as one.
func sharedGPUs(s *inspect.Snapshot) []Finding {
	holders := map[string][]*inspect.Container{}
	for i := range s.Containers {
		c := &s.Containers[i]
		if !holds(s, c) || slices.Equal(c.Grant.By, []string{inspect.ByPrivileged}) {
			continue
		}
		for _, gpu := range c.Grant.GPUs {
			holders[gpu] = append(holders[gpu], c)
		}
	}
	var evidence []Evidence
	for gpu, containers := range holders {
		projects := map[string]bool{}
		var names []string
		for _, c := range containers {
			projects[c.ComposeProject] = true
			name := c.Name
			if c.ComposeProject != "" {
				name += " (" + c.ComposeProject + ")"
			}
			names = append(names, name)
		}
		if len(projects) > 1 && gpu != "all" {
			slices.Sort(names)
			evidence = append(evidence, saw("GPU "+gpu, "%s", strings.Join(names, ", ")))
		}
	}
	if evidence == nil {
		return nil
	}
	slices.SortFunc(evidence, func(a, b Evidence) int { return strings.Compare(a.Source, b.Source) })
	return []Finding{NewFinding("audit-shared-gpu", evidence...)}
}

// hostProcesses: compute processes whose cgroup is known and names no container of any engine. A desktop's
// graphics are the desktop's.
func hostProcesses(s *inspect.Snapshot) []Finding {
	var evidence []Evidence
	see := func(g inspect.GPU, processes []inspect.GPUProcess) {
		for _, p := range processes {
			if p.Gone || p.ContainerID != "" || p.Cgroup == "" || len(inspect.ContainerIDs(p.Cgroup)) > 0 || !slices.Contains(p.Kinds, "compute") || p.MemoryUsedBytes != nil && *p.MemoryUsedBytes == 0 {
				continue
			}
			e := saw("nvml", "GPU %d: process %d (%s) in %s", g.Index, p.PID, p.Name, p.Cgroup)
			if p.MemoryUsedBytes != nil {
				e.Text += fmt.Sprintf(" holds %.1f GiB", gib(*p.MemoryUsedBytes))
			}
			evidence = append(evidence, e)
		}
	}
	for _, g := range s.GPUs {
		see(g, g.Processes)
		if g.MIG != nil {
			for _, d := range g.MIG.Devices {
				see(g, d.Processes)
			}
		}
	}
	if evidence == nil {
		return nil
	}
	return []Finding{NewFinding("audit-host-process", evidence[:min(len(evidence), 2*mostEvidence)]...)}
}

// Advisory is a security bulletin's entry: versions of the toolkit below Fixed are affected.
type Advisory struct {
	CVE      string `yaml:"cve"`
	Fixed    string `yaml:"fixed"`
	Summary  string `yaml:"summary"`
	Bulletin string `yaml:"bulletin"`
}

//go:embed advisories.yaml
var advisoriesFile []byte

// Advisories are those of the NVIDIA Container Toolkit, newest first. A faulty file panics, which a test
// excludes.
var Advisories = sync.OnceValue(func() []Advisory {
	var list []Advisory
	dec := yaml.NewDecoder(bytes.NewReader(advisoriesFile))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		panic(fmt.Errorf("fixes/advisories.yaml: %w", err))
	}
	return list
})

// toolkitAdvisories are found by the version installed; a version that is not known, or that comes from a
// build between releases, is none.
func toolkitAdvisories(s *inspect.Snapshot) []Finding {
	t := s.Toolkit
	if t == nil || !t.Installed || t.Version == "" || t.Version[0] < '0' || t.Version[0] > '9' {
		return nil
	}
	var evidence []Evidence
	newest := ""
	for _, a := range Advisories() {
		if compareDotted(t.Version, a.Fixed) >= 0 {
			continue
		}
		if newest == "" || compareDotted(a.Fixed, newest) > 0 {
			newest = a.Fixed
		}
		evidence = append(evidence, saw(a.CVE, "%s; corrected in %s (%s)", a.Summary, a.Fixed, a.Bulletin))
	}
	if evidence == nil {
		return nil
	}
	f := NewFinding("audit-toolkit-cve", append([]Evidence{saw("toolkit", "version %s", t.Version)}, evidence...)...)
	f.Steps = append([]string{"Update to " + newest + " or newer"}, f.Steps...)
	return []Finding{f}
}
