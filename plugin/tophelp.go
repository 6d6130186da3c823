//go:build !container

package plugin

import (
	"fmt"
	"slices"
)

func (t *topScreen) helpLines(width int) []topLine {
	var lines []topLine
	for _, line := range []string{
		"", "Tab, Shift-Tab         go to the next, the previous table",
		"↑ ↓ PgUp PgDn Home End  choose a row",
		"F6 s, ← →              sort by the next column, by the one before",
		"+ - I                  largest first, smallest first, turn round",
		"M P N                  sort by memory, by utilisation, by number or name",
		"F4 /                   show only what holds a text; Esc shows all",
		"F Enter                follow the chosen container; Esc ends it",
		"F2 c                   choose the columns of the GPUs",
		"F9 k                   stop the chosen container (docker stop), after a question",
		"Space                  pause", "F10 q Ctrl-C           quit", "", "Any key goes back.",
	} {
		lines = append(lines, topLine{shorten(" "+line, width), linePlain})
	}
	return lines
}

func (t *topScreen) pickLines(width, room int) []topLine {
	lines := []topLine{{shorten(" Columns of the GPUs: ↑↓ choose, Space shows or hides, Enter goes back", width), lineTitle}}
	first := 0
	if len(gpuTopColumns) > room-1 {
		first = min(max(0, t.pickAt-room/2), len(gpuTopColumns)-room+1)
	}
	for i := max(0, first); i < min(len(gpuTopColumns), first+room-1); i++ {
		c := gpuTopColumns[i]
		box, kind, mark := "[ ]", linePlain, " "
		if slices.Contains(t.columns, c.key) {
			box = "[x]"
		}
		if i == t.pickAt {
			kind, mark = lineSelected, ">"
		}
		lines = append(lines, topLine{shorten(fmt.Sprintf("%s%s %-9s %s", mark, box, c.key, c.help), width), kind})
	}
	return lines
}
