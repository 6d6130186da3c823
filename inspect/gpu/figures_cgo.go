//go:build cgo && linux

package gpu

import (
	endian "encoding/binary"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// still reads what a GPU is and how it is set.
func (r *nvmlReader) still(links, brief bool) {
	r.identity()
	r.limits()
	if !brief {
		r.highestClocks()
	}
	r.link()
	r.memoryFaults()
	r.modes()
	if links {
		r.nvlinks()
	}
}

// figures reads what moves, on top of what stands still.
func (r *nvmlReader) figures(brief bool) {
	r.part() // what is kept of a GPU is not written to
	if brief {
		r.moving(allMoving &^ (MovingPowerViolation | MovingThermalViolation))
	} else {
		r.moving(allMoving)
		r.energyAndClocks()
		r.violations()
	}
	r.linkNow()
	if r.gpu.ECC != nil && *r.gpu.ECC == (ECC{}) {
		r.gpu.ECC = nil
	}
	if r.gpu.PCIe != nil && *r.gpu.PCIe == (PCIe{}) {
		r.gpu.PCIe = nil
	}
	r.gpu.Processes = r.processes(r.device, true)
	r.mig()
}

// moving reads what is asked for of the figures that a view can show.
func (r *nvmlReader) moving(asked Moving) {
	for _, part := range movingParts {
		if asked&part.of != 0 {
			part.read(r)
		}
	}
}

// movingParts read one figure each, or those that one question tells. What goes over the link is measured on the side.
var movingParts = []struct {
	of   Moving
	read func(*nvmlReader)
}{
	{MovingUtilization, (*nvmlReader).utilization}, {MovingMemory, (*nvmlReader).memory}, {MovingBAR1, (*nvmlReader).bar1},
	{MovingTemperature, (*nvmlReader).temperature}, {MovingMemoryTemperature, (*nvmlReader).memoryTemperature}, {MovingPower, (*nvmlReader).power},
	{MovingFan, func(r *nvmlReader) { r.gpu.FanPercent = figure(r, "nvmlDeviceGetFanSpeed", r.device.GetFanSpeed) }},
	{MovingEncoder, func(r *nvmlReader) {
		r.gpu.EncoderUtilPercent = r.unit("nvmlDeviceGetEncoderUtilization", r.device.GetEncoderUtilization)
	}},
	{MovingDecoder, func(r *nvmlReader) {
		r.gpu.DecoderUtilPercent = r.unit("nvmlDeviceGetDecoderUtilization", r.device.GetDecoderUtilization)
	}},
	{MovingJPEG, func(r *nvmlReader) {
		r.gpu.JPEGUtilPercent = r.unit("nvmlDeviceGetJpgUtilization", r.device.GetJpgUtilization)
	}},
	{MovingOFA, func(r *nvmlReader) {
		r.gpu.OFAUtilPercent = r.unit("nvmlDeviceGetOfaUtilization", r.device.GetOfaUtilization)
	}},
	{MovingSMClock, func(r *nvmlReader) { r.gpu.SMClockMHz = r.clock(nvml.CLOCK_SM) }},
	{MovingMemoryClock, func(r *nvmlReader) { r.gpu.MemoryClockMHz = r.clock(nvml.CLOCK_MEM) }},
	{MovingPowerViolation, func(r *nvmlReader) { r.gpu.PowerViolationSeconds = r.violation(nvml.PERF_POLICY_POWER) }},
	{MovingThermalViolation, func(r *nvmlReader) { r.gpu.ThermalViolationSeconds = r.violation(nvml.PERF_POLICY_THERMAL) }},
	{MovingCorrectedErrors, func(r *nvmlReader) {
		r.gpu.ECC.CorrectedVolatile = r.eccErrors(nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.VOLATILE_ECC)
	}},
	{MovingUncorrectedErrors, func(r *nvmlReader) {
		r.gpu.ECC.UncorrectedVolatile = r.eccErrors(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.VOLATILE_ECC)
	}},
	{MovingReplays, (*nvmlReader).replays},
	{MovingPerformanceState, (*nvmlReader).performanceState}, {MovingThrottling, (*nvmlReader).throttling},
}

// part gives the GPU parts of its own that figures can be put into.
func (r *nvmlReader) part() {
	r.gpu.ECC, r.gpu.PCIe = ptr(*eccOf(r.gpu)), ptr(*linkOf(r.gpu))
}

func (r *nvmlReader) identity() {
	g, d := r.gpu, r.device
	if v := figure(r, "nvmlDeviceGetUUID", d.GetUUID); v != nil {
		g.UUID = *v
	}
	if v := figure(r, "nvmlDeviceGetName", d.GetName); v != nil {
		g.Name = *v
	}
	if v := figure(r, "nvmlDeviceGetBrand", d.GetBrand); v != nil {
		g.Brand = brands[*v]
	}
	if v := figure(r, "nvmlDeviceGetArchitecture", d.GetArchitecture); v != nil {
		g.Architecture = architectures[*v]
	}
	if v := figure(r, "nvmlDeviceGetPciInfo", d.GetPciInfo); v != nil { // the newest version of it that there is
		g.PCIBusID = busID(*v)
		g.PCIDeviceID = fmt.Sprintf("%04x", v.PciDeviceId>>16)
	}
	g.Minor = figure(r, "nvmlDeviceGetMinorNumber", d.GetMinorNumber)
	if r.known("nvmlDeviceGetCudaComputeCapability") {
		if major, minor, ret := d.GetCudaComputeCapability(); ret == nvml.SUCCESS {
			g.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
		}
	}
}

func (r *nvmlReader) memory() {
	g, d := r.gpu, r.device
	if v := figure(r, "nvmlDeviceGetMemoryInfo_v2", d.GetMemoryInfo_v2); v != nil {
		g.MemoryTotalBytes, g.MemoryUsedBytes, g.MemoryFreeBytes, g.MemoryReservedBytes = &v.Total, &v.Used, &v.Free, &v.Reserved
	} else if v := figure(r, "nvmlDeviceGetMemoryInfo", d.GetMemoryInfo); v != nil {
		g.MemoryTotalBytes, g.MemoryUsedBytes, g.MemoryFreeBytes = &v.Total, &v.Used, &v.Free
	}
}

func (r *nvmlReader) bar1() {
	if v := figure(r, "nvmlDeviceGetBAR1MemoryInfo", r.device.GetBAR1MemoryInfo); v != nil {
		r.gpu.BAR1TotalBytes, r.gpu.BAR1UsedBytes = &v.Bar1Total, &v.Bar1Used
	}
}

func (r *nvmlReader) utilization() {
	if v := figure(r, "nvmlDeviceGetUtilizationRates", r.device.GetUtilizationRates); v != nil {
		r.gpu.GPUUtilPercent, r.gpu.MemoryUtilPercent = &v.Gpu, &v.Memory
	}
}

// unit is the utilisation of one of the units beside the processors: percent, and the sampling period in µs.
func (r *nvmlReader) unit(symbol string, call func() (uint32, uint32, nvml.Return)) *uint32 {
	return figure(r, symbol, func() (uint32, nvml.Return) { v, _, ret := call(); return v, ret })
}

const milli = 1e-3

// limits are those of power and heat.
func (r *nvmlReader) limits() {
	g, d := r.gpu, r.device
	threshold := func(t nvml.TemperatureThresholds) *int {
		return signed(figureOf(r, "nvmlDeviceGetTemperatureThreshold", d.GetTemperatureThreshold, t))
	}
	g.SlowdownTemperatureCelsius, g.ShutdownTemperatureCelsius = threshold(nvml.TEMPERATURE_THRESHOLD_SLOWDOWN), threshold(nvml.TEMPERATURE_THRESHOLD_SHUTDOWN)
	g.PowerLimitWatts = scaled(figure(r, "nvmlDeviceGetEnforcedPowerLimit", d.GetEnforcedPowerLimit), milli)
	g.PowerDefaultLimitWatts = scaled(figure(r, "nvmlDeviceGetPowerManagementDefaultLimit", d.GetPowerManagementDefaultLimit), milli)
	if r.known("nvmlDeviceGetPowerManagementLimitConstraints") {
		if least, most, ret := d.GetPowerManagementLimitConstraints(); ret == nvml.SUCCESS {
			g.PowerMinLimitWatts, g.PowerMaxLimitWatts = scaled(&least, milli), scaled(&most, milli)
		}
	}
}

// highestClocks are looked up in tables on the GPU: 12 ms on an H100.
func (r *nvmlReader) highestClocks() {
	g, d := r.gpu, r.device
	clock := func(c nvml.ClockType) *uint32 { return figureOf(r, "nvmlDeviceGetMaxClockInfo", d.GetMaxClockInfo, c) }
	g.MaxGraphicsClockMHz, g.MaxSMClockMHz = clock(nvml.CLOCK_GRAPHICS), clock(nvml.CLOCK_SM)
	g.MaxMemoryClockMHz, g.MaxVideoClockMHz = clock(nvml.CLOCK_MEM), clock(nvml.CLOCK_VIDEO)
}

func (r *nvmlReader) temperature() {
	g, d := r.gpu, r.device
	g.TemperatureCelsius = signed(figureOf(r, "nvmlDeviceGetTemperature", d.GetTemperature, nvml.TEMPERATURE_GPU))
	if g.TemperatureCelsius == nil && r.known("nvmlDeviceGetTemperatureV") { // what newer headers have in its place
		if v, ret := d.GetTemperatureV().V1(); ret == nvml.SUCCESS {
			g.TemperatureCelsius = ptr(int(v.Temperature))
		}
	}
}

func (r *nvmlReader) memoryTemperature() {
	if v := r.field(nvml.FI_DEV_MEMORY_TEMP); v != nil && *v != 0 { // a sensor that is not there reads 0
		r.gpu.MemoryTemperatureCelsius = ptr(int(*v))
	}
}

func (r *nvmlReader) power() {
	r.gpu.PowerWatts = scaled(figure(r, "nvmlDeviceGetPowerUsage", r.device.GetPowerUsage), milli)
}

func (r *nvmlReader) energyAndClocks() {
	g := r.gpu
	g.EnergyJoules = scaled(figure(r, "nvmlDeviceGetTotalEnergyConsumption", r.device.GetTotalEnergyConsumption), milli)
	g.GraphicsClockMHz, g.VideoClockMHz = r.clock(nvml.CLOCK_GRAPHICS), r.clock(nvml.CLOCK_VIDEO)
}

// violations are of the limits that hold the clocks down and that no view shows.
func (r *nvmlReader) violations() {
	g := r.gpu
	g.SyncBoostViolationSeconds, g.BoardLimitViolationSeconds = r.violation(nvml.PERF_POLICY_SYNC_BOOST), r.violation(nvml.PERF_POLICY_BOARD_LIMIT)
	g.LowUtilizationViolationSeconds, g.ReliabilityViolationSeconds = r.violation(nvml.PERF_POLICY_LOW_UTILIZATION), r.violation(nvml.PERF_POLICY_RELIABILITY)
}

func (r *nvmlReader) violation(policy nvml.PerfPolicyType) *float64 {
	v := figureOf(r, "nvmlDeviceGetViolationStatus", r.device.GetViolationStatus, policy)
	if v == nil {
		return nil
	}
	return ptr(float64(v.ViolationTime) * 1e-9)
}

// field is one of NVML's figures that have a number and no function of their own.
func (r *nvmlReader) field(id uint32) *uint64 {
	values := []nvml.FieldValue{{FieldId: id}}
	if !r.known("nvmlDeviceGetFieldValues") || r.device.GetFieldValues(values) != nvml.SUCCESS || nvml.Return(values[0].NvmlReturn) != nvml.SUCCESS {
		return nil
	}
	raw := values[0].Value[:]
	switch nvml.ValueType(values[0].ValueType) {
	case nvml.VALUE_TYPE_UNSIGNED_INT, nvml.VALUE_TYPE_SIGNED_INT:
		return ptr(uint64(endian.NativeEndian.Uint32(raw)))
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG, nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		return ptr(endian.NativeEndian.Uint64(raw))
	}
	return nil
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

func (r *nvmlReader) clock(c nvml.ClockType) *uint32 {
	return figureOf(r, "nvmlDeviceGetClockInfo", r.device.GetClockInfo, c)
}

func (r *nvmlReader) performanceState() {
	if v := figure(r, "nvmlDeviceGetPerformanceState", r.device.GetPerformanceState); v != nil && *v <= nvml.PSTATE_15 {
		r.gpu.PerformanceState = fmt.Sprintf("P%d", *v)
	}
}

func (r *nvmlReader) throttling() {
	g, d := r.gpu, r.device
	reasons := figure(r, "nvmlDeviceGetCurrentClocksThrottleReasons", d.GetCurrentClocksThrottleReasons)
	if reasons == nil { // its name since driver 535
		reasons = figure(r, "nvmlDeviceGetCurrentClocksEventReasons", d.GetCurrentClocksEventReasons)
	}
	if reasons != nil {
		g.ThrottleReasons = []string{}
		for _, reason := range throttleReasons {
			if *reasons&reason.bit != 0 {
				g.ThrottleReasons = append(g.ThrottleReasons, reason.name)
			}
		}
	}
}

// link is what the GPU's PCIe link can do.
func (r *nvmlReader) link() {
	d := r.device
	p := &PCIe{
		GenerationMax:       figure(r, "nvmlDeviceGetMaxPcieLinkGeneration", d.GetMaxPcieLinkGeneration),
		DeviceGenerationMax: figure(r, "nvmlDeviceGetGpuMaxPcieLinkGeneration", d.GetGpuMaxPcieLinkGeneration),
		WidthMax:            figure(r, "nvmlDeviceGetMaxPcieLinkWidth", d.GetMaxPcieLinkWidth),
	}
	if *p != (PCIe{}) {
		r.gpu.PCIe = p
	}
}

// linkNow is what its link is now.
func (r *nvmlReader) linkNow() {
	p, d := r.gpu.PCIe, r.device
	p.Generation = figure(r, "nvmlDeviceGetCurrPcieLinkGeneration", d.GetCurrPcieLinkGeneration)
	p.Width = figure(r, "nvmlDeviceGetCurrPcieLinkWidth", d.GetCurrPcieLinkWidth)
}

func (r *nvmlReader) replays() {
	if v := figure(r, "nvmlDeviceGetPcieReplayCounter", r.device.GetPcieReplayCounter); v != nil {
		r.gpu.PCIe.ReplayCount = ptr(uint32(*v))
	}
}

// eccErrors is one of the four counts of ECC.
func (r *nvmlReader) eccErrors(kind nvml.MemoryErrorType, span nvml.EccCounterType) *uint64 {
	return figure(r, "nvmlDeviceGetTotalEccErrors", func() (uint64, nvml.Return) { return r.device.GetTotalEccErrors(kind, span) })
}

// memoryFaults is what the memory has gone through, and if errors are corrected.
func (r *nvmlReader) memoryFaults() {
	g, d := r.gpu, r.device
	if r.known("nvmlDeviceGetEccMode") {
		if now, pending, ret := d.GetEccMode(); ret == nvml.SUCCESS {
			g.ECC = &ECC{Enabled: ptr(now == nvml.FEATURE_ENABLED), PendingEnabled: ptr(pending == nvml.FEATURE_ENABLED),
				CorrectedAggregate:   r.eccErrors(nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.AGGREGATE_ECC),
				UncorrectedAggregate: r.eccErrors(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.AGGREGATE_ECC)}
		}
	}
	if r.known("nvmlDeviceGetRemappedRows") {
		if corrected, uncorrected, pending, failed, ret := d.GetRemappedRows(); ret == nvml.SUCCESS {
			g.RemappedRows = &RemappedRows{Correctable: corrected, Uncorrectable: uncorrected, Pending: pending, Failed: failed}
		}
	}
	retired := func(cause nvml.PageRetirementCause) *int {
		v := figureOf(r, "nvmlDeviceGetRetiredPages", d.GetRetiredPages, cause)
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

func (r *nvmlReader) modes() {
	g, d := r.gpu, r.device
	if v := figure(r, "nvmlDeviceGetComputeMode", d.GetComputeMode); v != nil {
		g.ComputeMode = computeModes[*v]
	}
	if v := figure(r, "nvmlDeviceGetPersistenceMode", d.GetPersistenceMode); v != nil {
		g.PersistenceMode = ptr(*v == nvml.FEATURE_ENABLED)
	}
	if v := figure(r, "nvmlDeviceGetDisplayActive", d.GetDisplayActive); v != nil {
		g.DisplayActive = ptr(*v == nvml.FEATURE_ENABLED)
	}
	if v := r.field(nvml.FI_DEV_GET_GPU_RECOVERY_ACTION); v != nil {
		g.RecoveryAction = recoveryActions[*v]
	}
	r.fabric()
}

// fabric reads how far the GPU has come with joining its NVLink fabric, which is the fabric manager's work.
func (r *nvmlReader) fabric() {
	state, status, ok := uint8(0), nvml.SUCCESS, false
	if r.known("nvmlDeviceGetGpuFabricInfoV") {
		if v, ret := r.device.GetGpuFabricInfoV().V2(); ret == nvml.SUCCESS {
			state, status, ok = v.State, nvml.Return(v.Status), true
		}
	} else if r.known("nvmlDeviceGetGpuFabricInfo") {
		if v, ret := r.device.GetGpuFabricInfo(); ret == nvml.SUCCESS {
			state, status, ok = v.State, nvml.Return(v.Status), true
		}
	}
	if !ok {
		return
	}
	r.gpu.FabricState = fabricStates[state]
	if state == nvml.GPU_FABRIC_STATE_COMPLETED && status != nvml.SUCCESS {
		r.gpu.FabricError = words(status)
	}
}

func (r *nvmlReader) nvlinks() {
	if !r.known("nvmlDeviceGetNvLinkState") {
		return
	}
	d := r.device
	for link := range nvml.NVLINK_MAX_LINKS {
		state, ret := d.GetNvLinkState(link)
		if ret != nvml.SUCCESS {
			break // NOT_SUPPORTED, or beyond this GPU's last link
		}
		l := NVLink{Link: link, Active: ptr(state == nvml.FEATURE_ENABLED)}
		if *l.Active {
			l.Version = signed(figureOf(r, "nvmlDeviceGetNvLinkVersion", d.GetNvLinkVersion, link))
			if v := figureOf(r, "nvmlDeviceGetNvLinkRemotePciInfo_v2", d.GetNvLinkRemotePciInfo, link); v != nil {
				l.Remote = busID(*v)
			}
			if v := figureOf(r, "nvmlDeviceGetNvLinkRemoteDeviceType", d.GetNvLinkRemoteDeviceType, link); v != nil {
				l.RemoteType = linkTypes[*v]
			}
		}
		r.gpu.NVLinks = append(r.gpu.NVLinks, l)
	}
}

// busID is the address as /sys writes it: 0000:17:00.0.
func busID(p nvml.PciInfo) string {
	return fmt.Sprintf("%04x:%02x:%02x.0", p.Domain, p.Bus, p.Device)
}

var (
	brands = map[nvml.BrandType]string{
		nvml.BRAND_QUADRO: "Quadro", nvml.BRAND_TESLA: "Tesla", nvml.BRAND_NVS: "NVS", nvml.BRAND_GRID: "Grid", nvml.BRAND_GEFORCE: "GeForce",
		nvml.BRAND_TITAN: "Titan", nvml.BRAND_QUADRO_RTX: "QuadroRTX", nvml.BRAND_NVIDIA_RTX: "NvidiaRTX", nvml.BRAND_NVIDIA: "Nvidia",
		nvml.BRAND_GEFORCE_RTX: "GeForceRTX", nvml.BRAND_TITAN_RTX: "TitanRTX",
	}
	architectures = map[nvml.DeviceArchitecture]string{
		nvml.DEVICE_ARCH_KEPLER: "Kepler", nvml.DEVICE_ARCH_MAXWELL: "Maxwell", nvml.DEVICE_ARCH_PASCAL: "Pascal", nvml.DEVICE_ARCH_VOLTA: "Volta",
		nvml.DEVICE_ARCH_TURING: "Turing", nvml.DEVICE_ARCH_AMPERE: "Ampere", nvml.DEVICE_ARCH_ADA: "Ada", nvml.DEVICE_ARCH_HOPPER: "Hopper",
		nvml.DEVICE_ARCH_BLACKWELL: "Blackwell", nvml.DEVICE_ARCH_RUBIN: "Rubin",
	}
	computeModes = map[nvml.ComputeMode]string{
		nvml.COMPUTEMODE_DEFAULT: "default", nvml.COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive-process", nvml.COMPUTEMODE_PROHIBITED: "prohibited",
	}
	recoveryActions = map[uint64]string{
		0: "none", 1: "gpu-reset", 2: "node-reboot", 3: "drain-p2p", 4: "drain-and-reset", 5: "recover-imex-domain", 6: "bus-reset", 7: "system-reboot",
	}
	fabricStates = map[uint8]string{
		nvml.GPU_FABRIC_STATE_NOT_SUPPORTED: "not-supported", nvml.GPU_FABRIC_STATE_NOT_STARTED: "not-started",
		nvml.GPU_FABRIC_STATE_IN_PROGRESS: "in-progress", nvml.GPU_FABRIC_STATE_COMPLETED: "completed",
	}
	linkTypes = map[nvml.IntNvLinkDeviceType]string{
		nvml.NVLINK_DEVICE_TYPE_GPU: "gpu", nvml.NVLINK_DEVICE_TYPE_SWITCH: "switch", nvml.NVLINK_DEVICE_TYPE_IBMNPU: "npu",
	}
)
