//go:build !container

package plugin

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A gpuMetric is one of DCGM's, with dcgm-exporter's name, type, unit and help
// (https://github.com/NVIDIA/dcgm-exporter/blob/main/etc/default-counters.csv), so that dashboards made
// for it work. value is nil where this GPU does not have the figure.
type gpuMetric struct {
	name  string
	kind  dto.MetricType
	help  string
	value func(*inspect.GPU) *float64
}

const mib = 1 << 20

var gpuMetrics = []gpuMetric{
	{"DCGM_FI_DEV_SM_CLOCK", gauge, "SM clock frequency (in MHz).", func(g *inspect.GPU) *float64 { return number(g.SMClockMHz, 1) }},
	{"DCGM_FI_DEV_MEM_CLOCK", gauge, "Memory clock frequency (in MHz).", func(g *inspect.GPU) *float64 { return number(g.MemoryClockMHz, 1) }},
	{"DCGM_FI_DEV_MEMORY_TEMP", gauge, "Memory temperature (in C).", func(g *inspect.GPU) *float64 { return number(g.MemoryTemperatureCelsius, 1) }},
	{"DCGM_FI_DEV_GPU_TEMP", gauge, "GPU temperature (in C).", func(g *inspect.GPU) *float64 { return number(g.TemperatureCelsius, 1) }},
	{"DCGM_FI_DEV_POWER_USAGE", gauge, "Power draw (in W).", func(g *inspect.GPU) *float64 { return g.PowerWatts }},
	{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", counter, "Total energy consumption since boot (in mJ).", func(g *inspect.GPU) *float64 { return number(g.EnergyJoules, 1000) }},
	{"DCGM_FI_DEV_GPU_UTIL", gauge, "GPU utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.GPUUtilPercent, 1) }},
	{"DCGM_FI_DEV_MEM_COPY_UTIL", gauge, "Memory utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.MemoryUtilPercent, 1) }},
	{"DCGM_FI_DEV_ENC_UTIL", gauge, "Encoder utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.EncoderUtilPercent, 1) }},
	{"DCGM_FI_DEV_DEC_UTIL", gauge, "Decoder utilization (in %).", func(g *inspect.GPU) *float64 { return number(g.DecoderUtilPercent, 1) }},
	{"DCGM_FI_DEV_FB_FREE", gauge, "Framebuffer memory free (in MiB).", func(g *inspect.GPU) *float64 { return number(g.MemoryFreeBytes, 1.0/mib) }},
	{"DCGM_FI_DEV_FB_USED", gauge, "Framebuffer memory used (in MiB).", func(g *inspect.GPU) *float64 { return number(g.MemoryUsedBytes, 1.0/mib) }},
	{"DCGM_FI_DEV_PCIE_TX_THROUGHPUT", counter, "Total number of bytes transmitted through PCIe TX (in KB) via NVML.", pcie(func(p *inspect.PCIe) *float64 { return number(p.TxBytesPerSecond, 1.0/1024) })},
	{"DCGM_FI_DEV_PCIE_RX_THROUGHPUT", counter, "Total number of bytes received through PCIe RX (in KB) via NVML.", pcie(func(p *inspect.PCIe) *float64 { return number(p.RxBytesPerSecond, 1.0/1024) })},
	{"DCGM_FI_DEV_PCIE_REPLAY_COUNTER", counter, "Total number of PCIe retries.", pcie(func(p *inspect.PCIe) *float64 { return number(p.ReplayCount, 1) })},
	{"DCGM_FI_DEV_POWER_VIOLATION", counter, "Throttling duration due to power constraints (in us).", func(g *inspect.GPU) *float64 { return number(g.PowerViolationSeconds, 1e6) }},
	{"DCGM_FI_DEV_THERMAL_VIOLATION", counter, "Throttling duration due to thermal constraints (in us).", func(g *inspect.GPU) *float64 { return number(g.ThermalViolationSeconds, 1e6) }},
	{"DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", counter, "Total number of single-bit volatile ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.CorrectedVolatile })},
	{"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", counter, "Total number of double-bit volatile ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.UncorrectedVolatile })},
	{"DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", counter, "Total number of single-bit persistent ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.CorrectedAggregate })},
	{"DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", counter, "Total number of double-bit persistent ECC errors.", ecc(func(e *inspect.ECC) *uint64 { return e.UncorrectedAggregate })},
	{"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", counter, "Number of remapped rows for uncorrectable errors", rows(func(r *inspect.RemappedRows) float64 { return float64(r.Uncorrectable) })},
	{"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", counter, "Number of remapped rows for correctable errors", rows(func(r *inspect.RemappedRows) float64 { return float64(r.Correctable) })},
	{"DCGM_FI_DEV_ROW_REMAP_FAILURE", gauge, "Whether remapping of rows has failed", rows(func(r *inspect.RemappedRows) float64 { return map[bool]float64{true: 1}[r.Failed] })},
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

const (
	gauge   = dto.MetricType_GAUGE
	counter = dto.MetricType_COUNTER
)

// labelNames are the labels of metrics that say of the same kind of thing what it is.
type labelNames struct{ desc *prometheus.Desc }

func labelsNamed(names ...string) *labelNames {
	return &labelNames{prometheus.NewDesc("docker_gpu", "Only its labels are used.", names, nil)}
}

var (
	gpuLabels         = labelsNamed("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname")
	migLabels         = labelsNamed("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "GPU_I_PROFILE", "GPU_I_ID")
	ownGPULabels      = labelsNamed("gpu", "UUID")
	containerLabels   = labelsNamed("container", "container_id", "image", "compose_project", "compose_service", "grant")
	containerOnLabels = labelsNamed("container", "container_id", "image", "compose_project", "compose_service", "gpu", "UUID")
	findingLabels     = labelsNamed("id", "severity")
	sourceLabels      = labelsNamed("source")
	versionLabels     = labelsNamed("version")
	noLabels          = labelsNamed()
)

// A family is a metric that is not DCGM's; at is its place among all.
type family struct {
	name string
	kind dto.MetricType
	help string
	at   int
}

var (
	containerInfo   = &family{name: "docker_gpu_container_info", kind: gauge, help: "A running container that was given a GPU, and how (grant). Always 1."}
	containerMemory = &family{name: "docker_gpu_container_memory_used_bytes", kind: gauge, help: "GPU memory that the container's processes hold, by GPU."}
	containerUtil   = &family{name: "docker_gpu_container_utilization_ratio", kind: gauge, help: "Share of time in which the container's processes kept the GPU busy, by GPU: 0 to 1."}
	containerEnergy = &family{name: "docker_gpu_container_energy_joules_total", kind: counter, help: "The GPU's energy, shared among containers by their utilisation of it since the exporter started: an estimate, as the GPU measures only the whole."}
	hostMemory      = &family{name: "docker_gpu_host_memory_used_bytes", kind: gauge, help: "GPU memory that processes outside of all containers hold, by GPU."}
	migActive       = &family{name: "DCGM_FI_PROF_GR_ENGINE_ACTIVE", kind: gauge, help: "Ratio of time the graphics engine is active."}
	migMemoryActive = &family{name: "DCGM_FI_PROF_DRAM_ACTIVE", kind: gauge, help: "Ratio of cycles the device memory interface is active sending or receiving data."}
	gpuUp           = &family{name: "docker_gpu_up", kind: gauge, help: "1 where the GPU answers, 0 where it is lost or waits for a reset."}
	xidErrors       = &family{name: "DCGM_FI_DEV_XID_ERRORS", kind: gauge, help: "Value of the last XID error encountered."}
	findingCount    = &family{name: "docker_gpu_finding", kind: gauge, help: "A root cause that docker gpu diagnose finds now; the value is how often."}
	sourceUp        = &family{name: "docker_gpu_source_up", kind: gauge, help: "1 where the source could be read or there is nothing to read, 0 where it failed."}
	collectSeconds  = &family{name: "docker_gpu_collect_seconds", kind: gauge, help: "How long the last collection took."}
	buildInfo       = &family{name: "docker_gpu_build_info", kind: gauge, help: "Version of docker gpu. Always 1."}

	gpuFamilies    = make([]*family, len(gpuMetrics)) // of the metric at the same place
	fbFree, fbUsed *family
	families       = orderFamilies()
)

// orderFamilies gives every family its place in the answer: by name, as a Prometheus registry has them.
func orderFamilies() []*family {
	all := []*family{containerInfo, containerMemory, containerUtil, containerEnergy, hostMemory, migActive, migMemoryActive, gpuUp, xidErrors, findingCount, sourceUp, collectSeconds, buildInfo}
	all = append(all, swarmFamilies...)
	for i := range gpuMetrics {
		m := gpuMetrics[i]
		gpuFamilies[i] = &family{name: m.name, kind: m.kind, help: m.help}
		switch m.name {
		case "DCGM_FI_DEV_FB_FREE":
			fbFree = gpuFamilies[i]
		case "DCGM_FI_DEV_FB_USED":
			fbUsed = gpuFamilies[i]
		}
		all = append(all, gpuFamilies[i])
	}
	slices.SortFunc(all, func(a, b *family) int { return cmp.Compare(a.name, b.name) })
	for i, f := range all {
		f.at = i
	}
	return all
}

// label makes a value from outside fit for a metric: valid, bounded, without controls.
func label(s string) string {
	const most = 1024
	s = harmlessName(strings.ToValidUTF8(s, "\ufffd"))
	return strings.ToValidUTF8(s[:min(len(s), most)], "") // it ends between characters
}

// A metricsPage makes the metrics of one look. Labels change rarely: their pairs are kept from one look to the
// next, and those that nothing has any more are forgotten.
type metricsPage struct {
	page   []*dto.MetricFamily
	slab   []sample
	before map[labelKey][]*dto.LabelPair
	labels map[labelKey][]*dto.LabelPair
}

type labelKey struct {
	names  *labelNames
	values [8]string
}

// sample is a series with its value, in one piece of memory.
type sample struct {
	metric  dto.Metric
	gauge   dto.Gauge
	counter dto.Counter
	value   float64
}

// pairs are the labels with these values, made fit for a metric.
func (p *metricsPage) pairs(names *labelNames, values ...string) []*dto.LabelPair {
	key := labelKey{names: names}
	copy(key.values[:], values)
	if kept, ok := p.labels[key]; ok {
		return kept
	}
	made, ok := p.before[key]
	if !ok {
		fit := make([]string, len(values))
		for i, v := range values {
			fit[i] = label(v)
		}
		made = prometheus.MakeLabelPairs(names.desc, fit)
	}
	p.labels[key] = made
	return made
}

func (p *metricsPage) add(f *family, labels []*dto.LabelPair, value float64) {
	of := p.page[f.at]
	if of == nil {
		of = &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: f.kind.Enum()}
		p.page[f.at] = of
	}
	if len(p.slab) == 0 {
		p.slab = make([]sample, 64)
	}
	s := &p.slab[0]
	p.slab = p.slab[1:]
	s.value, s.metric.Label = value, labels
	if f.kind == counter {
		s.counter.Value, s.metric.Counter = &s.value, &s.counter
	} else {
		s.gauge.Value, s.metric.Gauge = &s.value, &s.gauge
	}
	of.Metric = append(of.Metric, &s.metric)
}

// metrics are those of one look. They are not written to once they are returned.
func (p *metricsPage) metrics(version string, r *collected) []*dto.MetricFamily {
	p.page, p.before, p.labels = make([]*dto.MetricFamily, len(families)), p.labels, make(map[labelKey][]*dto.LabelPair, len(p.labels))
	s := r.snapshot
	host := ""
	if s.Host != nil {
		host = s.Host.Name
	}
	for i := range s.GPUs {
		p.gpu(s, &s.GPUs[i], host)
	}
	for i := range s.Containers {
		p.container(s, &s.Containers[i], r.energy)
	}
	p.swarm(s.Swarm)
	counts := map[[2]string]float64{}
	for _, f := range r.findings {
		counts[[2]string{string(f.ID), string(f.Severity)}]++
	}
	for _, f := range r.findings { // in their order, each once
		key := [2]string{string(f.ID), string(f.Severity)}
		if n, ok := counts[key]; ok {
			p.add(findingCount, p.pairs(findingLabels, key[0], key[1]), n)
			delete(counts, key)
		}
	}
	for _, reading := range s.Sources {
		p.add(sourceUp, p.pairs(sourceLabels, reading.Name), oneIf(reading.Error == ""))
	}
	p.add(collectSeconds, p.pairs(noLabels), r.took.Seconds())
	p.add(buildInfo, p.pairs(versionLabels, version), 1)
	p.before = nil
	return slices.DeleteFunc(p.page, func(f *dto.MetricFamily) bool { return f == nil })
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (p *metricsPage) gpu(s *inspect.Snapshot, g *inspect.GPU, host string) {
	index := strconv.Itoa(g.Index)
	own, short := p.pairs(gpuLabels, index, g.UUID, dcgmBusID(g.PCIBusID), deviceName(g), g.Name, host), p.pairs(ownGPULabels, index, g.UUID)
	p.add(gpuUp, short, oneIf(g.Error == ""))
	for i := range gpuMetrics {
		if v := gpuMetrics[i].value(g); v != nil {
			p.add(gpuFamilies[i], own, *v)
		}
	}
	if xid, ok := lastXid(s, g); ok {
		p.add(xidErrors, own, float64(xid))
	}
	if g.MIG != nil {
		p.mig(g, host)
	}
	if g.Processes == nil {
		return
	}
	var bytes float64
	for _, process := range g.Processes {
		if process.ContainerID == "" && process.MemoryUsedBytes != nil {
			bytes += float64(*process.MemoryUsedBytes)
		}
	}
	p.add(hostMemory, short, bytes)
}

// mig is the memory of a GPU's instances, and what they do. Compute instances that share one have its memory in common,
// and DCGM's labels cannot tell them apart: it is told once. What they do has the names and helps of dcgm-exporter's
// etc/dcp-metrics-included.csv, for whole GPUs too, of which it is not asked here.
func (p *metricsPage) mig(g *inspect.GPU, host string) {
	var told []string
	for _, d := range g.MIG.Devices {
		instance := ""
		if d.GPUInstanceID != nil {
			instance = strconv.Itoa(*d.GPUInstanceID)
		}
		key := instance + " " + d.Profile
		if slices.Contains(told, key) {
			continue
		}
		told = append(told, key)
		labels := p.pairs(migLabels, strconv.Itoa(g.Index), g.UUID, dcgmBusID(g.PCIBusID), deviceName(g), g.Name, host, d.Profile, instance)
		if d.MemoryFreeBytes != nil {
			p.add(fbFree, labels, float64(*d.MemoryFreeBytes)/mib)
		}
		if d.MemoryUsedBytes != nil {
			p.add(fbUsed, labels, float64(*d.MemoryUsedBytes)/mib)
		}
		if d.GPUUtilPercent != nil {
			p.add(migActive, labels, float64(*d.GPUUtilPercent)/100)
		}
		if d.MemoryUtilPercent != nil {
			p.add(migMemoryActive, labels, float64(*d.MemoryUtilPercent)/100)
		}
	}
}

func (p *metricsPage) container(s *inspect.Snapshot, c *inspect.Container, energy map[holder]float64) {
	if len(c.Grant.By) > 0 {
		p.add(containerInfo, p.pairs(containerLabels, c.Name, c.ID, c.Image, c.ComposeProject, c.ComposeService, strings.Join(c.Grant.By, ",")), 1)
	}
	for _, u := range usageByGPU(s, c) {
		labels := p.pairs(containerOnLabels, c.Name, c.ID, c.Image, c.ComposeProject, c.ComposeService, strconv.Itoa(u.gpu), u.uuid)
		if u.memory != nil {
			p.add(containerMemory, labels, float64(*u.memory))
		}
		if u.util != nil {
			p.add(containerUtil, labels, float64(*u.util)/100)
		}
		if joules, ok := energy[holder{c.ID, u.gpu}]; ok {
			p.add(containerEnergy, labels, joules)
		}
	}
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
			if p.GPUUtilPercent != nil && p.MIGDevice == nil { // that of a MIG device is none of the GPU
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
