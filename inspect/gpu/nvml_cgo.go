//go:build cgo && linux

package gpu

import (
	"fmt"
	"os"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// LibraryVariable names another NVML library than the one on the loader's path.
const LibraryVariable = "DOCKER_GPU_NVML_LIBRARY"

// restartAfter is how long a library stays started in a child that lives on: GPUs that were added, and
// those that were taken away, show up only when it starts.
const restartAfter = time.Minute

// nvmlSession is NVML in the child process: a call into a broken driver can hang or end it.
type nvmlSession struct {
	lib   nvml.Interface
	now   func() time.Time
	since time.Time // when the library was started; zero: it is not
	has   map[string]bool
	kept  map[int]keptGPU // by index
	links map[int]*linkMeter
	gpm   gpmMeters
	base  []nvml.Device // of the last whole answer, where figures alone can follow it; nil: they cannot
}

// keptFor is how long a child that lives on tells again what of a GPU stands still: what it is, its limits,
// modes and links. It is far the most of what there is to ask.
const keptFor = 10 * time.Second

type keptGPU struct {
	gpu   GPU // what stands still alone
	links bool
	at    time.Time
}

func newNVMLSession() *nvmlSession {
	var opts []nvml.LibraryOption
	if path := os.Getenv(LibraryVariable); path != "" {
		opts = append(opts, nvml.WithLibraryPath(path))
	}
	return &nvmlSession{lib: nvml.New(opts...), now: time.Now}
}

// start starts the library, or says why it does not.
func (s *nvmlSession) start() *Answer {
	if !s.since.IsZero() && s.now().Sub(s.since) < restartAfter {
		return nil
	}
	measured := s.lastOfGPM()
	s.stop()
	switch ret := s.lib.Init(); ret {
	case nvml.SUCCESS:
		s.gpm.before = measured
		s.since, s.has, s.kept, s.links = s.now(), map[string]bool{}, map[int]keptGPU{}, map[int]*linkMeter{}
		return nil
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		name := "libnvidia-ml.so.1"
		if path := os.Getenv(LibraryVariable); path != "" {
			name = path
		}
		return &Answer{Absent: name + " is not installed"}
	default:
		return &Answer{Driver: &Driver{NVMLError: words(ret), NVMLReturn: ptr(int(ret))}}
	}
}

func (s *nvmlSession) stop() {
	s.base = nil
	if !s.since.IsZero() {
		s.endMeasurements()
		s.endGPM()
		s.lib.Shutdown()
		s.since = time.Time{}
	}
}

// answer reads NVML once.
func (s *nvmlSession) answer(asked request) *Answer {
	if failed := s.start(); failed != nil {
		return failed
	}
	d := &Driver{}
	if v, ret := s.lib.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		d.Version, d.LibraryVersion = v, v
	}
	if v, ret := s.lib.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS { // 12080 is 12.8
		d.CUDAVersion = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	count, ret := s.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		d.NVMLError, d.NVMLReturn = words(ret), ptr(int(ret))
		s.stop()
		return &Answer{Driver: d}
	}
	answer := &Answer{Driver: d, GPUs: []GPU{}}
	devices := make([]nvml.Device, count)
	for i := range count {
		device, ret := s.lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			answer.GPUs = append(answer.GPUs, GPU{Index: i, Error: words(ret), NVMLReturn: ptr(int(ret))})
			continue
		}
		devices[i] = device
		if asked.measured() {
			s.measure(i, device)
		}
		answer.GPUs = append(answer.GPUs, GPU{Index: i})
	}
	for i, device := range devices {
		if device == nil {
			continue
		}
		g, kept := s.gpu(i, device, asked)
		switch {
		case !kept:
			answer.GPUs[i] = g
		case asked.moving:
			answer.GPUs[i], answer.Kept = g, append(answer.Kept, i)
		default:
			answer.GPUs[i] = g.WithStill(s.kept[i].gpu)
		}
	}
	if asked.measured() {
		for i := range answer.GPUs {
			s.addThroughput(&answer.GPUs[i])
		}
	}
	if asked.moving && (asked.shown == 0 || asked.shown&MovingUtilization != 0) {
		s.utilizationOfMIG(devices, answer.GPUs)
	}
	if asked.topology {
		answer.Topology = s.topology(devices, answer.GPUs)
	}
	s.base = devices
	for _, g := range answer.GPUs {
		if g.Error != "" || g.MIG != nil && g.MIG.Enabled { // more is told of them than figures and processes
			s.base = nil
		}
	}
	return answer
}

// figuresAlone reads figures of all GPUs and their processes; ok is whether that is all that there is to tell.
func (s *nvmlSession) figuresAlone(asked Moving) (gpus []GPU, ok bool) {
	if s.base == nil || s.now().Sub(s.since) >= restartAfter {
		return nil, false
	}
	measured := asked.measured()
	if measured {
		for i, device := range s.base {
			s.measure(i, device)
		}
	}
	gpus = make([]GPU, len(s.base))
	for i, device := range s.base {
		gpus[i].Index = i
		r := &nvmlReader{nvmlSession: s, device: device, gpu: &gpus[i]}
		r.part()
		r.moving(asked)
		r.gpu.Processes = r.processes(device, true)
		if r.gpu.Error != "" {
			s.base = nil
			return nil, false
		}
	}
	if measured {
		for i := range gpus {
			s.addThroughput(&gpus[i])
		}
	}
	return gpus, true
}

// gpu reads one GPU, anew what moves, and the rest where it was not read lately; kept says that it was, and that
// it is not in what is returned. The links to other GPUs, of which each takes four questions, are read where they are
// asked for.
func (s *nvmlSession) gpu(index int, device nvml.Device, asked request) (g GPU, kept bool) {
	links := asked.shown == 0
	if still, ok := s.kept[index]; ok && s.now().Sub(still.at) < keptFor && (still.links || !links) {
		r := &nvmlReader{nvmlSession: s, device: device, gpu: &GPU{Index: index, PCIe: still.gpu.PCIe, ECC: still.gpu.ECC}}
		if r.figures(asked.brief); r.gpu.Error == "" {
			return *r.gpu, true
		}
	}
	delete(s.kept, index) // a GPU that fails tells no more than it still answers
	r := &nvmlReader{nvmlSession: s, device: device, gpu: &GPU{Index: index}}
	r.still(links, asked.brief)
	if r.gpu.Error == "" && !asked.brief {
		s.kept[index] = keptGPU{*r.gpu, links, s.now()}
	}
	r.figures(asked.brief)
	return *r.gpu, false
}

// words are NVML's own for a return value. They are written here because nvmlErrorString needs the
// library, which may be what is missing.
func words(ret nvml.Return) string {
	switch ret {
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return "Driver Not Loaded"
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return "Driver/library version mismatch"
	case nvml.ERROR_NO_PERMISSION:
		return "Insufficient Permissions"
	case nvml.ERROR_GPU_IS_LOST:
		return "GPU is lost"
	case nvml.ERROR_RESET_REQUIRED:
		return "GPU requires reset"
	case nvml.ERROR_UNKNOWN:
		return "Unknown Error"
	}
	return nvml.ErrorString(ret)
}

// known tells if the library has a function. Not every driver has every one, and go-nvml binds them
// lazily: calling one that the library lacks ends the process. So each is looked up before it is called.
func (s *nvmlSession) known(symbol string) bool {
	has, asked := s.has[symbol]
	if !asked {
		has = s.lib.Extensions().LookupSymbol(symbol) == nil
		s.has[symbol] = has
	}
	return has
}

// nvmlReader reads one GPU.
type nvmlReader struct {
	*nvmlSession
	device nvml.Device
	gpu    *GPU
}

// note keeps what a call said of the GPU as a whole; a figure that is not supported is no error.
func (r *nvmlReader) note(ret nvml.Return) {
	if ret == nvml.ERROR_GPU_IS_LOST || ret == nvml.ERROR_RESET_REQUIRED {
		r.gpu.Error, r.gpu.NVMLReturn = words(ret), ptr(int(ret))
	}
}

// figure is what call returns, or nil where this library or this GPU does not have it.
func figure[T any](r *nvmlReader, symbol string, call func() (T, nvml.Return)) *T {
	if !r.known(symbol) {
		return nil
	}
	value, ret := call()
	if ret != nvml.SUCCESS {
		r.note(ret)
		return nil
	}
	return &value
}

// figureOf is a figure that NVML tells of a part: a clock, a threshold, a link.
func figureOf[P, T any](r *nvmlReader, symbol string, call func(P) (T, nvml.Return), part P) *T {
	return figure(r, symbol, func() (T, nvml.Return) { return call(part) })
}

func scaled[T uint32 | uint64](v *T, by float64) *float64 {
	if v == nil {
		return nil
	}
	return ptr(float64(*v) * by)
}

func signed[T uint32 | uint64](v *T) *int {
	if v == nil {
		return nil
	}
	return ptr(int(*v))
}
