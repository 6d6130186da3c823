//go:build !container

package plugin

import (
	"context"
	"errors"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// topModel is the live view: bubbletea's events turned into changes of the screen.
type topModel struct {
	screen *topScreen
	feed   topFeed
	stop   func(ctx context.Context, id string) error // docker stop; nil: nothing can be stopped, as in a recording
	shows  func(columns []string)                     // is told which columns of the GPUs are shown; nil: nobody asks
	ctx    context.Context
	width  int
	height int

	terminal *terminal // nil: nobody looks, as in tests
	broken   error     // why it cannot be written to any more
}

// frameMsg is the next frame of the feed, or why there is none.
type frameMsg struct {
	s    *inspect.Snapshot
	note string
	err  error
}

type stoppedMsg struct {
	name string
	err  error
}

func (m *topModel) Init() tea.Cmd { return m.next }

// next waits for the feed. It runs beside the program, so that a source that hangs stops no key.
func (m *topModel) next() tea.Msg {
	defer m.restored()
	s, err := m.feed.next(m.ctx)
	return frameMsg{s: s, note: m.feed.note(), err: err}
}

// Update takes what happened, and paints what it changed.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	defer m.restored()
	cmd := m.take(msg)
	switch msg.(type) {
	case tea.WindowSizeMsg, frameMsg, stoppedMsg, tea.MouseWheelMsg, tea.PasteMsg, tea.KeyPressMsg:
		m.paint()
	}
	if m.broken != nil {
		return m, tea.Quit
	}
	return m, cmd
}

func (m *topModel) take(msg tea.Msg) tea.Cmd {
	t := m.screen
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		if m.terminal != nil {
			m.terminal.clear()
		}
	case resumedMsg:
		if m.terminal != nil {
			m.broken = m.terminal.enter()
		}
	case frameMsg:
		if msg.s != nil && !t.paused {
			if err := t.show(msg.s); err != nil {
				t.notice = err.Error()
			}
			if t.since == t.frame {
				t.keepSelection()
			}
		}
		if msg.note != "" {
			t.ended = msg.note
		}
		if errors.Is(msg.err, errFrames) {
			return tea.Quit
		}
		if msg.err != nil {
			if m.ctx.Err() == nil && t.ended == "" {
				t.ended = msg.err.Error()
			}
			return nil
		}
		return m.next
	case stoppedMsg:
		t.notice = "Container " + msg.name + " is stopped."
		if msg.err != nil {
			t.notice = msg.err.Error()
		}
	case tea.MouseWheelMsg:
		switch msg.Button {
		case tea.MouseWheelUp:
			t.move(-1)
		case tea.MouseWheelDown:
			t.move(1)
		}
	case tea.PasteMsg:
		if t.typing {
			t.filter += msg.Content
		}
	case tea.KeyPressMsg:
		cmd := m.key(msg)
		if t.frame != nil {
			t.keepSelection() // what a filter hides is not chosen any more
		}
		return cmd
	}
	return nil
}

// key does what a key says. Keys are those of nvtop and htop where both or either have one.
func (m *topModel) key(msg tea.KeyPressMsg) tea.Cmd {
	t, key := m.screen, msg.String()
	if key == "ctrl+c" || key == "f10" {
		return tea.Quit
	}
	t.notice = ""
	switch {
	case t.asking != "":
		id, name := t.asking, t.askedName
		t.asking, t.askedName = "", ""
		if key != "y" && key != "Y" {
			t.notice = "Nothing was stopped."
			return nil
		}
		t.notice = "Stopping " + name + " …"
		return func() tea.Msg { return stoppedMsg{name, m.stop(m.ctx, id)} }
	case t.typing:
		t.typeFilter(msg)
		return nil
	case t.help:
		t.help = false
		return nil
	case t.picking:
		t.pick(key)
		if m.shows != nil {
			m.shows(t.columns)
		}
		return nil
	}
	switch key {
	case "q":
		return tea.Quit
	case "f1", "h", "?":
		t.help = true
	case "f2", "c":
		t.picking = true
	case "tab":
		t.pane = (t.pane + 1) % panes
	case "shift+tab":
		t.pane = (t.pane + panes - 1) % panes
	case "up", "ctrl+p":
		t.move(-1)
	case "down", "ctrl+n":
		t.move(1)
	case "pgup":
		t.move(-10)
	case "pgdown":
		t.move(10)
	case "home":
		t.move(-1 << 20)
	case "end":
		t.move(1 << 20)
	case "f6", "s", "right", ">":
		t.sortNext(1)
	case "left", "<":
		t.sortNext(-1)
	case "+":
		t.sorts[t.pane].descending = true
	case "-":
		t.sorts[t.pane].descending = false
	case "I", "i":
		t.sorts[t.pane].descending = !t.sorts[t.pane].descending
	case "M":
		t.sortBy("memory", true)
	case "P":
		t.sortBy(map[int]string{paneGPUs: "sm", paneContainers: "util", paneProcesses: "sm"}[t.pane], true)
	case "N":
		t.sortBy(map[int]string{paneGPUs: "", paneContainers: "name", paneProcesses: "pid"}[t.pane], false)
	case "f3", "f4", "/", `\`:
		t.typing = true
	case "F", "f", "enter":
		t.followSelected()
	case "esc":
		if t.follow != "" {
			t.follow, t.followed = "", ""
		} else {
			t.filter = ""
		}
	case "f9", "k":
		m.askToStop()
	case "space", "z", "Z", "p":
		t.paused = !t.paused
	}
	return nil
}

// typeFilter edits the text that is filtered for.
func (t *topScreen) typeFilter(msg tea.KeyPressMsg) {
	switch msg.String() {
	case "enter":
		t.typing = false
	case "esc":
		t.typing, t.filter = false, ""
	case "backspace":
		if runes := []rune(t.filter); len(runes) > 0 {
			t.filter = string(runes[:len(runes)-1])
		}
	case "ctrl+u":
		t.filter = ""
	default:
		if msg.Text != "" && !strings.ContainsFunc(msg.Text, harmful) {
			t.filter += msg.Text
		}
	}
}

func (t *topScreen) pick(key string) {
	switch key {
	case "up":
		t.pickAt = max(0, t.pickAt-1)
	case "down":
		t.pickAt = min(len(gpuTopColumns)-1, t.pickAt+1)
	case "space", "x":
		chosen := gpuTopColumns[t.pickAt].key
		if at := slices.Index(t.columns, chosen); at >= 0 {
			t.columns = slices.Delete(slices.Clone(t.columns), at, at+1)
			return
		}
		var keys []string // in the order of the list, whatever the order they were chosen in
		for _, key := range gpuColumnKeys() {
			if key == chosen || slices.Contains(t.columns, key) {
				keys = append(keys, key)
			}
		}
		t.columns = keys
	default:
		t.picking = false
	}
}

// tableOf is a table as it would be drawn without bounds.
func (t *topScreen) tableOf(pane int) *paneTable {
	switch pane {
	case paneGPUs:
		return t.gpuTable(0)
	case paneContainers:
		return t.containerTable(0)
	}
	return t.processTable(0)
}

// move goes by rows in the table that has the focus.
func (t *topScreen) move(by int) {
	if t.frame == nil {
		return
	}
	keys := t.tableOf(t.pane).keys
	if len(keys) == 0 {
		return
	}
	at := min(max(0, slices.Index(keys, t.selected[t.pane])+by), len(keys)-1)
	t.selected[t.pane] = keys[at]
}

// keepSelection chooses the first row where the chosen one is gone.
func (t *topScreen) keepSelection() {
	if keys := t.tableOf(t.pane).keys; len(keys) > 0 && !slices.Contains(keys, t.selected[t.pane]) {
		t.selected[t.pane] = keys[0]
	}
}

func (t *topScreen) sortBy(key string, descending bool) {
	t.sorts[t.pane] = sorting{key, descending}
}

// sortNext goes to the next column of the table that has the focus.
func (t *topScreen) sortNext(by int) {
	var keys []string
	switch t.pane {
	case paneGPUs:
		keys = append([]string{""}, t.columns...)
	case paneContainers:
		for _, c := range containerTopColumns {
			keys = append(keys, c.key)
		}
	case paneProcesses:
		for _, c := range processTopColumns {
			keys = append(keys, c.key)
		}
	}
	at := slices.Index(keys, t.sorts[t.pane].key)
	t.sorts[t.pane].key = keys[(at+by+len(keys))%len(keys)]
}

// selectedContainer is the container that the chosen row is, or that its process runs in.
func (t *topScreen) selectedContainer() (id, name string) {
	if t.frame == nil {
		return "", ""
	}
	switch t.pane {
	case paneContainers:
		id = t.selected[paneContainers]
	case paneProcesses:
		keys := t.processTable(0).keys
		rows := t.processes()
		if at := slices.Index(keys, t.selected[paneProcesses]); at >= 0 {
			id = rows[at].containerID
		}
	}
	for _, c := range t.frame.Containers {
		if c.ID == id && id != "" {
			return c.ID, c.Name
		}
	}
	return "", ""
}

func (t *topScreen) followSelected() {
	if t.follow != "" {
		t.follow, t.followed = "", ""
		return
	}
	if id, name := t.selectedContainer(); id != "" {
		t.follow, t.followed = id, name
		return
	}
	t.notice = "Choose a container first: Tab goes to their table, ↑ and ↓ to a row."
}

// askToStop asks before anything is stopped. What runs in no container is never touched.
func (m *topModel) askToStop() {
	t := m.screen
	id, name := t.selectedContainer()
	switch {
	case m.stop == nil:
		t.notice = "This is a recording: nothing can be stopped in it."
	case id == "" && t.pane == paneProcesses && t.selected[paneProcesses] != "":
		t.notice = "That process is in no container: docker gpu stops containers, never processes."
	case id == "":
		t.notice = "Choose a container first: Tab goes to their table, ↑ and ↓ to a row."
	default:
		t.asking, t.askedName = id, name
	}
}

// View shows nothing: [topModel.Update] has painted already what changed.
func (m *topModel) View() tea.View { return tea.View{} }

// paint brings the screen up to date.
func (m *topModel) paint() {
	if m.width <= 0 || m.height <= 0 {
		return
	}
	m.screen.keepFocus()
	if m.terminal != nil {
		if err := m.terminal.paint(m.screen.draw(m.width, m.height), m.width); err != nil {
			m.broken = err
		}
	}
}

// restored gives the terminal back before a panic is told, so that it can be read.
func (m *topModel) restored() {
	if r := recover(); r != nil {
		if m.terminal != nil {
			m.terminal.close()
		}
		panic(r)
	}
}

// keepFocus chooses a row as soon as there is one.
func (t *topScreen) keepFocus() {
	if t.frame != nil && t.selected[t.pane] == "" {
		t.keepSelection()
	}
}
