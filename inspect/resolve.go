package inspect

import (
	"slices"
	"strconv"
	"strings"
)

// resolve joins facts of different sources: grants to GPUs, processes to containers, and the engine's
// word on its machine where that machine is not this one.
func resolve(s *Snapshot, elsewhere bool) {
	if e := s.Engine; e != nil {
		switch {
		case e.Desktop != nil && *e.Desktop:
			e.Location = "vm"
		case elsewhere:
			e.Location = "remote"
		default:
			e.Location = "local"
		}
	}
	if !elsewhere && s.GPUs == nil && s.Host != nil && s.Host.PCI != nil && len(s.Host.PCI) == 0 && s.Host.WSL == nil && s.Driver == nil {
		s.GPUs = []GPU{} // looked for and not there
	}
	if s.Containers == nil {
		return
	}
	known := map[string]int{}
	for i := range s.Containers {
		c := &s.Containers[i]
		known[c.ID] = i
		c.Grant = grant(s, c)
	}
	attribute(s, known, ContainerIDs)
}

// attribute gives the processes on GPUs to the containers that they run in: the outermost id of their
// cgroup that this engine knows, so that a nested engine's processes count for the container it runs in.
// Where the cgroup says nothing, what the engine's own list of processes said stands.
func attribute(s *Snapshot, known map[string]int, containerIDs func(cgroup string) []string) {
	for i := range s.Containers {
		s.Containers[i].Usage = nil
	}
	eachProcess(s.GPUs, func(at UsageProcess, p *GPUProcess) {
		for _, id := range containerIDs(p.Cgroup) {
			if _, ok := known[id]; ok {
				p.ContainerID = id
				break
			}
		}
		i, ok := known[p.ContainerID]
		if !ok {
			p.ContainerID = ""
			return
		}
		c := &s.Containers[i]
		if c.Usage == nil {
			c.Usage = &Usage{}
		}
		at.GPUProcess = *p
		c.Usage.Processes = append(c.Usage.Processes, at)
	})
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.Usage == nil && s.GPUs != nil && len(c.Grant.By) > 0 {
			c.Usage = &Usage{}
		}
		if c.Usage != nil {
			c.Usage.sum(processesKnown(s.GPUs, c.Grant, ownersKnown(s)))
		}
	}
}

// eachProcess visits every process of every GPU once. With MIG a process can stand in the GPU's own list
// and in its MIG device's: the device's counts.
func eachProcess(gpus []GPU, visit func(UsageProcess, *GPUProcess)) {
	for g := range gpus {
		gpu := &gpus[g]
		var inDevice map[int]bool
		if gpu.MIG != nil {
			inDevice = map[int]bool{}
			for d := range gpu.MIG.Devices {
				device := &gpu.MIG.Devices[d]
				for p := range device.Processes {
					inDevice[device.Processes[p].PID] = true
					visit(UsageProcess{GPU: gpu.Index, MIGDevice: &device.Index}, &device.Processes[p])
				}
			}
		}
		for p := range gpu.Processes {
			if !inDevice[gpu.Processes[p].PID] {
				visit(UsageProcess{GPU: gpu.Index}, &gpu.Processes[p])
			}
		}
	}
}

// ownersKnown tells if the engine was asked about the processes of which /proc says nothing: such a one may be any
// container's before.
func ownersKnown(s *Snapshot) bool {
	return slices.ContainsFunc(s.Sources, func(r Reading) bool {
		return r.Name == ProcessesSource.Name && r.Error == "" && !r.TimedOut
	})
}

// processesKnown tells if NVML listed the processes of every GPU that a grant names, and each is known to be a
// container's or nobody's; of all GPUs, where it names none that is there.
func processesKnown(gpus []GPU, grant Grant, ownersKnown bool) bool {
	unlisted := func(processes []GPUProcess) bool {
		return processes == nil || !ownersKnown && slices.ContainsFunc(processes, func(p GPUProcess) bool {
			return p.ContainerID == "" && p.Cgroup == "" && !p.Gone && p.PID > 0
		})
	}
	listed := func(g GPU) bool {
		if g.MIG == nil || !g.MIG.Enabled {
			return !unlisted(g.Processes)
		}
		return !slices.ContainsFunc(g.MIG.Devices, func(d MIGDevice) bool { return unlisted(d.Processes) })
	}
	all, named, namedListed := true, false, true
	for _, g := range gpus {
		all = all && listed(g)
		for _, name := range grant.GPUs {
			if index, _, _ := strings.Cut(name, ":"); index == strconv.Itoa(g.Index) {
				named, namedListed = true, namedListed && listed(g)
			}
		}
	}
	if named {
		return namedListed
	}
	return all
}

// sum adds the processes up. Memory is unknown where that of one process is, or where not all processes
// could be listed; utilisation is the sum, so that two busy GPUs give up to 200.
func (u *Usage) sum(allListed bool) {
	if u.Processes == nil {
		u.Processes = []UsageProcess{}
	}
	memory, known := uint64(0), allListed
	u.MemoryUsedBytes, u.GPUUtilPercent = nil, nil
	for _, p := range u.Processes {
		if p.MemoryUsedBytes == nil {
			known = false
		} else {
			memory += *p.MemoryUsedBytes
		}
		if p.GPUUtilPercent != nil {
			if u.GPUUtilPercent == nil {
				u.GPUUtilPercent = new(uint32)
			}
			*u.GPUUtilPercent += *p.GPUUtilPercent
		}
	}
	if known {
		u.MemoryUsedBytes = &memory
	}
}

// Keep leaves only the processes that keep lets through, and sums them up anew.
func (u *Usage) Keep(keep func(UsageProcess) bool) {
	u.Processes = slices.DeleteFunc(slices.Clone(u.Processes), func(p UsageProcess) bool { return !keep(p) })
	u.sum(true)
}

// HostUsage is what processes use that run in no container of the engine, as far as NVML lists them; nil
// where it lists none of any GPU.
func HostUsage(s *Snapshot) *Usage {
	u := &Usage{Processes: []UsageProcess{}}
	listed := false
	for _, g := range s.GPUs {
		listed = listed || g.Processes != nil || g.MIG != nil && g.MIG.Enabled
	}
	if !listed {
		return nil
	}
	eachProcess(s.GPUs, func(at UsageProcess, p *GPUProcess) {
		if p.ContainerID == "" {
			at.GPUProcess = *p
			u.Processes = append(u.Processes, at)
		}
	})
	u.sum(true)
	return u
}
