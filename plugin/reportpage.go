package plugin

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

//go:embed reportpage.html
var reportPage string

// pageData is what the page's template reads.
type pageData struct {
	*supportReport
	Good       bool
	Bad        bool
	Topology   template.HTML // drawn by drawTopology: escaped there
	Curves     []curveGroup
	GPURows    []gpuRow
	Rows       []containerRow
	VersionIDs []string
}

type gpuRow struct {
	Index, Name, Memory, Util, Temperature, Power, Error, Containers string
	MemoryPercent                                                    float64
	UsedBytes, TotalBytes                                            uint64
}

type containerRow struct{ Name, Image, By, GPUs, Memory, State string }

// writeReportPage writes the report as one page that needs nothing else: no script, no font, no picture
// from elsewhere. html/template escapes whatever came from outside.
func writeReportPage(out io.Writer, rep *supportReport, curves []curveGroup) error {
	tmpl, err := template.New("report").Funcs(template.FuncMap{
		"severity": func(s fixes.Severity) string {
			return map[fixes.Severity]string{fixes.Error: "Error", fixes.Warning: "Warning", fixes.Info: "Note"}[s]
		},
		"safe": harmlessText,
		"join": strings.Join,
	}).Parse(reportPage)
	if err != nil {
		return err
	}
	data := pageData{supportReport: rep, Curves: curves, Good: rep.Verdict.Code == fixes.OK,
		Bad: rep.Verdict.Code == fixes.GPUUnusable || rep.Verdict.Code == fixes.EngineUnreachable, Topology: drawTopology(rep.Snapshot)}
	for name := range rep.Versions {
		data.VersionIDs = append(data.VersionIDs, name)
	}
	slices.Sort(data.VersionIDs)
	for _, g := range rep.Snapshot.GPUs {
		data.GPURows = append(data.GPURows, pageGPU(rep.Snapshot, g))
	}
	for _, c := range rep.Snapshot.Containers {
		if len(c.Grant.By) == 0 {
			continue
		}
		row := containerRow{Name: c.Name, Image: c.Image, By: strings.Join(c.Grant.Detail, ", "), GPUs: strings.Join(c.Grant.GPUs, ", "), State: c.State}
		if row.By == "" {
			row.By = strings.Join(c.Grant.By, ", ")
		}
		if c.Health != "" {
			row.State += " (" + c.Health + ")"
		}
		if c.Usage != nil && c.Usage.MemoryUsedBytes != nil {
			row.Memory = pageSize(*c.Usage.MemoryUsedBytes)
		}
		data.Rows = append(data.Rows, row)
	}
	return tmpl.Execute(out, data)
}

// pageSize is a size with a blank before its unit.
func pageSize(n uint64) string {
	return units.CustomSize("%.4g %s", float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}

func pageGPU(s *inspect.Snapshot, g inspect.GPU) gpuRow {
	row := gpuRow{Index: fmt.Sprint(g.Index), Name: cmp.Or(g.Name, "GPU"), Error: g.Error}
	if g.MemoryTotalBytes != nil && g.MemoryUsedBytes != nil && *g.MemoryTotalBytes > 0 {
		row.UsedBytes, row.TotalBytes = *g.MemoryUsedBytes, *g.MemoryTotalBytes
		row.MemoryPercent = 100 * float64(row.UsedBytes) / float64(row.TotalBytes)
		row.Memory = fmt.Sprintf("%s of %s", pageSize(row.UsedBytes), pageSize(row.TotalBytes))
	}
	if g.GPUUtilPercent != nil {
		row.Util = fmt.Sprintf("%d %%", *g.GPUUtilPercent)
	}
	if g.TemperatureCelsius != nil {
		row.Temperature = fmt.Sprintf("%d °C", *g.TemperatureCelsius)
	}
	if g.PowerWatts != nil {
		row.Power = fmt.Sprintf("%.0f W", *g.PowerWatts)
		if g.PowerLimitWatts != nil {
			row.Power = fmt.Sprintf("%.0f of %.0f W", *g.PowerWatts, *g.PowerLimitWatts)
		}
	}
	var names []string
	for _, c := range s.Containers {
		if slices.Contains(c.Grant.GPUs, row.Index) || slices.Contains(c.Grant.GPUs, "all") || g.UUID != "" && slices.Contains(c.Grant.UUIDs, g.UUID) {
			names = append(names, c.Name)
		}
	}
	row.Containers = strings.Join(names, ", ")
	return row
}

// drawTopology draws the GPUs in the NUMA nodes that they hang on, with their PCIe links, and NVLinks
// between them or to the switches. Empty where there are no GPUs.
func drawTopology(s *inspect.Snapshot) template.HTML {
	if len(s.GPUs) == 0 {
		return ""
	}
	numa := map[string]int{}
	if s.Host != nil {
		for _, p := range s.Host.PCI {
			if p.NUMANode != nil {
				numa[strings.ToLower(p.BusID)] = *p.NUMANode
			}
		}
	}
	groups := map[int][]inspect.GPU{}
	for _, g := range s.GPUs {
		node, known := numa[strings.ToLower(g.PCIBusID)]
		if !known {
			node = -1
		}
		groups[node] = append(groups[node], g)
	}
	var nodes []int
	for node := range groups {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	const boxW, boxH, gap, pad, top = 150, 74, 14, 14, 34
	const perRow = 4
	type place struct{ x, y int }
	at := map[int]place{}
	var b strings.Builder
	y, width := 0, 0
	esc := template.HTMLEscapeString
	var boxes strings.Builder
	for _, node := range nodes {
		gpus := groups[node]
		cols, rows := min(perRow, len(gpus)), (len(gpus)+perRow-1)/perRow
		w, h := cols*boxW+(cols-1)*gap+2*pad, top+rows*boxH+(rows-1)*gap+pad
		label := "PCIe"
		if node >= 0 {
			label = fmt.Sprintf("NUMA node %d", node)
		}
		fmt.Fprintf(&boxes, `<rect class="node" x="1" y="%d" width="%d" height="%d" rx="10"/><text class="nodename" x="%d" y="%d">%s</text>`, y+1, w, h, pad+1, y+22, esc(label))
		for i, g := range gpus {
			p := place{1 + pad + (i%perRow)*(boxW+gap), y + 1 + top + (i/perRow)*(boxH+gap)}
			at[g.Index] = place{p.x + boxW/2, p.y + boxH/2}
			link := ""
			if g.PCIe != nil && g.PCIe.GenerationMax != nil && g.PCIe.Width != nil {
				link = fmt.Sprintf("PCIe %d ×%d", *g.PCIe.GenerationMax, *g.PCIe.Width)
			} else if g.PCIBusID != "" {
				link = g.PCIBusID
			}
			class := "gpu"
			if g.Error != "" {
				class, link = "gpu lost", g.Error
			}
			fmt.Fprintf(&boxes, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="8"/><text class="gpuname" x="%d" y="%d">GPU %d</text><text class="small" x="%d" y="%d">%s</text><text class="small" x="%d" y="%d">%s</text>`,
				class, p.x, p.y, boxW, boxH, p.x+10, p.y+22, g.Index, p.x+10, p.y+42, esc(shorten(harmlessName(strings.TrimPrefix(g.Name, "NVIDIA ")), 20)), p.x+10, p.y+60, esc(shorten(harmlessName(link), 20)))
		}
		y, width = y+h+gap, max(width, w)
	}
	byBus := map[string]int{}
	for _, g := range s.GPUs {
		byBus[strings.ToLower(g.PCIBusID)] = g.Index
	}
	pairs, switched := map[[2]int]int{}, map[int]int{}
	for _, g := range s.GPUs {
		for _, l := range g.NVLinks {
			if l.Active != nil && !*l.Active {
				continue
			}
			other, isGPU := byBus[strings.ToLower(l.Remote)]
			switch {
			case l.RemoteType == "switch":
				switched[g.Index]++
			case isGPU && g.Index < other:
				pairs[[2]int{g.Index, other}]++
			}
		}
	}
	var lines strings.Builder
	var words []string
	keys := make([][2]int, 0, len(pairs))
	for k := range pairs {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], a[1]-b[1]) })
	for _, k := range keys {
		a, z := at[k[0]], at[k[1]]
		bend := 0
		if a.y == z.y {
			bend = boxH/2 + 12
		}
		fmt.Fprintf(&lines, `<path class="nvlink" d="M%d %d Q%d %d %d %d" stroke-width="%d"/>`, a.x, a.y+boxH/2-6, (a.x+z.x)/2, (a.y+z.y)/2+bend+boxH/2, z.x, z.y+boxH/2-6, min(1+pairs[k], 8))
		words = append(words, fmt.Sprintf("GPU %d and GPU %d: NVLink ×%d", k[0], k[1], pairs[k]))
	}
	if len(switched) > 0 {
		for _, g := range s.GPUs {
			if n := switched[g.Index]; n > 0 {
				p := at[g.Index]
				fmt.Fprintf(&lines, `<path class="nvlink" d="M%d %dL%d %d" stroke-width="2"/>`, p.x, p.y+boxH/2, p.x, y+4)
			}
		}
		fmt.Fprintf(&boxes, `<rect class="switch" x="1" y="%d" width="%d" height="30" rx="8"/><text class="gpuname" x="%d" y="%d">NVSwitch</text>`, y+4, width, pad+1, y+24)
		words = append(words, fixes.Counted(len(switched), "GPU")+" linked by NVSwitch")
		y += 34 + gap
	}
	for _, node := range nodes {
		var names []string
		for _, g := range groups[node] {
			names = append(names, fmt.Sprint(g.Index))
		}
		where := "on the PCI bus"
		if node >= 0 {
			where = fmt.Sprintf("on NUMA node %d", node)
		}
		words = append(words, fmt.Sprintf("GPU %s %s", strings.Join(names, ", "), where))
	}
	fmt.Fprintf(&b, `<svg class="drawing" role="img" aria-labelledby="topo-title topo-desc" viewBox="0 0 %d %d" style="max-width:%dpx"><title id="topo-title">How the GPUs hang together</title><desc id="topo-desc">%s.</desc>%s%s</svg>`,
		width+2, y, width+2, esc(harmlessName(strings.Join(words, "; "))), lines.String(), boxes.String())
	return template.HTML(b.String())
}
