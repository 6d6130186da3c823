//go:build !container

package plugin

import (
	"fmt"
	"slices"
	"strings"
)

// strip is the history of one figure, newest last; -1 is not known.
type strip struct{ values []float64 }

// mostHistory is enough for the widest terminal.
const mostHistory = 400

func (s *strip) add(v float64) {
	s.values = append(s.values, v)
	if len(s.values) > 2*mostHistory {
		s.values = slices.Clone(s.values[len(s.values)-mostHistory:])
	}
}

// draw is the newest width values, a block each, of eight heights up to most.
func (s *strip) draw(width int, most float64) string {
	if s == nil || width <= 0 {
		return ""
	}
	blocks := []rune("▁▂▃▄▅▆▇█")
	values := s.values[max(0, len(s.values)-width):]
	var b strings.Builder
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
	if s != nil {
		for _, v := range s.values {
			most = max(most, v)
		}
	}
	return most
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
		lines[i] += strings.Repeat(" ", widest-cells(lines[i])+2) + t.history[gpuKey(g.GPU)].draw(room, 100)
	}
	return title + strings.Repeat(" ", widest-cells(title)+2) + "HISTORY"
}

// strips are the history of the container that is followed.
func (t *topScreen) strips(width int) []string {
	room := min(mostHistory, width-12)
	util, held := t.history[t.follow], t.held[t.follow]
	return []string{
		fmt.Sprintf("  %-7s%s", "util", util.draw(room, max(100, util.most()))),
		fmt.Sprintf("  %-7s%s", "memory", held.draw(room, held.most())),
	}
}
