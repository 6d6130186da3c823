package plugin

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// A curveGroup is one drawing: a figure over time, a curve for each GPU or container.
type curveGroup struct {
	Title  string
	SVG    template.HTML
	Legend []curveKey
}

type curveKey struct {
	Name, Class, Now, Most string
}

// curve is one line; NaN is a moment without reading, where the line has a gap.
type curve struct {
	name   string
	values []float64
}

// mostMoments bounds what is drawn: a page is some hundred pixels wide; mostRecorded what is read, twelve days of
// seconds, and mostCurves how many lines a drawing has: a recording may be a stranger's, and unpack to any size.
const (
	mostMoments  = 600
	mostRecorded = 1 << 20
	mostCurves   = 256
)

// readCurves reads what `docker gpu top --record` wrote: a Snapshot a line, plain or compressed (gzip,
// zstd). Names are redacted by the report's own redactor, so that they are the same there and here. A
// last line that was cut is passed over; the moments before it still count.
func readCurves(path string, r *inspect.Redactor) ([]curveGroup, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("docker gpu: recording: %w", err)
	}
	defer f.Close()
	in, err := decompress(f)
	if err != nil {
		return nil, fmt.Errorf("docker gpu: recording %s: %w", path, err)
	}
	var at []time.Time
	util, memory, power, temperature, held := series{}, series{}, series{}, series{}, series{}
	lines := bufio.NewReaderSize(in, 1<<20)
	for number := 1; ; number++ {
		line, readErr := readLine(lines, mostFrame)
		switch {
		case errors.Is(readErr, errLongLine):
			return nil, fmt.Errorf("docker gpu: recording %s: line %d: %w", path, number, readErr)
		case len(at) >= mostRecorded:
			return nil, fmt.Errorf("docker gpu: recording %s holds more than %d moments", path, mostRecorded)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			var s inspect.Snapshot
			if err := json.Unmarshal(line, &s); err != nil {
				if readErr != nil && len(at) > 0 {
					break
				}
				return nil, fmt.Errorf("docker gpu: recording %s: line %d is no snapshot: %w", path, number, err)
			}
			if s.SchemaVersion == 0 {
				if number == 1 {
					continue // a header
				}
				return nil, fmt.Errorf("docker gpu: recording %s: line %d is no snapshot: it has no schemaVersion", path, number)
			}
			moment := len(at)
			at = append(at, s.TakenAt)
			for _, g := range s.GPUs {
				name := fmt.Sprintf("GPU %d", g.Index)
				util.set(name, moment, percent(g.GPUUtilPercent))
				memory.set(name, moment, gib(g.MemoryUsedBytes))
				power.set(name, moment, watts(g.PowerWatts))
				temperature.set(name, moment, degrees(g.TemperatureCelsius))
			}
			for _, c := range s.Containers {
				if c.Usage != nil && c.Usage.MemoryUsedBytes != nil {
					held.set(r.Snapshot(&inspect.Snapshot{Containers: []inspect.Container{{Name: c.Name}}}).Containers[0].Name, moment, gib(c.Usage.MemoryUsedBytes))
				}
			}
		}
		if readErr != nil {
			if !errors.Is(readErr, io.EOF) && len(at) == 0 {
				return nil, fmt.Errorf("docker gpu: recording %s: %w", path, readErr)
			}
			break
		}
	}
	if len(at) < 2 {
		return nil, fmt.Errorf("docker gpu: recording %s holds %s: a curve needs two", path, fixes.Counted(len(at), "moment"))
	}
	var groups []curveGroup
	for _, g := range []struct {
		title, unit string
		most        float64
		s           series
	}{
		{"Utilisation by GPU", "%", 100, util}, {"Memory in use by GPU", "GiB", 0, memory}, {"Memory in use by container", "GiB", 0, held},
		{"Power by GPU", "W", 0, power}, {"Temperature by GPU", "°C", 0, temperature},
	} {
		if len(g.s) > 0 {
			groups = append(groups, drawCurves(g.title, g.unit, g.most, at, g.s.curves(len(at))))
		}
	}
	return groups, nil
}

func decompress(f io.Reader) (io.Reader, error) {
	in := bufio.NewReader(f)
	head, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(in)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstd.NewReader(in)
	}
	return in, nil
}

type series map[string]map[int]float64

func (s series) set(name string, moment int, value float64) {
	if math.IsNaN(value) || s[name] == nil && len(s) >= mostCurves {
		return
	}
	if s[name] == nil {
		s[name] = map[int]float64{}
	}
	s[name][moment] = value
}

func (s series) curves(moments int) []curve {
	var curves []curve
	for name, points := range s {
		c := curve{name, make([]float64, moments)}
		for i := range c.values {
			c.values[i] = math.NaN()
			if v, ok := points[i]; ok {
				c.values[i] = v
			}
		}
		curves = append(curves, c)
	}
	slices.SortFunc(curves, func(a, b curve) int { return cmp.Or(len(a.name)-len(b.name), strings.Compare(a.name, b.name)) })
	return curves
}

func percent(v *uint32) float64 {
	if v == nil {
		return math.NaN()
	}
	return float64(*v)
}

func gib(v *uint64) float64 {
	if v == nil {
		return math.NaN()
	}
	return float64(*v) / units.GiB
}

func watts(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

func degrees(v *int) float64 {
	if v == nil {
		return math.NaN()
	}
	return float64(*v)
}

// drawCurves draws curves over a common time. Colours alone do not tell them apart: each has a dash of
// its own, too, and its figures stand in the table beside.
func drawCurves(title, unit string, most float64, at []time.Time, curves []curve) curveGroup {
	const w, h, left, bottom, right, up = 640, 200, 52, 26, 10, 10
	for _, c := range curves {
		for _, v := range c.values {
			if !math.IsNaN(v) {
				most = math.Max(most, v)
			}
		}
	}
	most = niceMost(most)
	start, span := at[0], at[len(at)-1].Sub(at[0]).Seconds()
	if span <= 0 {
		span = 1
	}
	x := func(t time.Time) float64 { return left + (w-left-right)*t.Sub(start).Seconds()/span }
	y := func(v float64) float64 { return up + (h-bottom-up)*(1-v/most) }
	var b strings.Builder
	for i := range 5 {
		v := most * (float64(i) / 4)
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text class="axis" x="%d" y="%.1f" text-anchor="end">%s</text>`, left, y(v), w-right, left-6, y(v)+4, figure(v))
	}
	fmt.Fprintf(&b, `<text class="axis" x="%d" y="%d">%s</text><text class="axis" x="%d" y="%d" text-anchor="end">%s</text>`,
		left, h-6, start.UTC().Format("15:04:05"), w-right, h-6, at[len(at)-1].UTC().Format("15:04:05 MST"))
	group := curveGroup{Title: fmt.Sprintf("%s (%s)", title, unit)}
	var words []string
	step := max(1, len(at)/mostMoments)
	for n, c := range curves {
		var d strings.Builder
		pen, highest, last := false, math.NaN(), math.NaN()
		for i, v := range c.values {
			if math.IsNaN(v) {
				pen = false
				continue
			}
			last = v
			if math.IsNaN(highest) || v > highest {
				highest = v
			}
			if i%step != 0 && i != len(c.values)-1 {
				continue
			}
			letter := "L"
			if !pen {
				letter, pen = "M", true
			}
			fmt.Fprintf(&d, "%s%.1f %.1f", letter, x(at[i]), y(v))
		}
		class := fmt.Sprintf("c%d", n%8)
		fmt.Fprintf(&b, `<path class="curve %s" d="%s"/>`, class, d.String())
		group.Legend = append(group.Legend, curveKey{harmlessName(c.name), class, figure(last) + " " + unit, figure(highest) + " " + unit})
		words = append(words, fmt.Sprintf("%s at most %s %s, at the end %s", harmlessName(c.name), figure(highest), unit, figure(last)))
	}
	group.SVG = template.HTML(fmt.Sprintf(`<svg class="curves" role="img" aria-label="%s" viewBox="0 0 %d %d">%s</svg>`,
		template.HTMLEscapeString(title+": "+strings.Join(words, "; ")), w, h, b.String()))
	return group
}

func niceMost(v float64) float64 {
	if v <= 0 {
		return 1
	}
	if v > math.MaxFloat64/100 { // nothing is above
		return v
	}
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10} {
		if v <= m*scale {
			return m * scale
		}
	}
	return 10 * scale
}

func figure(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	if math.Abs(v) >= 1e9 {
		return fmt.Sprintf("%.3g", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}
