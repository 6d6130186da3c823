package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"strconv"
	"strings"
)

// Where the library cannot be asked, nvidia-smi -q -x tells most of what it knows, rounded: memory in MiB,
// power in hundredths of a watt. It does not tell of NVLinks, energy, or the utilisation of processes.

// smiCommands are the places of nvidia-smi: on the path, and where WSL2 has it.
var smiCommands = []string{"nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi"}

func readNVIDIASMI(ctx context.Context, run Runner) (*NVMLAnswer, error) {
	if run == nil {
		return nil, fmt.Errorf("nvidia-smi: %w", ErrAbsent)
	}
	for _, command := range smiCommands {
		out, err := run(ctx, command, "-q", "-x")
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("nvidia-smi does not answer: %w", ctx.Err())
		}
		answer, failed := parseSMI(out)
		if failed != nil && err != nil { // it said nothing that can be understood: how it ended says more
			return nil, err
		}
		if failed != nil {
			return nil, failed
		}
		if answer.Absent != "" {
			return nil, fmt.Errorf("%s: %w", answer.Absent, ErrAbsent)
		}
		for _, g := range answer.GPUs {
			if g.MIG != nil && len(g.MIG.Devices) > 0 {
				if list, err := run(ctx, command, "-L"); err == nil {
					nameMIGDevices(answer.GPUs, string(list))
				}
				break
			}
		}
		return answer, nil
	}
	return nil, fmt.Errorf("nvidia-smi: %w", ErrAbsent)
}

// parseSMI reads the output of nvidia-smi -q -x, which where something is wrong is a sentence and no XML.
func parseSMI(out []byte) (*NVMLAnswer, error) {
	if !bytes.Contains(out, []byte("<nvidia_smi_log")) {
		return parseSMIFailure(string(out))
	}
	log, err := parseSMITree(out)
	if err != nil {
		return nil, fmt.Errorf("nvidia-smi: %w", err)
	}
	d := &Driver{Version: log.text("driver_version"), CUDAVersion: log.text("cuda_version")}
	d.LibraryVersion = d.Version
	answer := &NVMLAnswer{Driver: d, GPUs: []GPU{}}
	for _, gpu := range log.all("gpu") {
		answer.GPUs = append(answer.GPUs, gpu.gpu(len(answer.GPUs)))
	}
	return answer, nil
}

// smiFailures are what nvidia-smi says where NVML does not start, with NVML's words for it.
var smiFailures = []struct {
	text, words string
	ret         int
}{
	{"couldn't communicate with the NVIDIA driver", "Driver Not Loaded", 9},
	{"Driver/library version mismatch", "Driver/library version mismatch", 18},
	{"Insufficient Permissions", "Insufficient Permissions", 4},
	{"GPU is lost", "GPU is lost", 15},
	{"GPU access blocked by the operating system", "GPU access blocked by the operating system", 17},
	{"Unknown Error", "Unknown Error", 999},
}

func parseSMIFailure(text string) (*NVMLAnswer, error) {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimSpace(line)
	switch {
	case strings.Contains(text, "No devices were found"):
		return &NVMLAnswer{Driver: &Driver{}, GPUs: []GPU{}}, nil
	case strings.Contains(text, "couldn't find libnvidia-ml.so"):
		return &NVMLAnswer{Absent: "libnvidia-ml.so.1 is not installed"}, nil
	}
	for _, f := range smiFailures {
		if strings.Contains(text, f.text) {
			return &NVMLAnswer{Driver: &Driver{NVMLError: f.words, NVMLReturn: &f.ret}}, nil
		}
	}
	if line == "" {
		return nil, errors.New("nvidia-smi printed nothing")
	}
	return nil, fmt.Errorf("nvidia-smi: %.300s", line)
}

var brandsOfSMI = map[string]string{
	"NVIDIA": "Nvidia", "NVIDIA RTX": "NvidiaRTX", "Quadro RTX": "QuadroRTX", "GeForce RTX": "GeForceRTX", "Titan RTX": "TitanRTX",
}

func (e *smiElement) gpu(index int) GPU {
	g := GPU{Index: index, UUID: e.text("uuid"), Name: e.text("product_name"), Architecture: e.text("product_architecture"), ComputeCapability: e.text("compute_cap")}
	g.Architecture = strings.TrimSuffix(g.Architecture, " Lovelace")
	if g.Brand = e.text("product_brand"); brandsOfSMI[g.Brand] != "" {
		g.Brand = brandsOfSMI[g.Brand]
	}
	address := e.text("pci", "pci_bus_id")
	if address == "" {
		address = e.id
	}
	g.PCIBusID = shortAddress(address)
	if id := e.text("pci", "pci_device_id"); len(id) >= 8 { // 233010DE, or 0x233010DE
		g.PCIDeviceID = strings.ToLower(id[len(id)-8 : len(id)-4])
	}
	g.Minor = e.integer("minor_number")
	e.smiMemory(&g)
	e.smiPower(&g)
	e.smiPCIe(&g)
	e.smiErrors(&g)
	if mode := e.text("compute_mode"); mode != "" { // Exclusive_Process
		g.ComputeMode = strings.ReplaceAll(strings.ToLower(mode), "_", "-")
	}
	g.PersistenceMode, g.DisplayActive = e.on("persistence_mode"), e.on("display_active")
	if state := e.text("fabric", "state"); state != "" {
		g.FabricState = strings.ReplaceAll(strings.ToLower(state), " ", "-")
		if status := e.text("fabric", "status"); g.FabricState == "completed" && status != "Success" {
			g.FabricError = status
		}
	}
	e.smiMIG(&g)
	e.smiProcesses(&g)
	if action := e.text("gpu_recovery_action"); action != "" { // since driver 560
		g.RecoveryAction = strings.ReplaceAll(strings.ToLower(action), " ", "-")
	}
	switch {
	case e.says("GPU is lost"):
		g.Error, g.NVMLReturn = "GPU is lost", ptr(15)
	case e.says("GPU requires reset") || e.text("gpu_reset_status", "reset_required") == "Yes":
		g.Error, g.NVMLReturn = "GPU requires reset", ptr(16)
	}
	return g
}

// says tells if any figure of the GPU is these words.
func (e *smiElement) says(words string) bool {
	for _, c := range e.elements {
		if strings.Trim(c.content, "[]") == words || c.says(words) {
			return true
		}
	}
	return false
}

// shortAddress writes 00000000:1B:00.0 as /sys does: 0000:1b:00.0.
func shortAddress(s string) string {
	s = strings.ToLower(s)
	if domain, rest, ok := strings.Cut(s, ":"); ok && len(domain) == 8 && strings.HasPrefix(domain, "0000") {
		return domain[4:] + ":" + rest
	}
	return s
}

func (e *smiElement) smiMemory(g *GPU) {
	fb := e.at("fb_memory_usage")
	g.MemoryTotalBytes, g.MemoryUsedBytes, g.MemoryFreeBytes, g.MemoryReservedBytes = fb.bytes("total"), fb.bytes("used"), fb.bytes("free"), fb.bytes("reserved")
	bar1 := e.at("bar1_memory_usage")
	g.BAR1TotalBytes, g.BAR1UsedBytes = bar1.bytes("total"), bar1.bytes("used")
	util := e.at("utilization")
	g.GPUUtilPercent, g.MemoryUtilPercent = util.count32("gpu_util"), util.count32("memory_util")
	g.EncoderUtilPercent, g.DecoderUtilPercent = util.count32("encoder_util"), util.count32("decoder_util")
	g.JPEGUtilPercent, g.OFAUtilPercent = util.count32("jpeg_util"), util.count32("ofa_util")
}

// smiReasons are the last words of the elements of clocks_event_reasons (clocks_throttle_reasons before
// driver 535), in the order of nvidia-smi.
var smiReasons = []struct{ suffix, name string }{
	{"gpu_idle", "gpu-idle"}, {"applications_clocks_setting", "applications-clocks"}, {"sw_power_cap", "sw-power-cap"}, {"hw_slowdown", "hw-slowdown"},
	{"hw_thermal_slowdown", "hw-thermal"}, {"hw_power_brake_slowdown", "hw-power-brake"}, {"sync_boost", "sync-boost"}, {"sw_thermal_slowdown", "sw-thermal"},
	{"display_clocks_setting", "display-clocks"},
}

func (e *smiElement) smiPower(g *GPU) {
	heat := e.at("temperature")
	g.TemperatureCelsius, g.MemoryTemperatureCelsius = heat.integer("gpu_temp"), heat.integer("memory_temp")
	g.SlowdownTemperatureCelsius, g.ShutdownTemperatureCelsius = heat.integer("gpu_temp_slow_threshold"), heat.integer("gpu_temp_max_threshold")
	g.FanPercent = e.count32("fan_speed")
	power := e.at("gpu_power_readings")
	if len(power.elements) == 0 { // before driver 535
		power = e.at("power_readings")
	}
	g.PowerWatts = power.first("power_draw", "average_power_draw", "instant_power_draw")
	g.PowerLimitWatts = power.first("current_power_limit", "enforced_power_limit", "power_limit")
	g.PowerDefaultLimitWatts, g.PowerMinLimitWatts, g.PowerMaxLimitWatts = power.number("default_power_limit"), power.number("min_power_limit"), power.number("max_power_limit")
	for _, c := range []struct {
		name      string
		now, most **uint32
	}{
		{"graphics_clock", &g.GraphicsClockMHz, &g.MaxGraphicsClockMHz}, {"sm_clock", &g.SMClockMHz, &g.MaxSMClockMHz},
		{"mem_clock", &g.MemoryClockMHz, &g.MaxMemoryClockMHz}, {"video_clock", &g.VideoClockMHz, &g.MaxVideoClockMHz},
	} {
		*c.now, *c.most = e.count32("clocks", c.name), e.count32("max_clocks", c.name)
	}
	g.PerformanceState = e.text("performance_state")
	for _, kind := range []string{"event", "throttle"} {
		reasons := e.at("clocks_" + kind + "_reasons")
		for _, r := range smiReasons {
			switch reasons.text("clocks_" + kind + "_reason_" + r.suffix) {
			case "Active":
				g.ThrottleReasons = append(g.ThrottleReasons, r.name)
			case "Not Active":
				if g.ThrottleReasons == nil {
					g.ThrottleReasons = []string{}
				}
			}
		}
	}
	seconds := func(name string) *float64 {
		v := e.number("clocks_event_reasons_counters", "clocks_event_reasons_counters_"+name)
		if v == nil {
			return nil
		}
		return ptr(*v * 1e-6)
	}
	g.PowerViolationSeconds, g.SyncBoostViolationSeconds = seconds("sw_power_cap"), seconds("sync_boost")
}

func (e *smiElement) smiPCIe(g *GPU) {
	pci := e.at("pci")
	gen, width := pci.at("pci_gpu_link_info", "pcie_gen"), pci.at("pci_gpu_link_info", "link_widths")
	p := &PCIe{
		Generation: gen.integer("current_link_gen"), GenerationMax: gen.integer("max_link_gen"), DeviceGenerationMax: gen.integer("max_device_link_gen"),
		Width: width.integer("current_link_width"), WidthMax: width.integer("max_link_width"), ReplayCount: pci.count32("replay_counter"),
		TxBytesPerSecond: whole[uint64](pci.number("tx_util"), 1<<10), RxBytesPerSecond: whole[uint64](pci.number("rx_util"), 1<<10),
	}
	if *p != (PCIe{}) {
		g.PCIe = p
	}
}

func (e *smiElement) smiErrors(g *GPU) {
	if on := e.on("ecc_mode", "current_ecc"); on != nil {
		g.ECC = &ECC{Enabled: on, PendingEnabled: e.on("ecc_mode", "pending_ecc")}
		errors := e.at("ecc_errors")
		g.ECC.CorrectedVolatile, g.ECC.UncorrectedVolatile = errors.at("volatile").eccTotals()
		g.ECC.CorrectedAggregate, g.ECC.UncorrectedAggregate = errors.at("aggregate").eccTotals()
	}
	rows := e.at("remapped_rows")
	if corrected, uncorrected := rows.integer("remapped_row_corr"), rows.integer("remapped_row_unc"); corrected != nil && uncorrected != nil {
		pending, failed := rows.on("remapped_row_pending"), rows.on("remapped_row_failure")
		g.RemappedRows = &RemappedRows{Correctable: *corrected, Uncorrectable: *uncorrected, Pending: pending != nil && *pending, Failed: failed != nil && *failed}
	}
	pages := e.at("retired_pages")
	p := &RetiredPages{SingleBit: pages.integer("multiple_single_bit_retirement", "retired_count"), DoubleBit: pages.integer("double_bit_retirement", "retired_count"), Pending: pages.on("pending_retirement")}
	if p.Pending == nil {
		p.Pending = pages.on("pending_blacklist")
	}
	if *p != (RetiredPages{}) {
		g.RetiredPages = p
	}
}

// eccTotals adds up the parts of the memory: from Turing on SRAM and DRAM, before that a total is there.
func (e *smiElement) eccTotals() (corrected, uncorrected *uint64) {
	sum := func(names ...string) (total *uint64) {
		for _, name := range names {
			if v := e.count(name); v != nil {
				if total == nil {
					total = ptr(uint64(0))
				}
				*total += *v
			}
		}
		return total
	}
	corrected = sum("sram_correctable", "dram_correctable")
	uncorrected = sum("sram_uncorrectable", "sram_uncorrectable_parity", "sram_uncorrectable_secded", "dram_uncorrectable")
	if corrected == nil && uncorrected == nil {
		return e.count("single_bit", "total"), e.count("double_bit", "total")
	}
	return corrected, uncorrected
}

func (e *smiElement) smiMIG(g *GPU) {
	on := e.on("mig_mode", "current_mig")
	if on == nil {
		return
	}
	pending := e.on("mig_mode", "pending_mig")
	g.MIG = &MIG{Enabled: *on, PendingEnabled: pending != nil && *pending, Devices: []MIGDevice{}}
	for _, d := range e.at("mig_devices").all("mig_device") {
		index := d.integer("index")
		if index == nil {
			continue
		}
		fb := d.at("fb_memory_usage")
		g.MIG.Devices = append(g.MIG.Devices, MIGDevice{Index: *index, GPUInstanceID: d.integer("gpu_instance_id"), ComputeInstanceID: d.integer("compute_instance_id"),
			MemoryTotalBytes: fb.bytes("total"), MemoryUsedBytes: fb.bytes("used"), MemoryFreeBytes: fb.bytes("free"),
			Multiprocessors: d.integer("device_attributes", "shared", "multiprocessor_count")})
	}
}

func (e *smiElement) smiProcesses(g *GPU) {
	if len(e.all("processes")) == 0 || e.at("processes").content != "" { // a word in place of the list
		return
	}
	g.Processes = []GPUProcess{}
	if g.MIG != nil {
		for d := range g.MIG.Devices {
			g.MIG.Devices[d].Processes = []GPUProcess{}
		}
	}
	for _, info := range e.at("processes").all("process_info") {
		pid := info.integer("pid")
		if pid == nil {
			continue
		}
		p := GPUProcess{PID: *pid, Kinds: []string{}, MemoryUsedBytes: info.bytes("used_memory"), GPUInstanceID: info.integer("gpu_instance_id"), ComputeInstanceID: info.integer("compute_instance_id")}
		if name := info.text("process_name"); name != "" {
			program, _, _ := strings.Cut(name, " ")
			p.Name = path.Base(program)
		}
		for _, kind := range []struct{ letter, name string }{{"C", "compute"}, {"G", "graphics"}, {"M", "mps"}} {
			if strings.Contains(info.text("type"), kind.letter) {
				p.Kinds = append(p.Kinds, kind.name)
			}
		}
		g.Processes = append(g.Processes, p)
		if g.MIG == nil || p.GPUInstanceID == nil {
			continue
		}
		for d := range g.MIG.Devices {
			device := &g.MIG.Devices[d]
			if equal(device.GPUInstanceID, p.GPUInstanceID) && (p.ComputeInstanceID == nil || equal(device.ComputeInstanceID, p.ComputeInstanceID)) {
				device.Processes = append(device.Processes, p)
			}
		}
	}
}

var (
	listedGPU = lazily(`^GPU (\d+): (.*) \(UUID: `)
	listedMIG = lazily(`^\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)\s]+)\)`)
)

// nameMIGDevices adds the names that only the list has (nvidia-smi -L):
//
//	GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-…)
//	  MIG 1g.10gb     Device  0: (UUID: MIG-…)
func nameMIGDevices(gpus []GPU, list string) {
	gpu := -1
	for line := range strings.Lines(list) {
		line = strings.TrimRight(line, "\r\n")
		if m := listedGPU.FindStringSubmatch(line); m != nil {
			gpu, _ = strconv.Atoi(m[1])
			continue
		}
		m := listedMIG.FindStringSubmatch(line)
		if m == nil || gpu < 0 || gpu >= len(gpus) || gpus[gpu].MIG == nil {
			continue
		}
		index, _ := strconv.Atoi(m[2])
		for d := range gpus[gpu].MIG.Devices {
			if device := &gpus[gpu].MIG.Devices[d]; device.Index == index {
				device.Profile, device.UUID, device.Name = m[1], m[3], gpus[gpu].Name+" MIG "+m[1]
			}
		}
	}
}

func equal(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }
