package gpu

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// A tolerance is how far a figure of docker gpu may be from nvidia-smi's, which is read between two
// readings of ours: below the smaller or above the larger of them by this much.
type tolerance struct {
	figures  *regexp.Regexp // of the figure's path in the Snapshot
	absolute float64
	relative float64
	why      string
}

// The first that matches counts. A figure that none matches has to be equal.
var tolerances = []tolerance{
	{regexp.MustCompile(`BytesPerSecond$`), math.Inf(1), 0, "a window of 20 ms each time: only that it is there"},
	{regexp.MustCompile(`\.memoryUsedBytes$|\.memoryFreeBytes$|\.bar1UsedBytes$`), 34 << 20, 0, "MiB rounded up or down, and what a client of NVML itself takes"},
	{regexp.MustCompile(`Bytes$`), 1 << 20, 0, "MiB rounded up or down"},
	{regexp.MustCompile(`UtilPercent$`), 25, 0, "samples of up to a second"},
	{regexp.MustCompile(`[tT]emperatureCelsius$`), 2, 0, "a degree while it is read"},
	{regexp.MustCompile(`\.powerWatts$`), 10, 0.15, "power moves within the second"},
	{regexp.MustCompile(`Watts$`), 0.01, 0, "hundredths"},
	{regexp.MustCompile(`\.(graphics|sm|memory|video)ClockMHz$`), 60, 0.15, "clocks move with the load"},
	{regexp.MustCompile(`ViolationSeconds$`), 1, 0, "they count while they are read"},
	{regexp.MustCompile(`replayCount$|rected(Volatile|Aggregate)$`), 0, 0, "counters: between the two readings"},
	{regexp.MustCompile(`pcie\.(generation|width)$`), 4, 0, "the link sleeps and wakes"},
}

// moving are figures in words that can change from one moment to the next.
var moving = regexp.MustCompile(`throttleReasons|performanceState`)

// onlyOurs are figures that nvidia-smi -q -x does not have, or has in another form.
var onlyOurs = regexp.MustCompile(`energyJoules|ViolationSeconds|nvlinks|UtilPercent$|computeCapability|maxDevices|\.mig\.devices\..*(uuid|name|profile)|processes|recoveryAction|fabric|memoryTemperature|remappedRows|retiredPages|TemperatureCelsius|deviceGenerationMax|bar1`)

// compare says where nvidia-smi (theirs) disagrees with our readings before and after it.
func compare(before, theirs, after []inspect.GPU) []string {
	a, b, c := figures(before), figures(theirs), figures(after)
	var wrong []string
	for _, path := range slices.Sorted(maps.Keys(b)) {
		if strings.Contains(path, ".processes.") || strings.HasSuffix(path, ".name") && strings.Contains(path, "process") {
			continue // compared by PID
		}
		x, ok1 := a[path]
		z, ok2 := c[path]
		switch {
		case !ok1 || !ok2:
			wrong = append(wrong, fmt.Sprintf("%s: nvidia-smi has %v, docker gpu has nothing", path, b[path]))
		case !within(path, x, b[path], z):
			wrong = append(wrong, fmt.Sprintf("%s: nvidia-smi has %v, docker gpu %v before and %v after", path, b[path], x, z))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[path]; !ok && !onlyOurs.MatchString(path) {
			wrong = append(wrong, fmt.Sprintf("%s: docker gpu has %v, nvidia-smi nothing", path, a[path]))
		}
	}
	return wrong
}

func within(path string, before, theirs, after any) bool {
	x, ok1 := before.(float64)
	y, ok2 := theirs.(float64)
	z, ok3 := after.(float64)
	if !ok1 || !ok2 || !ok3 {
		return moving.MatchString(path) || before == theirs || after == theirs
	}
	var by float64
	for _, t := range tolerances {
		if t.figures.MatchString(path) {
			by = max(t.absolute, t.relative*max(math.Abs(x), math.Abs(z)))
			break
		}
	}
	return y >= min(x, z)-by && y <= max(x, z)+by
}

// figures are all values of the GPUs by their paths: 0.pcie.width.
func figures(gpus []inspect.GPU) map[string]any { return figuresOf("", gpus) }

// figuresOf are all values in v by their paths below root.
func figuresOf(root string, v any) map[string]any {
	data, _ := json.Marshal(v)
	var tree any
	_ = json.Unmarshal(data, &tree)
	all := map[string]any{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch t := v.(type) {
		case map[string]any:
			for key, value := range t {
				walk(path+"."+key, value)
			}
		case []any:
			for i, value := range t {
				walk(path+"."+strconv.Itoa(i), value)
			}
		case nil:
		default:
			all[strings.TrimPrefix(path, ".")] = t
		}
	}
	walk(root, tree)
	return all
}

// compareProcesses holds the processes of one GPU against nvidia-smi's: those that were there before and
// after have to be in its list, with their memory.
func compareProcesses(before, theirs, after []inspect.GPUProcess) []string {
	find := func(list []inspect.GPUProcess, pid int) *inspect.GPUProcess {
		for i := range list {
			if list[i].PID == pid {
				return &list[i]
			}
		}
		return nil
	}
	var wrong []string
	for _, p := range before {
		q := find(after, p.PID)
		if q == nil {
			continue // it ended
		}
		t := find(theirs, p.PID)
		switch {
		case t == nil:
			wrong = append(wrong, fmt.Sprintf("process %d: nvidia-smi does not have it", p.PID))
		case p.MemoryUsedBytes != nil && t.MemoryUsedBytes != nil && q.MemoryUsedBytes != nil &&
			!within(".memoryUsedBytes", float64(*p.MemoryUsedBytes), float64(*t.MemoryUsedBytes), float64(*q.MemoryUsedBytes)):
			wrong = append(wrong, fmt.Sprintf("process %d: nvidia-smi has %d bytes, docker gpu %d", p.PID, *t.MemoryUsedBytes, *p.MemoryUsedBytes))
		}
	}
	for _, t := range theirs {
		if find(before, t.PID) == nil && find(after, t.PID) == nil {
			wrong = append(wrong, fmt.Sprintf("process %d: docker gpu does not have it", t.PID))
		}
	}
	return wrong
}
