package gpu

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wholeGPU has every figure that moves, and some of what stands still.
func wholeGPU() GPU {
	u := func(v uint32) *uint32 { return &v }
	l := func(v uint64) *uint64 { return &v }
	f := func(v float64) *float64 { return &v }
	return GPU{
		Index: 0, UUID: "GPU-1", Name: "NVIDIA H100", Minor: ptr(3), MaxSMClockMHz: u(1980), ComputeMode: "default",
		MemoryTotalBytes: l(80 << 30), MemoryUsedBytes: l(0), MemoryFreeBytes: l(79 << 30), MemoryReservedBytes: l(1 << 30), BAR1TotalBytes: l(1 << 37), BAR1UsedBytes: l(^uint64(0)),
		GPUUtilPercent: u(0), MemoryUtilPercent: u(41), EncoderUtilPercent: u(1), DecoderUtilPercent: u(2), JPEGUtilPercent: u(3), OFAUtilPercent: u(4),
		TemperatureCelsius: ptr(-5), MemoryTemperatureCelsius: ptr(43), FanPercent: u(30), PowerWatts: f(512.345), PowerLimitWatts: f(700), EnergyJoules: f(1e9),
		GraphicsClockMHz: u(345), SMClockMHz: u(346), MemoryClockMHz: u(2619), VideoClockMHz: u(765), PerformanceState: "P0", ThrottleReasons: []string{"gpu-idle", "sw-power-cap"},
		PowerViolationSeconds: f(12.5), ThermalViolationSeconds: f(0), SyncBoostViolationSeconds: f(1), BoardLimitViolationSeconds: f(2), LowUtilizationViolationSeconds: f(3), ReliabilityViolationSeconds: f(4),
		PCIe: &PCIe{Generation: ptr(5), GenerationMax: ptr(5), Width: ptr(16), ReplayCount: u(7), TxBytesPerSecond: l(1 << 20), RxBytesPerSecond: l(2 << 20)},
		ECC:  &ECC{Enabled: ptr(true), CorrectedVolatile: l(8), UncorrectedVolatile: l(9), CorrectedAggregate: l(10)},
		Processes: []GPUProcess{
			{PID: 417, Kinds: []string{"compute"}, MemoryUsedBytes: l(512 << 20), GPUUtilPercent: u(11), MemoryUtilPercent: u(5), EncoderUtilPercent: u(0), DecoderUtilPercent: u(0)},
			{PID: 418, Kinds: []string{"compute", "graphics", "mps"}},
		},
	}
}

// told is what comes over for a request, on top of a whole answer.
func told(t *testing.T, still, now []GPU, asked Moving) []GPU {
	t.Helper()
	u := &Unpacker{}
	u.Keep(&Answer{Driver: &Driver{Version: "570.86.15"}, GPUs: still})
	a, err := u.Unpack(asked.pack(nil, now))
	if err != nil {
		t.Fatal(err)
	}
	if a.Driver.Version != "570.86.15" {
		t.Errorf("driver %+v", a.Driver)
	}
	return a.GPUs
}

// Every figure goes over as it is, zeros and the largest numbers too, and one that is not known stays unknown.
func TestMovingFigures(t *testing.T) {
	old := wholeGPU()
	old.PowerWatts, old.Processes = ptr(1.0), nil
	want := wholeGPU()
	want.EnergyJoules, want.GraphicsClockMHz, want.VideoClockMHz = nil, nil, nil // which no view asks for
	want.SyncBoostViolationSeconds, want.BoardLimitViolationSeconds, want.LowUtilizationViolationSeconds, want.ReliabilityViolationSeconds = nil, nil, nil, nil
	want.PCIe.Generation, want.PCIe.Width = nil, nil
	if diff := cmp.Diff([]GPU{want}, told(t, []GPU{old}, []GPU{wholeGPU()}, allMoving)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	bare := func() []GPU {
		return []GPU{{UUID: "GPU-1"}, {Index: 1, Processes: []GPUProcess{}, ThrottleReasons: []string{}}}
	}
	if diff := cmp.Diff(bare(), told(t, bare(), bare(), allMoving)); diff != "" {
		t.Errorf("nothing known (-want +got):\n%s", diff)
	}
}

// What was not asked for is not known: an old figure is not told as if it were one of this moment.
func TestMovingOnlyAsked(t *testing.T) {
	got := told(t, []GPU{wholeGPU()}, []GPU{wholeGPU()}, MovingTemperature|MovingReceived)
	g, w := got[0], wholeGPU()
	want := GPU{UUID: w.UUID, Name: w.Name, Minor: w.Minor, MaxSMClockMHz: w.MaxSMClockMHz, ComputeMode: w.ComputeMode, PowerLimitWatts: w.PowerLimitWatts, TemperatureCelsius: w.TemperatureCelsius,
		PCIe: &PCIe{GenerationMax: w.PCIe.GenerationMax, RxBytesPerSecond: w.PCIe.RxBytesPerSecond}, ECC: &ECC{Enabled: w.ECC.Enabled, CorrectedAggregate: w.ECC.CorrectedAggregate}, Processes: w.Processes}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMovingRefused(t *testing.T) {
	for name, line := range map[string]string{
		"nothing": "", "word": "figures", "no GPU": "figures 0 0", "two GPUs": "figures 0 2 - -", "cut": "figures 3 1 40 50 1", "more": "figures 0 1 - -", "no number": "figures 3 1 a b 1 1 1 1 -",
		"many processes": "figures 0 1 999999999999 1", "fewer processes": "figures 0 1 2 417 c 1 1 1 1 1", "unknown kind": "figures 0 1 1 417 x 1 1 1 1 1", "negative": "figures 0 1 -1",
	} {
		u := &Unpacker{}
		u.Keep(&Answer{GPUs: []GPU{{}}})
		if a, err := u.Unpack([]byte(line + "\n")); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a, err := (&Unpacker{}).Unpack([]byte("figures 0 0\n")); err == nil {
		t.Errorf("figures without a whole answer before: %+v", a)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(string(allMoving.pack(nil, []GPU{wholeGPU()})))
	f.Add("figures 0 1 -")
	f.Fuzz(func(t *testing.T, line string) {
		u := &Unpacker{}
		u.Keep(&Answer{GPUs: []GPU{wholeGPU()}})
		if a, err := u.Unpack([]byte(line)); err == nil && len(a.GPUs) != 1 {
			t.Errorf("%q: %d GPUs", line, len(a.GPUs))
		}
		again, err := u.Unpack(allMoving.pack(nil, []GPU{wholeGPU()})) // a bad line spoils none after it
		if err != nil || *again.GPUs[0].PowerWatts != 512.345 || len(again.GPUs[0].Processes) != 2 {
			t.Errorf("after %q: %v", line, err)
		}
	})
}
