package fixes

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/system"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// PlaybookNames are the names that `docker gpu fix` takes, beside the ids of findings.
var PlaybookNames = []string{"gpu-not-detected", "permission-denied", "out-of-memory", "driver-mismatch", "lost-in-container", "cdi", "compose", "hardware", "platform"}

// Target is where a plan is to be carried out: what a Snapshot does not hold.
type Target struct {
	Control EngineControl // nil: plans with no step for the engine
	Root    inspect.Root  // the machine's root folder
	User    string        // who is to get into groups
	Reading bool          // another machine's Snapshot: the plan is only to be read
	Wait    time.Duration // how long an engine may take to read its configuration again; 0: 20 seconds
}

// Manual is a finding for which there is no step that a program should take: what to do stands in words.
type Manual struct {
	Finding ID       `json:"finding"`
	Title   string   `json:"title"`
	Where   string   `json:"container,omitempty"`
	Why     string   `json:"why,omitempty"` // why docker gpu does not do it
	Steps   []string `json:"steps"`
}

// PlanFix lays out what mends the findings, what to fix first in front. It is a function of the Snapshot:
// whether a step is still needed, the step finds out itself.
func PlanFix(name string, s *inspect.Snapshot, found []Finding, target Target) (Plan, []Manual) {
	p := &planner{s: s, target: target}
	for _, f := range found {
		before := len(p.steps)
		p.reason, p.why, p.container = f.ID, "", f.Container
		if book, ok := playbooks[f.ID]; ok {
			book(p, f)
		}
		if len(p.steps) == before && !p.covered {
			p.manual = append(p.manual, Manual{f.ID, f.Title, f.Container, p.why, f.Steps})
		}
		p.covered = false
	}
	// What stops the machine comes last, whatever needs it; packages come before the settings that need them.
	slices.SortStableFunc(p.steps, func(a, b Step) int { return cmp.Compare(late(a), late(b)) })
	return Plan{Name: name, Steps: p.steps}, p.manual
}

func late(s Step) int {
	if s.Describe().Harm == HarmReboot {
		return 1
	}
	return 0
}

// playbooks lay out the steps for a finding. A finding without an entry is one that no program should
// mend by itself: the driver's version, an image, a broken card.
var playbooks = map[ID]func(*planner, Finding){}

func init() {
	for _, part := range []map[ID]func(*planner, Finding){hostPlaybooks, enginePlaybooks, containerPlaybooks} {
		maps.Copy(playbooks, part)
	}
}

// planner collects the steps of a plan.
type planner struct {
	s         *inspect.Snapshot
	target    Target
	steps     []Step
	manual    []Manual
	reason    ID
	container string
	why       string
	covered   bool // steps that another finding brought do for this one, too
}

// add appends steps that are not in the plan already: two findings may want the same.
func (p *planner) add(steps ...Step) {
	for _, s := range steps {
		text := s.Describe().Text
		if slices.ContainsFunc(p.steps, func(t Step) bool { return t.Describe().Text == text }) {
			p.covered = true
			continue
		}
		p.steps = append(p.steps, s)
	}
}

// at is a path of the machine as this process reaches it.
func (p *planner) at(path string) string {
	if p.target.Root == "" || p.target.Root == "/" {
		return path
	}
	return filepath.Join(string(p.target.Root), path)
}

// engineAt is a path as the engine's process sees it: where that process is not one of the root folder's
// machine but of this very system, so are its files.
func (p *planner) engineAt(path string) string {
	if e := p.s.Engine; e != nil && e.Process != nil && !p.target.Root.Exists("/proc/"+strconv.Itoa(e.Process.PID)) {
		return path
	}
	return p.at(path)
}

func (p *planner) describe(harm Harm, text string, command ...string) Description {
	return Description{Text: text, Reason: p.reason, Harm: harm, Root: true, Command: command}
}

func (p *planner) command(harm Harm, text string, command ...string) *CommandStep {
	return &CommandStep{Description: p.describe(harm, text, command...)}
}

// file sets the whole text of a file of docker gpu's own.
func (p *planner) file(text, path, content string) *FileStep {
	return &FileStep{Description: p.describe(HarmEdit, text), Path: p.at(path), Edit: func([]byte) ([]byte, error) { return []byte(content), nil }}
}

// toolkitSetting sets a key of the toolkit's config.toml.
func (p *planner) toolkitSetting(text, table, key string, value any) *FileStep {
	path := p.toolkitConfig()
	return &FileStep{Description: p.describe(HarmEdit, text+" in "+path), Path: p.engineAt(path), Edit: func(old []byte) ([]byte, error) { return EditTOML(path, old, table, key, value) }}
}

// toolkitConfig is the config.toml that the toolkit of this engine reads.
func (p *planner) toolkitConfig() string {
	if t := p.s.Toolkit; t != nil && t.Config != nil && t.Config.Path != "" {
		return t.Config.Path
	}
	return "/etc/nvidia-container-runtime/config.toml"
}

// family is the kind of package manager of the machine.
func (p *planner) family() string {
	if p.s.Host == nil {
		return ""
	}
	id := p.s.Host.OSID
	switch {
	case slices.Contains([]string{"debian", "ubuntu", "linuxmint", "pop", "raspbian", "kali", "elementary", "zorin", "neon"}, id):
		return "apt"
	case slices.Contains([]string{"fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn"}, id):
		return "dnf"
	case strings.HasPrefix(id, "opensuse") || id == "sles" || id == "sled":
		return "zypper"
	}
	return ""
}

// systemd tells if services are managed by systemctl.
func (p *planner) systemd() bool { return p.s.Host != nil && p.s.Host.Init == "systemd" }

// engineHere is the local engine that can be configured; where it cannot, why says so.
func (p *planner) engineHere() bool {
	e := p.s.Engine
	switch {
	case e == nil || e.Version == "":
		p.why = "no engine answers"
	case e.Desktop != nil && *e.Desktop:
		p.why = "Docker Desktop keeps the engine's settings itself: Settings > Docker Engine"
	case e.Location != "local":
		p.why = "the engine runs on another machine: run docker gpu fix there"
	case e.Snap != nil && *e.Snap:
		p.why = "Docker from snap cannot use the toolkit: move to Docker's own packages"
	case e.ConfigFile == nil:
		p.why = "it cannot be seen which file the engine reads"
	case e.ConfigFile.Problem != nil:
		p.why = problemAt(e.ConfigFile.Path, e.ConfigFile.Problem) + ": correct that first"
	case p.target.Control == nil && !p.target.Reading:
		p.why = "the engine cannot be asked"
	default:
		return true
	}
	return false
}

// problemAt says what of a file does not read, and where.
func problemAt(path string, problem *inspect.FileProblem) string {
	text := path + " does not parse"
	if problem.Line > 0 {
		text += fmt.Sprintf(" at line %d", problem.Line)
	}
	if problem.Column > 0 {
		text += fmt.Sprintf(", column %d", problem.Column)
	}
	if problem.Message != "" {
		text += " (" + problem.Message + ")"
	}
	return text
}

// engineSetting changes daemon.json and has the engine take it over.
func (p *planner) engineSetting(text string, restart bool, want func(system.Info) bool, changes ...JSONChange) *EngineConfigStep {
	e := p.s.Engine
	path := e.ConfigFile.Path
	step := &EngineConfigStep{
		FileStep: FileStep{Description: p.describe(HarmReload, text+" in "+path), Path: p.engineAt(path), Edit: func(old []byte) ([]byte, error) { return EditJSON(path, old, changes...) }},
		Service:  engineService{Control: p.target.Control, Endpoint: e.Endpoint, Root: p.target.Root, Process: e.Process, Restart: restart},
		Want:     want,
	}
	if !restart {
		step.Service.Wait = p.target.Wait
	}
	step.Description.Root = e.Rootless == nil || !*e.Rootless
	for _, c := range changes {
		if c.Value != nil && !slices.Contains(step.Keys, c.Path[0]) {
			step.Keys = append(step.Keys, c.Path[0])
		}
	}
	return step
}

// OneByOne is a step that is asked about each time, whatever was allowed: it ends somebody's work.
type OneByOne interface {
	Step
	OneByOne()
}

// endStep stops a program or container that holds a GPU.
type endStep struct{ *CommandStep }

func (endStep) OneByOne() {}

// CanForce tells if a finding may be planned for on the user's word alone: where its steps look for
// themselves whether they are needed.
func CanForce(id ID) bool { return enginePlaybooks[id] != nil || containerPlaybooks[id] != nil }
