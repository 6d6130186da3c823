//go:build unix

package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	panelWidth, panelHeight = 440.0, 300.0
	left, right, top, below = 64.0, 20.0, 44.0, 48.0
	growthStyle             = `.page{fill:#fff}text{fill:#1f2328;font:13px system-ui,sans-serif}.small{font-size:11px}.title{font-weight:600}` +
		`.grid{stroke:#d0d7de;stroke-width:1}.ours{stroke:#0969da;fill:none;stroke-width:2}.theirs{stroke:#9a6700;fill:none;stroke-width:2;stroke-dasharray:5 4}` +
		`.dot{fill:#0969da}.otherdot{fill:#9a6700}` +
		`@media(prefers-color-scheme:dark){.page{fill:#0d1117}text{fill:#f0f6fc}.grid{stroke:#3d444d}.ours{stroke:#58a6ff}.theirs{stroke:#d29922}.dot{fill:#58a6ff}.otherdot{fill:#d29922}}`
)

// growthPicture draws a panel a curve, two in a row, both axes logarithmic: a straight line that climbs a square a square
// is work in proportion to the size.
func growthPicture(all []curve) string {
	rows := (len(all) + 1) / 2
	width, height := 2*panelWidth, float64(rows)*panelHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img"><title>How docker gpu's time grows with what it reads</title><style>%s</style><rect class="page" width="%.0f" height="%.0f"/>`+"\n",
		width, height, width, height, growthStyle, width, height)
	for i, c := range all {
		if len(c.points) > 0 {
			panel(&b, c, float64(i%2)*panelWidth, float64(i/2)*panelHeight)
		}
	}
	return b.String() + "</svg>\n"
}

func panel(b *strings.Builder, c curve, x0, y0 float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range c.points {
		for _, t := range []time.Duration{p.ours, p.theirs} {
			if t > 0 {
				low, high = min(low, math.Log10(t.Seconds())), max(high, math.Log10(t.Seconds()))
			}
		}
	}
	low, high = math.Floor(low), math.Ceil(high+1e-9)
	first, last := math.Log10(float64(c.points[0].size)), math.Log10(float64(c.points[len(c.points)-1].size))
	x := func(size int) float64 {
		return x0 + left + (math.Log10(float64(size))-first)/max(last-first, 1e-9)*(panelWidth-left-right)
	}
	y := func(t time.Duration) float64 {
		return y0 + panelHeight - below - (math.Log10(t.Seconds())-low)/max(high-low, 1e-9)*(panelHeight-top-below)
	}
	fmt.Fprintf(b, `<text class="title" x="%.0f" y="%.0f">docker gpu %s</text>`, x0+left, y0+20, c.what)
	if c.with != "" {
		fmt.Fprintf(b, `<text class="small" x="%.0f" y="%.0f">dashed: %s</text>`, x0+left, y0+36, strings.ReplaceAll(c.with, "&", "&amp;"))
	}
	for decade := low; decade <= high; decade++ {
		t := time.Duration(math.Pow(10, decade) * float64(time.Second))
		fmt.Fprintf(b, `<line class="grid" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text class="small" text-anchor="end" x="%.0f" y="%.1f">%s</text>`,
			x0+left, x0+panelWidth-right, y(t), y(t), x0+left-6, y(t)+4, t)
	}
	line := func(class, dot string, of func(point) time.Duration) {
		var way []string
		for _, p := range c.points {
			if of(p) > 0 {
				way = append(way, fmt.Sprintf("%.1f,%.1f", x(p.size), y(of(p))))
				fmt.Fprintf(b, `<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>`, dot, x(p.size), y(of(p)))
			}
		}
		if len(way) > 1 {
			fmt.Fprintf(b, `<polyline class="%s" points="%s"/>`, class, strings.Join(way, " "))
		}
	}
	line("theirs", "otherdot", func(p point) time.Duration { return p.theirs })
	line("ours", "dot", func(p point) time.Duration { return p.ours })
	for _, p := range c.points {
		fmt.Fprintf(b, `<text class="small" text-anchor="middle" x="%.1f" y="%.1f">%d</text>`, x(p.size), y0+panelHeight-below+16, p.size)
	}
	fmt.Fprintf(b, `<text class="small" text-anchor="middle" x="%.1f" y="%.1f">%s</text>`+"\n", x0+left+(panelWidth-left-right)/2, y0+panelHeight-below+34, c.axis)
}
