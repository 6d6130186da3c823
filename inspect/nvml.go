package inspect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// NVMLAnswer is one reading of NVML: what the child process writes and the parent reads. Absent says
// that there is no library, in words; Driver.NVMLError that there is one and it does not start.
type NVMLAnswer struct {
	Driver *Driver `json:"driver,omitempty"`
	GPUs   []GPU   `json:"gpus"`
	Absent string  `json:"absent,omitempty"`
}

// NVMLSource reads the GPUs from NVML, by a child process that may hang or crash in the driver.
var NVMLSource = Source{Name: "nvml", Local: true, Read: readNVML}

func readNVML(ctx context.Context, m Machine) (Patch, error) {
	if m.NVML == nil {
		return nil, fmt.Errorf("NVML is not read on this platform: %w", ErrAbsent)
	}
	answer, err := m.NVML(ctx)
	if err != nil {
		return nil, err
	}
	if answer.Absent != "" {
		return nil, fmt.Errorf("%s: %w", answer.Absent, ErrAbsent)
	}
	for g := range answer.GPUs {
		seeProcesses(m.Root, answer.GPUs[g].Processes)
		if mig := answer.GPUs[g].MIG; mig != nil {
			for d := range mig.Devices {
				seeProcesses(m.Root, mig.Devices[d].Processes)
			}
		}
	}
	patch := func(s *Snapshot) {
		if answer.Driver != nil {
			if s.Driver == nil {
				s.Driver = &Driver{}
			}
			s.Driver.merge(answer.Driver)
		}
		s.GPUs = answer.GPUs
	}
	if answer.Driver != nil && answer.Driver.NVMLError != "" {
		return patch, errors.New(answer.Driver.NVMLError)
	}
	return patch, nil
}

// merge takes over what NVML knows of the driver.
func (d *Driver) merge(from *Driver) {
	if from.Version != "" {
		d.Version = from.Version
	}
	d.CUDAVersion, d.LibraryVersion, d.NVMLError, d.NVMLReturn = from.CUDAVersion, from.LibraryVersion, from.NVMLError, from.NVMLReturn
}

// seeProcesses adds what /proc tells of a process: its name and its cgroup. NVML's PIDs are the host's.
func seeProcesses(root Root, processes []GPUProcess) {
	for i := range processes {
		folder := "/proc/" + strconv.Itoa(processes[i].PID)
		if processes[i].PID <= 0 {
			continue
		}
		processes[i].Name = root.ReadLine(folder + "/comm")
		if data, err := root.ReadFile(folder + "/cgroup"); err == nil {
			processes[i].Cgroup = processCgroup(data)
		}
	}
}

// ServeNVML answers each line of input with one reading as a line of JSON, until the input ends. It is
// what the child process does.
func ServeNVML(ctx context.Context, in io.Reader, out io.Writer) error {
	enc := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := enc.Encode(AnswerNVML(ctx)); err != nil {
			return err
		}
	}
	return nil
}
