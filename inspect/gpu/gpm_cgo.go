//go:build cgo && linux

package gpu

import (
	"math"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// NVML tells what a MIG device does by GPM alone: by two samples of a GPU instance's counters and what lies between
// them. The last sample of each instance is kept from one reading to the next.

// How far apart two samples may lie: the counters move every tenth of a second, and what was long ago is not now.
const (
	leastApart = 100 * time.Millisecond
	mostApart  = 10 * time.Minute
)

// gpmFunctions are of use only together: a library that lacks one is taken to lack all.
var gpmFunctions = []string{"nvmlGpmQueryDeviceSupport", "nvmlGpmSampleAlloc", "nvmlGpmSampleFree", "nvmlGpmMigSampleGet", "nvmlGpmMetricsGet"}

// gpmMeters are the meters of a session: one for each GPU instance that a MIG device has to itself.
type gpmMeters struct {
	supported map[int]bool // by GPU
	of        map[gpuInstance]*gpmMeter
	before    map[gpuInstance]gpmReading // what the meters told that ended when the library was started anew
	question  *nvml.GpmMetricsGetType    // of 19 KB: made once
	harms     bool                       // it takes away what is known without it: it is not asked any more
}

type gpuInstance struct{ gpu, id int }

// gpmReading is what was measured of a MIG device, which is part of it: a GPU instance's id is given to others later.
type gpmReading struct {
	device       string // UUID and profile
	util, memory *uint32
}

// gpmMeter measures one GPU instance.
type gpmMeter struct {
	gpmReading
	gpu        nvml.Device
	id         int
	last, next nvml.GpmSample
	at         time.Time // when the last sample had been taken; zero: there is none
	current    bool      // its device is still there
	remembered bool      // the device's memory was known
	forgotten  int       // readings in a row in which it was not any more
}

// mostForgotten is how many readings in a row may lack the memory of a MIG device that was known before. It is said of
// drivers 535 that it gets lost to whoever asks GPM: memory is worth more than utilisation.
const mostForgotten = 3

// utilizationOfMIG adds what the MIG devices do to GPUs of which everything else is read. It is the GPU that is asked,
// by the number of the instance. Where there is no MIG device, nothing is asked.
func (s *nvmlSession) utilizationOfMIG(devices []nvml.Device, gpus []GPU) {
	for i := range gpus {
		g := &gpus[i]
		if s.gpm.harms || devices[i] == nil || g.Error != "" || g.MIG == nil || len(g.MIG.Devices) == 0 || !s.hasGPM(i, devices[i]) {
			continue
		}
		for d := range g.MIG.Devices {
			device := &g.MIG.Devices[d]
			if !hasInstance(device, g.MIG.Devices) {
				continue
			}
			if m := s.meter(gpuInstance{i, *device.GPUInstanceID}, devices[i], device.UUID+" "+device.Profile); m != nil {
				m.current = true
				if m.misses(device.MemoryUsedBytes != nil) {
					s.gpm.harms = true
					s.since = s.now().Add(-restartAfter) // the library is whole again when it is started anew
					break
				}
				s.measureInstance(m)
				device.GPUUtilPercent, device.MemoryUtilPercent = m.util, m.memory
			}
		}
	}
	s.gpm.before = nil
	for instance, m := range s.gpm.of {
		if !m.current || s.gpm.harms {
			s.endMeter(instance)
		}
		m.current = false
	}
}

// hasInstance tells if a MIG device has a whole GPU instance to itself: neither with another, nor a part of it, as the
// profile 1c.3g.40gb is of one.
func hasInstance(d *MIGDevice, all []MIGDevice) bool {
	size, _, _ := strings.Cut(d.Profile, ".")
	if d.GPUInstanceID == nil || d.UUID == "" || strings.HasSuffix(size, "c") {
		return false
	}
	for i := range all {
		if all[i].Index != d.Index && (all[i].GPUInstanceID == nil || *all[i].GPUInstanceID == *d.GPUInstanceID) {
			return false
		}
	}
	return true
}

// hasGPM tells if a GPU can be measured, by this library.
func (s *nvmlSession) hasGPM(index int, d nvml.Device) bool {
	has, asked := s.gpm.supported[index]
	if !asked {
		has = true
		for _, symbol := range gpmFunctions {
			has = has && s.known(symbol)
		}
		if has {
			support, ret := d.GpmQueryDeviceSupport()
			has = ret == nvml.SUCCESS && support.IsSupportedDevice != 0
		}
		if s.gpm.supported == nil {
			s.gpm.supported, s.gpm.of = map[int]bool{}, map[gpuInstance]*gpmMeter{}
		}
		s.gpm.supported[index] = has
	}
	return has
}

// meter is the meter of a GPU instance, made where there is none for this device; nil where there is no memory for it.
func (s *nvmlSession) meter(of gpuInstance, d nvml.Device, device string) *gpmMeter {
	m := s.gpm.of[of]
	if m != nil && m.device != device {
		s.endMeter(of)
		m = nil
	}
	if m == nil {
		m = &gpmMeter{gpu: d, id: of.id, gpmReading: gpmReading{device: device}}
		var ret nvml.Return
		if m.last, ret = s.lib.GpmSampleAlloc(); ret != nvml.SUCCESS {
			return nil
		}
		if m.next, ret = s.lib.GpmSampleAlloc(); ret != nvml.SUCCESS {
			s.lib.GpmSampleFree(m.last)
			return nil
		}
		s.gpm.of[of] = m
		if told := s.gpm.before[of]; told.device == device {
			m.util, m.memory = told.util, told.memory
		}
	}
	return m
}

// measureInstance takes a sample, and tells what happened since the last one; soon after that, what it told then. Where that
// fails nothing is known, and the next sample is a first one.
func (s *nvmlSession) measureInstance(m *gpmMeter) {
	apart := s.now().Sub(m.at)
	if !m.at.IsZero() && apart <= leastApart {
		return
	}
	if m.gpu.GpmMigSampleGet(m.id, m.next) != nvml.SUCCESS {
		m.util, m.memory, m.at = nil, nil, time.Time{}
		return
	}
	if !m.at.IsZero() {
		m.util, m.memory = nil, nil
		if apart <= mostApart {
			m.util, m.memory = s.between(m.last, m.next)
		}
	}
	m.last, m.next, m.at = m.next, m.last, s.now()
}

// misses tells if a device's memory is not known any more since it is measured.
func (m *gpmMeter) misses(known bool) bool {
	if known || !m.remembered {
		m.remembered, m.forgotten = m.remembered || known, 0
		return false
	}
	m.forgotten++
	return m.forgotten >= mostForgotten
}

// between is what lies between two samples, in percent.
func (s *nvmlSession) between(last, next nvml.GpmSample) (util, memory *uint32) {
	if s.gpm.question == nil {
		s.gpm.question = &nvml.GpmMetricsGetType{}
	}
	q := s.gpm.question
	q.NumMetrics, q.Sample1, q.Sample2 = 2, last, next
	for i, id := range []nvml.GpmMetricId{nvml.GPM_METRIC_GRAPHICS_UTIL, nvml.GPM_METRIC_DRAM_BW_UTIL} {
		q.Metrics[i] = nvml.GpmMetric{MetricId: uint32(id), NvmlReturn: uint32(nvml.ERROR_UNKNOWN)}
	}
	if s.lib.GpmMetricsGet(q) != nvml.SUCCESS {
		return nil, nil
	}
	return gpmPercent(q.Metrics[0]), gpmPercent(q.Metrics[1])
}

// Two counters that are read one after the other may tell of a little more than there is.
const inaccuracy = 5

func gpmPercent(m nvml.GpmMetric) *uint32 {
	if nvml.Return(m.NvmlReturn) != nvml.SUCCESS || !(m.Value >= 0 && m.Value <= 100+inaccuracy) { // not a number: no time in between
		return nil
	}
	return ptr(uint32(math.Round(min(m.Value, 100))))
}

// lastOfGPM measures once more before the library is started anew, which samples do not survive: the reading after
// that tells it.
func (s *nvmlSession) lastOfGPM() map[gpuInstance]gpmReading {
	told := make(map[gpuInstance]gpmReading, len(s.gpm.of))
	for of, m := range s.gpm.of {
		s.measureInstance(m)
		told[of] = m.gpmReading
	}
	return told
}

// endGPM gives all samples back.
func (s *nvmlSession) endGPM() {
	for of := range s.gpm.of {
		s.endMeter(of)
	}
	s.gpm = gpmMeters{question: s.gpm.question, harms: s.gpm.harms}
}

// endMeter gives a meter's samples back.
func (s *nvmlSession) endMeter(of gpuInstance) {
	m := s.gpm.of[of]
	s.lib.GpmSampleFree(m.last)
	s.lib.GpmSampleFree(m.next)
	delete(s.gpm.of, of)
}
