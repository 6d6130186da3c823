package inspect

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
	attribute(s, known)
}

// attribute gives the processes on GPUs to the containers that they run in: the outermost id of their
// cgroup that this engine knows, so that a nested engine's processes count for the container it runs in.
func attribute(s *Snapshot, known map[string]int) {
	for g := range s.GPUs {
		gpu := &s.GPUs[g]
		own(gpu.Processes, gpu.Index, s.Containers, known)
		if gpu.MIG != nil {
			for d := range gpu.MIG.Devices {
				own(gpu.MIG.Devices[d].Processes, gpu.Index, s.Containers, known)
			}
		}
	}
	for i := range s.Containers {
		sum(&s.Containers[i], s.GPUs != nil)
	}
}

func own(processes []GPUProcess, gpu int, containers []Container, known map[string]int) {
	for p := range processes {
		for _, id := range ContainerIDs(processes[p].Cgroup) {
			i, ok := known[id]
			if !ok {
				continue
			}
			processes[p].ContainerID = id
			c := &containers[i]
			if c.Usage == nil {
				c.Usage = &Usage{}
			}
			c.Usage.Processes = append(c.Usage.Processes, UsageProcess{GPU: gpu, GPUProcess: processes[p]})
			break
		}
	}
}

// sum adds a container's processes up. Memory is unknown where that of one process is; utilisation is
// the sum over its processes, so that two busy GPUs give up to 200.
func sum(c *Container, figures bool) {
	if c.Usage == nil {
		if !figures || len(c.Grant.By) == 0 {
			return
		}
		c.Usage = &Usage{Processes: []UsageProcess{}}
	}
	memory, known := uint64(0), true
	var util *uint32
	for _, p := range c.Usage.Processes {
		if p.MemoryUsedBytes == nil {
			known = false
		} else {
			memory += *p.MemoryUsedBytes
		}
		if p.GPUUtilPercent != nil {
			if util == nil {
				util = new(uint32)
			}
			*util += *p.GPUUtilPercent
		}
	}
	if known {
		c.Usage.MemoryUsedBytes = &memory
	}
	c.Usage.GPUUtilPercent = util
}
