//go:build cgo && linux

package gpu

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
	"github.com/google/go-cmp/cmp"
)

// mocked are the functions that go-nvml's mocks of whole machines have. They panic at any other: so these
// tests hold that nothing is called that was not looked up before.
var mocked = []string{
	"nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetBrand", "nvmlDeviceGetArchitecture", "nvmlDeviceGetPciInfo", "nvmlDeviceGetMinorNumber",
	"nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMigMode",
}

func mockSession(s *server.Server, more ...string) *nvmlSession {
	symbols := slices.Concat(mocked, more)
	s.LookupSymbolFunc = func(symbol string) error {
		if slices.Contains(symbols, symbol) {
			return nil
		}
		return errors.New("undefined symbol: " + symbol)
	}
	return &nvmlSession{lib: s, now: func() time.Time { return time.Unix(1_000_000, 0) }}
}

func TestMockedMachines(t *testing.T) {
	for _, c := range []struct {
		name     string
		server   *server.Server
		model    string
		arch, cc string
		driver   string
	}{
		{"dgxa100", dgxa100.New(), "Mock NVIDIA A100-SXM4-40GB", "Ampere", "8.0", "550.54.15"},
		{"dgxh100", dgxh100.New(), "NVIDIA H100 80GB HBM3", "Hopper", "9.0", "550.54.15"},
		{"dgxb200", dgxb200.New(), "NVIDIA B200 180GB HBM3e", "Blackwell", "10.0", "560.28.03"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := mockSession(c.server).answer(request{topology: true})
			if a.Absent != "" || a.Driver.Version != c.driver || len(a.GPUs) != 8 {
				t.Fatalf("%+v, %d GPUs", a.Driver, len(a.GPUs))
			}
			for i, g := range a.GPUs {
				if g.Index != i || g.Name != c.model || g.Architecture != c.arch || g.ComputeCapability != c.cc || *g.Minor != i || g.MIG == nil || g.MIG.Enabled {
					t.Errorf("GPU %d: %s %s %s %+v", i, g.Name, g.Architecture, g.ComputeCapability, g.MIG)
				}
				if g.Processes != nil || g.PowerWatts != nil || g.ThrottleReasons != nil {
					t.Errorf("GPU %d: a figure that the library does not have", i)
				}
			}
			if a.Topology != nil && len(a.Topology.Pairs) > 0 {
				t.Errorf("wiring without a function that tells it: %+v", a.Topology)
			}
		})
	}
}

// NVML's lists of processes and samples, merged.
func TestProcessesOfAGPU(t *testing.T) {
	const mib = 1 << 20
	none := uint32(0xffffffff)
	info := func(pid uint32, memory uint64, gi, ci uint32) nvml.ProcessInfo {
		return nvml.ProcessInfo{Pid: pid, UsedGpuMemory: memory, GpuInstanceId: gi, ComputeInstanceId: ci}
	}
	sample := func(pid uint32, at uint64, sm uint32) nvml.ProcessUtilizationSample {
		return nvml.ProcessUtilizationSample{Pid: pid, TimeStamp: at, SmUtil: sm, MemUtil: 2, EncUtil: 3, DecUtil: 4}
	}
	type list struct {
		infos []nvml.ProcessInfo
		ret   nvml.Return
	}
	for _, c := range []struct {
		name                   string
		compute, graphics, mps list
		samples                []nvml.ProcessUtilizationSample
		ret                    nvml.Return
		panics                 bool
		want                   string
	}{
		{name: "none", want: `[]`},
		{name: "idle", compute: list{infos: []nvml.ProcessInfo{info(7, 5*mib, none, none)}}, ret: nvml.ERROR_NOT_FOUND,
			want: `[{"pid":7,"kinds":["compute"],"memoryUsedBytes":5242880,"gpuUtilPercent":0,"memoryUtilPercent":0,"encoderUtilPercent":0,"decoderUtilPercent":0}]`},
		{name: "in two lists, the larger memory", compute: list{infos: []nvml.ProcessInfo{info(7, 5*mib, none, none)}}, graphics: list{infos: []nvml.ProcessInfo{info(7, 6*mib, none, none)}}, ret: nvml.ERROR_NOT_SUPPORTED,
			want: `[{"pid":7,"kinds":["compute","graphics"],"memoryUsedBytes":6291456}]`},
		{name: "memory not known", mps: list{infos: []nvml.ProcessInfo{info(7, ^uint64(0), none, none)}}, ret: nvml.ERROR_NOT_SUPPORTED,
			want: `[{"pid":7,"kinds":["mps"]}]`},
		{name: "one list is refused", compute: list{ret: nvml.ERROR_NO_PERMISSION}, graphics: list{infos: []nvml.ProcessInfo{info(8, mib, none, none)}}, ret: nvml.ERROR_NOT_SUPPORTED,
			want: `[{"pid":8,"kinds":["graphics"],"memoryUsedBytes":1048576}]`},
		{name: "all are refused", compute: list{ret: nvml.ERROR_NO_PERMISSION}, graphics: list{ret: nvml.ERROR_NO_PERMISSION}, mps: list{ret: nvml.ERROR_NO_PERMISSION},
			want: `null`},
		{name: "the newest sample counts", compute: list{infos: []nvml.ProcessInfo{info(7, mib, none, none)}},
			samples: []nvml.ProcessUtilizationSample{sample(7, 20, 50), sample(7, 10, 90), sample(9, 30, 1)},
			want:    `[{"pid":7,"kinds":["compute"],"memoryUsedBytes":1048576,"gpuUtilPercent":50,"memoryUtilPercent":2,"encoderUtilPercent":3,"decoderUtilPercent":4}]`},
		{name: "a sample beyond 100", compute: list{infos: []nvml.ProcessInfo{info(7, mib, none, none)}},
			samples: []nvml.ProcessUtilizationSample{sample(7, 20, 4294967295)},
			want:    `[{"pid":7,"kinds":["compute"],"memoryUsedBytes":1048576,"memoryUtilPercent":2,"encoderUtilPercent":3,"decoderUtilPercent":4}]`},
		{name: "more samples than room", compute: list{infos: []nvml.ProcessInfo{info(7, mib, none, none)}}, panics: true,
			want: `[{"pid":7,"kinds":["compute"],"memoryUsedBytes":1048576}]`},
		{name: "one process on two MIG devices", compute: list{infos: []nvml.ProcessInfo{info(7, mib, 1, 0), info(7, 2*mib, 2, 0)}}, ret: nvml.ERROR_NOT_SUPPORTED,
			want: `[{"pid":7,"kinds":["compute"],"memoryUsedBytes":1048576,"gpuInstanceId":1,"computeInstanceId":0},{"pid":7,"kinds":["compute"],"memoryUsedBytes":2097152,"gpuInstanceId":2,"computeInstanceId":0}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dgxh100.NewDevice(0)
			d.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return c.compute.infos, c.compute.ret }
			d.GetGraphicsRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return c.graphics.infos, c.graphics.ret }
			d.GetMPSComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return c.mps.infos, c.mps.ret }
			var since uint64
			d.GetProcessUtilizationFunc = func(last uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) {
				since = last
				if c.panics {
					_ = c.samples[:len(c.samples)+1]
				}
				return c.samples, c.ret
			}
			s := dgxh100.New()
			s.Devices = []nvml.Device{d}
			a := mockSession(s, "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses", "nvmlDeviceGetMPSComputeRunningProcesses_v2", "nvmlDeviceGetProcessUtilization").answer(request{})
			got, err := json.Marshal(a.GPUs[0].Processes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := uint64(time.Unix(1_000_000, 0).Add(-sampleWindow).UnixMicro()); since != 0 && since != want {
				t.Errorf("asked for samples since %d, want %d", since, want)
			}
		})
	}
}

// What a GPU says of itself as a whole is kept; a figure that it does not have is no error.
func TestErrorsOfAGPU(t *testing.T) {
	for ret, want := range map[nvml.Return]string{
		nvml.ERROR_NOT_SUPPORTED: "", nvml.ERROR_NO_PERMISSION: "", nvml.ERROR_UNKNOWN: "",
		nvml.ERROR_GPU_IS_LOST: "GPU is lost", nvml.ERROR_RESET_REQUIRED: "GPU requires reset",
	} {
		d := dgxh100.NewDevice(0)
		d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, ret }
		s := dgxh100.New()
		s.Devices = []nvml.Device{d}
		g := mockSession(s, "nvmlDeviceGetPowerUsage").answer(request{}).GPUs[0]
		if g.Error != want || g.PowerWatts != nil {
			t.Errorf("%d: %q, %v", ret, g.Error, g.PowerWatts)
		}
	}
}

// Driver 535 tells of the fabric by another function than its successors.
func TestFabric(t *testing.T) {
	d := dgxh100.NewDevice(0)
	d.GetGpuFabricInfoFunc = func() (nvml.GpuFabricInfo, nvml.Return) {
		return nvml.GpuFabricInfo{State: nvml.GPU_FABRIC_STATE_COMPLETED, Status: uint32(nvml.ERROR_NOT_SUPPORTED)}, nvml.SUCCESS
	}
	s := dgxh100.New()
	s.Devices = []nvml.Device{d}
	g := mockSession(s, "nvmlDeviceGetGpuFabricInfo").answer(request{}).GPUs[0]
	if g.FabricState != "completed" || g.FabricError == "" {
		t.Errorf("%q, %q", g.FabricState, g.FabricError)
	}
}

// A library that lives on is started anew from time to time, and after it failed.
func TestSessionStartsAnew(t *testing.T) {
	s := dgxh100.New()
	starts := 0
	s.InitFunc = func() nvml.Return { starts++; return nvml.SUCCESS }
	session := mockSession(s)
	clock := time.Unix(0, 1)
	session.now = func() time.Time { return clock }
	for range 3 {
		session.answer(request{})
	}
	if starts != 1 {
		t.Errorf("started %d times for 3 answers", starts)
	}
	clock = clock.Add(2 * restartAfter)
	session.answer(request{})
	if starts != 2 {
		t.Errorf("started %d times after its time", starts)
	}
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	session.answer(request{})
	session.answer(request{})
	if starts != 3 {
		t.Errorf("started %d times after it failed", starts)
	}
}

// NVML's call takes 20 ms for each direction of each link: all are under way at once, and a reading soon after
// another waits for none.
func TestThroughputIsMeasuredAtOnce(t *testing.T) {
	s := dgxh100.New()
	s.Devices = nil
	entered, leave := make(chan bool, 100), make(chan struct{})
	for i := range 4 {
		d := dgxh100.NewDevice(i)
		d.GetPcieThroughputFunc = func(counter nvml.PcieUtilCounter) (uint32, nvml.Return) {
			entered <- true
			<-leave
			return 3 + uint32(counter), nvml.SUCCESS
		}
		s.Devices = append(s.Devices, d)
	}
	session := mockSession(s, "nvmlDeviceGetPcieThroughput")
	clock := time.Unix(1_000_000, 0)
	session.now = func() time.Time { return clock }
	answered := make(chan *Answer)
	go func() { answered <- session.answer(request{}) }()
	for range 8 {
		<-entered
	}
	close(leave)
	for i, g := range (<-answered).GPUs {
		if g.PCIe == nil || *g.PCIe.TxBytesPerSecond != 3<<10 || *g.PCIe.RxBytesPerSecond != 4<<10 {
			t.Errorf("GPU %d: %+v", i, g.PCIe)
		}
	}
	leave = make(chan struct{}) // from here on the calls hang
	clock = clock.Add(time.Second)
	for _, g := range session.answer(request{}).GPUs {
		if g.PCIe == nil || *g.PCIe.TxBytesPerSecond != 3<<10 {
			t.Errorf("GPU %d, a second later: %+v", g.Index, g.PCIe)
		}
	}
	close(leave)
	session.stop()
}

// An answer that leaves out what stands still makes the same GPU, with what was told before, as one that does not.
func TestWithStill(t *testing.T) {
	still := []string{"Index", "UUID", "Name", "Brand", "PCIBusID", "PCIDeviceID", "Minor", "Architecture", "ComputeCapability",
		"SlowdownTemperatureCelsius", "ShutdownTemperatureCelsius", "PowerLimitWatts", "PowerDefaultLimitWatts", "PowerMinLimitWatts", "PowerMaxLimitWatts",
		"MaxGraphicsClockMHz", "MaxSMClockMHz", "MaxMemoryClockMHz", "MaxVideoClockMHz", "RemappedRows", "RetiredPages", "ComputeMode", "PersistenceMode",
		"DisplayActive", "NVLinks", "RecoveryAction", "FabricState", "FabricError"}
	var before GPU
	fields := reflect.ValueOf(&before).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.String:
			f.SetString("before")
		case reflect.Int:
			f.SetInt(7)
		default:
			t.Fatalf("%s is of a kind that this test does not know", fields.Type().Field(i).Name)
		}
	}
	joined := reflect.ValueOf(GPU{}.WithStill(before))
	for i := range joined.NumField() {
		name := joined.Type().Field(i).Name
		if kept := !joined.Field(i).IsZero(); kept != slices.Contains(still, name) {
			t.Errorf("%s: told again from before: %t", name, kept)
		}
	}

	session := mockSession(dgxh100.New())
	whole := session.answer(request{})
	moving := session.answer(request{moving: true})
	if len(moving.Kept) != 8 || moving.GPUs[0].UUID != "" {
		t.Fatalf("kept: %v, %+v", moving.Kept, moving.GPUs[0])
	}
	for i := range moving.GPUs {
		moving.GPUs[i] = moving.GPUs[i].WithStill(whole.GPUs[i])
	}
	if diff := cmp.Diff(whole.GPUs, moving.GPUs); diff != "" {
		t.Error(diff)
	}
}

// Figures alone are told where they are all that is new: not of a GPU that fails or has MIG devices, and not
// where the library is due to start anew.
func TestMovingOfASession(t *testing.T) {
	d := dgxh100.NewDevice(0)
	power := nvml.SUCCESS
	mode := nvml.DEVICE_MIG_DISABLE
	d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 512_345, power }
	d.GetMigModeFunc = func() (int, int, nvml.Return) { return mode, mode, nvml.SUCCESS }
	s := dgxh100.New()
	s.Devices = []nvml.Device{d}
	session := mockSession(s, "nvmlDeviceGetPowerUsage")
	clock := time.Unix(1_000_000, 0)
	session.now = func() time.Time { return clock }
	told := func() bool {
		gpus, ok := session.figuresAlone(MovingPower)
		return ok && len(gpus) == 1 && *gpus[0].PowerWatts == 512.345
	}
	if told() {
		t.Error("figures before a whole answer")
	}
	session.answer(request{})
	if !told() {
		t.Error("no figures after a whole answer")
	}
	if gpus, ok := session.figuresAlone(MovingTemperature); !ok || gpus[0].PowerWatts != nil {
		t.Errorf("what was not asked for: %+v", gpus)
	}
	power = nvml.ERROR_GPU_IS_LOST
	if told() {
		t.Error("figures of a GPU that is lost")
	}
	if g := session.answer(request{}).GPUs[0]; g.Error != "GPU is lost" || told() {
		t.Errorf("%q, and figures after that", g.Error)
	}
	power = nvml.SUCCESS
	session.answer(request{})
	if !told() {
		t.Error("no figures of a GPU that is back")
	}
	mode = nvml.DEVICE_MIG_ENABLE
	if session.answer(request{}); told() {
		t.Error("figures of a GPU with MIG devices")
	}
	mode = nvml.DEVICE_MIG_DISABLE
	session.answer(request{})
	clock = clock.Add(restartAfter)
	if told() {
		t.Error("figures where the library is due to start anew")
	}
}

// A view of figures has no use for links between GPUs; who asks for everything gets them, even right after it.
func TestLinksWhereTheyAreAskedFor(t *testing.T) {
	d := dgxh100.NewDevice(0)
	d.GetNvLinkStateFunc = func(link int) (nvml.EnableState, nvml.Return) {
		if link > 1 {
			return nvml.FEATURE_DISABLED, nvml.ERROR_NOT_SUPPORTED
		}
		return nvml.FEATURE_DISABLED, nvml.SUCCESS
	}
	s := dgxh100.New()
	s.Devices = []nvml.Device{d}
	session := mockSession(s, "nvmlDeviceGetNvLinkState")
	links := func(r request) int {
		a := session.answer(r)
		if len(a.Kept) > 0 {
			t.Errorf("%+v: told as kept: %v", r, a.Kept)
		}
		return len(a.GPUs[0].NVLinks)
	}
	if n := links(request{shown: MovingPower}); n != 0 {
		t.Errorf("%d links for a view of figures", n)
	}
	if n := links(request{moving: true}); n != 2 {
		t.Errorf("%d links for everything", n)
	}
	if n := links(request{shown: MovingPower}); n != 2 {
		t.Errorf("%d links where they are known already", n)
	}
}
