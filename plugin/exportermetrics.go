//go:build !container

package plugin

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A gpuMetric is one of DCGM's, with dcgm-exporter's name, type, unit and help
// (https://github.com/NVIDIA/dcgm-exporter/blob/main/etc/default-counters.csv), so that dashboards made
// for it work. value is nil where this GPU does not have the figure.
type gpuMetric struct {
	name  string
	kind  prometheus.ValueType
	help  string
	value func(*inspect.GPU) *float64
}

const mib = 1 << 20

var gpuMetrics = []gpuMetric{
	{"DCGM_FI_DEV_SM_CLOCK", prometheus.GaugeValue, "SM clock frequency (in MHz).", func(g *inspect.GPU) *float64 { return number(g.SMClockMHz, 1) }},
	{"DCGM_FI_DEV_MEM_CLOCK", prometheus.GaugeValue, "Memory clock frequency (in MHz).", func(g *inspect.GPU) *float64 { return number(g.MemoryClockMHz, 1) }},
	{"DCGM_FI_DEV_MEMORY_TEMP", prometheus.GaugeValue, "Memory temperature (in C).", func(g *inspect.GPU) *float64 { return number(g.MemoryTemperatureCelsius, 1) }},
	{"DCGM_FI_DEV_GPU_TEMP", prometheus.GaugeValue, "GPU temperature (in C).", func(g *inspect.GPU) *float64 { return number(g.TemperatureCelsius, 1) }},
	{"DCGM_FI_DEV_POWER_USAGE", prometheus.GaugeValue, "Power draw (in W).", func(g *inspect.GPU) *float64 { return g.PowerWatts }},
	{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", prometheus.CounterValue, "Total energy consumption since boot (in mJ).", func(g *inspect.GPU) *float64 { return number(g.EnergyJoules, 1000) }},
	{"DCGM_FI_DEV_GPU_UTIL", prometheus.GaugeValue, "GPU utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.GPUUtilPercent, 1) }},
	{"DCGM_FI_DEV_MEM_COPY_UTIL", prometheus.GaugeValue, "Memory utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.MemoryUtilPercent, 1) }},
	{"DCGM_FI_DEV_ENC_UTIL", prometheus.GaugeValue, "Encoder utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.EncoderUtilPercent, 1) }},
	{"DCGM_FI_DEV_DEC_UTIL", prometheus.GaugeValue, "Decoder utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.DecoderUtilPercent, 1) }},
	{"DCGM_FI_DEV_FB_FREE", prometheus.GaugeValue, "Framebuffer memory free (in MiB).", func(g *inspect.GPU) *float64 { return number(g.MemoryFreeBytes, 1.0/mib) }},
	{"DCGM_FI_DEV_FB_USED", prometheus.GaugeValue, "Framebuffer memory used (in MiB).", func(g *inspect.GPU) *float64 { return number(g.MemoryUsedBytes, 1.0/mib) }},
	{"DCGM_FI_DEV_PCIE_TX_THROUGHPUT", prometheus.CounterValue, "Total number of bytes transmitted through PCIe TX (in KB) via NVML.", pcie(func(p *inspect.PCIe) *float64 { return number(p.TxBytesPerSecond, 1.0/1024) })},
	{"DCGM_FI_DEV_PCIE_RX_THROUGHPUT", prometheus.CounterValue, "Total number of bytes received through PCIe RX (in KB) via NVML.", pcie(func(p *inspect.PCIe) *float64 { return number(p.RxBytesPerSecond, 1.0/1024) })},
	{"DCGM_FI_DEV_PCIE_REPLAY_COUNTER", prometheus.CounterValue, "Total number of PCIe retries.", pcie(func(p *inspect.PCIe) *float64 { return number(p.ReplayCount, 1) })},
	{"DCGM_FI_DEV_POWER_VIOLATION", prometheus.CounterValue, "Throttling duration due to power constraints (in us).", func(g *inspect.GPU) *float64 { return number(g.PowerViolationSeconds, 1e6) }},
	{"DCGM_FI_DEV_THERMAL_VIOLATION", prometheus.CounterValue, "Throttling duration due to thermal constraints (in us).", func(g *inspect.GPU) *float64 { return number(g.ThermalViolationSeconds, 1e6) }},
	{"DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", prometheus.CounterValue, "Total number of single-bit volatile ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.CorrectedVolatile })},
	{"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", prometheus.CounterValue, "Total number of double-bit volatile ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.UncorrectedVolatile })},
	{"DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", prometheus.CounterValue, "Total number of single-bit persistent ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.CorrectedAggregate })},
	{"DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", prometheus.CounterValue, "Total number of double-bit persistent ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.UncorrectedAggregate })},
	{"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", prometheus.CounterValue, "Number of remapped rows for uncorrectable errors", rows(func(r *inspect.RemappedRows) float64 { return float64(r.Uncorrectable) })},
	{"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", prometheus.CounterValue, "Number of remapped rows for correctable errors", rows(func(r *inspect.RemappedRows) float64 { return float64(r.Correctable) })},
	{"DCGM_FI_DEV_ROW_REMAP_FAILURE", prometheus.GaugeValue, "Whether remapping of rows has failed", rows(func(r *inspect.RemappedRows) float64 { return map[bool]float64{true: 1}[r.Failed] })},
}

// number is a figure times its unit's factor, or nil where there is none.
func number[T int | uint32 | uint64 | float64](v *T, factor float64) *float64 {
	if v == nil {
		return nil
	}
	f := float64(*v) * factor
	return &f
}

func pcie(value func(*inspect.PCIe) *float64) func(*inspect.GPU) *float64 {
	return func(g *inspect.GPU) *float64 {
		if g.PCIe == nil {
			return nil
		}
		return value(g.PCIe)
	}
}

func ecc(value func(*inspect.ECC) *uint64) func(*inspect.GPU) *float64 {
	return func(g *inspect.GPU) *float64 {
		if g.ECC == nil {
			return nil
		}
		return number(value(g.ECC), 1)
	}
}

func rows(value func(*inspect.RemappedRows) float64) func(*inspect.GPU) *float64 {
	return func(g *inspect.GPU) *float64 {
		if g.RemappedRows == nil {
			return nil
		}
		v := value(g.RemappedRows)
		return &v
	}
}

var (
	gpuLabels       = []string{"gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname"}
	migLabels       = append(append([]string{}, gpuLabels...), "GPU_I_PROFILE", "GPU_I_ID")
	containerLabels = []string{"container", "container_id", "image", "compose_project", "compose_service", "gpu", "UUID"}

	containerInfo = prometheus.NewDesc("docker_gpu_container_info", "A running container that was given a GPU, and how (grant). Always 1.",
		[]string{"container", "container_id", "image", "compose_project", "compose_service", "grant"}, nil)
	containerMemory = prometheus.NewDesc("docker_gpu_container_memory_used_bytes", "GPU memory that the container's processes hold, by GPU.", containerLabels, nil)
	containerUtil   = prometheus.NewDesc("docker_gpu_container_utilization_ratio", "Share of time in which the container's processes kept the GPU busy, by GPU: 0 to 1.", containerLabels, nil)
	containerEnergy = prometheus.NewDesc("docker_gpu_container_energy_joules_total", "The GPU's energy, shared among containers by their utilisation of it since the exporter started: an estimate, as the GPU measures only the whole.", containerLabels, nil)
	hostMemory      = prometheus.NewDesc("docker_gpu_host_memory_used_bytes", "GPU memory that processes outside of all containers hold, by GPU.", []string{"gpu", "UUID"}, nil)
	gpuUp           = prometheus.NewDesc("docker_gpu_up", "1 where the GPU answers, 0 where it is lost or waits for a reset.", []string{"gpu", "UUID"}, nil)
	xidErrors       = prometheus.NewDesc("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered.", gpuLabels, nil)
	findingDesc     = prometheus.NewDesc("docker_gpu_finding", "A root cause that docker gpu diagnose finds now; the value is how often.", []string{"id", "severity"}, nil)
	sourceUp        = prometheus.NewDesc("docker_gpu_source_up", "1 where the source could be read or there is nothing to read, 0 where it failed.", []string{"source"}, nil)
	collectSeconds  = prometheus.NewDesc("docker_gpu_collect_seconds", "How long the last collection took.", nil, nil)
	buildInfo       = prometheus.NewDesc("docker_gpu_build_info", "Version of docker gpu. Always 1.", []string{"version"}, nil)
)

// label makes a value from outside fit for a metric: valid, bounded, without controls.
func label(s string) string {
	const most = 1024
	s = harmlessName(strings.ToValidUTF8(s, "\ufffd"))
	if len(s) <= most {
		return s
	}
	for most := most; ; most-- {
		if utf8.RuneStart(s[most]) {
			return s[:most]
		}
	}
}

// emit writes a Snapshot as metrics.
func (e *exporter) emit(ch chan<- prometheus.Metric, r *collected) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		for i := range labels {
			labels[i] = label(labels[i])
		}
		m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		ch <- m
	}
	s := r.snapshot
	host := ""
	if s.Host != nil {
		host = s.Host.Name
	}
	for i := range s.GPUs {
		g := &s.GPUs[i]
		own := []string{strconv.Itoa(g.Index), g.UUID, dcgmBusID(g.PCIBusID), deviceName(g), g.Name, host}
		up := 1.0
		if g.Error != "" {
			up = 0
		}
		send(gpuUp, prometheus.GaugeValue, up, own[0], g.UUID)
		for _, metric := range gpuMetrics {
			if v := metric.value(g); v != nil {
				send(prometheus.NewDesc(metric.name, metric.help, gpuLabels, nil), metric.kind, *v, append([]string{}, own...)...)
			}
		}
		if xid, ok := lastXid(s, g); ok {
			send(xidErrors, prometheus.GaugeValue, float64(xid), append([]string{}, own...)...)
		}
		if g.MIG == nil {
			continue
		}
		for _, d := range g.MIG.Devices {
			instance := ""
			if d.GPUInstanceID != nil {
				instance = strconv.Itoa(*d.GPUInstanceID)
			}
			labels := append(append([]string{}, own...), d.Profile, instance)
			for _, memory := range []struct {
				name, help string
				value      *uint64
			}{{"DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", d.MemoryFreeBytes}, {"DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", d.MemoryUsedBytes}} {
				if memory.value != nil {
					send(prometheus.NewDesc(memory.name, memory.help, migLabels, nil), prometheus.GaugeValue, float64(*memory.value)/mib, append([]string{}, labels...)...)
				}
			}
		}
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		if len(c.Grant.By) > 0 {
			send(containerInfo, prometheus.GaugeValue, 1, c.Name, c.ID, c.Image, c.ComposeProject, c.ComposeService, strings.Join(c.Grant.By, ","))
		}
		for _, u := range usageByGPU(s, c) {
			labels := func() []string {
				return []string{c.Name, c.ID, c.Image, c.ComposeProject, c.ComposeService, strconv.Itoa(u.gpu), u.uuid}
			}
			if u.memory != nil {
				send(containerMemory, prometheus.GaugeValue, float64(*u.memory), labels()...)
			}
			if u.util != nil {
				send(containerUtil, prometheus.GaugeValue, float64(*u.util)/100, labels()...)
			}
			if joules, ok := r.energy[holder{c.ID, u.gpu}]; ok {
				send(containerEnergy, prometheus.CounterValue, joules, labels()...)
			}
		}
	}
	for _, g := range s.GPUs {
		if g.Processes == nil {
			continue
		}
		var bytes float64
		for _, p := range g.Processes {
			if p.ContainerID == "" && p.MemoryUsedBytes != nil {
				bytes += float64(*p.MemoryUsedBytes)
			}
		}
		send(hostMemory, prometheus.GaugeValue, bytes, strconv.Itoa(g.Index), g.UUID)
	}
	counts := map[[2]string]float64{}
	for _, f := range r.findings {
		counts[[2]string{string(f.ID), string(f.Severity)}]++
	}
	for key, n := range counts {
		send(findingDesc, prometheus.GaugeValue, n, key[0], key[1])
	}
	for _, reading := range s.Sources {
		up := 1.0
		if reading.Error != "" {
			up = 0
		}
		send(sourceUp, prometheus.GaugeValue, up, reading.Name)
	}
	send(collectSeconds, prometheus.GaugeValue, r.took.Seconds())
	send(buildInfo, prometheus.GaugeValue, 1, e.app.version)
}

// dcgmBusID is the address as DCGM writes it, with eight digits of the domain.
func dcgmBusID(busID string) string {
	if domain, rest, ok := strings.Cut(busID, ":"); ok && len(domain) == 4 {
		return "0000" + domain + ":" + rest
	}
	return busID
}

func deviceName(g *inspect.GPU) string {
	if g.Minor != nil {
		return "nvidia" + strconv.Itoa(*g.Minor)
	}
	return "nvidia" + strconv.Itoa(g.Index)
}

// lastXid is the last Xid of a GPU in the kernel's log.
func lastXid(s *inspect.Snapshot, g *inspect.GPU) (xid int, found bool) {
	for _, line := range s.KernelLog {
		if line.Xid != nil && line.BusID != "" && strings.HasPrefix(g.PCIBusID, strings.TrimSuffix(line.BusID, ".0")) {
			xid, found = *line.Xid, true
		}
	}
	return xid, found
}

// gpuUsage is what a container's processes use of one GPU; nil is not known.
type gpuUsage struct {
	gpu    int
	uuid   string
	memory *uint64
	util   *uint32
}

// usageByGPU adds a container's processes up by GPU: also for GPUs that it was given and does not use.
func usageByGPU(s *inspect.Snapshot, c *inspect.Container) []gpuUsage {
	if c.Usage == nil {
		return nil
	}
	var all []gpuUsage
	for _, g := range s.GPUs {
		u := gpuUsage{gpu: g.Index, uuid: g.UUID}
		held := false
		var memory uint64
		var util uint32
		memoryKnown, utilKnown := g.Processes != nil, false
		for _, p := range c.Usage.Processes {
			if p.GPU != g.Index {
				continue
			}
			held = true
			if p.MemoryUsedBytes == nil {
				memoryKnown = false
			} else {
				memory += *p.MemoryUsedBytes
			}
			if p.GPUUtilPercent != nil {
				util, utilKnown = util+*p.GPUUtilPercent, true
			}
		}
		if !held && !grantedTo(c, g.Index) {
			continue
		}
		if memoryKnown {
			u.memory = &memory
		}
		if utilKnown || !held && g.Processes != nil {
			util = min(util, 100)
			u.util = &util
		}
		all = append(all, u)
	}
	return all
}

func grantedTo(c *inspect.Container, gpu int) bool {
	for _, name := range c.Grant.GPUs {
		index, _, _ := strings.Cut(name, ":")
		if name == "all" || index == strconv.Itoa(gpu) {
			return true
		}
	}
	return false
}

// holder is a container on a GPU.
type holder struct {
	container string
	gpu       int
}

// energyShares gives each container its share of the energy that every GPU has used since the reading
// before, by utilisation. What was used while no process was busy is nobody's.
type energyShares struct {
	last   map[string]float64 // joules by UUID
	joules map[holder]float64
}

func (e *energyShares) add(s *inspect.Snapshot) map[holder]float64 {
	now, current := map[string]float64{}, map[holder]float64{}
	type share struct {
		holder holder
		util   float64
	}
	shares, total, measured := map[int][]share{}, map[int]float64{}, map[int]bool{}
	for _, g := range s.GPUs {
		measured[g.Index] = g.EnergyJoules != nil && g.UUID != ""
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		for _, u := range usageByGPU(s, c) {
			key := holder{c.ID, u.gpu}
			if !measured[u.gpu] {
				continue
			}
			current[key] = e.joules[key]
			if u.util != nil && *u.util > 0 {
				shares[u.gpu] = append(shares[u.gpu], share{key, float64(*u.util)})
			}
		}
	}
	for _, g := range s.GPUs {
		for _, p := range g.Processes {
			if p.GPUUtilPercent != nil {
				total[g.Index] += float64(*p.GPUUtilPercent)
			}
		}
		if !measured[g.Index] {
			continue
		}
		now[g.UUID] = *g.EnergyJoules
		before, known := e.last[g.UUID]
		if used := *g.EnergyJoules - before; known && used > 0 && total[g.Index] > 0 { // less than before: the driver was loaded anew
			for _, share := range shares[g.Index] {
				current[share.holder] += used * min(1, share.util/total[g.Index])
			}
		}
	}
	e.last, e.joules = now, current
	copied := make(map[holder]float64, len(current))
	for key, v := range current {
		copied[key] = v
	}
	return copied
}
