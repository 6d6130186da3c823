//go:build !container

package plugin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// paneTable is a table: the key of each row, and what draws a range of them. Only what there is room for
// is drawn: a machine has more processes than a terminal lines.
type paneTable struct {
	keys     []string
	draw     func(first, end int) (title string, rows []string)
	selected string
	empty    string
}

// lines are the title and as many rows as there is room for, around the selected one.
func (p *paneTable) lines(size int, focus bool) []topLine {
	if size <= 0 {
		return nil
	}
	mark := " "
	if focus {
		mark = "▸"
	}
	if len(p.keys) == 0 {
		return []topLine{{mark + p.empty, lineTitle}}
	}
	at := max(0, slices.Index(p.keys, p.selected))
	room := size - 1
	first := 0
	if len(p.keys) > room {
		first = min(max(0, at-room/2), len(p.keys)-room)
	}
	end := min(len(p.keys), first+room)
	title, rows := p.draw(first, end)
	if hidden := len(p.keys) - room; hidden > 0 {
		title += fmt.Sprintf("  (%d of %d)", room, len(p.keys))
	}
	lines := make([]topLine, 0, size)
	lines = append(lines, topLine{mark + title, lineTitle})
	for i, row := range rows {
		line := topLine{" " + row, linePlain}
		if focus && p.keys[first+i] == p.selected {
			line = topLine{">" + row, lineSelected}
		}
		lines = append(lines, line)
	}
	return lines
}

// drawTable lays rows out in width-1 cells: the first is for the mark of the selection.
func drawTable[T any](width int, columns []topColumn[T], rows []T, sort sorting) (title string, lines []string) {
	heads, texts := cellsOf(columns, rows, sort)
	return layOut(width, heads, texts)
}

func layOut(width int, heads []column, texts [][]string) (title string, lines []string) {
	if width > 0 {
		width--
	}
	all := tableLines(heads, fitColumns(heads, measureColumns(heads, texts), width), texts)
	return all[0], all[1:]
}

// A gpuLayout is the table of GPUs without their history, for as long as nothing in it moves.
type gpuLayout struct {
	of      rowsOf[struct{}]
	columns []string
	width   int
	still   bool // the frame before told the same, so that nothing is counted up since
	title   string
	lines   []string
}

func (l *gpuLayout) sameAs(other gpuLayout) bool {
	return l.still && l.of.sameAs(other.of) && sameArray(l.columns, other.columns) && l.width == other.width
}

// layOutGPUs leaves room for the history: names give way to it, columns do not.
func layOutGPUs(width int, heads []column, texts [][]string) (title string, lines []string) {
	natural := measureColumns(heads, texts)
	all := slices.Clone(heads)
	wide := fitColumns(all, natural, max(0, width-1))
	if width > usualHistory {
		less := slices.Clone(heads)
		if narrow := fitColumns(less, natural, width-1-usualHistory); slices.Equal(less, all) {
			wide = narrow
		}
	}
	table := tableLines(all, wide, texts)
	return table[0], table[1:]
}

func (t *topScreen) gpuTable(width int) *paneTable {
	s := t.frame
	p := &paneTable{selected: t.selected[paneGPUs]}
	if len(s.GPUs) == 0 {
		p.empty = shorten(noGPUs(s), max(0, width-1))
		return p
	}
	var rows []gpuNow
	for i := range s.GPUs {
		g := &s.GPUs[i]
		if !t.concerns(g) {
			continue
		}
		now := gpuNow{GPU: g}
		if t.before != nil {
			now.elapsed = s.TakenAt.Sub(t.before.TakenAt)
			for j := range t.before.GPUs {
				if t.before.GPUs[j].Index == g.Index && t.before.GPUs[j].UUID == g.UUID {
					now.before = &t.before.GPUs[j]
				}
			}
		}
		rows = append(rows, now)
	}
	columns := []topColumn[gpuNow]{{key: "index", title: "GPU", keep: keepAlways, value: func(g gpuNow) string { return strconv.Itoa(g.Index) }}}
	for _, key := range t.columns {
		for _, c := range gpuTopColumns {
			if c.key == key {
				columns = append(columns, c)
			}
		}
	}
	sortRows(rows, columns, t.sorts[paneGPUs].key, t.sorts[paneGPUs].descending)
	for _, g := range rows {
		p.keys = append(p.keys, gpuKey(g.GPU))
		if g.MIG != nil && g.MIG.Enabled {
			for _, d := range g.MIG.Devices {
				p.keys = append(p.keys, fmt.Sprintf("mig %d:%d", g.Index, d.Index))
			}
		}
	}
	p.draw = func(first, end int) (string, []string) {
		now := gpuLayout{of: rowsFor[struct{}](t, paneGPUs), columns: t.columns, width: width, still: t.before != nil && sameArray(t.before.GPUs, s.GPUs)}
		if !now.still || !t.gpus.sameAs(now) {
			heads, texts := cellsOf(columns, rows, t.sorts[paneGPUs])
			now.title, now.lines = layOutGPUs(width, heads, texts)
			t.gpus = now
		}
		lines := slices.Clone(t.gpus.lines)
		title := t.addHistory(t.gpus.title, lines, rows, width)
		return title, addMIG(lines, rows, width)[first:end]
	}
	return p
}

// noGPUs says why there is no row: not seen is not the same as not there.
func noGPUs(s *inspect.Snapshot) string {
	if s.Driver != nil && s.Driver.NVMLError != "" {
		return "The GPUs cannot be seen: " + harmlessName(s.Driver.NVMLError) + "."
	}
	for _, r := range s.Sources {
		if r.Name == "nvml" && (r.Error != "" || r.TimedOut) {
			return "The GPUs cannot be seen: NVML does not answer."
		}
	}
	if v := fixes.Judge(s); v.Code == fixes.NoGPU || v.Code == fixes.UnsupportedPlatform {
		return v.Text
	}
	return "No NVIDIA GPU is to be seen here."
}

// concerns leaves, where a container is followed, only the GPUs that it was given or holds.
func (t *topScreen) concerns(g *inspect.GPU) bool {
	if t.follow == "" {
		return true
	}
	for i := range t.frame.Containers {
		if c := &t.frame.Containers[i]; c.ID == t.follow {
			return matchesGPU(filters{"gpu": {strconv.Itoa(g.Index): true}}, t.frame, c)
		}
	}
	return true
}

// addMIG puts the MIG devices below their GPU.
func addMIG(lines []string, rows []gpuNow, width int) []string {
	for i := len(rows) - 1; i >= 0; i-- {
		g := rows[i]
		if g.MIG == nil || !g.MIG.Enabled {
			continue
		}
		var texts []string
		for _, d := range g.MIG.Devices {
			text := parts(labelled("MIG ", d.Profile), labelled("util ", wholeNumber(d.GPUUtilPercent, "%")), strings.TrimSpace(memory(d.MemoryUsedBytes, d.MemoryTotalBytes)), processCount(len(d.Processes)))
			texts = append(texts, shorten(fmt.Sprintf("%-5s%s", fmt.Sprintf("%d:%d", g.Index, d.Index), text), max(0, width-1)))
		}
		lines = slices.Insert(lines, i+1, texts...)
	}
	return lines
}

func processCount(n int) string {
	if n == 1 {
		return "1 process"
	}
	return strconv.Itoa(n) + " processes"
}

// rowsOf are the rows of a table, for as long as they are the same: a key asks for them more than once.
type rowsOf[T any] struct {
	frame          *inspect.Snapshot
	filter, follow string
	sort           sorting
	rows           []T
}

func rowsFor[T any](t *topScreen, pane int) rowsOf[T] {
	return rowsOf[T]{frame: t.since, filter: t.filter, follow: t.follow, sort: t.sorts[pane]}
}

func (r rowsOf[T]) sameAs(other rowsOf[T]) bool {
	return r.frame == other.frame && r.filter == other.filter && r.follow == other.follow && r.sort == other.sort
}

// A drawnTable is what was drawn of a table last, for as long as nothing in it moves: on most machines most figures
// stand still at most times.
type drawnTable struct {
	of       rowsOf[struct{}]
	width    int
	selected string
	table    *paneTable

	size  int
	focus bool
	lines []topLine
}

// stillTable is the table of containers or processes, as it was if nothing in it is another.
func (t *topScreen) stillTable(pane, width int) *paneTable {
	d := &t.drawn[pane]
	now := drawnTable{of: rowsFor[struct{}](t, pane), width: width, selected: t.selected[pane]}
	moves := pane == paneContainers && t.follow != "" // the history below it
	if d.table != nil && !moves && d.of.sameAs(now.of) && d.width == width && d.selected == now.selected {
		return d.table
	}
	if pane == paneContainers {
		now.table = t.containerTable(width)
	} else {
		now.table = t.processTable(width)
	}
	*d = now
	return d.table
}

// linesOf are the lines of a table that has this room.
func (t *topScreen) linesOf(pane int, table *paneTable, size int) []topLine {
	d, focus := &t.drawn[pane], t.pane == pane
	if d.table != table || d.lines == nil || d.size != size || d.focus != focus {
		d.table, d.size, d.focus, d.lines = table, size, focus, table.lines(size, focus)
	}
	return d.lines
}

// containers are the rows of their table, filtered and sorted; the host's last.
func (t *topScreen) containers() []*psRow {
	now := rowsFor[*psRow](t, paneContainers)
	if now.sameAs(t.containerRows) {
		return t.containerRows.rows
	}
	var host *psRow
	lines := psLines(t.frame, &psOptions{})
	rows := make([]*psRow, 0, len(lines))
	for _, line := range lines {
		row := &psRow{psLine: line, trunc: true}
		switch {
		case line.ID == nil:
			host = row
		case t.follow != "" && *line.ID != t.follow:
		case t.filter == "" || t.matches(line.Name, row.Image(), row.Project(), row.Service()):
			rows = append(rows, row)
		}
	}
	sortRows(rows, containerTopColumns, t.sorts[paneContainers].key, t.sorts[paneContainers].descending)
	if host != nil && t.follow == "" && t.frame.Containers != nil && t.matches(hostName) {
		rows = append(rows, host)
	}
	now.rows = rows
	t.containerRows = now
	return rows
}

// matches tells if one of the texts holds what is filtered for, whatever the case.
func (t *topScreen) matches(texts ...string) bool {
	if t.filter == "" {
		return true
	}
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(t.filter)) })
}

func (t *topScreen) containerTable(width int) *paneTable {
	rows := t.containers()
	p := &paneTable{selected: t.selected[paneContainers], empty: shorten("No running container has GPU access.", max(0, width-1))}
	if t.frame.Containers == nil {
		p.empty = shorten("The engine's containers are not known.", max(0, width-1))
	}
	if t.filter != "" {
		p.empty = shorten("No container matches the filter.", max(0, width-1))
	}
	if len(rows) == 0 {
		return p
	}
	for _, row := range rows {
		p.keys = append(p.keys, rowID(row))
	}
	strips := t.follow != "" && width > 0
	if strips {
		p.keys = append(p.keys, "", "")
	}
	p.draw = func(first, end int) (string, []string) {
		title, lines := drawTable(width, containerTopColumns, rows[min(first, len(rows)):min(end, len(rows))], t.sorts[paneContainers])
		if strips {
			lines = append(lines, t.strips(width)...)
		}
		return title, lines[:min(end-first, len(lines))]
	}
	return p
}

func rowID(r *psRow) string {
	if r.psLine.ID == nil {
		return hostName
	}
	return *r.psLine.ID
}

// processes of all GPUs, filtered and sorted.
func (t *topScreen) processes() []topProcess {
	now := rowsFor[topProcess](t, paneProcesses)
	if now.sameAs(t.processRows) {
		return t.processRows.rows
	}
	count := 0
	for i := range t.frame.GPUs {
		count += len(t.frame.GPUs[i].Processes)
	}
	rows := make([]topProcess, 0, count)
	add := func(processes []inspect.UsageProcess, id, name string) {
		for _, u := range processes {
			p := topProcess{UsageProcess: u, container: name, containerID: id}
			if id == "" && t.frame.Containers == nil { // no engine to ask: the cgroup's id is all there is
				p.container = ""
				if ids := inspect.ContainerIDs(u.Cgroup); len(ids) > 0 {
					p.container = ids[0][:12]
				}
			}
			if t.follow == "" && t.matches(name, u.Name, strconv.Itoa(u.PID)) || t.follow != "" && id == t.follow {
				rows = append(rows, p)
			}
		}
	}
	for i := range t.frame.Containers {
		if c := &t.frame.Containers[i]; c.Usage != nil {
			add(c.Usage.Processes, c.ID, c.Name)
		}
	}
	if u := inspect.HostUsage(t.frame); u != nil {
		add(u.Processes, "", hostName)
	}
	sortRows(rows, processTopColumns, t.sorts[paneProcesses].key, t.sorts[paneProcesses].descending)
	now.rows = rows
	t.processRows = now
	return rows
}

func (t *topScreen) processTable(width int) *paneTable {
	rows := t.processes()
	p := &paneTable{selected: t.selected[paneProcesses], empty: shorten("No process is on a GPU.", max(0, width-1))}
	switch {
	case inspect.HostUsage(t.frame) == nil:
		p.empty = shorten("The processes on GPUs are not known.", max(0, width-1))
	case t.filter != "" || t.follow != "":
		p.empty = shorten("No process on a GPU matches.", max(0, width-1))
	}
	if len(rows) == 0 {
		return p
	}
	for _, row := range rows {
		p.keys = append(p.keys, strconv.Itoa(row.PID)+" "+row.gpu())
	}
	p.draw = func(first, end int) (string, []string) {
		return drawTable(width, processTopColumns, rows[first:end], t.sorts[paneProcesses])
	}
	return p
}
