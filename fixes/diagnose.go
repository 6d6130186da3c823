package fixes

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// Check judges one root cause by the facts of a Snapshot alone.
type Check struct {
	ID       ID
	Needs    []string // sources of the Snapshot; where one of them failed, the check is unexamined
	HiddenBy []ID     // causes that explain this one, beside what the knowledge table says
	Decides  bool     // its facts can rule the cause out as well: an old message does not stand against them
	Logged   bool     // the kernel log alone can show it, where NVML hangs with the very fault
	Find     func(*inspect.Snapshot) []Finding
}

// Checks are all checks of diagnose. Their order means nothing: findings are sorted.
func Checks() []Check {
	return slices.Concat(hostChecks, engineChecks, containerChecks, projectChecks, hardwareChecks, swarmChecks)
}

// Diagnosis is the answer of diagnose. Related are messages that were seen and that the facts of now do
// not bear out. Unexamined are the checks whose sources failed: neither findings nor a clean bill.
type Diagnosis struct {
	Findings   []Finding `json:"findings"`
	Related    []Finding `json:"related"`
	Unexamined []ID      `json:"unexamined"`
}

// Bad tells if something of severity warning or above was found.
func (d Diagnosis) Bad() bool {
	return slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Severity.WarningOrWorse() })
}

// Scope narrows a diagnosis: to containers by name or id, and to findings by id. The zero value is all.
type Scope struct {
	Containers []string
	Only       []ID
}

// Has tells if a container was asked about by name or id.
func (sc Scope) Has(c *inspect.Container) bool {
	return slices.ContainsFunc(sc.Containers, func(want string) bool {
		return want == c.Name || len(want) >= 4 && strings.HasPrefix(c.ID, want)
	})
}

// Diagnose runs every check over the Snapshot, explains what its containers, engine and kernel said, and
// leaves one finding for one root cause, ordered by what to fix first.
func Diagnose(s *inspect.Snapshot, scope Scope) Diagnosis {
	d := Diagnosis{Findings: []Finding{}, Related: []Finding{}, Unexamined: []ID{}}
	var found []Finding
	ruledOut := map[ID]bool{}
	for _, check := range Checks() {
		logged := check.Logged && source(s, "nvml").TimedOut
		if !logged && slices.ContainsFunc(check.Needs, func(name string) bool { return unread(s, name) }) {
			d.Unexamined = append(d.Unexamined, check.ID)
			continue
		}
		some := check.Find(s)
		found = append(found, some...)
		switch {
		case len(some) > 0:
		case slices.ContainsFunc(check.Needs, func(name string) bool { return failed(source(s, name)) }):
			d.Unexamined = append(d.Unexamined, check.ID) // a part was read, and in that part was nothing
		case check.Decides:
			ruledOut[check.ID] = true
		}
	}
	if unseenInside(s) {
		d.Unexamined = append(d.Unexamined, "cgroup-device-lost")
	}
	found = append(found, notRequested(s, scope)...)
	said, doubtful := explainTexts(s, scope, ruledOut, found)
	found = fold(merge(append(found, said...)))
	if len(scope.Containers) > 0 { // the machine's own and those of the containers named
		found = slices.DeleteFunc(found, func(f Finding) bool {
			return f.Container != "" && !slices.ContainsFunc(s.Containers, func(c inspect.Container) bool { return c.Name == f.Container && scope.Has(&c) })
		})
	}
	if len(scope.Only) > 0 {
		other := func(id ID) bool { return !slices.Contains(scope.Only, id) }
		found = slices.DeleteFunc(found, func(f Finding) bool { return other(f.ID) })
		doubtful = slices.DeleteFunc(doubtful, func(f Finding) bool { return other(f.ID) })
		d.Unexamined = slices.DeleteFunc(d.Unexamined, other)
	}
	d.Findings = append(d.Findings, found...)
	d.Related = append(d.Related, merge(doubtful)...)
	d.Unexamined = slices.DeleteFunc(d.Unexamined, func(id ID) bool { // found by what was said, or explained by what was found
		return slices.ContainsFunc(d.Findings, func(f Finding) bool {
			return f.ID == id || slices.Contains(f.Folded, id) || f.Container == "" && f.Severity == Error && explains(f.ID, id)
		})
	})
	slices.Sort(d.Unexamined)
	d.Unexamined = slices.Compact(d.Unexamined)
	SortFindings(d.Findings)
	SortFindings(d.Related)
	return d
}

// merge joins findings of the same cause at the same place: their evidence adds up.
func merge(found []Finding) []Finding {
	var merged []Finding
	for _, f := range found {
		at := slices.IndexFunc(merged, func(m Finding) bool { return m.ID == f.ID && m.Container == f.Container })
		if at < 0 {
			f.Evidence = slices.Clone(f.Evidence)
			merged = append(merged, f)
			continue
		}
		m := &merged[at]
		if f.Severity.rank() < m.Severity.rank() {
			m.Severity = f.Severity
		}
		for _, e := range f.Evidence {
			if !slices.Contains(m.Evidence, e) {
				m.Evidence = append(m.Evidence, e)
			}
		}
	}
	return merged
}

// fold leaves the causes and puts their consequences under them. A container's finding explains nothing
// about another container or the machine.
func fold(found []Finding) []Finding {
	under := make([]int, len(found)) // the finding that explains this one, or -1
	for i, f := range found {
		under[i] = -1
		for j, g := range found {
			switch {
			case i == j || g.Severity == Info || g.Container != "" && g.Container != f.Container:
			case g.ID == f.ID:
				if g.Container == "" { // the machine's finding covers that of a container
					under[i] = j
				}
			case directly(g.ID, f.ID) && !(directly(f.ID, g.ID) && j > i):
				if under[i] < 0 || directly(g.ID, found[under[i]].ID) {
					under[i] = j
				}
			}
		}
	}
	var roots []Finding
	for i, f := range found {
		if under[i] >= 0 {
			continue
		}
		for j, consequence := range found {
			root, steps := j, 0
			for under[root] >= 0 && steps < len(found) {
				root, steps = under[root], steps+1
			}
			if root == i && j != i && consequence.ID != f.ID && !slices.Contains(f.Folded, consequence.ID) {
				f.Folded = append(f.Folded, consequence.ID)
			}
		}
		slices.Sort(f.Folded)
		roots = append(roots, f)
	}
	return roots
}

// directly is explains in one step. Between findings only that counts: an Xid may explain a lost device, a
// lost device a container without GPU, but the Xid nothing of a container that never had one.
func directly(cause, consequence ID) bool { return slices.Contains(causes()[cause], consequence) }

// explains tells if cause makes consequence appear: by the knowledge table or a check, in any number of steps.
func explains(cause, consequence ID) bool {
	return slices.Contains(consequences()[cause], consequence)
}

// failed tells if a source did not read all that it should have.
func failed(r inspect.Reading) bool { return r.Error != "" || r.Denied || r.TimedOut }

// unread tells if a source told nothing: it failed, or is not in this Snapshot at all, and its facts are
// not there either.
func unread(s *inspect.Snapshot, name string) bool {
	there := true
	switch name {
	case "engine":
		there = s.Engine != nil && s.Engine.Version != ""
	case "containers":
		there = s.Containers != nil
	case "host":
		there = s.Host != nil
	case "driver":
		there = s.Driver != nil && s.Driver.ModuleVersion != ""
	case "nvml":
		there = s.GPUs != nil || s.Driver != nil && s.Driver.NVMLError != "" // it answered, if with an error
	case "toolkit":
		there = s.Toolkit != nil
	case "cdi":
		there = s.CDI != nil
	case "daemon.json":
		there = s.Engine != nil && s.Engine.ConfigFile != nil
	case "kernel-log":
		there = s.KernelLog != nil
	case "project":
		there = s.Project != nil
	case "swarm": // an engine that manages none has nothing to tell
		there = s.Swarm != nil || s.Engine == nil || s.Engine.Swarm == nil || !s.Engine.Swarm.Manager
	}
	if there {
		return false
	}
	if name == "engine" && s.Engine == nil { // even one that nobody could ask has an endpoint
		return true
	}
	r := source(s, name)
	if r.Name == "" { // not asked: a project or a driver that is not mentioned is simply not there
		return name != "project" && name != "driver"
	}
	return failed(r) || r.Note != "" && !r.Absent
}

// SortFindings puts what to fix first in front: worst severity, the machine before its containers, what
// lies deeper before what stands on it, then the order of the knowledge table and the container's name.
func SortFindings(found []Finding) {
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(min(1, len(a.Container)), min(1, len(b.Container))),
			cmp.Compare(layer(a.Playbook), layer(b.Playbook)), cmp.Compare(Knowledge().order(a.ID), Knowledge().order(b.ID)), cmp.Compare(a.Container, b.Container))
	})
}

// layer is how deep the playbook's causes lie: a platform without GPU before a driver, a driver before
// the toolkit's specifications, those before a project's files.
func layer(playbook string) int {
	layers := []string{"platform", "hardware", "driver-mismatch", "gpu-not-detected", "permission-denied", "cdi", "lost-in-container", "compose", "out-of-memory"}
	if at := slices.Index(layers, playbook); at >= 0 {
		return at
	}
	return len(layers)
}

// causes are, for each cause, what it makes appear by the knowledge table or a check.
var causes = sync.OnceValue(func() map[ID][]ID {
	direct := map[ID][]ID{}
	for _, e := range Knowledge().Entries {
		direct[e.ID] = append(direct[e.ID], e.Explains...)
	}
	for _, check := range Checks() {
		for _, cause := range check.HiddenBy {
			direct[cause] = append(direct[cause], check.ID)
		}
	}
	return direct
})

// consequences are, for each cause, all that it makes appear, in any number of steps.
var consequences = sync.OnceValue(func() map[ID][]ID {
	direct, all := causes(), map[ID][]ID{}
	for cause := range direct {
		var follow func(ID)
		follow = func(id ID) {
			for _, next := range direct[id] {
				if next != cause && !slices.Contains(all[cause], next) {
					all[cause] = append(all[cause], next)
					follow(next)
				}
			}
		}
		follow(cause)
	}
	return all
})
