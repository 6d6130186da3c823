package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// framesOf are moments of a snapshot, one second apart, with figures that move.
func framesOf(t testing.TB, file string, count int) []*inspect.Snapshot {
	t.Helper()
	var frames []*inspect.Snapshot
	for i := range count {
		s, err := readSnapshot(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.TakenAt = time.Date(2026, 11, 25, 12, 0, i, 0, time.UTC)
		for g := range s.GPUs {
			if s.GPUs[g].GPUUtilPercent != nil {
				util := uint32((i*13 + g*29) % 101)
				s.GPUs[g].GPUUtilPercent = &util
			}
			violation := float64(i) * 0.25
			s.GPUs[g].PowerViolationSeconds = &violation
		}
		frames = append(frames, s)
	}
	return frames
}

func screenOf(t testing.TB, frames []*inspect.Snapshot, columns ...string) *topScreen {
	t.Helper()
	if len(columns) == 0 {
		columns = defaultTopColumns
	}
	screen := newTopScreen(time.Second, columns)
	for _, s := range frames {
		if err := screen.show(s); err != nil {
			t.Fatal(err)
		}
	}
	return screen
}

func textOf(lines []topLine) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimRight(line.text, " ") + "\n")
	}
	return b.String()
}

// The screens, as text: light and dark terminals show the same, for the styles are attributes.
func TestTopScreens(t *testing.T) {
	none := []*inspect.Snapshot{{SchemaVersion: 1, TakenAt: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Engine: &inspect.Engine{Version: "28.5.2"},
		Host: &inspect.Host{Name: "laptop", PCI: []inspect.PCIDevice{}}, Containers: []inspect.Container{}, GPUs: []inspect.GPU{}}}
	eight, mig := framesOf(t, "../examples/snapshots/eight-gpus.json", 30), framesOf(t, sharedGPUs, 30)
	one := framesOf(t, sharedGPUs, 12)
	for _, s := range one {
		s.GPUs = s.GPUs[:1]
	}
	hopper := framesOf(t, sharedGPUs, 30)
	for i, s := range hopper {
		devices, busy := s.GPUs[1].MIG.Devices, uint32(i*17%101)
		devices[0].GPUUtilPercent, devices[1].GPUUtilPercent = &busy, new(uint32)
		for c := range s.Containers {
			if u := s.Containers[c].Usage; s.Containers[c].Name == "inference" {
				u.GPUUtilPercent, u.Processes[0].GPUUtilPercent = &busy, &busy
			}
		}
	}
	for name, frames := range map[string][]*inspect.Snapshot{"none": none, "one": one, "eight": eight, "mig": mig, "mig-hopper": hopper} {
		for _, size := range [][2]int{{80, 24}, {160, 50}} {
			screen := screenOf(t, frames)
			screen.keepFocus()
			lines := screen.draw(size[0], size[1])
			if len(lines) != size[1] {
				t.Errorf("%s at %v has %d lines", name, size, len(lines))
			}
			for _, line := range lines {
				if cells(line.text) > size[0] {
					t.Errorf("%s at %v is too wide: %q", name, size, line.text)
				}
			}
			holdGolden(t, fmt.Sprintf("top/%s-%dx%d.golden", name, size[0], size[1]), textOf(lines))
		}
	}
}

// Whatever the size of the terminal, the screen fits it, with the help and the choice of columns too.
func TestTopFitsEverySize(t *testing.T) {
	frames := framesOf(t, sharedGPUs, 3)
	for _, change := range []func(*topScreen){func(*topScreen) {}, func(s *topScreen) { s.help = true }, func(s *topScreen) { s.picking, s.pickAt = true, 12 },
		func(s *topScreen) { s.follow, s.followed = strings.Repeat("a1", 32), "trainer" }, func(s *topScreen) { s.columns = gpuColumnKeys() }} {
		for width := 20; width <= 200; width += 9 {
			for _, height := range []int{1, 2, 3, 5, 10, 24, 60} {
				screen := screenOf(t, frames)
				change(screen)
				lines := screen.draw(width, height)
				if len(lines) != max(1, height) {
					t.Fatalf("%d×%d: %d lines", width, height, len(lines))
				}
				if width < 60 {
					continue // below that the columns without which a table says nothing are cut by the terminal
				}
				for _, line := range lines {
					if cells(line.text) > width {
						t.Fatalf("%d×%d: %q", width, height, line.text)
					}
				}
			}
		}
	}
}

func key(name string) tea.KeyPressMsg {
	switch name {
	case "esc":
		return tea.KeyPressMsg{Code: tea.KeyEscape}
	case "enter":
		return tea.KeyPressMsg{Code: tea.KeyEnter}
	case "down":
		return tea.KeyPressMsg{Code: tea.KeyDown}
	case "up":
		return tea.KeyPressMsg{Code: tea.KeyUp}
	case "tab":
		return tea.KeyPressMsg{Code: tea.KeyTab}
	case "backspace":
		return tea.KeyPressMsg{Code: tea.KeyBackspace}
	case "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	case "F2", "F6", "F9":
		return tea.KeyPressMsg{Code: tea.KeyF1 + rune(name[1]-'1')}
	case "ctrl+c":
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// press sends keys; the last command is run and its message given back.
func press(m *topModel, keys ...string) (quit bool) {
	for _, name := range keys {
		_, cmd := m.Update(key(name))
		if cmd == nil {
			continue
		}
		msg := cmd()
		if _, ok := msg.(tea.QuitMsg); ok {
			return true
		}
		m.Update(msg)
	}
	return false
}

func modelOf(t *testing.T, stop func(context.Context, string) error) *topModel {
	t.Helper()
	m := &topModel{screen: screenOf(t, framesOf(t, sharedGPUs, 3)), stop: stop, ctx: t.Context(), feed: &oneFeed{}}
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
	return m
}

func TestTopKeys(t *testing.T) {
	names := func(m *topModel) string {
		var all []string
		for _, r := range m.screen.containers() {
			all = append(all, r.Name())
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct{ name, keys, want string }{
		{"by memory first", "", "trainer inference notebook privileged host"},
		{"by name", "N", "inference notebook privileged trainer host"},
		{"the column before", "N F6 F6 I", "privileged inference trainer notebook host"},
		{"turned round", "N I", "trainer privileged notebook inference host"},
		{"by utilisation", "P", "trainer notebook inference privileged host"},
		{"the next column", "N F6", "trainer inference notebook privileged host"},
		{"filtered", "/ T R I enter", "inference"},
		{"filtered by project", "/ l a b enter", "trainer notebook"},
		{"filter taken back", "/ l a b enter esc", "trainer inference notebook privileged host"},
		{"filter mended", "/ x backspace h o s t enter", "host"},
		{"followed", "down enter", "inference"},
		{"followed no more", "down enter esc", "trainer inference notebook privileged host"},
		{"keys of a question go nowhere else", "F9 N", "trainer inference notebook privileged host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := modelOf(t, func(context.Context, string) error { return errors.New("nothing is to be stopped here") })
			press(m, strings.Fields(c.keys)...)
			if got := names(m); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	for _, quits := range []string{"q", "ctrl+c"} {
		if !press(modelOf(t, nil), quits) {
			t.Errorf("%s does not quit", quits)
		}
	}
	m := modelOf(t, nil)
	if press(m, "/", "q", "enter"); m.screen.filter != "q" {
		t.Errorf("q in a filter: %q", m.screen.filter)
	}
	if !press(modelOf(t, nil), "/", "ctrl+c") {
		t.Error("ctrl+c does not quit while a filter is typed")
	}
	m = modelOf(t, nil)
	press(m, "F2", "down", "space", "enter")
	if !slices.Contains(m.screen.columns, "uuid") {
		t.Errorf("columns %q", m.screen.columns)
	}
}

// Nothing is stopped without a question, nothing but a container, and not the one that a filter hides.
func TestTopStops(t *testing.T) {
	for _, c := range []struct{ name, keys, stopped, notice string }{
		{"asked and confirmed", "F9 y", strings.Repeat("a1", 32), "Container trainer is stopped."},
		{"asked and denied", "F9 n", "", "Nothing was stopped."},
		{"enter is no yes", "F9 enter", "", "Nothing was stopped."},
		{"by htop's key", "k y", strings.Repeat("a1", 32), "Container trainer is stopped."},
		{"the next one", "down k y", strings.Repeat("c3", 32), "Container inference is stopped."},
		{"not one that is hidden", "/ i n f e r enter k y", strings.Repeat("c3", 32), "Container inference is stopped."},
		{"the container of a process", "tab k y", strings.Repeat("a1", 32), "Container trainer is stopped."},
		{"no process of the host", "tab / X o r g enter k", "", "That process is in no container: docker gpu stops containers, never processes."},
		{"not the host", "/ h o s t enter k", "", "Choose a container first: Tab goes to their table, ↑ and ↓ to a row."},
	} {
		t.Run(c.name, func(t *testing.T) {
			stopped := ""
			m := modelOf(t, func(_ context.Context, id string) error { stopped = id; return nil })
			press(m, strings.Fields(c.keys)...)
			if stopped != c.stopped || m.screen.notice != c.notice {
				t.Errorf("stopped %q, want %q; notice %q, want %q", stopped, c.stopped, m.screen.notice, c.notice)
			}
		})
	}
	m := modelOf(t, nil)
	if press(m, "k"); m.screen.asking != "" || !strings.Contains(m.screen.notice, "recording") {
		t.Errorf("in a recording: %q %q", m.screen.asking, m.screen.notice)
	}
}

// Every figure of `nvidia-smi dmon -s pucvmet` has a column, and shows its value.
func TestTopColumns(t *testing.T) {
	keys, wrong := parseTopColumns([]string{"pucvmet"})
	if wrong != "" {
		t.Fatal(wrong)
	}
	for _, want := range strings.Fields("pwr gtemp mtemp sm mem enc dec jpg ofa mclk pclk pviol tviol fb bar1 sbecc dbecc pci rxpci txpci") {
		if !slices.Contains(keys, want) {
			t.Errorf("no column %s", want)
		}
	}
	u32, u64, f, i := new(uint32(7)), new(uint64(3<<20)), new(70.0), new(61)
	g := inspect.GPU{GPUUtilPercent: u32, MemoryUtilPercent: u32, EncoderUtilPercent: u32, DecoderUtilPercent: u32, JPEGUtilPercent: u32, OFAUtilPercent: u32,
		TemperatureCelsius: i, MemoryTemperatureCelsius: i, PowerWatts: f, MemoryClockMHz: u32, SMClockMHz: u32, PowerViolationSeconds: new(10.5), ThermalViolationSeconds: new(2.0),
		MemoryUsedBytes: u64, BAR1UsedBytes: u64, ECC: &inspect.ECC{CorrectedVolatile: new(uint64(4)), UncorrectedVolatile: new(uint64(5))},
		PCIe: &inspect.PCIe{ReplayCount: new(uint32(6)), RxBytesPerSecond: new(uint64(8_000_000)), TxBytesPerSecond: new(uint64(9_000_000))}}
	before := inspect.GPU{PowerViolationSeconds: new(10.0), ThermalViolationSeconds: new(2.0)}
	want := map[string]string{"pwr": "70 W", "gtemp": "61°C", "mtemp": "61°C", "sm": "7%", "mem": "7%", "enc": "7%", "dec": "7%", "jpg": "7%", "ofa": "7%", "mclk": "7", "pclk": "7",
		"pviol": "50%", "tviol": "0%", "fb": "3", "bar1": "3", "sbecc": "4", "dbecc": "5", "pci": "6", "rxpci": "8", "txpci": "9"}
	got := map[string]string{}
	for _, c := range gpuTopColumns {
		if _, asked := want[c.key]; asked {
			got[c.key] = c.value(gpuNow{GPU: &g, before: &before, elapsed: time.Second})
		}
		if text := c.value(gpuNow{GPU: &inspect.GPU{}}); text != "" {
			t.Errorf("%s of a GPU of which nothing is known is %q", c.key, text)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		names []string
		want  string
		wrong string
	}{
		{[]string{"mem"}, "mem", ""}, {[]string{"u", "mem"}, "sm mem enc dec jpg ofa", ""}, {[]string{"name", "nope"}, "", "nope"}, {[]string{""}, "", ""},
	} {
		keys, wrong := parseTopColumns(c.names)
		if strings.Join(keys, " ") != c.want || wrong != c.wrong {
			t.Errorf("%q: %q, wrong %q", c.names, keys, wrong)
		}
	}
}

func TestTopUsage(t *testing.T) {
	for _, args := range [][]string{{"--interval", "1ms"}, {"-n", "-1"}, {"--columns", "nope"}, {"--columns", ""}, {"--replay", "x", "--from", "y"}, {"--record", "x", "--replay", "y"}, {"extra"}} {
		out, stderr, code := runGPU(t, "unix:///nowhere", append([]string{"top"}, args...)...)
		if code != exitUsage || out != "" || stderr == "" {
			t.Errorf("%q: exit %d, %q %q", args, code, out, stderr)
		}
	}
}

// What is recorded can be played, in both forms; a recording that was cut plays what is there.
func TestTopRecords(t *testing.T) {
	frames := framesOf(t, sharedGPUs, 5)
	folder := t.TempDir()
	for _, name := range []string{"night.zst", "night.gz"} {
		file := filepath.Join(folder, name)
		feed, err := record(&sliceFeed{frames: slices.Clone(frames)}, file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range frames {
			if _, err := feed.next(t.Context()); err != nil {
				t.Fatal(err)
			}
			if i == 2 { // what is in the file while it is written, as after kill -9
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file+".killed", data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		feed.close()
		if feed.failed != nil {
			t.Fatal(feed.failed)
		}
		if _, err := record(&sliceFeed{}, file); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("a recording was overwritten: %v", err)
		}
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cut := file + ".cut"
		if err := os.WriteFile(cut, whole[:len(whole)-20], 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			file, note string
			least      int
			most       int
		}{{file, "end of the recording (5 frames)", 5, 5}, {file + ".killed", "(3 frames)", 3, 3}, {cut, "what is there was played", 1, 4}} {
			out, stderr, code := runGPU(t, "unix:///nowhere", "top", "--replay", c.file, "--format", "json")
			lines := strings.Count(out, "\n")
			if code != 0 || lines < c.least || lines > c.most || !strings.Contains(stderr, c.note) {
				t.Errorf("%s: exit %d, %d frames: %s", c.file, code, lines, stderr)
			}
			var s inspect.Snapshot
			if err := json.Unmarshal([]byte(out[:strings.IndexByte(out, '\n')]), &s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(frames[0], &s); diff != "" {
				t.Errorf("%s: the frame is another one (-want +got):\n%s", c.file, diff)
			}
		}
		text, _, _ := runGPU(t, "unix:///nowhere", "top", "--replay", file, "-n", "2")
		if strings.Count(text, "GRANTED BY") != 2 || strings.ContainsRune(text, '\x1b') {
			t.Errorf("two plain frames: %s", text)
		}
	}
	for name, text := range map[string]string{"empty": "", "nonsense": "hello\n", "another file": `{"a":1}` + "\n", "newer": `{"schemaVersion":99}` + "\n", "damaged": "\x28\xb5\x2f\xfd\xff\xff"} {
		file := filepath.Join(folder, "bad")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, stderr, code := runGPU(t, "unix:///nowhere", "top", "--replay", file); code != 1 || out != "" || stderr == "" {
			t.Errorf("%s: exit %d: %q %q", name, code, out, stderr)
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":1,"gpus":null,"containers":null,"sources":[],"takenAt":"2026-11-25T12:00:00Z"}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		feed, err := openReplay("-", bytes.NewReader(data), false, 0)
		if err != nil {
			return
		}
		defer feed.close()
		screen := newTopScreen(time.Second, defaultTopColumns)
		for range 100 {
			s, err := feed.next(t.Context())
			if err != nil {
				return
			}
			_ = screen.show(s)
			screen.draw(80, 24)
		}
	})
}

// sliceFeed gives frames that are there.
type sliceFeed struct{ frames []*inspect.Snapshot }

func (f *sliceFeed) next(context.Context) (*inspect.Snapshot, error) {
	if len(f.frames) == 0 {
		return nil, io.EOF
	}
	s := f.frames[0]
	f.frames = f.frames[1:]
	return s, nil
}
func (f *sliceFeed) note() string { return "" }
func (f *sliceFeed) close()       {}

func TestTopFollow(t *testing.T) {
	file := sharedGPUs
	out, _, code := runGPU(t, "unix:///nowhere", "top", "--from", file, "--follow", "inference")
	if code != 0 || !strings.Contains(out, "following inference") || strings.Contains(out, "notebook") || !strings.Contains(out, "trtexec") || strings.Contains(out, "\n 0    NVIDIA") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if _, stderr, code := runGPU(t, "unix:///nowhere", "top", "--from", file, "--follow", "nope"); code != 1 || !strings.Contains(stderr, "no such container: nope") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// An engine's containers are asked for when its events say so, not every frame; when it dies, what it said
// last stays, with a line that says so.
func TestTopFollowsTheEngine(t *testing.T) {
	engine := startEngine(t, crowd(12)...)
	cliOut, cliErr := &bytes.Buffer{}, &bytes.Buffer{}
	a := appFor(t, "unix://"+engine.socket, cliOut, cliErr)
	feed := newLiveFeed(a, leastInterval, time.Minute)
	defer feed.close()
	next := func() *inspect.Snapshot {
		t.Helper()
		s, err := feed.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	asked := func() (n int) {
		engine.mu.Lock()
		defer engine.mu.Unlock()
		for _, times := range engine.inspected {
			n += times
		}
		return n
	}
	if s := next(); len(s.Containers) != 12 {
		t.Fatalf("%d containers", len(s.Containers))
	}
	await(t, "the events to be followed", func() bool {
		next()
		return engine.Followers() > 0
	})
	for range 5 {
		next()
	}
	if n := asked(); n > 24 { // once at first, and once more where the events were not followed yet
		t.Errorf("%d questions without an event", n)
	}
	engine.mu.Lock()
	engine.containers = append(engine.containers, simContainer{id: simID(99), name: "young", state: "running", labels: map[string]string{}})
	engine.mu.Unlock()
	engine.tell("start", simID(99))
	await(t, "the container that started", func() bool { return len(next().Containers) == 13 })
	_ = engine.Close()
	await(t, "the engine's death", func() bool {
		s := next()
		return len(s.Containers) == 13 && slices.ContainsFunc(s.Sources, func(r inspect.Reading) bool { return r.Name == "containers" && r.Error != "" })
	})
}

// await tries until it is so. There is no time limit but the test's own.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for !so() {
		select {
		case <-t.Context().Done():
			t.Fatal("waited in vain for " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// What is drawn of frames in which nothing moves is what would be drawn of any others with the same figures.
func TestTopStandsStill(t *testing.T) {
	for name, file := range map[string]string{"eight": "../examples/snapshots/eight-gpus.json", "mig": sharedGPUs} {
		lazy, fresh := newTopScreen(time.Second, defaultTopColumns), newTopScreen(time.Second, defaultTopColumns)
		actions := []string{"", "", "tab", "down", "", "F6", "", "filter", "", "unfilter", "", "enter", "", "", "esc", "narrow", "", "moves", ""}
		var last *inspect.Snapshot
		width := 160
		for i, action := range actions {
			moment := framesOf(t, file, 1)[0]
			if action == "moves" {
				moment.GPUs[0].GPUUtilPercent = new(uint32(99))
				for c := range moment.Containers {
					moment.Containers[c].Name += "-renamed"
				}
			}
			moment.TakenAt = moment.TakenAt.Add(time.Duration(i) * time.Second)
			still := moment
			if last != nil && action != "moves" {
				shared := *last
				shared.TakenAt = moment.TakenAt
				still = &shared
			}
			if action == "" && len(actions)-1 == i { // after the change the whole machine stays as it has become
				moment = copiedSnapshot(t, last)
				moment.TakenAt = still.TakenAt
			}
			last = still
			var drawn [2]string
			for j, screen := range []*topScreen{lazy, fresh} {
				model := &topModel{screen: screen, ctx: t.Context()}
				model.take(frameMsg{s: []*inspect.Snapshot{still, moment}[j]})
				switch action {
				case "filter":
					screen.filter = "train"
				case "unfilter":
					screen.filter = ""
				case "narrow":
					width = 80
				case "tab", "down", "F6", "enter", "esc":
					model.key(key(action))
				}
				screen.keepFocus()
				drawn[j] = textOf(screen.draw(width, 40))
			}
			if diff := cmp.Diff(drawn[1], drawn[0]); diff != "" {
				t.Errorf("%s, frame %d after %q (-want +got):\n%s", name, i, action, diff)
			}
		}
		if fresh.since != fresh.frame || lazy.since == lazy.frame {
			t.Errorf("%s: both screens took the same way", name)
		}
	}
}

func copiedSnapshot(t *testing.T, s *inspect.Snapshot) *inspect.Snapshot {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	c := &inspect.Snapshot{}
	if err := json.Unmarshal(data, c); err != nil {
		t.Fatal(err)
	}
	return c
}
