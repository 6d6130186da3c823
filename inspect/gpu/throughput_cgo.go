//go:build cgo && linux

package gpu

import (
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// NVML measures the throughput of a PCIe link over 20 ms, and its call takes that long, for each direction of each
// GPU: a third of a second for eight of them, one after the other. So all are measured at once, and while everything
// else is read. A reading that comes soon after another does not even wait for that: it tells what was measured
// since the one before.

// throughputFor is how old what it tells may be.
const throughputFor = 2 * time.Second

// throughput is one measurement of a GPU's link, in bytes a second.
type throughput struct {
	at     time.Time
	tx, rx *uint64
}

// linkMeter measures one GPU's link.
type linkMeter struct {
	last    throughput
	running chan throughput // nil: no measurement is under way
}

// measure starts a measurement where none is under way.
func (s *nvmlSession) measure(index int, device nvml.Device) {
	if !s.known("nvmlDeviceGetPcieThroughput") {
		return
	}
	m := s.links[index]
	if m == nil {
		m = &linkMeter{}
		s.links[index] = m
	}
	if m.running != nil {
		select {
		case m.last = <-m.running:
		default:
			return
		}
	}
	m.running = make(chan throughput, 1)
	go func(done chan<- throughput) {
		var both [2]*uint64
		var all sync.WaitGroup
		for i, counter := range []nvml.PcieUtilCounter{nvml.PCIE_UTIL_TX_BYTES, nvml.PCIE_UTIL_RX_BYTES} {
			all.Go(func() {
				if v, ret := device.GetPcieThroughput(counter); ret == nvml.SUCCESS { // KiB a second
					both[i] = ptr(uint64(v) << 10)
				}
			})
		}
		all.Wait()
		done <- throughput{s.now(), both[0], both[1]}
	}(m.running)
}

// addThroughput tells what was measured, and waits for it where that is too old.
func (s *nvmlSession) addThroughput(g *GPU) {
	m := s.links[g.Index]
	if m == nil {
		return
	}
	if m.running != nil {
		fresh := s.now().Sub(m.last.at) < throughputFor
		select {
		case m.last = <-m.running:
			m.running = nil
		default:
			if !fresh {
				m.last, m.running = <-m.running, nil
			}
		}
	}
	if m.last.tx == nil && m.last.rx == nil || g.Error != "" {
		return
	}
	p := PCIe{}
	if g.PCIe != nil {
		p = *g.PCIe
	}
	p.TxBytesPerSecond, p.RxBytesPerSecond = m.last.tx, m.last.rx
	g.PCIe = &p
}

// endMeasurements waits for those under way: the library may not be shut down below them.
func (s *nvmlSession) endMeasurements() {
	for _, m := range s.links {
		if m.running != nil {
			<-m.running
		}
	}
	s.links = map[int]*linkMeter{}
}
