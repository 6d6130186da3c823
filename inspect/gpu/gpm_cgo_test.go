//go:build cgo && linux

package gpu

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

// migMachine is one GPU that is cut into pieces, and what NVML is asked of their utilisation.
type migMachine struct {
	session   *nvmlSession
	clock     time.Time
	mode      int
	pieces    []migPiece
	supported uint32
	support   nvml.Return
	alloc     nvml.Return
	take      nvml.Return
	metrics   nvml.Return
	util      nvml.GpmMetric
	samples   map[*mock.GpmSample]int // that are not freed: the instance that they are of
	asked     int                     // of GPM altogether
	memory    func() nvml.Return
}

type migPiece struct {
	uuid, profile string
	instance      int
}

func newMIGMachine(without ...string) *migMachine {
	m := &migMachine{clock: time.Unix(1_000_000, 0), mode: nvml.DEVICE_MIG_ENABLE, supported: 1, util: nvml.GpmMetric{Value: 73.6}, samples: map[*mock.GpmSample]int{},
		pieces: []migPiece{{"MIG-a", "3g.40gb", 1}, {"MIG-b", "1g.10gb", 9}}}
	m.memory = func() nvml.Return { return nvml.SUCCESS }
	d := dgxh100.NewDevice(0)
	d.GetMigModeFunc = func() (int, int, nvml.Return) { return m.mode, m.mode, nvml.SUCCESS }
	d.GetMaxMigDeviceCountFunc = func() (int, nvml.Return) { return 7, nvml.SUCCESS }
	d.GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i >= len(m.pieces) {
			return nil, nvml.ERROR_NOT_FOUND
		}
		p := m.pieces[i]
		return &mock.Device{
			GetUUIDFunc:          func() (string, nvml.Return) { return p.uuid, nvml.SUCCESS },
			GetNameFunc:          func() (string, nvml.Return) { return "NVIDIA H100 80GB HBM3 MIG " + p.profile, nvml.SUCCESS },
			GetGpuInstanceIdFunc: func() (int, nvml.Return) { return p.instance, nvml.SUCCESS },
			GetMemoryInfoFunc:    func() (nvml.Memory, nvml.Return) { return nvml.Memory{Used: 7}, m.memory() },
		}, nvml.SUCCESS
	}
	d.GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) {
		m.asked++
		return nvml.GpmSupport{IsSupportedDevice: m.supported}, m.support
	}
	d.GpmMigSampleGetFunc = func(instance int, s nvml.GpmSample) nvml.Return {
		m.asked++
		if m.take == nvml.SUCCESS {
			m.samples[s.(*mock.GpmSample)] = instance
		}
		return m.take
	}
	s := dgxh100.New()
	s.Devices = []nvml.Device{d}
	s.GpmSampleAllocFunc = func() (nvml.GpmSample, nvml.Return) {
		m.asked++
		if m.alloc != nvml.SUCCESS && len(m.samples)%2 == 1 { // there is room for every first one
			return nil, m.alloc
		}
		sample := &mock.GpmSample{}
		m.samples[sample] = -1
		return sample, nvml.SUCCESS
	}
	s.GpmSampleFreeFunc = func(sample nvml.GpmSample) nvml.Return {
		if _, live := m.samples[sample.(*mock.GpmSample)]; !live {
			panic("a sample is freed twice")
		}
		delete(m.samples, sample.(*mock.GpmSample))
		return nvml.SUCCESS
	}
	s.GpmMetricsGetFunc = func(q *nvml.GpmMetricsGetType) nvml.Return {
		m.asked++
		a, b := m.samples[q.Sample1.(*mock.GpmSample)], m.samples[q.Sample2.(*mock.GpmSample)]
		if q.Sample1 == q.Sample2 || a != b || a < 0 || q.NumMetrics != 2 || q.Metrics[0].MetricId != 1 || q.Metrics[1].MetricId != 10 {
			return nvml.ERROR_INVALID_ARGUMENT
		}
		q.Metrics[0].Value, q.Metrics[0].NvmlReturn = m.util.Value, m.util.NvmlReturn
		q.Metrics[1].Value, q.Metrics[1].NvmlReturn = 12.4, uint32(nvml.SUCCESS)
		return m.metrics
	}
	has := slices.DeleteFunc(append([]string{"nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetGpuInstanceId"}, gpmFunctions...),
		func(symbol string) bool { return slices.Contains(without, symbol) })
	m.session = mockSession(s, has...)
	m.session.now = func() time.Time { return m.clock }
	return m
}

// read is the utilisation of the MIG devices, "?" where it is not known, after so long.
func (m *migMachine) read(t *testing.T, after time.Duration, r request) string {
	t.Helper()
	m.clock = m.clock.Add(after)
	a := m.session.answer(r)
	if len(a.GPUs) != 1 || len(a.GPUs[0].MIG.Devices) != len(m.pieces) {
		t.Fatalf("%+v", a)
	}
	figure := func(v *uint32) string {
		if v == nil {
			return "?"
		}
		return strconv.Itoa(int(*v))
	}
	var all []string
	for _, d := range a.GPUs[0].MIG.Devices {
		all = append(all, figure(d.GPUUtilPercent)+"/"+figure(d.MemoryUtilPercent))
	}
	return strings.Join(all, " ")
}

var goesOn = request{moving: true}

func TestUtilizationOfMIGDevices(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*migMachine) // before the first reading
		between func(*migMachine) // the first and the second
		after   time.Duration     // it is
		want    string            // of the second
		then    string            // of a third, a second later
	}{
		{name: "Hopper", want: "74/12 74/12", then: "74/12 74/12"},
		{name: "too soon", after: leastApart, want: "?/? ?/?", then: "74/12 74/12"},
		{name: "too late", after: mostApart + time.Second, want: "?/? ?/?", then: "74/12 74/12"},
		{name: "Ampere", change: func(m *migMachine) { m.supported = 0 }, want: "?/? ?/?", then: "?/? ?/?"},
		{name: "support is not told", change: func(m *migMachine) { m.support = nvml.ERROR_NOT_SUPPORTED }, want: "?/? ?/?", then: "?/? ?/?"},
		{name: "no samples", change: func(m *migMachine) { m.alloc = nvml.ERROR_MEMORY }, want: "?/? ?/?", then: "?/? ?/?"},
		{name: "not permitted", change: func(m *migMachine) { m.take = nvml.ERROR_NO_PERMISSION }, want: "?/? ?/?", then: "?/? ?/?"},
		{name: "one sample fails", between: func(m *migMachine) { m.take = nvml.ERROR_UNKNOWN }, want: "?/? ?/?", then: "?/? ?/?"},
		{name: "what lies between is not told", change: func(m *migMachine) { m.metrics = nvml.ERROR_UNKNOWN }, want: "?/? ?/?", then: "?/? ?/?"},
		{name: "one figure is not told", change: func(m *migMachine) { m.util.NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED) }, want: "?/12 ?/12", then: "?/12 ?/12"},
		{name: "idle", change: func(m *migMachine) { m.util.Value = 0 }, want: "0/12 0/12", then: "0/12 0/12"},
		{name: "hardly at work", change: func(m *migMachine) { m.util.Value = 0.4 }, want: "0/12 0/12", then: "0/12 0/12"},
		{name: "a little more than there is", change: func(m *migMachine) { m.util.Value = 101.3 }, want: "100/12 100/12", then: "100/12 100/12"},
		{name: "nonsense", change: func(m *migMachine) { m.util.Value = 1e18 }, want: "?/12 ?/12", then: "?/12 ?/12"},
		{name: "negative", change: func(m *migMachine) { m.util.Value = -1 }, want: "?/12 ?/12", then: "?/12 ?/12"},
		{name: "not a number", change: func(m *migMachine) { m.util.Value = math.NaN() }, want: "?/12 ?/12", then: "?/12 ?/12"},
		{name: "cut anew", between: func(m *migMachine) { m.pieces = []migPiece{{"MIG-c", "7g.80gb", 1}} }, want: "?/?", then: "74/12"},
		{name: "another profile at the same place", between: func(m *migMachine) { m.pieces[0].profile = "2g.20gb" }, want: "?/? 74/12", then: "74/12 74/12"},
		{name: "one more", between: func(m *migMachine) { m.pieces = append(m.pieces, migPiece{"MIG-c", "1g.10gb", 10}) }, want: "74/12 74/12 ?/?", then: "74/12 74/12 74/12"},
		{name: "none any more", between: func(m *migMachine) { m.pieces = nil }, want: "", then: ""},
		{name: "two in one instance", change: func(m *migMachine) {
			m.pieces = []migPiece{{"MIG-a", "1c.3g.40gb", 2}, {"MIG-b", "2c.3g.40gb", 2}, {"MIG-c", "1g.10gb", 9}}
		}, want: "?/? ?/? 74/12", then: "?/? ?/? 74/12"},
		{name: "a part of one", change: func(m *migMachine) { m.pieces[0].profile = "1c.3g.40gb" }, want: "?/? 74/12", then: "?/? 74/12"},
		{name: "without a name of its own", change: func(m *migMachine) { m.pieces[0].uuid = "" }, want: "?/? 74/12", then: "?/? 74/12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMIGMachine()
			if c.change != nil {
				c.change(m)
			}
			if got := m.read(t, 0, goesOn); strings.Trim(got, "?/ ") != "" {
				t.Errorf("the first reading knows %s", got)
			}
			if c.between != nil {
				c.between(m)
			}
			if c.after == 0 {
				c.after = time.Second
			}
			if got := m.read(t, c.after, goesOn); got != c.want {
				t.Errorf("the second: %s, want %s", got, c.want)
			}
			if got := m.read(t, time.Second, goesOn); got != c.then {
				t.Errorf("the third: %s, want %s", got, c.then)
			}
			if most := 2 * len(m.pieces); len(m.samples) > most {
				t.Errorf("%d samples for %d devices", len(m.samples), len(m.pieces))
			}
			m.session.stop()
			if len(m.samples) > 0 {
				t.Errorf("%d samples are not freed", len(m.samples))
			}
		})
	}
}

// Soon after a reading another tells the same, and one that asks for other figures tells none.
func TestUtilizationOfMIGIsToldAgain(t *testing.T) {
	m := newMIGMachine()
	m.read(t, 0, goesOn)
	m.read(t, time.Second, goesOn)
	m.util.Value = 20
	if got := m.read(t, leastApart, goesOn); got != "74/12 74/12" {
		t.Errorf("soon after: %s", got)
	}
	if got := m.read(t, time.Second, request{moving: true, shown: MovingPower}); got != "?/? ?/?" {
		t.Errorf("not asked for: %s", got)
	}
	if got := m.read(t, time.Second, request{moving: true, shown: MovingPower | MovingUtilization}); got != "20/12 20/12" {
		t.Errorf("asked for: %s", got)
	}
}

// The library is started anew once a minute, which no sample survives: that is no reason for a reading to know less,
// even where readings are further apart than that.
func TestUtilizationOfMIGSurvivesARestart(t *testing.T) {
	for _, every := range []time.Duration{time.Second, restartAfter / 2, restartAfter, 2 * restartAfter} {
		t.Run(fmt.Sprint(every), func(t *testing.T) {
			m := newMIGMachine()
			starts := 0
			m.session.lib.(*server.Server).InitFunc = func() nvml.Return { starts++; return nvml.SUCCESS }
			m.session.lib.(*server.Server).ShutdownFunc = func() nvml.Return {
				if len(m.samples) > 0 {
					t.Errorf("%d samples are not freed before the library ends", len(m.samples))
				}
				return nvml.SUCCESS
			}
			m.read(t, 0, goesOn)
			for i := range int(3*restartAfter/every) + 3 {
				m.util.Value = float64(i % 100)
				if got, want := m.read(t, every, goesOn), fmt.Sprintf("%[1]d/12 %[1]d/12", i%100); got != want {
					t.Fatalf("reading %d: %s, want %s", i, got, want)
				}
			}
			if starts < 4 {
				t.Errorf("started %d times", starts)
			}
			m.pieces[0].uuid = "MIG-z" // cut anew while it was started anew
			if got := m.read(t, 2*restartAfter, goesOn); got[:3] != "?/?" {
				t.Errorf("what another device did: %s", got)
			}
			m.session.stop()
		})
	}
}

// Where nothing goes on, where the library lacks a part of it and where no GPU has MIG devices, GPM is not asked.
func TestGPMIsNotAsked(t *testing.T) {
	m := newMIGMachine()
	for range 2 {
		if got := m.read(t, time.Second, request{}); got != "?/? ?/?" || m.asked > 0 {
			t.Errorf("one reading: %s, asked %d times", got, m.asked)
		}
	}
	m.pieces = nil
	for range 2 {
		if m.read(t, time.Second, goesOn); m.asked > 0 {
			t.Errorf("without devices: asked %d times", m.asked)
		}
	}
	for _, symbol := range gpmFunctions {
		m := newMIGMachine(symbol)
		for range 2 {
			if got := m.read(t, time.Second, goesOn); got != "?/? ?/?" || m.asked > 0 {
				t.Errorf("without %s: %s, asked %d times", symbol, got, m.asked)
			}
		}
	}
	whole := newMIGMachine()
	whole.mode = nvml.DEVICE_MIG_DISABLE
	for range 2 {
		whole.session.answer(goesOn)
		whole.clock = whole.clock.Add(time.Second)
		if _, ok := whole.session.figuresAlone(MovingUtilization); !ok || whole.asked > 0 {
			t.Errorf("a whole GPU: asked %d times", whole.asked)
		}
	}
}

// Where the memory of MIG devices gets lost while GPM is asked, it is asked no more, and the library is started anew.
func TestGPMThatTakesTheMemoryAway(t *testing.T) {
	m := newMIGMachine()
	lost, starts, memory := false, 0, 0
	m.session.lib.(*server.Server).InitFunc = func() nvml.Return { lost = false; starts++; return nvml.SUCCESS }
	m.memory = func() nvml.Return {
		if lost = lost || len(m.samples) > 0; lost {
			return nvml.ERROR_UNKNOWN
		}
		memory++
		return nvml.SUCCESS
	}
	for range mostForgotten + 1 {
		m.read(t, time.Second, goesOn)
	}
	if len(m.samples) > 0 || starts != 1 {
		t.Errorf("%d samples, started %d times", len(m.samples), starts)
	}
	asked, known := m.asked, memory
	for range 200 { // the library is started anew for its age too
		if got := m.read(t, time.Second, goesOn); got != "?/? ?/?" {
			t.Fatalf("%s", got)
		}
	}
	if m.asked != asked || memory != known+2*200 {
		t.Errorf("asked %d times more; memory %d times", m.asked-asked, memory-known)
	}
	now := newMIGMachine() // what fails for a moment is no reason
	for i := range 10 {
		now.memory = func() nvml.Return { return map[bool]nvml.Return{true: nvml.ERROR_UNKNOWN}[i%mostForgotten > 0] }
		if got := now.read(t, time.Second, goesOn); i > 0 && got != "74/12 74/12" {
			t.Errorf("reading %d: %s", i, got)
		}
	}
}
