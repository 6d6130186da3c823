package inspect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// NVMLAnswer is one reading of NVML: what the child process writes and the parent reads. Absent says
// that there is no library, in words; Driver.NVMLError that there is one and it does not start.
type NVMLAnswer struct {
	Driver   *Driver   `json:"driver,omitempty"`
	GPUs     []GPU     `json:"gpus"`
	Topology *Topology `json:"topology,omitempty"`
	Absent   string    `json:"absent,omitempty"`
}

// nvmlRequest is what a line of input asks the child for.
type nvmlRequest struct{ topology bool }

// TopologyRequest is the line that asks the child for the wiring as well.
const TopologyRequest = "topology"

// NVMLSource reads the GPUs from NVML, by a child process that may hang or crash in the driver; where
// there is no NVML, from nvidia-smi.
var NVMLSource = Source{Name: "nvml", Local: true, Read: readNVML}

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
			if gpus := namedGPUs(readProcGPUs(m.Root)); gpus != nil {
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
			s.Driver.merge(answer.Driver)
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

// merge takes over what NVML knows of the driver.
func (d *Driver) merge(from *Driver) {
	if from.Version != "" {
		d.Version = from.Version
	}
	d.CUDAVersion, d.LibraryVersion, d.NVMLError, d.NVMLReturn = from.CUDAVersion, from.LibraryVersion, from.NVMLError, from.NVMLReturn
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

// ServeNVML answers each line of input with one reading as a line of JSON, until the input ends. It is
// what the child process does. An empty line asks for the GPUs, [TopologyRequest] for their wiring too.
func ServeNVML(ctx context.Context, in io.Reader, out io.Writer) error {
	session := newNVMLSession()
	defer session.stop()
	enc := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for ctx.Err() == nil && lines.Scan() {
		if err := enc.Encode(session.answer(nvmlRequest{topology: lines.Text() == TopologyRequest})); err != nil {
			return err
		}
	}
	return lines.Err()
}
