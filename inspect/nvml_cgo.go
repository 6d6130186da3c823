//go:build cgo && linux

package inspect

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// AnswerNVML reads NVML once. It runs in the child process only: a call into a broken driver can hang
// or end it.
func AnswerNVML(context.Context) *NVMLAnswer { return answerNVML(nvml.New()) }

func answerNVML(lib nvml.Interface) *NVMLAnswer {
	ret := lib.Init()
	switch ret {
	case nvml.SUCCESS:
		defer lib.Shutdown()
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return &NVMLAnswer{Absent: "libnvidia-ml.so.1 is not installed"}
	default:
		return &NVMLAnswer{Driver: &Driver{NVMLError: words(ret), NVMLReturn: ptr(int(ret))}}
	}
	r := &nvmlReader{lib: lib, has: map[string]bool{}}
	d := &Driver{}
	if v, ret := lib.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		d.Version, d.LibraryVersion = v, v
	}
	if v, ret := lib.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS { // 12080 is 12.8
		d.CUDAVersion = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	count, ret := lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		d.NVMLError, d.NVMLReturn = words(ret), ptr(int(ret))
		return &NVMLAnswer{Driver: d}
	}
	answer := &NVMLAnswer{Driver: d, GPUs: []GPU{}}
	for i := range count {
		device, ret := lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			answer.GPUs = append(answer.GPUs, GPU{Index: i, Error: words(ret), NVMLReturn: ptr(int(ret))})
			continue
		}
		answer.GPUs = append(answer.GPUs, r.read(i, device))
	}
	return answer
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

// nvmlReader reads one GPU after the other. Not every driver has every function, and go-nvml binds them
// lazily: calling one that the library lacks ends the process. So each is looked up first.
type nvmlReader struct {
	lib nvml.Interface
	has map[string]bool
	gpu *GPU
}

func (r *nvmlReader) known(symbol string) bool {
	has, asked := r.has[symbol]
	if !asked {
		has = r.lib.Extensions().LookupSymbol(symbol) == nil
		r.has[symbol] = has
	}
	return has
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

func scaled[T uint32 | uint64](v *T, by float64) *float64 {
	if v == nil {
		return nil
	}
	return ptr(float64(*v) * by)
}

func (r *nvmlReader) read(index int, d nvml.Device) GPU {
	g := GPU{Index: index}
	r.gpu = &g
	if v := figure(r, "nvmlDeviceGetUUID", d.GetUUID); v != nil {
		g.UUID = *v
	}
	if v := figure(r, "nvmlDeviceGetName", d.GetName); v != nil {
		g.Name = *v
	}
	if v := figure(r, "nvmlDeviceGetBrand", d.GetBrand); v != nil {
		g.Brand = brand(*v)
	}
	if v := figure(r, "nvmlDeviceGetPciInfo_v3", d.GetPciInfo); v != nil {
		g.PCIBusID = busID(*v)
		g.PCIDeviceID = fmt.Sprintf("%04x", v.PciDeviceId>>16)
	}
	g.Minor = figure(r, "nvmlDeviceGetMinorNumber", d.GetMinorNumber)
	if r.known("nvmlDeviceGetCudaComputeCapability") {
		if major, minor, ret := d.GetCudaComputeCapability(); ret == nvml.SUCCESS {
			g.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
		}
	}
	r.memory(&g, d)
	r.activity(&g, d)
	r.powerAndHeat(&g, d)
	r.clocks(&g, d)
	r.link(&g, d)
	r.errors(&g, d)
	r.modes(&g, d)
	if r.known("nvmlDeviceGetNvLinkState") {
		r.nvlinks(&g, d)
	}
	g.Processes = r.processes(d)
	return g
}

func (r *nvmlReader) memory(g *GPU, d nvml.Device) {
	if v := figure(r, "nvmlDeviceGetMemoryInfo_v2", d.GetMemoryInfo_v2); v != nil {
		g.MemoryTotalBytes, g.MemoryUsedBytes, g.MemoryFreeBytes, g.MemoryReservedBytes = &v.Total, &v.Used, &v.Free, &v.Reserved
	} else if v := figure(r, "nvmlDeviceGetMemoryInfo", d.GetMemoryInfo); v != nil {
		g.MemoryTotalBytes, g.MemoryUsedBytes, g.MemoryFreeBytes = &v.Total, &v.Used, &v.Free
	}
	if v := figure(r, "nvmlDeviceGetBAR1MemoryInfo", d.GetBAR1MemoryInfo); v != nil {
		g.BAR1TotalBytes, g.BAR1UsedBytes = &v.Bar1Total, &v.Bar1Used
	}
}

func (r *nvmlReader) activity(g *GPU, d nvml.Device) {
	if v := figure(r, "nvmlDeviceGetUtilizationRates", d.GetUtilizationRates); v != nil {
		g.GPUUtilPercent, g.MemoryUtilPercent = &v.Gpu, &v.Memory
	}
	for _, unit := range []struct {
		symbol string
		to     **uint32
		call   func() (uint32, uint32, nvml.Return) // percent, sampling period in µs
	}{
		{"nvmlDeviceGetEncoderUtilization", &g.EncoderUtilPercent, d.GetEncoderUtilization},
		{"nvmlDeviceGetDecoderUtilization", &g.DecoderUtilPercent, d.GetDecoderUtilization},
		{"nvmlDeviceGetJpgUtilization", &g.JPEGUtilPercent, d.GetJpgUtilization},
		{"nvmlDeviceGetOfaUtilization", &g.OFAUtilPercent, d.GetOfaUtilization},
	} {
		*unit.to = figure(r, unit.symbol, func() (uint32, nvml.Return) { v, _, ret := unit.call(); return v, ret })
	}
}

func (r *nvmlReader) powerAndHeat(g *GPU, d nvml.Device) {
	celsius := func(v *uint32) *int {
		if v == nil {
			return nil
		}
		return ptr(int(*v))
	}
	g.TemperatureCelsius = celsius(figure(r, "nvmlDeviceGetTemperature", func() (uint32, nvml.Return) { return d.GetTemperature(nvml.TEMPERATURE_GPU) }))
	threshold := func(t nvml.TemperatureThresholds) *int {
		return celsius(figure(r, "nvmlDeviceGetTemperatureThreshold", func() (uint32, nvml.Return) { return d.GetTemperatureThreshold(t) }))
	}
	g.SlowdownTemperatureCelsius, g.ShutdownTemperatureCelsius = threshold(nvml.TEMPERATURE_THRESHOLD_SLOWDOWN), threshold(nvml.TEMPERATURE_THRESHOLD_SHUTDOWN)
	g.FanPercent = figure(r, "nvmlDeviceGetFanSpeed", d.GetFanSpeed)
	const milli = 1e-3
	g.PowerWatts = scaled(figure(r, "nvmlDeviceGetPowerUsage", d.GetPowerUsage), milli)
	g.PowerLimitWatts = scaled(figure(r, "nvmlDeviceGetEnforcedPowerLimit", d.GetEnforcedPowerLimit), milli)
	g.PowerDefaultLimitWatts = scaled(figure(r, "nvmlDeviceGetPowerManagementDefaultLimit", d.GetPowerManagementDefaultLimit), milli)
	if r.known("nvmlDeviceGetPowerManagementLimitConstraints") {
		if least, most, ret := d.GetPowerManagementLimitConstraints(); ret == nvml.SUCCESS {
			g.PowerMinLimitWatts, g.PowerMaxLimitWatts = scaled(&least, milli), scaled(&most, milli)
		}
	}
	g.EnergyJoules = scaled(figure(r, "nvmlDeviceGetTotalEnergyConsumption", d.GetTotalEnergyConsumption), milli)
	violation := func(policy nvml.PerfPolicyType) *float64 {
		v := figure(r, "nvmlDeviceGetViolationStatus", func() (nvml.ViolationTime, nvml.Return) { return d.GetViolationStatus(policy) })
		if v == nil {
			return nil
		}
		return ptr(float64(v.ViolationTime) * 1e-9)
	}
	g.PowerViolationSeconds, g.ThermalViolationSeconds = violation(nvml.PERF_POLICY_POWER), violation(nvml.PERF_POLICY_THERMAL)
}

// throttleReasons are NVML's bits in the order of nvidia-smi.
var throttleReasons = []struct {
	bit  uint64
	name string
}{
	{nvml.ClocksThrottleReasonGpuIdle, "gpu-idle"},
	{nvml.ClocksThrottleReasonApplicationsClocksSetting, "applications-clocks"},
	{nvml.ClocksThrottleReasonSwPowerCap, "sw-power-cap"},
	{nvml.ClocksThrottleReasonHwSlowdown, "hw-slowdown"},
	{nvml.ClocksThrottleReasonHwThermalSlowdown, "hw-thermal"},
	{nvml.ClocksThrottleReasonHwPowerBrakeSlowdown, "hw-power-brake"},
	{nvml.ClocksThrottleReasonSyncBoost, "sync-boost"},
	{nvml.ClocksThrottleReasonSwThermalSlowdown, "sw-thermal"},
	{nvml.ClocksThrottleReasonDisplayClockSetting, "display-clocks"},
}

func (r *nvmlReader) clocks(g *GPU, d nvml.Device) {
	for _, c := range []struct {
		clock     nvml.ClockType
		now, most **uint32
	}{
		{nvml.CLOCK_GRAPHICS, &g.GraphicsClockMHz, &g.MaxGraphicsClockMHz}, {nvml.CLOCK_SM, &g.SMClockMHz, &g.MaxSMClockMHz},
		{nvml.CLOCK_MEM, &g.MemoryClockMHz, &g.MaxMemoryClockMHz}, {nvml.CLOCK_VIDEO, &g.VideoClockMHz, &g.MaxVideoClockMHz},
	} {
		*c.now = figure(r, "nvmlDeviceGetClockInfo", func() (uint32, nvml.Return) { return d.GetClockInfo(c.clock) })
		*c.most = figure(r, "nvmlDeviceGetMaxClockInfo", func() (uint32, nvml.Return) { return d.GetMaxClockInfo(c.clock) })
	}
	if v := figure(r, "nvmlDeviceGetPerformanceState", d.GetPerformanceState); v != nil && *v <= nvml.PSTATE_15 {
		g.PerformanceState = fmt.Sprintf("P%d", *v)
	}
	if v := figure(r, "nvmlDeviceGetCurrentClocksThrottleReasons", d.GetCurrentClocksThrottleReasons); v != nil {
		g.ThrottleReasons = []string{}
		for _, reason := range throttleReasons {
			if *v&reason.bit != 0 {
				g.ThrottleReasons = append(g.ThrottleReasons, reason.name)
			}
		}
	}
}

func (r *nvmlReader) link(g *GPU, d nvml.Device) {
	throughput := func(counter nvml.PcieUtilCounter) *uint64 { // KiB a second
		v := figure(r, "nvmlDeviceGetPcieThroughput", func() (uint32, nvml.Return) { return d.GetPcieThroughput(counter) })
		if v == nil {
			return nil
		}
		return ptr(uint64(*v) << 10)
	}
	p := &PCIe{
		Generation:    figure(r, "nvmlDeviceGetCurrPcieLinkGeneration", d.GetCurrPcieLinkGeneration),
		GenerationMax: figure(r, "nvmlDeviceGetMaxPcieLinkGeneration", d.GetMaxPcieLinkGeneration),
		Width:         figure(r, "nvmlDeviceGetCurrPcieLinkWidth", d.GetCurrPcieLinkWidth),
		WidthMax:      figure(r, "nvmlDeviceGetMaxPcieLinkWidth", d.GetMaxPcieLinkWidth),
	}
	if v := figure(r, "nvmlDeviceGetPcieReplayCounter", d.GetPcieReplayCounter); v != nil {
		p.ReplayCount = ptr(uint32(*v))
	}
	p.TxBytesPerSecond, p.RxBytesPerSecond = throughput(nvml.PCIE_UTIL_TX_BYTES), throughput(nvml.PCIE_UTIL_RX_BYTES)
	if *p != (PCIe{}) {
		g.PCIe = p
	}
}

func (r *nvmlReader) errors(g *GPU, d nvml.Device) {
	if r.known("nvmlDeviceGetEccMode") {
		if now, pending, ret := d.GetEccMode(); ret == nvml.SUCCESS {
			count := func(kind nvml.MemoryErrorType, span nvml.EccCounterType) *uint64 {
				return figure(r, "nvmlDeviceGetTotalEccErrors", func() (uint64, nvml.Return) { return d.GetTotalEccErrors(kind, span) })
			}
			g.ECC = &ECC{Enabled: ptr(now == nvml.FEATURE_ENABLED), PendingEnabled: ptr(pending == nvml.FEATURE_ENABLED),
				CorrectedVolatile:    count(nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.VOLATILE_ECC),
				UncorrectedVolatile:  count(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.VOLATILE_ECC),
				CorrectedAggregate:   count(nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.AGGREGATE_ECC),
				UncorrectedAggregate: count(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.AGGREGATE_ECC)}
		}
	}
	if r.known("nvmlDeviceGetRemappedRows") {
		if corrected, uncorrected, pending, failed, ret := d.GetRemappedRows(); ret == nvml.SUCCESS {
			g.RemappedRows = &RemappedRows{Correctable: corrected, Uncorrectable: uncorrected, Pending: pending, Failed: failed}
		}
	}
	retired := func(cause nvml.PageRetirementCause) *int {
		v := figure(r, "nvmlDeviceGetRetiredPages", func() ([]uint64, nvml.Return) { return d.GetRetiredPages(cause) })
		if v == nil {
			return nil
		}
		return ptr(len(*v))
	}
	p := &RetiredPages{SingleBit: retired(nvml.PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS), DoubleBit: retired(nvml.PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR)}
	if v := figure(r, "nvmlDeviceGetRetiredPagesPendingStatus", d.GetRetiredPagesPendingStatus); v != nil {
		p.Pending = ptr(*v == nvml.FEATURE_ENABLED)
	}
	if *p != (RetiredPages{}) {
		g.RetiredPages = p
	}
}

func (r *nvmlReader) modes(g *GPU, d nvml.Device) {
	if v := figure(r, "nvmlDeviceGetComputeMode", d.GetComputeMode); v != nil {
		g.ComputeMode = map[nvml.ComputeMode]string{nvml.COMPUTEMODE_DEFAULT: "default", nvml.COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive-process", nvml.COMPUTEMODE_PROHIBITED: "prohibited"}[*v]
	}
	if v := figure(r, "nvmlDeviceGetPersistenceMode", d.GetPersistenceMode); v != nil {
		g.PersistenceMode = ptr(*v == nvml.FEATURE_ENABLED)
	}
	if v := figure(r, "nvmlDeviceGetDisplayActive", d.GetDisplayActive); v != nil {
		g.DisplayActive = ptr(*v == nvml.FEATURE_ENABLED)
	}
	if !r.known("nvmlDeviceGetMigMode") {
		return
	}
	now, pending, ret := d.GetMigMode()
	if ret != nvml.SUCCESS {
		return
	}
	g.MIG = &MIG{Enabled: now == nvml.DEVICE_MIG_ENABLE, PendingEnabled: pending == nvml.DEVICE_MIG_ENABLE, Devices: []MIGDevice{}}
	g.MIG.MaxDevices = figure(r, "nvmlDeviceGetMaxMigDeviceCount", d.GetMaxMigDeviceCount)
	if !g.MIG.Enabled || g.MIG.MaxDevices == nil || !r.known("nvmlDeviceGetMigDeviceHandleByIndex") {
		return
	}
	for i := range min(*g.MIG.MaxDevices, 64) {
		if handle, ret := d.GetMigDeviceHandleByIndex(i); ret == nvml.SUCCESS {
			g.MIG.Devices = append(g.MIG.Devices, r.mig(i, handle))
		}
	}
}

func (r *nvmlReader) mig(index int, d nvml.Device) MIGDevice {
	m := MIGDevice{Index: index}
	if v := figure(r, "nvmlDeviceGetUUID", d.GetUUID); v != nil {
		m.UUID = *v
	}
	if v := figure(r, "nvmlDeviceGetName", d.GetName); v != nil { // NVIDIA A100-SXM4-40GB MIG 1g.5gb
		m.Name = *v
		if _, profile, ok := strings.Cut(*v, " MIG "); ok {
			m.Profile = profile
		}
	}
	m.GPUInstanceID = figure(r, "nvmlDeviceGetGpuInstanceId", d.GetGpuInstanceId)
	m.ComputeInstanceID = figure(r, "nvmlDeviceGetComputeInstanceId", d.GetComputeInstanceId)
	if v := figure(r, "nvmlDeviceGetMemoryInfo", d.GetMemoryInfo); v != nil {
		m.MemoryTotalBytes, m.MemoryUsedBytes, m.MemoryFreeBytes = &v.Total, &v.Used, &v.Free
	}
	if v := figure(r, "nvmlDeviceGetAttributes_v2", d.GetAttributes); v != nil {
		m.Multiprocessors = ptr(int(v.MultiprocessorCount))
		if m.Profile == "" {
			m.Profile = fmt.Sprintf("%dg.%dgb", v.GpuInstanceSliceCount, int(math.Round(float64(v.MemorySizeMB)/1024)))
		}
	}
	m.Processes = r.processes(d)
	return m
}

func (r *nvmlReader) nvlinks(g *GPU, d nvml.Device) {
	for link := range nvml.NVLINK_MAX_LINKS {
		state, ret := d.GetNvLinkState(link)
		if ret != nvml.SUCCESS {
			break // NOT_SUPPORTED, or beyond this GPU's last link
		}
		l := NVLink{Link: link, Active: ptr(state == nvml.FEATURE_ENABLED)}
		if *l.Active {
			if v := figure(r, "nvmlDeviceGetNvLinkVersion", func() (uint32, nvml.Return) { return d.GetNvLinkVersion(link) }); v != nil {
				l.Version = ptr(int(*v))
			}
			if v := figure(r, "nvmlDeviceGetNvLinkRemotePciInfo_v2", func() (nvml.PciInfo, nvml.Return) { return d.GetNvLinkRemotePciInfo(link) }); v != nil {
				l.Remote = busID(*v)
			}
			if v := figure(r, "nvmlDeviceGetNvLinkRemoteDeviceType", func() (nvml.IntNvLinkDeviceType, nvml.Return) { return d.GetNvLinkRemoteDeviceType(link) }); v != nil {
				l.RemoteType = map[nvml.IntNvLinkDeviceType]string{nvml.NVLINK_DEVICE_TYPE_GPU: "gpu", nvml.NVLINK_DEVICE_TYPE_SWITCH: "switch", nvml.NVLINK_DEVICE_TYPE_IBMNPU: "npu"}[*v]
			}
		}
		g.NVLinks = append(g.NVLinks, l)
	}
}

// processes merges NVML's three lists by PID; nil where none of them could be read.
func (r *nvmlReader) processes(d nvml.Device) []GPUProcess {
	var all []GPUProcess
	for _, list := range []struct {
		kind   string
		symbol string
		call   func() ([]nvml.ProcessInfo, nvml.Return)
	}{
		{"compute", "nvmlDeviceGetComputeRunningProcesses", d.GetComputeRunningProcesses},
		{"graphics", "nvmlDeviceGetGraphicsRunningProcesses", d.GetGraphicsRunningProcesses},
		{"mps", "nvmlDeviceGetMPSComputeRunningProcesses", d.GetMPSComputeRunningProcesses},
	} {
		if !r.known(list.symbol) && !r.known(list.symbol+"_v2") && !r.known(list.symbol+"_v3") {
			continue
		}
		infos, ret := list.call()
		if ret != nvml.SUCCESS {
			r.note(ret)
			continue
		}
		if all == nil {
			all = []GPUProcess{}
		}
		for _, info := range infos {
			at := slices.IndexFunc(all, func(p GPUProcess) bool { return p.PID == int(info.Pid) })
			if at >= 0 {
				all[at].Kinds = append(all[at].Kinds, list.kind)
				continue
			}
			p := GPUProcess{PID: int(info.Pid), Kinds: []string{list.kind}}
			if info.UsedGpuMemory != math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
				p.MemoryUsedBytes = ptr(info.UsedGpuMemory)
			}
			if info.GpuInstanceId != math.MaxUint32 {
				p.GPUInstanceID = ptr(int(info.GpuInstanceId))
			}
			all = append(all, p)
		}
	}
	if len(all) == 0 || !r.known("nvmlDeviceGetProcessUtilization") {
		return all
	}
	samples, ret := d.GetProcessUtilization(0)
	if ret != nvml.SUCCESS { // NOT_FOUND: all idle; NOT_SUPPORTED with MIG
		return all
	}
	for _, sample := range samples {
		if at := slices.IndexFunc(all, func(p GPUProcess) bool { return p.PID == int(sample.Pid) }); at >= 0 && sample.SmUtil <= 100 {
			all[at].GPUUtilPercent = ptr(sample.SmUtil)
		}
	}
	return all
}

// busID is the address as /sys writes it: 0000:17:00.0.
func busID(p nvml.PciInfo) string {
	return fmt.Sprintf("%04x:%02x:%02x.0", p.Domain, p.Bus, p.Device)
}

func brand(b nvml.BrandType) string {
	return map[nvml.BrandType]string{
		nvml.BRAND_QUADRO: "Quadro", nvml.BRAND_TESLA: "Tesla", nvml.BRAND_NVS: "NVS", nvml.BRAND_GRID: "Grid", nvml.BRAND_GEFORCE: "GeForce",
		nvml.BRAND_TITAN: "Titan", nvml.BRAND_QUADRO_RTX: "QuadroRTX", nvml.BRAND_NVIDIA_RTX: "NvidiaRTX", nvml.BRAND_NVIDIA: "Nvidia",
		nvml.BRAND_GEFORCE_RTX: "GeForceRTX", nvml.BRAND_TITAN_RTX: "TitanRTX",
	}[b]
}
