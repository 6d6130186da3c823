//go:build e2e && linux

package e2e

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	"github.com/rogpeppe/go-internal/testscript"
)

func init() { commands["picture"] = pictureCommand }

// pictures is the folder that keeps the pictures of README and docs; empty: they are made, looked at, and thrown away.
var pictures = os.Getenv("E2E_PICTURES")

// pictureCommand: "picture NAME COLUMNSxROWS [-until PATTERN] COMMAND..." runs a command in a real terminal (tmux) and makes an
// SVG of what stands there, $WORK/NAME.svg and its text $WORK/NAME.txt: when the command has ended, or, of one that goes on,
// when PATTERN has appeared.
func pictureCommand(ts *testscript.TestScript, neg bool, args []string) {
	var until *regexp.Regexp
	if neg || len(args) < 3 {
		ts.Fatalf("usage: picture NAME COLUMNSxROWS [-until PATTERN] COMMAND...")
	}
	name, command := args[0], args[2:]
	columns, rows, ok := strings.Cut(args[1], "x")
	if !ok {
		ts.Fatalf("picture: %q is not COLUMNSxROWS", args[1])
	}
	if command[0] == "-until" && len(command) > 2 {
		until, command = regexp.MustCompile(command[1]), command[2:]
	}
	inWork := func(name string) string { return filepath.Join(ts.Getenv("WORK"), name) }
	tmux := func(args ...string) (string, error) {
		cmd := exec.Command("tmux", append([]string{"-L", filepath.Base(ts.Getenv("STATES")) + "-" + name, "-f", inWork("tmux.conf")}, args...)...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), append(environment(ts), "LANG=C.UTF-8", "TERM=xterm-256color", "COLORTERM=truecolor")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
		}
		return string(out), nil
	}
	ts.Check(os.WriteFile(inWork("tmux.conf"), []byte("set -g remain-on-exit on\nset -g remain-on-exit-format ''\nset -g status off\nset -g default-terminal tmux-256color\n"), 0o644))
	_, err := tmux(append([]string{"new-session", "-d", "-x", columns, "-y", rows, "--"}, command...)...)
	ts.Check(err)
	defer tmux("kill-server") //nolint:errcheck // it ends with its last window
	var screen string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		dead, err := tmux("display-message", "-p", "#{pane_dead}")
		ts.Check(err)
		screen, err = tmux("capture-pane", "-e", "-p")
		ts.Check(err)
		if dead == "1\n" && until == nil || until != nil && until.MatchString(plain(screen)) {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("picture: %s did not come to its end; on the screen:\n%s", command[0], screen)
		}
	}
	lines := strings.Split(strings.TrimRight(screen, "\n "), "\n")
	prompt := ""
	if until == nil {
		prompt = strings.Join(command, " ")
		if command[0] == "sh" {
			prompt = command[len(command)-1]
		}
	}
	width, err := strconv.Atoi(columns)
	ts.Check(err)
	ts.Check(os.WriteFile(inWork(name+".txt"), []byte(plain(strings.Join(lines, "\n"))+"\n"), 0o644))
	svg := []byte(drawSVG(prompt, lines, width))
	ts.Check(os.WriteFile(inWork(name+".svg"), svg, 0o644))
	if pictures != "" {
		ts.Check(os.MkdirAll(pictures, 0o755))
		ts.Check(os.WriteFile(filepath.Join(pictures, name+".svg"), svg, 0o644))
	}
}

// environment is a script's own, as its other commands get it.
func environment(ts *testscript.TestScript) []string {
	var all []string
	for _, key := range []string{"HOME", "PATH", "DOCKER_HOST", "LD_LIBRARY_PATH", "FAKE_NVML_SCENARIO", "DOCKER_GPU_ROOT", "DOCKER_GPU_LEASES", "DOCKER_GPU_NVML_LIBRARY"} {
		if v := ts.Getenv(key); v != "" {
			all = append(all, key+"="+v)
		}
	}
	return all
}

var sgr = regexp.MustCompile("\x1b\\[([0-9;]*)m|\x1b[()][A-Z0-9]|\x0e|\x0f")

func plain(text string) string { return sgr.ReplaceAllString(text, "") }

// The cells of a picture, in pixels, and the terminal's sixteen colours for a light and a dark page.
const (
	cellWidth, cellHeight, margin = 8.4, 18.0, 16.0

	colours = `.page{fill:#fff;stroke:#d0d7de}text{fill:#1f2328;font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}` +
		`.dim{opacity:.6}.bold{font-weight:600}.prompt{fill:#59636e}` +
		`.c0{fill:#1f2328}.c1{fill:#cf222e}.c2{fill:#1a7f37}.c3{fill:#9a6700}.c4{fill:#0969da}.c5{fill:#8250df}.c6{fill:#1b7c83}.c7{fill:#59636e}.r{fill:#1f2328}.rt{fill:#fff}` +
		`@media(prefers-color-scheme:dark){.page{fill:#0d1117;stroke:#3d444d}text{fill:#f0f6fc}.prompt{fill:#9198a1}` +
		`.c0{fill:#656c76}.c1{fill:#ff7b72}.c2{fill:#3fb950}.c3{fill:#d29922}.c4{fill:#58a6ff}.c5{fill:#bc8cff}.c6{fill:#39c5cf}.c7{fill:#b1bac4}.r{fill:#f0f6fc}.rt{fill:#0d1117}}`
)

// drawSVG draws the lines of a terminal with their colours. Each piece of one colour stands at its own column and is
// stretched to its width, so that columns meet in any font.
func drawSVG(prompt string, lines []string, columns int) string {
	var b strings.Builder
	if prompt != "" {
		lines = append([]string{"\x1b[90m$ \x1b[0m" + prompt, ""}, lines...)
	}
	width, height := float64(columns)*cellWidth+2*margin, float64(len(lines))*cellHeight+2*margin
	title := prompt
	if title == "" {
		title = "docker gpu top"
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img"><title>%s</title><style>%s</style>`,
		width, height, width, height, escapeXML(title), colours)
	fmt.Fprintf(&b, `<rect class="page" x=".5" y=".5" width="%.0f" height="%.0f" rx="8"/>`+"\n", width-1, height-1)
	for row, line := range lines {
		column, style := 0, map[string]bool{}
		at := 0
		draw := func(text string) {
			if style["reverse"] {
				fmt.Fprintf(&b, `<rect class="r" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, margin+float64(column)*cellWidth, margin+float64(row)*cellHeight, float64(displaywidth.String(text))*cellWidth, cellHeight)
			}
			for _, piece := range pieces(text) {
				cells := displaywidth.String(piece)
				x, y := margin+float64(column)*cellWidth, margin+float64(row)*cellHeight
				class := ""
				for _, c := range []string{"bold", "dim", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "prompt"} {
					if style[c] {
						class += " " + c
					}
				}
				if style["reverse"] {
					class += " rt"
				}
				if strings.TrimSpace(piece) != "" {
					fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs" xml:space="preserve"`, x, y+13.5, float64(cells)*cellWidth)
					if class != "" {
						fmt.Fprintf(&b, ` class="%s"`, strings.TrimSpace(class))
					}
					fmt.Fprintf(&b, ">%s</text>", escapeXML(piece))
				}
				column += cells
			}
		}
		for _, m := range sgr.FindAllStringSubmatchIndex(line, -1) {
			draw(line[at:m[0]])
			at = m[1]
			if m[2] >= 0 {
				restyle(style, line[m[2]:m[3]])
			}
		}
		draw(line[at:])
		b.WriteString("\n")
	}
	return b.String() + "</svg>\n"
}

// pieces splits a text before each run of three blanks or more: stretched text shifts nothing behind it then.
func pieces(text string) []string {
	var all []string
	for text != "" {
		end := len(text)
		if gap := strings.Index(strings.TrimLeft(text, " "), "  "); gap >= 0 {
			end = len(text) - len(strings.TrimLeft(text, " ")) + gap
		}
		if blanks := len(text) - len(strings.TrimLeft(text, " ")); blanks > 1 {
			end = blanks
		}
		all, text = append(all, text[:end]), text[end:]
	}
	return all
}

// restyle reads the parameters of one "select graphic rendition"; of the 256 colours only the first sixteen have a place.
func restyle(style map[string]bool, parameters string) {
	colour := func(name string) {
		for i := range 8 {
			delete(style, fmt.Sprintf("c%d", i))
		}
		delete(style, "prompt")
		if name != "" {
			style[name] = true
		}
	}
	codes := strings.Split(parameters, ";")
	for i := 0; i < len(codes); i++ {
		n, _ := strconv.Atoi(codes[i])
		switch {
		case n == 0:
			clear(style)
		case n == 1:
			style["bold"] = true
		case n == 2:
			style["dim"] = true
		case n == 7:
			style["reverse"] = true
		case n == 22:
			delete(style, "bold")
			delete(style, "dim")
		case n == 27:
			delete(style, "reverse")
		case n >= 30 && n <= 37:
			colour(fmt.Sprintf("c%d", n-30))
		case n == 39:
			colour("")
		case n == 90:
			colour("prompt")
		case n >= 91 && n <= 97:
			colour(fmt.Sprintf("c%d", n-90))
		case (n == 38 || n == 48) && i+2 < len(codes) && codes[i+1] == "5":
			if of, _ := strconv.Atoi(codes[i+2]); n == 38 && of < 16 {
				colour(fmt.Sprintf("c%d", of%8))
			} else if n == 38 {
				colour("")
			}
			i += 2
		case (n == 38 || n == 48) && i+4 < len(codes) && codes[i+1] == "2":
			i += 4
		}
	}
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
