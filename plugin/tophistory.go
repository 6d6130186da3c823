//go:build !container

package plugin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// strip is the history of one figure, newest last; -1 is not known.
type strip struct{ values []float64 }

// mostHistory is enough for the widest terminal.
const mostHistory = 400

// blocks are of eight heights.
var blocks = [...]rune{'▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'}

func (s *strip) add(v float64) {
	s.values = append(s.values, v)
	if len(s.values) > 2*mostHistory {
		s.values = slices.Clone(s.values[len(s.values)-mostHistory:])
	}
}

func (s *strip) newest() float64 { return s.values[len(s.values)-1] }

// draw is the newest width values, a block each, of eight heights up to most.
func (s *strip) draw(width int, most float64) string {
	if width <= 0 {
		return ""
	}
	values := s.values[max(0, len(s.values)-width):]
	var b strings.Builder
	b.Grow(width + 2*len(values))
	b.WriteString(strings.Repeat(" ", width-len(values)))
	for _, v := range values {
		switch {
		case v < 0 || most <= 0:
			b.WriteByte(' ')
		default:
			b.WriteRune(blocks[min(len(blocks)-1, int(v/most*float64(len(blocks))))])
		}
	}
	return b.String()
}

func (s *strip) most() (most float64) {
	for _, v := range s.values {
		most = max(most, v)
	}
	return most
}

// past is what is remembered of a GPU or a container.
type past struct {
	util strip
	held strip // memory, in percent of the GPU's or the largest so far
	last *inspect.Snapshot
}

// remember adds a frame to the history, and forgets what is not in it any more.
func (t *topScreen) remember(s *inspect.Snapshot) {
	if t.before != nil && s != t.since { // nothing has moved
		for _, p := range t.history {
			p.util.add(p.util.newest())
			p.held.add(p.held.newest())
			p.last = s
		}
		return
	}
	add := func(key string, util, held float64) {
		p := t.history[key]
		if p == nil {
			p = &past{}
			t.history[key] = p
		}
		p.util.add(util)
		p.held.add(held)
		p.last = s
	}
	for i := range s.GPUs {
		g := &s.GPUs[i]
		util, held := -1.0, -1.0
		if g.GPUUtilPercent != nil {
			util = float64(*g.GPUUtilPercent)
		}
		if g.MemoryUsedBytes != nil && g.MemoryTotalBytes != nil && *g.MemoryTotalBytes > 0 {
			held = float64(*g.MemoryUsedBytes) / float64(*g.MemoryTotalBytes) * 100
		}
		add(gpuKey(g), util, held)
	}
	for _, c := range granted(s.Containers) {
		util, held := -1.0, -1.0
		if c.Usage != nil && c.Usage.GPUUtilPercent != nil {
			util = float64(*c.Usage.GPUUtilPercent)
		}
		if c.Usage != nil && c.Usage.MemoryUsedBytes != nil {
			held = float64(*c.Usage.MemoryUsedBytes)
		}
		add(c.ID, util, held)
	}
	for key, p := range t.history {
		if p.last != s {
			delete(t.history, key)
		}
	}
}

// What a strip needs to say something, and what names give way to.
const (
	leastHistory = 8
	usualHistory = 18
)

// addHistory puts the strip of utilisation into the cells that are left on the right of the rows.
func (t *topScreen) addHistory(title string, lines []string, rows []gpuNow, width int) string {
	widest := cells(title)
	for _, line := range lines {
		widest = max(widest, cells(line))
	}
	room := min(mostHistory, width-1-widest-2)
	if width <= 0 || room < leastHistory {
		return title
	}
	for i, g := range rows {
		lines[i] += strings.Repeat(" ", widest-cells(lines[i])+2)
		if p := t.history[gpuKey(g.GPU)]; p != nil {
			lines[i] += p.util.draw(room, 100)
		}
	}
	return title + strings.Repeat(" ", widest-cells(title)+2) + "HISTORY"
}

// strips are the history of the container that is followed.
func (t *topScreen) strips(width int) []string {
	room := min(mostHistory, width-12)
	p := t.history[t.follow]
	if p == nil {
		p = &past{}
	}
	return []string{
		fmt.Sprintf("  %-7s%s", "util", p.util.draw(room, max(100, p.util.most()))),
		fmt.Sprintf("  %-7s%s", "memory", p.held.draw(room, p.held.most())),
	}
}
