package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// NVMLSource reads the GPUs from NVML, by a child process that may hang or crash in the driver; where
// there is no NVML, from nvidia-smi.
var NVMLSource = Source{Name: "nvml", Local: true, Read: readNVML}

// NVMLBriefSource is [NVMLSource] without the figures that only a full listing shows: energy, the highest clocks, how
// long the clocks were held down, what goes over the PCIe link. It takes about half the time.
var NVMLBriefSource = Source{Name: NVMLSource.Name, Local: true, Read: func(ctx context.Context, m Machine) (Patch, error) {
	if m.NVMLBrief == nil {
		return readNVML(ctx, m)
	}
	return readNVMLBy(ctx, m, m.NVMLBrief)
}}

func readNVML(ctx context.Context, m Machine) (Patch, error) {
	return readNVMLBy(ctx, m, m.NVML)
}

func readNVMLBy(ctx context.Context, m Machine, ask func(context.Context) (*NVMLAnswer, error)) (Patch, error) {
	answer := &NVMLAnswer{Absent: "NVML is not read on this platform"}
	if ask != nil {
		var err error
		if answer, err = ask(ctx); err != nil {
			return nil, err
		}
	}
	var note error
	if answer.Absent != "" {
		other, err := readNVIDIASMI(ctx, m.Run)
		if errors.Is(err, ErrAbsent) {
			err := fmt.Errorf("%s: %w", answer.Absent, ErrAbsent)
			known, unreadErr := readProcGPUs(m.Root)
			if unreadErr != nil { // how many there are is not known
				return nil, fmt.Errorf("%s; %w", answer.Absent, unreadErr)
			}
			if gpus := namedGPUs(known); gpus != nil {
				return func(s *Snapshot) { s.GPUs = gpus }, err
			}
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		note = noted(answer.Absent + ": read from nvidia-smi")
		answer = other
	}
	seeProcesses(m, answer.GPUs)
	patch := func(s *Snapshot) {
		if answer.Driver != nil {
			if s.Driver == nil {
				s.Driver = &Driver{}
			}
			s.Driver.Merge(answer.Driver)
			nameSilent(answer.GPUs, s.Driver.GPUs)
		}
		s.GPUs = answer.GPUs
		if answer.Topology != nil {
			s.Topology = answer.Topology
		}
	}
	if answer.Driver != nil && answer.Driver.NVMLError != "" {
		return patch, errors.New(answer.Driver.NVMLError)
	}
	return patch, note
}

// nameSilent gives a GPU that NVML cannot even find its name from /proc/driver/nvidia: both count the GPUs
// in the order of their addresses.
func nameSilent(gpus []GPU, known []ProcGPU) {
	if len(gpus) != len(known) {
		return
	}
	known = slices.SortedFunc(slices.Values(known), func(a, b ProcGPU) int { return strings.Compare(a.BusID, b.BusID) })
	for i := range gpus {
		g, p := &gpus[i], known[i]
		if g.Error == "" || g.PCIBusID != "" {
			continue
		}
		g.PCIBusID, g.Name, g.Minor = p.BusID, p.Model, p.Minor
		if g.UUID == "" {
			g.UUID = p.UUID
		}
	}
}
