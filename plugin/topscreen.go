//go:build !container

package plugin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// The tables of the screen, from top to bottom.
const (
	paneGPUs = iota
	paneContainers
	paneProcesses
	panes
)

type sorting struct {
	key        string
	descending bool
}

// topScreen is what top shows: the newest frame, what is remembered of those before, and what the user
// chose. It draws itself as plain lines; styles are put on by who prints them.
type topScreen struct {
	frame   *inspect.Snapshot
	before  *inspect.Snapshot
	history map[string]*strip // by GPU ("gpu 0") and container id: utilisation
	held    map[string]*strip // memory, in percent of the GPU's or the largest so far
	every   time.Duration

	columns   []string // of the GPUs
	sorts     [panes]sorting
	pane      int
	selected  [panes]string // key of the selected row
	filter    string
	typing    bool   // the filter is being typed
	follow    string // id of the container that is followed
	followed  string // its name
	wanted    string // name or id of the container that is to be followed as soon as it is there
	zone      *time.Location
	help      bool
	picking   bool // columns are being chosen
	pickAt    int
	paused    bool
	asking    string // id of the container that is to be stopped
	askedName string
	notice    string
	ended     string // why no frame will follow
}

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

func newTopScreen(every time.Duration, columns []string) *topScreen {
	return &topScreen{zone: time.UTC, history: map[string]*strip{}, held: map[string]*strip{}, every: every, columns: columns, pane: paneContainers,
		sorts: [panes]sorting{{}, {"memory", true}, {"memory", true}}}
}

// show takes a new frame. The error is that of a container to follow that is not in it.
func (t *topScreen) show(s *inspect.Snapshot) error {
	if t.frame != nil {
		t.before = t.frame
	}
	t.frame = s
	var err error
	if t.wanted != "" {
		var chosen []*inspect.Container
		if chosen, err = chooseContainers(s, []string{t.wanted}); err == nil {
			t.follow, t.followed, t.wanted = chosen[0].ID, chosen[0].Name, ""
		}
	}
	seen := map[string]bool{}
	add := func(to map[string]*strip, key string, v float64) {
		if to[key] == nil {
			to[key] = &strip{}
		}
		to[key].add(v)
		seen[key] = true
	}
	for i := range s.GPUs {
		g := &s.GPUs[i]
		key := gpuKey(g)
		util, used := -1.0, -1.0
		if g.GPUUtilPercent != nil {
			util = float64(*g.GPUUtilPercent)
		}
		if g.MemoryUsedBytes != nil && g.MemoryTotalBytes != nil && *g.MemoryTotalBytes > 0 {
			used = float64(*g.MemoryUsedBytes) / float64(*g.MemoryTotalBytes) * 100
		}
		add(t.history, key, util)
		add(t.held, key, used)
	}
	for _, c := range granted(s.Containers) {
		util, used := -1.0, -1.0
		if c.Usage != nil && c.Usage.GPUUtilPercent != nil {
			util = float64(*c.Usage.GPUUtilPercent)
		}
		if c.Usage != nil && c.Usage.MemoryUsedBytes != nil {
			used = float64(*c.Usage.MemoryUsedBytes)
		}
		add(t.history, c.ID, util)
		add(t.held, c.ID, used)
	}
	for _, strips := range []map[string]*strip{t.history, t.held} {
		for key := range strips {
			if !seen[key] {
				delete(strips, key)
			}
		}
	}
	return err
}

func gpuKey(g *inspect.GPU) string { return "gpu " + strconv.Itoa(g.Index) }

// A line of the screen. Kind says what it is, for the styles.
type topLine struct {
	text string
	kind lineKind
}

type lineKind int

const (
	linePlain lineKind = iota
	lineHead           // first line
	lineTitle          // titles of a table
	lineSelected
	lineNotice // something is wrong, or a question
	lineHelp
)

// draw is the whole screen in width × height cells; width 0 and height 0: as large as it gets.
func (t *topScreen) draw(width, height int) []topLine {
	if t.frame == nil {
		return []topLine{{shorten("docker gpu top: reading …", width), linePlain}}
	}
	lines := []topLine{{shorten(t.headline(), width), lineHead}}
	for _, warning := range t.warnings() {
		lines = append(lines, topLine{shorten(warning, width), lineNotice})
	}
	switch {
	case t.help:
		return t.bottom(append(lines, t.helpLines(width)...), width, height)
	case t.picking:
		return t.bottom(append(lines, t.pickLines(width, height-len(lines)-1)...), width, height)
	}
	gpus, containers, processes := t.gpuTable(width), t.containerTable(width), t.processTable(width)
	if height > 0 {
		room := height - len(lines) - 1
		sizes := share(room, len(gpus.keys)+1, len(containers.keys)+1, len(processes.keys)+1)
		for i, table := range []*paneTable{gpus, containers, processes} {
			lines = append(lines, table.lines(sizes[i], t.pane == i)...)
		}
		return t.bottom(lines, width, height)
	}
	for _, table := range []*paneTable{gpus, containers, processes} {
		if len(lines) > 1 && len(table.keys) > 0 {
			lines = append(lines, topLine{})
		}
		if len(table.keys) > 0 {
			lines = append(lines, table.lines(len(table.keys)+1, false)...)
		}
	}
	return lines
}

// share gives the room to the three tables: each what it needs, if there is enough; else the processes
// give way first, then the containers, and none goes below title and two rows.
func share(room int, needs ...int) []int {
	sizes := slices.Clone(needs)
	const least = 3
	for i := len(sizes) - 1; i >= 0; i-- {
		over := -room
		for _, size := range sizes {
			over += size
		}
		if over > 0 {
			sizes[i] = max(min(least, needs[i]), sizes[i]-over)
		}
	}
	return sizes
}

// bottom fills the screen up and puts the line of help at its end.
func (t *topScreen) bottom(lines []topLine, width, height int) []topLine {
	for len(lines) < height-1 {
		lines = append(lines, topLine{})
	}
	if height > 0 && len(lines) > height-1 {
		lines = lines[:height-1]
	}
	last := topLine{"F1 help  Tab table  ↑↓ row  F6 sort  F4 filter  F follow  F2 columns  F9 stop  Space pause  q quit", lineHelp}
	if width > 0 && cells(last.text) > width {
		last.text = "F1 help  Tab table  F6 sort  F4 filter  F follow  F2 columns  F9 stop  q quit"
	}
	switch {
	case t.asking != "":
		last = topLine{fmt.Sprintf("Stop container %s (docker stop)? y = yes, any other key = no", harmlessName(t.askedName)), lineNotice}
	case t.typing:
		last = topLine{"Filter: " + harmlessName(t.filter) + "█   Enter keep  Esc clear", lineNotice}
	case t.notice != "":
		last = topLine{harmlessName(t.notice), lineNotice}
	}
	lines = append(lines, last)
	for i := range lines {
		lines[i].text = shorten(lines[i].text, width)
	}
	return lines
}

func (t *topScreen) headline() string {
	s := t.frame
	host, driver, cuda, engine := "", "", "", ""
	if s.Host != nil {
		host = s.Host.Name
	}
	if s.Driver != nil {
		driver, cuda = labelled("driver ", s.Driver.Version), labelled("CUDA ", s.Driver.CUDAVersion)
	}
	if s.Engine != nil {
		engine = labelled("Docker ", s.Engine.Version)
	}
	state := ""
	switch {
	case t.paused:
		state = "paused"
	case t.every > 0:
		state = "every " + t.every.String()
	}
	filter, follow := "", ""
	if t.filter != "" {
		filter = "filter " + strconv.Quote(t.filter)
	}
	if t.follow != "" {
		follow = "following " + t.followed + " (Esc: all)"
	}
	return parts(s.TakenAt.In(t.zone).Format("2006-01-02 15:04:05"), follow, filter, state, host, driver, cuda, engine)
}

// warnings say what could not be read, at most two lines of it, and why nothing moves any more.
func (t *topScreen) warnings() []string {
	lines := sourceLines(t.frame)
	if len(lines) > 2 {
		lines = append(lines[:1], fmt.Sprintf("! and %d more sources could not be read", len(lines)-1))
	}
	if e := t.frame.Engine; e != nil && e.Version == "" && e.Error != "" {
		lines = append([]string{"! engine: " + harmlessName(e.Error)}, lines...)
	}
	if t.ended != "" {
		lines = append(lines, "! "+harmlessName(t.ended))
	}
	return lines
}

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
	heads, texts := cellsOf(columns, rows)
	for i, c := range columns {
		if c.key == sort.key && sort.key != "" {
			heads[i].title += map[bool]string{true: "▼", false: "▲"}[sort.descending]
		}
	}
	if width > 0 {
		width--
	}
	var b strings.Builder
	_ = writeTable(&b, width, heads, texts) // a strings.Builder takes everything
	all := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	return all[0], all[1:]
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
		title, lines := drawTable(width, columns, rows, t.sorts[paneGPUs])
		if width > usualHistory {
			// Names give way to the history, columns do not.
			short, narrow := drawTable(width-usualHistory, columns, rows, t.sorts[paneGPUs])
			if !slices.ContainsFunc(columns, func(c topColumn[gpuNow]) bool {
				return strings.Contains(title, c.title) && !strings.Contains(short, c.title)
			}) {
				title, lines = short, narrow
			}
		}
		title = t.addHistory(title, lines, rows, width)
		return title, addMIG(lines, rows, width)[first:end]
	}
	return p
}

// noGPUs says why there is no row: not seen is not the same as not there.
func noGPUs(s *inspect.Snapshot) string {
	for _, r := range s.Sources {
		if r.Name == "nvml" && (r.Error != "" || r.TimedOut) {
			return "The GPUs cannot be seen: NVML does not answer."
		}
	}
	if s.Driver != nil && s.Driver.NVMLError != "" {
		return "The GPUs cannot be seen: " + harmlessName(s.Driver.NVMLError) + "."
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

// addMIG puts the MIG devices below their GPU.
func addMIG(lines []string, rows []gpuNow, width int) []string {
	for i := len(rows) - 1; i >= 0; i-- {
		g := rows[i]
		if g.MIG == nil || !g.MIG.Enabled {
			continue
		}
		var texts []string
		for _, d := range g.MIG.Devices {
			text := parts(labelled("MIG ", d.Profile), strings.TrimSpace(memory(d.MemoryUsedBytes, d.MemoryTotalBytes)), processCount(len(d.Processes)))
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

// containers are the rows of their table, filtered and sorted; the host's last.
func (t *topScreen) containers() []*psRow {
	var rows []*psRow
	var host *psRow
	for _, line := range psLines(t.frame, &psOptions{}) {
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

// strips are the history of the container that is followed.
func (t *topScreen) strips(width int) []string {
	room := min(mostHistory, width-12)
	util, held := t.history[t.follow], t.held[t.follow]
	return []string{
		fmt.Sprintf("  %-7s%s", "util", util.draw(room, max(100, util.most()))),
		fmt.Sprintf("  %-7s%s", "memory", held.draw(room, held.most())),
	}
}

func rowID(r *psRow) string {
	if r.psLine.ID == nil {
		return hostName
	}
	return *r.psLine.ID
}

// processes of all GPUs, filtered and sorted.
func (t *topScreen) processes() []topProcess {
	names := map[string]string{}
	for _, c := range t.frame.Containers {
		names[c.ID] = c.Name
	}
	var rows []topProcess
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
