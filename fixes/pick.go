package fixes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// How a pick chooses among GPUs that will do.
const (
	PreferIdle   = "idle"   // the least loaded
	PreferPacked = "packed" // the fullest that still has room: shares GPUs, keeps others free for large starts
	PreferNVLink = "nvlink" // those that are joined by most NVLinks
)

// Wish is what a start wants.
type Wish struct {
	Count      int
	FreeMemory uint64  // bytes that must be free on each
	MaxUtil    *uint32 // percent; nil: any
	Prefer     string
}

// Candidate is a GPU or a MIG device that could be picked.
type Candidate struct {
	GPU         string  `json:"gpu"` // index: 0, or 0:1 of a MIG device
	UUID        string  `json:"uuid"`
	Name        string  `json:"name,omitempty"`
	FreeBytes   *uint64 `json:"memoryFreeBytes,omitempty"`
	TotalBytes  *uint64 `json:"memoryTotalBytes,omitempty"`
	UtilPercent *uint32 `json:"gpuUtilPercent,omitempty"` // the highest that was seen
	Processes   int     `json:"processes"`
	Picked      bool    `json:"picked"`
	Why         string  `json:"why"`
	out         string  // why nobody may have it
	position    int
	parent      int
}

// Candidates are the GPUs of a Snapshot, MIG devices in place of GPUs that are divided. Readings of a
// moment later add to the first: a GPU is as busy as it was at its busiest, and has as much free as at
// its fullest.
func Candidates(first *inspect.Snapshot, later ...*inspect.Snapshot) []Candidate {
	all := candidates(first)
	for _, s := range later {
		for _, again := range candidates(s) {
			at := slices.IndexFunc(all, func(c Candidate) bool { return c.UUID == again.UUID })
			if at < 0 {
				continue
			}
			c := &all[at]
			if again.UtilPercent != nil && (c.UtilPercent == nil || *again.UtilPercent > *c.UtilPercent) {
				c.UtilPercent = again.UtilPercent
			}
			if again.FreeBytes != nil && (c.FreeBytes == nil || *again.FreeBytes < *c.FreeBytes) {
				c.FreeBytes = again.FreeBytes
			}
			c.Processes = max(c.Processes, again.Processes)
			if again.out != "" {
				c.out = again.out
			}
		}
	}
	return all
}

func candidates(s *inspect.Snapshot) []Candidate {
	var all []Candidate
	for i := range s.GPUs {
		g := &s.GPUs[i]
		c := Candidate{GPU: fmt.Sprint(g.Index), UUID: g.UUID, Name: g.Name, FreeBytes: g.MemoryFreeBytes, TotalBytes: g.MemoryTotalBytes, UtilPercent: g.GPUUtilPercent, Processes: len(g.Processes), position: len(all), parent: g.Index}
		switch {
		case g.Error != "":
			c.out = g.Error
		case g.UUID == "":
			c.out = "its UUID is not known"
		case g.ComputeMode == "prohibited":
			c.out = "compute mode prohibited"
		case g.ComputeMode == "exclusive-process" && slices.ContainsFunc(g.Processes, func(p inspect.GPUProcess) bool { return slices.Contains(p.Kinds, "compute") }):
			c.out = "held by a process in exclusive compute mode"
		}
		if g.MIG == nil || !g.MIG.Enabled || c.out != "" {
			all = append(all, c)
			continue
		}
		for _, d := range g.MIG.Devices {
			all = append(all, Candidate{GPU: fmt.Sprintf("%d:%d", g.Index, d.Index), UUID: d.UUID, Name: strings.TrimSpace(g.Name + " MIG " + d.Profile), FreeBytes: d.MemoryFreeBytes, TotalBytes: d.MemoryTotalBytes,
				Processes: len(d.Processes), position: len(all), parent: g.Index})
		}
	}
	return all
}

// Choose picks from candidates those that fit a wish best. taken says of a UUID why it is not to be had;
// it is asked for each in the order of preference, until enough are found, so that it may take leases.
// All are returned, with the reason for each; picked are those that were chosen, nil where there are too few.
func Choose(s *inspect.Snapshot, all []Candidate, wish Wish, taken func(Candidate) string) (picked []Candidate, considered []Candidate) {
	considered = slices.Clone(all)
	var fit []*Candidate
	for i := range considered {
		c := &considered[i]
		if c.Why = unfit(c, wish); c.Why == "" {
			fit = append(fit, c)
		}
	}
	order(fit, wish.Prefer)
	if wish.Prefer == PreferNVLink && wish.Count > 1 {
		fit = joined(s, fit, wish.Count)
	}
	for _, c := range fit {
		if len(picked) == wish.Count {
			c.Why = "not needed: " + load(c)
			continue
		}
		if c.Why = taken(*c); c.Why == "" {
			c.Why, c.Picked = load(c), true
			picked = append(picked, *c)
		}
	}
	if len(picked) < wish.Count {
		for i := range considered {
			if considered[i].Picked {
				considered[i].Picked, considered[i].Why = false, fmt.Sprintf("would do, but %d are wanted", wish.Count)
			}
		}
		return nil, considered
	}
	return picked, considered
}

// unfit says why a GPU does not fulfil a wish, or "".
func unfit(c *Candidate, wish Wish) string {
	switch {
	case c.out != "":
		return c.out
	case wish.FreeMemory > 0 && c.FreeBytes == nil:
		return "its free memory is not known"
	case wish.FreeMemory > 0 && *c.FreeBytes < wish.FreeMemory:
		return fmt.Sprintf("%s free, %s wanted", gibibytes(*c.FreeBytes), gibibytes(wish.FreeMemory))
	case wish.MaxUtil != nil && c.UtilPercent == nil:
		return "its utilisation is not known"
	case wish.MaxUtil != nil && *c.UtilPercent > *wish.MaxUtil:
		return fmt.Sprintf("%d %% busy, at most %d %% wanted", *c.UtilPercent, *wish.MaxUtil)
	}
	return ""
}

func load(c *Candidate) string {
	var parts []string
	if c.UtilPercent != nil {
		parts = append(parts, fmt.Sprintf("%d %% busy", *c.UtilPercent))
	}
	if c.FreeBytes != nil {
		parts = append(parts, gibibytes(*c.FreeBytes)+" free")
	}
	switch c.Processes {
	case 0:
		parts = append(parts, "no process")
	case 1:
		parts = append(parts, "1 process")
	default:
		parts = append(parts, fmt.Sprintf("%d processes", c.Processes))
	}
	return strings.Join(parts, ", ")
}

func gibibytes(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// order puts the best first. What is not known counts as nothing.
func order(fit []*Candidate, prefer string) {
	util := func(c *Candidate) uint32 {
		if c.UtilPercent == nil {
			return 0
		}
		return *c.UtilPercent
	}
	used := func(c *Candidate) float64 { // share of the memory in use
		if c.FreeBytes == nil || c.TotalBytes == nil || *c.TotalBytes == 0 {
			return 0
		}
		return 1 - float64(*c.FreeBytes)/float64(*c.TotalBytes)
	}
	slices.SortStableFunc(fit, func(a, b *Candidate) int {
		if prefer == PreferPacked {
			return cmp.Or(cmp.Compare(used(b), used(a)), cmp.Compare(util(a), util(b)), cmp.Compare(a.position, b.position))
		}
		return cmp.Or(cmp.Compare(util(a)/5, util(b)/5), cmp.Compare(int(used(a)*20), int(used(b)*20)), cmp.Compare(a.Processes, b.Processes), cmp.Compare(used(a), used(b)), cmp.Compare(a.position, b.position))
	})
}

// joined puts that group of count GPUs in front which has most NVLinks among its members, the less loaded
// one where several have; then the rest.
func joined(s *inspect.Snapshot, fit []*Candidate, count int) []*Candidate {
	if len(fit) <= count || len(fit) > 20 {
		return fit
	}
	gpus := map[int]inspect.GPU{}
	for _, g := range s.GPUs {
		gpus[g.Index] = g
	}
	links := make([][]int, len(fit))
	for i := range fit {
		links[i] = make([]int, len(fit))
		for j := range i {
			if fit[i].parent != fit[j].parent {
				links[i][j] = inspect.NVLinksBetween(gpus[fit[i].parent], gpus[fit[j].parent])
				links[j][i] = links[i][j]
			}
		}
	}
	best, most := []int(nil), -1
	group := make([]int, 0, count)
	var search func(from, sum int)
	search = func(from, sum int) { // in the order of load: the first group with a sum is the least loaded
		if len(group) == count {
			if sum > most {
				best, most = slices.Clone(group), sum
			}
			return
		}
		for i := from; i <= len(fit)-(count-len(group)); i++ {
			more := 0
			for _, j := range group {
				more += links[i][j]
			}
			group = append(group, i)
			search(i+1, sum+more)
			group = group[:len(group)-1]
		}
	}
	search(0, 0)
	ordered := make([]*Candidate, 0, len(fit))
	for _, i := range best {
		ordered = append(ordered, fit[i])
	}
	for i, c := range fit {
		if !slices.Contains(best, i) {
			ordered = append(ordered, c)
		}
	}
	return ordered
}
