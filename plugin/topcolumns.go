//go:build !container

package plugin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A topColumn is a column of one of top's tables. Value is empty where the figure is not known; order
// compares rows for sorting, smallest first.
type topColumn[T any] struct {
	key   string
	title string
	help  string
	right bool
	keep  int
	least int
	asks  inspect.Moving // what the driver is asked for the sake of it, of GPUs
	value func(T) string
	order func(a, b T) int
}

// gpuNow is a GPU at one moment, with the moment before for what is counted over time.
type gpuNow struct {
	*inspect.GPU
	before  *inspect.GPU // nil: there was none
	elapsed time.Duration
}

func wholeNumber[T int | uint32 | uint64](v *T, unit string) string {
	if v == nil {
		return ""
	}
	return strconv.FormatUint(uint64(*v), 10) + unit
}

// orderPtr puts what is not known first.
func orderPtr[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

// mebibytes, as nvidia-smi dmon counts memory.
func mebibytes(v *uint64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatUint(*v>>20, 10)
}

// megabytes a second, as nvidia-smi dmon counts PCIe throughput.
func megabytes(v *uint64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatUint(*v/1_000_000, 10)
}

func figureColumn[T int | uint32 | uint64](key, title, help, unit string, asks inspect.Moving, get func(*inspect.GPU) *T) topColumn[gpuNow] {
	return topColumn[gpuNow]{key: key, title: title, help: help, right: true, keep: 50, asks: asks,
		value: func(g gpuNow) string { return wholeNumber(get(g.GPU), unit) },
		order: func(a, b gpuNow) int { return orderPtr(get(a.GPU), get(b.GPU)) }}
}

// pcieOf, eccOf are nil-safe ways into parts that a GPU may lack.
func pcieOf(g *inspect.GPU) inspect.PCIe {
	if g.PCIe == nil {
		return inspect.PCIe{}
	}
	return *g.PCIe
}

func eccOf(g *inspect.GPU) inspect.ECC {
	if g.ECC == nil {
		return inspect.ECC{}
	}
	return *g.ECC
}

// violationPercent is how much of the time since the frame before clocks were held back.
func violationPercent(g gpuNow, get func(*inspect.GPU) *float64) *float64 {
	if g.before == nil || g.elapsed <= 0 || get(g.GPU) == nil || get(g.before) == nil {
		return nil
	}
	percent := min(100, max(0, (*get(g.GPU)-*get(g.before))/g.elapsed.Seconds()*100))
	return &percent
}

func violationColumn(key, title, help string, asks inspect.Moving, get func(*inspect.GPU) *float64) topColumn[gpuNow] {
	return topColumn[gpuNow]{key: key, title: title, help: help, right: true, keep: 50, asks: asks,
		value: func(g gpuNow) string {
			if v := violationPercent(g, get); v != nil {
				return fmt.Sprintf("%.0f%%", *v)
			}
			return ""
		},
		order: func(a, b gpuNow) int { return orderPtr(violationPercent(a, get), violationPercent(b, get)) }}
}

// gpuTopColumns are all there are of GPUs. The short keys are those of `nvidia-smi dmon`.
var gpuTopColumns = []topColumn[gpuNow]{
	{key: "name", title: "NAME", help: "name", keep: 60, least: 10, value: func(g gpuNow) string { return harmlessName(g.Name) },
		order: func(a, b gpuNow) int { return cmp.Compare(a.Name, b.Name) }},
	{key: "uuid", title: "UUID", help: "UUID", keep: 20, least: 12, value: func(g gpuNow) string { return harmlessName(g.UUID) },
		order: func(a, b gpuNow) int { return cmp.Compare(a.UUID, b.UUID) }},
	figureColumn("sm", "UTIL", "GPU utilisation", "%", inspect.MovingUtilization, func(g *inspect.GPU) *uint32 { return g.GPUUtilPercent }),
	{key: "memory", title: "MEMORY", help: "memory in use, of all", asks: inspect.MovingMemory, keep: keepAlways, value: func(g gpuNow) string {
		if g.Error != "" {
			return harmlessName(g.Error)
		}
		return memory(g.MemoryUsedBytes, g.MemoryTotalBytes)
	}, order: func(a, b gpuNow) int { return orderPtr(a.MemoryUsedBytes, b.MemoryUsedBytes) }},
	figureColumn("gtemp", "TEMP", "temperature of the GPU", "°C", inspect.MovingTemperature, func(g *inspect.GPU) *int { return g.TemperatureCelsius }),
	figureColumn("mtemp", "MTEMP", "temperature of its memory", "°C", inspect.MovingMemoryTemperature, func(g *inspect.GPU) *int { return g.MemoryTemperatureCelsius }),
	{key: "pwr", title: "POWER", help: "power drawn, of the limit", asks: inspect.MovingPower, right: true, keep: 48, value: func(g gpuNow) string { return powerText(g.GPU) },
		order: func(a, b gpuNow) int { return orderPtr(a.PowerWatts, b.PowerWatts) }},
	figureColumn("mem", "MEM%", "utilisation of the memory's bus", "%", inspect.MovingUtilization, func(g *inspect.GPU) *uint32 { return g.MemoryUtilPercent }),
	figureColumn("enc", "ENC", "utilisation of the encoder", "%", inspect.MovingEncoder, func(g *inspect.GPU) *uint32 { return g.EncoderUtilPercent }),
	figureColumn("dec", "DEC", "utilisation of the decoder", "%", inspect.MovingDecoder, func(g *inspect.GPU) *uint32 { return g.DecoderUtilPercent }),
	figureColumn("jpg", "JPG", "utilisation of the JPEG decoder", "%", inspect.MovingJPEG, func(g *inspect.GPU) *uint32 { return g.JPEGUtilPercent }),
	figureColumn("ofa", "OFA", "utilisation of the optical flow unit", "%", inspect.MovingOFA, func(g *inspect.GPU) *uint32 { return g.OFAUtilPercent }),
	figureColumn("mclk", "MCLK", "memory clock, MHz", "", inspect.MovingMemoryClock, func(g *inspect.GPU) *uint32 { return g.MemoryClockMHz }),
	figureColumn("pclk", "PCLK", "processor clock, MHz", "", inspect.MovingSMClock, func(g *inspect.GPU) *uint32 { return g.SMClockMHz }),
	violationColumn("pviol", "PVIOL", "time held back by the power limit", inspect.MovingPowerViolation, func(g *inspect.GPU) *float64 { return g.PowerViolationSeconds }),
	violationColumn("tviol", "TVIOL", "time held back by heat", inspect.MovingThermalViolation, func(g *inspect.GPU) *float64 { return g.ThermalViolationSeconds }),
	{key: "fb", title: "FB MiB", help: "frame buffer in use, MiB", asks: inspect.MovingMemory, right: true, keep: 50, value: func(g gpuNow) string { return mebibytes(g.MemoryUsedBytes) },
		order: func(a, b gpuNow) int { return orderPtr(a.MemoryUsedBytes, b.MemoryUsedBytes) }},
	{key: "bar1", title: "BAR1 MiB", help: "BAR1 memory in use, MiB", asks: inspect.MovingBAR1, right: true, keep: 50, value: func(g gpuNow) string { return mebibytes(g.BAR1UsedBytes) },
		order: func(a, b gpuNow) int { return orderPtr(a.BAR1UsedBytes, b.BAR1UsedBytes) }},
	figureColumn("sbecc", "SBECC", "corrected memory errors since the driver was loaded", "", inspect.MovingCorrectedErrors, func(g *inspect.GPU) *uint64 { return eccOf(g).CorrectedVolatile }),
	figureColumn("dbecc", "DBECC", "uncorrected memory errors since the driver was loaded", "", inspect.MovingUncorrectedErrors, func(g *inspect.GPU) *uint64 { return eccOf(g).UncorrectedVolatile }),
	figureColumn("pci", "REPLAY", "PCIe replays", "", inspect.MovingReplays, func(g *inspect.GPU) *uint32 { return pcieOf(g).ReplayCount }),
	{key: "rxpci", title: "RX MB/s", help: "received over PCIe, MB a second", asks: inspect.MovingReceived, right: true, keep: 50, value: func(g gpuNow) string { return megabytes(pcieOf(g.GPU).RxBytesPerSecond) },
		order: func(a, b gpuNow) int { return orderPtr(pcieOf(a.GPU).RxBytesPerSecond, pcieOf(b.GPU).RxBytesPerSecond) }},
	{key: "txpci", title: "TX MB/s", help: "sent over PCIe, MB a second", asks: inspect.MovingSent, right: true, keep: 50, value: func(g gpuNow) string { return megabytes(pcieOf(g.GPU).TxBytesPerSecond) },
		order: func(a, b gpuNow) int { return orderPtr(pcieOf(a.GPU).TxBytesPerSecond, pcieOf(b.GPU).TxBytesPerSecond) }},
	figureColumn("fan", "FAN", "fan speed", "%", inspect.MovingFan, func(g *inspect.GPU) *uint32 { return g.FanPercent }),
	{key: "pstate", title: "PERF", help: "performance state", asks: inspect.MovingPerformanceState, keep: 40, value: func(g gpuNow) string { return harmlessName(g.PerformanceState) },
		order: func(a, b gpuNow) int { return cmp.Compare(a.PerformanceState, b.PerformanceState) }},
	{key: "throttle", title: "THROTTLE", help: "what holds the clocks back", asks: inspect.MovingThrottling, keep: 30, least: 10, value: func(g gpuNow) string { return strings.Join(g.ThrottleReasons, ",") },
		order: func(a, b gpuNow) int { return cmp.Compare(len(a.ThrottleReasons), len(b.ThrottleReasons)) }},
}

func powerText(g *inspect.GPU) string {
	switch {
	case g.PowerWatts == nil:
		return ""
	case g.PowerLimitWatts == nil:
		return fmt.Sprintf("%.0f W", *g.PowerWatts)
	}
	return fmt.Sprintf("%.0f/%.0f W", *g.PowerWatts, *g.PowerLimitWatts)
}

// defaultTopColumns leave room for the history at 80 cells.
var defaultTopColumns = []string{"name", "sm", "memory", "gtemp", "pwr"}

// dmonGroups are the letters of `nvidia-smi dmon -s`.
var dmonGroups = map[rune][]string{
	'p': {"pwr", "gtemp", "mtemp"}, 'u': {"sm", "mem", "enc", "dec", "jpg", "ofa"}, 'c': {"mclk", "pclk"}, 'v': {"pviol", "tviol"},
	'm': {"fb", "bar1"}, 'e': {"sbecc", "dbecc", "pci"}, 't': {"rxpci", "txpci"},
}

// parseTopColumns reads --columns: keys, letters of nvidia-smi dmon, or "all". wrong is the first that is none.
func parseTopColumns(names []string) (keys []string, wrong string) {
	add := func(key string) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, name := range names {
		name = strings.TrimSpace(name)
		switch {
		case name == "all":
			for _, c := range gpuTopColumns {
				add(c.key)
			}
		case slices.ContainsFunc(gpuTopColumns, func(c topColumn[gpuNow]) bool { return c.key == name }):
			add(name)
		case name != "" && strings.Trim(name, "pucvmet") == "":
			for _, letter := range name {
				for _, key := range dmonGroups[letter] {
					add(key)
				}
			}
		default:
			return nil, name
		}
	}
	return keys, ""
}

func gpuColumnKeys() []string {
	var keys []string
	for _, c := range gpuTopColumns {
		keys = append(keys, c.key)
	}
	return keys
}

// asked is what the driver is asked for where these columns of the GPUs are shown. The history is of every GPU's
// utilisation and memory.
func asked(columns []string) inspect.Moving {
	all := inspect.MovingUtilization | inspect.MovingMemory
	for _, c := range gpuTopColumns {
		if slices.Contains(columns, c.key) {
			all |= c.asks
		}
	}
	return all
}

// containerTopColumns are those of containers; the host's own line is among the rows.
var containerTopColumns = []topColumn[*psRow]{
	{key: "name", title: "CONTAINER", keep: keepAlways, least: 12, value: func(r *psRow) string { return harmlessName(r.Name()) },
		order: func(a, b *psRow) int { return cmp.Compare(a.Name(), b.Name()) }},
	{key: "grant", title: "GRANTED BY", keep: 60, least: 10, value: func(r *psRow) string { return harmlessName(r.GrantedBy()) },
		order: func(a, b *psRow) int { return cmp.Compare(a.GrantedBy(), b.GrantedBy()) }},
	{key: "gpus", title: "GPUS", keep: 95, least: 6, value: func(r *psRow) string { return harmlessName(r.GPUs()) },
		order: func(a, b *psRow) int { return cmp.Compare(a.GPUs(), b.GPUs()) }},
	{key: "util", title: "UTIL", right: true, keep: 90, value: (*psRow).Util,
		order: func(a, b *psRow) int { return orderPtr(a.Usage.GPUUtilPercent, b.Usage.GPUUtilPercent) }},
	{key: "memory", title: "MEMORY", right: true, keep: keepAlways, value: (*psRow).Memory,
		order: func(a, b *psRow) int { return orderPtr(a.Usage.MemoryUsedBytes, b.Usage.MemoryUsedBytes) }},
	{key: "processes", title: "PROCS", right: true, keep: 70, value: (*psRow).Processes,
		order: func(a, b *psRow) int { return cmp.Compare(len(a.Usage.Processes), len(b.Usage.Processes)) }},
	{key: "state", title: "STATE", keep: 50, value: func(r *psRow) string { return harmlessName(r.Status()) },
		order: func(a, b *psRow) int { return cmp.Compare(a.Status(), b.Status()) }},
	{key: "image", title: "IMAGE", keep: 20, least: 12, value: func(r *psRow) string { return harmlessName(r.Image()) },
		order: func(a, b *psRow) int { return cmp.Compare(a.Image(), b.Image()) }},
}

// topProcess is a process on one GPU, with the name of what it runs in.
type topProcess struct {
	inspect.UsageProcess
	container   string
	containerID string
}

func (p topProcess) gpu() string {
	if p.MIGDevice != nil {
		return fmt.Sprintf("%d:%d", p.GPU, *p.MIGDevice)
	}
	return strconv.Itoa(p.GPU)
}

// kinds are nvidia-smi's letters: compute, graphics, MPS client.
func (p topProcess) kinds() string {
	letters := map[string]string{"compute": "C", "graphics": "G", "mps": "M"}
	text := ""
	for _, kind := range p.Kinds {
		text += letters[kind]
	}
	return text
}

func percentColumn(key, title string, keep int, get func(topProcess) *uint32) topColumn[topProcess] {
	return topColumn[topProcess]{key: key, title: title, right: true, keep: keep, value: func(p topProcess) string { return wholeNumber(get(p), "%") },
		order: func(a, b topProcess) int { return orderPtr(get(a), get(b)) }}
}

var processTopColumns = []topColumn[topProcess]{
	{key: "pid", title: "PID", right: true, keep: keepAlways, value: func(p topProcess) string { return strconv.Itoa(p.PID) },
		order: func(a, b topProcess) int { return cmp.Compare(a.PID, b.PID) }},
	{key: "gpu", title: "GPU", right: true, keep: keepAlways, value: topProcess.gpu, order: func(a, b topProcess) int { return cmp.Compare(a.gpu(), b.gpu()) }},
	{key: "type", title: "TYPE", keep: 60, value: topProcess.kinds, order: func(a, b topProcess) int { return cmp.Compare(a.kinds(), b.kinds()) }},
	percentColumn("sm", "SM", 90, func(p topProcess) *uint32 { return p.GPUUtilPercent }),
	percentColumn("mem", "MEM%", 40, func(p topProcess) *uint32 { return p.MemoryUtilPercent }),
	percentColumn("enc", "ENC", 30, func(p topProcess) *uint32 { return p.EncoderUtilPercent }),
	percentColumn("dec", "DEC", 30, func(p topProcess) *uint32 { return p.DecoderUtilPercent }),
	{key: "memory", title: "MEMORY", right: true, keep: keepAlways, value: func(p topProcess) string { return memoryText(p.MemoryUsedBytes) },
		order: func(a, b topProcess) int { return orderPtr(a.MemoryUsedBytes, b.MemoryUsedBytes) }},
	{key: "container", title: "CONTAINER", keep: 95, least: 12, value: func(p topProcess) string { return harmlessName(p.container) },
		order: func(a, b topProcess) int { return cmp.Compare(a.container, b.container) }},
	{key: "name", title: "PROCESS", keep: 80, least: 10, value: func(p topProcess) string { return harmlessName(p.Name) },
		order: func(a, b topProcess) int { return cmp.Compare(a.Name, b.Name) }},
}

// cellsOf are the cells of rows in the columns, and their titles with the mark of the sorting.
func cellsOf[T any](columns []topColumn[T], rows []T, sort sorting) ([]column, [][]string) {
	heads := make([]column, len(columns))
	for i, c := range columns {
		heads[i] = column{title: c.title, keep: c.keep, right: c.right, least: c.least}
		if c.key == sort.key && sort.key != "" {
			heads[i].title += map[bool]string{true: "▼", false: "▲"}[sort.descending]
		}
	}
	all := make([]string, len(rows)*len(columns))
	texts := make([][]string, len(rows))
	for r, row := range rows {
		texts[r], all = all[:len(columns)], all[len(columns):]
		for i, c := range columns {
			texts[r][i] = c.value(row)
		}
	}
	return heads, texts
}

// sortRows sorts by the column with the key, stably; descending puts the largest first.
func sortRows[T any](rows []T, columns []topColumn[T], key string, descending bool) {
	for _, c := range columns {
		if c.key == key {
			slices.SortStableFunc(rows, func(a, b T) int {
				if descending {
					return c.order(b, a)
				}
				return c.order(a, b)
			})
		}
	}
}
