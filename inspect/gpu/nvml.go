// Package gpu reads NVML, in a process of its own: a call into a broken driver can hang or end it. It holds
// the types of what NVML tells, which package inspect has under the same names, and imports next to nothing, so
// that the process need not wait for packages that it has no use for: see package nvmlchild.
package gpu

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Answer is one reading of NVML: what the child process writes and the parent reads. Absent says
// that there is no library, in words; Driver.NVMLError that there is one and it does not start.
type Answer struct {
	Driver   *Driver   `json:"driver,omitempty"`
	GPUs     []GPU     `json:"gpus"`
	Topology *Topology `json:"topology,omitempty"`
	Absent   string    `json:"absent,omitempty"`
	Kept     []int     `json:"kept,omitempty"` // GPUs of which only what moves is told: the rest is as in the answer before

	Unchanged bool `json:"-"` // it tells word for word what the answer before told, to the same question
}

// request is what a line of input asks the child for. Shown are the figures that a view shows which has no use for
// others, nor for the links between GPUs; 0: everything.
type request struct {
	topology, moving, brief bool
	shown                   Moving
}

// TopologyRequest is the line that asks the child for the wiring as well.
const TopologyRequest = "topology"

// BriefRequest is the line that asks the child to leave out what only a full listing shows and no check judges:
// energy, the highest clocks, how long the clocks were held down, what goes over the PCIe link. On an H100 those
// are two thirds of the time that the driver takes to answer for a GPU.
const BriefRequest = "brief"

// MovingRequest is the line that asks for no more of a GPU than what moves, where the rest was told in an answer
// before and is the same still: see [Answer.Kept].
const MovingRequest = "moving"

// Driver is NVIDIA's kernel driver and what NVML says of it.
type Driver struct {
	Version        string            `json:"version,omitempty"`       // NVML's, else the kernel module's
	CUDAVersion    string            `json:"cudaVersion,omitempty"`   // newest CUDA the driver serves: 12.8
	ModuleVersion  string            `json:"moduleVersion,omitempty"` // /proc/driver/nvidia/version
	ModuleFlavor   string            `json:"moduleFlavor,omitempty"`  // open, proprietary
	LibraryVersion string            `json:"libraryVersion,omitempty"`
	NVMLError      string            `json:"nvmlError,omitempty"` // NVML's own words where it does not start: Driver/library version mismatch
	NVMLReturn     *int              `json:"nvmlReturn,omitempty"`
	Params         map[string]string `json:"params,omitempty"` // /proc/driver/nvidia/params
	GPUs           []ProcGPU         `json:"gpus,omitempty"`   // /proc/driver/nvidia/gpus
}

// ProcGPU is a folder of /proc/driver/nvidia/gpus.
type ProcGPU struct {
	BusID    string `json:"busId"`
	Model    string `json:"model,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	Minor    *int   `json:"minor,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Excluded *bool  `json:"excluded,omitempty"`
}

// Merge takes over what NVML knows of the driver.
func (d *Driver) Merge(from *Driver) {
	if from.Version != "" {
		d.Version = from.Version
	}
	d.CUDAVersion, d.LibraryVersion, d.NVMLError, d.NVMLReturn = from.CUDAVersion, from.LibraryVersion, from.NVMLError, from.NVMLReturn
}

// Topology is how the GPUs are wired: to the processors and to one another.
type Topology struct {
	GPUs  []GPUPlace `json:"gpus"`
	Pairs []GPUPair  `json:"pairs"` // each pair once, A before B
}

// GPUPlace is where a GPU is attached.
type GPUPlace struct {
	Index        int    `json:"index"`
	CPUAffinity  string `json:"cpuAffinity,omitempty"`  // the processors nearest to it: 0-55,112-167
	NUMAAffinity string `json:"numaAffinity,omitempty"` // the memory nodes nearest to it: 0
	GPUNUMANode  *int   `json:"gpuNumaNode,omitempty"`  // the node that the GPU's own memory is, on Grace and the like
}

// GPUPair is the way from one GPU to another. Level is what the way over PCIe passes, in the words of
// nvidia-smi: PIX at most one switch, PXB several, PHB the host bridge, NODE host bridges of one NUMA
// node, SYS the link between NUMA nodes. NVLinks is the number of links that join the two, directly or
// through switches.
type GPUPair struct {
	A       int    `json:"a"`
	B       int    `json:"b"`
	Level   string `json:"level,omitempty"`
	NVLinks int    `json:"nvlinks,omitempty"`
}

// NVLinksBetween is the number of active links that join two GPUs. Behind switches every link of one GPU
// reaches every link of the other, so the smaller number counts.
func NVLinksBetween(a, b GPU) int {
	direct, switchesA, switchesB := 0, 0, 0
	for _, l := range a.NVLinks {
		switch {
		case l.Active == nil || !*l.Active:
		case l.RemoteType == "switch":
			switchesA++
		case l.Remote != "" && l.Remote == b.PCIBusID:
			direct++
		}
	}
	for _, l := range b.NVLinks {
		if l.Active != nil && *l.Active && l.RemoteType == "switch" {
			switchesB++
		}
	}
	return direct + min(switchesA, switchesB)
}

// ranges writes ascending numbers as the kernel writes lists: 0-3,8.
func ranges(numbers []int) string {
	var b strings.Builder
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(numbers[i]))
		if end > i {
			fmt.Fprintf(&b, "-%d", numbers[end])
		}
		i = end + 1
	}
	return b.String()
}

// Serve answers each line of input with one reading as a line of JSON, until the input ends. It is
// what the child process does. An empty line asks for the GPUs, [BriefRequest] for less of them, [TopologyRequest] for their wiring too,
// [MovingRequest] for what changed, and [Moving.Request] for some figures, which are told as a line of words where
// they are all that is new.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	session := newNVMLSession()
	defer session.stop()
	enc := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	var figures []byte
	for ctx.Err() == nil && lines.Scan() {
		asked, some := figuresAsked(lines.Text())
		if some {
			if gpus, ok := session.figuresAlone(asked); ok {
				figures = asked.pack(figures[:0], gpus)
				if _, err := out.Write(figures); err != nil {
					return err
				}
				continue
			}
		}
		if err := enc.Encode(session.answer(request{topology: lines.Text() == TopologyRequest, moving: some || lines.Text() == MovingRequest, brief: lines.Text() == BriefRequest, shown: asked})); err != nil {
			return err
		}
	}
	return lines.Err()
}

func ptr[T any](v T) *T { return &v }

func equal(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

// WithStill is a GPU of which only what moves was read, with what stands still as it was told before.
func (g GPU) WithStill(before GPU) GPU {
	moved := g
	g = before
	g.Error, g.NVMLReturn = moved.Error, moved.NVMLReturn
	g.MemoryTotalBytes, g.MemoryUsedBytes, g.MemoryFreeBytes, g.MemoryReservedBytes = moved.MemoryTotalBytes, moved.MemoryUsedBytes, moved.MemoryFreeBytes, moved.MemoryReservedBytes
	g.BAR1TotalBytes, g.BAR1UsedBytes = moved.BAR1TotalBytes, moved.BAR1UsedBytes
	g.GPUUtilPercent, g.MemoryUtilPercent = moved.GPUUtilPercent, moved.MemoryUtilPercent
	g.EncoderUtilPercent, g.DecoderUtilPercent, g.JPEGUtilPercent, g.OFAUtilPercent = moved.EncoderUtilPercent, moved.DecoderUtilPercent, moved.JPEGUtilPercent, moved.OFAUtilPercent
	g.TemperatureCelsius, g.MemoryTemperatureCelsius, g.FanPercent = moved.TemperatureCelsius, moved.MemoryTemperatureCelsius, moved.FanPercent
	g.PowerWatts, g.EnergyJoules = moved.PowerWatts, moved.EnergyJoules
	g.PowerViolationSeconds, g.ThermalViolationSeconds, g.SyncBoostViolationSeconds = moved.PowerViolationSeconds, moved.ThermalViolationSeconds, moved.SyncBoostViolationSeconds
	g.BoardLimitViolationSeconds, g.LowUtilizationViolationSeconds, g.ReliabilityViolationSeconds = moved.BoardLimitViolationSeconds, moved.LowUtilizationViolationSeconds, moved.ReliabilityViolationSeconds
	g.GraphicsClockMHz, g.SMClockMHz, g.MemoryClockMHz, g.VideoClockMHz = moved.GraphicsClockMHz, moved.SMClockMHz, moved.MemoryClockMHz, moved.VideoClockMHz
	g.PerformanceState, g.ThrottleReasons = moved.PerformanceState, moved.ThrottleReasons
	g.PCIe, g.ECC, g.MIG, g.Processes = moved.PCIe, moved.ECC, moved.MIG, moved.Processes
	return g
}
