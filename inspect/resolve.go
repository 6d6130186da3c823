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
		c.Usage.Processes = append(c.Usage.Processes, at.aloneOn(s.GPUs))
	})
	listed := listedGPUs(s)
	for i := range s.Containers {
		c := &s.Containers[i]
		if c.Usage == nil && s.GPUs != nil && len(c.Grant.By) > 0 {
			c.Usage = &Usage{}
		}
		if c.Usage != nil {
			c.Usage.sum(listed.all || listed.of(c.Grant))
			c.Usage.addMIG(s.GPUs, c.ID)
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

// ownerless tells if nothing says yet which container a process runs in, or that it runs in none.
func ownerless(p *GPUProcess) bool {
	return p.ContainerID == "" && p.Cgroup == "" && !p.Gone && p.PID > 0
}

// listed says of which GPUs NVML listed all processes, each of them known to be a container's or nobody's.
type listed struct {
	all   bool
	byGPU map[string]bool // by index
}

func listedGPUs(s *Snapshot) listed {
	asked := ownersKnown(s)
	unlisted := func(processes []GPUProcess) bool {
		return processes == nil || !asked && slices.ContainsFunc(processes, func(p GPUProcess) bool { return ownerless(&p) })
	}
	l := listed{all: true, byGPU: make(map[string]bool, len(s.GPUs))}
	for i := range s.GPUs {
		g := &s.GPUs[i]
		known := false
		if g.MIG == nil || !g.MIG.Enabled {
			known = !unlisted(g.Processes)
		} else {
			known = !slices.ContainsFunc(g.MIG.Devices, func(d MIGDevice) bool { return unlisted(d.Processes) })
		}
		l.all = l.all && known
		l.byGPU[strconv.Itoa(g.Index)] = known
	}
	return l
}

// of is about the GPUs that a grant names; about all GPUs, where it names none that is there.
func (l listed) of(grant Grant) bool {
	named, all := false, true
	for _, name := range grant.GPUs {
		index, _, _ := strings.Cut(name, ":")
		if known, there := l.byGPU[index]; there {
			named, all = true, all && known
		}
	}
	if named {
		return all
	}
	return l.all
}

// sum adds the processes up. Memory is unknown where that of one process is, or where not all processes
// could be listed; utilisation is the sum, so that two busy GPUs give up to 200. What is done on MIG devices is not
// in it: see addMIG.
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
		if p.GPUUtilPercent != nil && p.MIGDevice == nil {
			u.addUtil(*p.GPUUtilPercent)
		}
	}
	if known {
		u.MemoryUsedBytes = &memory
	}
}

func (u *Usage) addUtil(percent uint32) {
	if u.GPUUtilPercent == nil {
		u.GPUUtilPercent = new(uint32)
	}
	*u.GPUUtilPercent += percent
}

// addMIG adds the utilisation of the MIG devices that the processes are on, each up to 100. What a process does on one
// is not known, only what all do on it together: so nothing is added unless every device's utilisation is known and all
// of its processes are the owner's, a container by its id or, without one, nobody's.
func (u *Usage) addMIG(gpus []GPU, owner string) {
	var held []*MIGDevice
	for _, p := range u.Processes {
		d := p.migDevice(gpus)
		if d == nil || slices.Contains(held, d) {
			continue
		}
		if d.GPUUtilPercent == nil || slices.ContainsFunc(d.Processes, func(p GPUProcess) bool { return p.ContainerID != owner }) {
			return
		}
		held = append(held, d)
	}
	for _, d := range held {
		u.addUtil(*d.GPUUtilPercent)
	}
}

// migDevice is the MIG device that a process is on; nil: it is on none.
func (p *UsageProcess) migDevice(gpus []GPU) *MIGDevice {
	if p.MIGDevice == nil {
		return nil
	}
	for g := range gpus {
		if gpus[g].Index != p.GPU || gpus[g].MIG == nil {
			continue
		}
		for d := range gpus[g].MIG.Devices {
			if device := &gpus[g].MIG.Devices[d]; device.Index == *p.MIGDevice {
				return device
			}
		}
	}
	return nil
}

// aloneOn is the process with the utilisation of the MIG device that no other is on.
func (p UsageProcess) aloneOn(gpus []GPU) UsageProcess {
	if d := p.migDevice(gpus); d != nil && len(d.Processes) == 1 {
		p.GPUUtilPercent, p.MemoryUtilPercent = d.GPUUtilPercent, d.MemoryUtilPercent
	}
	return p
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
			u.Processes = append(u.Processes, at.aloneOn(s.GPUs))
		}
	})
	u.sum(true)
	u.addMIG(s.GPUs, "")
	return u
}
