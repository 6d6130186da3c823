//go:build !container

package plugin

import (
	"fmt"
	"slices"
	"strconv"
	"time"

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
	since   *inspect.Snapshot // the first of the frames that told what this one tells, but for the time
	history map[string]*past  // by GPU ("gpu 0") and container id
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

	containerRows rowsOf[*psRow]
	processRows   rowsOf[topProcess]
	drawn         [panes]drawnTable
	gpus          gpuLayout
}

func newTopScreen(every time.Duration, columns []string) *topScreen {
	return &topScreen{zone: time.UTC, history: map[string]*past{}, every: every, columns: columns, pane: paneContainers,
		sorts: [panes]sorting{{}, {"memory", true}, {"memory", true}}}
}

// show takes a new frame. The error is that of a container to follow that is not in it.
func (t *topScreen) show(s *inspect.Snapshot) error {
	if t.frame != nil {
		t.before = t.frame
	}
	if t.since == nil || !sameMoment(t.frame, s) {
		t.since = s
	}
	t.frame = s
	var err error
	if t.wanted != "" {
		var chosen []*inspect.Container
		if chosen, err = chooseContainers(s, []string{t.wanted}); err == nil {
			t.follow, t.followed, t.wanted = chosen[0].ID, chosen[0].Name, ""
		}
	}
	t.remember(s)
	return err
}

// sameMoment tells of two frames if they share all that they tell: nothing moved from one to the other.
func sameMoment(a, b *inspect.Snapshot) bool {
	return sameArray(a.GPUs, b.GPUs) && sameArray(a.Containers, b.Containers) && a.Engine == b.Engine && a.Driver == b.Driver
}

func sameArray[T any](a, b []T) bool {
	return (a == nil) == (b == nil) && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
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
	tables := [panes]*paneTable{paneGPUs: t.gpuTable(width)}
	for pane := paneContainers; pane < panes; pane++ {
		tables[pane] = t.stillTable(pane, width)
	}
	if height > 0 {
		room := height - len(lines) - 1
		sizes := share(room, len(tables[paneGPUs].keys)+1, len(tables[paneContainers].keys)+1, len(tables[paneProcesses].keys)+1)
		for pane := range tables {
			lines = append(lines, t.linesOf(pane, tables[pane], sizes[pane])...)
		}
		return t.bottom(lines, width, height)
	}
	for _, table := range tables {
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
		lines = append(lines[:1], fmt.Sprintf("and %d more sources could not be read", len(lines)-1))
	}
	if e := t.frame.Engine; e != nil && e.Version == "" && e.Error != "" {
		lines = append([]string{"engine: " + harmlessName(e.Error)}, lines...)
	}
	if t.ended != "" {
		lines = append(lines, harmlessName(t.ended))
	}
	for i, line := range lines {
		lines[i] = "! " + line
	}
	return lines
}
