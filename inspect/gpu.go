package inspect

import (
	"context"
	"io"

	"github.com/docker-gpu/docker-gpu/inspect/gpu"
)

// What NVML tells: see package gpu, which a child process reads it by.
type (
	GPU          = gpu.GPU
	GPUProcess   = gpu.GPUProcess
	PCIe         = gpu.PCIe
	ECC          = gpu.ECC
	RemappedRows = gpu.RemappedRows
	RetiredPages = gpu.RetiredPages
	MIG          = gpu.MIG
	MIGDevice    = gpu.MIGDevice
	NVLink       = gpu.NVLink
	Driver       = gpu.Driver
	ProcGPU      = gpu.ProcGPU
	Topology     = gpu.Topology
	GPUPlace     = gpu.GPUPlace
	GPUPair      = gpu.GPUPair
	NVMLAnswer   = gpu.Answer
	Moving       = gpu.Moving
)

const (
	// NVMLBuilt tells if this build can load NVML.
	NVMLBuilt = gpu.Built
	// TopologyRequest is the line that asks the child for the wiring as well.
	TopologyRequest = gpu.TopologyRequest
	BriefRequest    = gpu.BriefRequest
)

// The figures of GPUs that a view can ask for alone: see [gpu.Moving].
const (
	MovingUtilization       = gpu.MovingUtilization
	MovingMemory            = gpu.MovingMemory
	MovingBAR1              = gpu.MovingBAR1
	MovingTemperature       = gpu.MovingTemperature
	MovingMemoryTemperature = gpu.MovingMemoryTemperature
	MovingPower             = gpu.MovingPower
	MovingFan               = gpu.MovingFan
	MovingEncoder           = gpu.MovingEncoder
	MovingDecoder           = gpu.MovingDecoder
	MovingJPEG              = gpu.MovingJPEG
	MovingOFA               = gpu.MovingOFA
	MovingSMClock           = gpu.MovingSMClock
	MovingMemoryClock       = gpu.MovingMemoryClock
	MovingPowerViolation    = gpu.MovingPowerViolation
	MovingThermalViolation  = gpu.MovingThermalViolation
	MovingCorrectedErrors   = gpu.MovingCorrectedErrors
	MovingUncorrectedErrors = gpu.MovingUncorrectedErrors
	MovingReplays           = gpu.MovingReplays
	MovingReceived          = gpu.MovingReceived
	MovingSent              = gpu.MovingSent
	MovingPerformanceState  = gpu.MovingPerformanceState
	MovingThrottling        = gpu.MovingThrottling
)

// ServeNVML is [gpu.Serve], which the child process does.
func ServeNVML(ctx context.Context, in io.Reader, out io.Writer) error {
	return gpu.Serve(ctx, in, out)
}

// NVLinksBetween is [gpu.NVLinksBetween].
func NVLinksBetween(a, b GPU) int { return gpu.NVLinksBetween(a, b) }
