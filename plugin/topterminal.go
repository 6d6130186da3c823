//go:build !container

package plugin

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/docker/cli/cli/streams"
)

// terminal is the user's screen while the live view has it. It is painted by lines, only those that are
// others than before: Bubble Tea's renderer compares every cell, and looks many times a second if there is
// something to compare, which took more time than all else that top does.
type terminal struct {
	in  *streams.In
	out *streams.Out

	lines []topLine // as they stand there; nil: nothing is known of what does
	close func()
}

// What the live view changes of a terminal, and how it gives it back.
const (
	enterTerminal = ansi.SetModeAltScreenSaveCursor + ansi.ResetModeTextCursorEnable + ansi.ResetModeAutoWrap +
		ansi.SetModeMouseButtonEvent + ansi.SetModeMouseExtSgr + ansi.SetModeBracketedPaste
	leaveTerminal = ansi.ResetModeBracketedPaste + ansi.ResetModeMouseExtSgr + ansi.ResetModeMouseButtonEvent +
		ansi.SetModeAutoWrap + ansi.SetModeTextCursorEnable + ansi.ResetModeAltScreenSaveCursor
)

// takeTerminal takes the screen until close is called, once or more often.
func takeTerminal(in *streams.In, out *streams.Out) (*terminal, error) {
	t := &terminal{in: in, out: out}
	t.close = sync.OnceFunc(func() {
		_, _ = out.Write([]byte(leaveTerminal)) // a terminal that is gone needs nothing given back
		in.RestoreTerminal()
	})
	return t, t.enter()
}

func (t *terminal) enter() error {
	t.lines = nil
	t.in.RestoreTerminal() // does nothing at first; later, what was there before is what is to be given back, still
	if err := t.in.SetRawTerminal(); err != nil {
		return err
	}
	_, err := t.out.Write([]byte(enterTerminal))
	return err
}

// size is that of the screen; of a terminal that does not know its own, that of the first terminals.
func (t *terminal) size() tea.WindowSizeMsg {
	height, width := t.out.GetTtySize()
	if height == 0 || width == 0 {
		height, width = 24, 80
	}
	return tea.WindowSizeMsg{Width: int(width), Height: int(height)}
}

// clear lets the next paint write every line.
func (t *terminal) clear() { t.lines = nil }

// paint writes the lines that are others than those on the screen, in one piece.
func (t *terminal) paint(lines []topLine, width int) error {
	var b strings.Builder
	if t.lines == nil || len(t.lines) > len(lines) {
		b.WriteString(ansi.EraseEntireScreen)
		t.lines = make([]topLine, 0, len(lines))
	}
	for i, line := range lines {
		if i < len(t.lines) && t.lines[i] == line {
			continue
		}
		b.WriteString(ansi.CursorPosition(1, i+1))
		text, room := line.text, width-cells(line.text)
		if room > 0 && (line.kind == lineTitle || line.kind == lineSelected) {
			text += strings.Repeat(" ", room)
			room = 0
		}
		if style, styled := topStyles[line.kind]; styled {
			text = style.Styled(text)
		}
		b.WriteString(text)
		if room > 0 {
			b.WriteString(ansi.EraseLineRight)
		}
		if i < len(t.lines) {
			t.lines[i] = line
		} else {
			t.lines = append(t.lines, line)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := t.out.Write([]byte(b.String()))
	return err
}

// The styles are attributes, not colours: they look the same on light and dark terminals, and say nothing
// that the text does not. (Lip Gloss asks for a terminal's colours when a program starts, whatever it does; in tmux by
// starting another program.)
var topStyles = map[lineKind]ansi.Style{
	lineHead:     ansi.NewStyle().Bold(),
	lineTitle:    ansi.NewStyle().Reverse(true),
	lineSelected: ansi.NewStyle().Bold().Reverse(true),
	lineNotice:   ansi.NewStyle().Bold(),
	lineHelp:     ansi.NewStyle().Faint(),
}

// resumedMsg says that the program was stopped and goes on: the shell has had the terminal meanwhile.
type resumedMsg struct{}

// runTop is the live view until the user, the context or the terminal ends it. The terminal is given back
// whatever happens, a panic included.
func runTop(ctx context.Context, m *topModel, in *streams.In, out *streams.Out) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	screen, err := takeTerminal(in, out)
	defer screen.close()
	if err != nil {
		return err
	}
	m.ctx, m.terminal = ctx, screen
	size := screen.size()
	program := tea.NewProgram(m, tea.WithInput(os.Stdin), tea.WithoutRenderer(), tea.WithFPS(1), tea.WithColorProfile(colorprofile.ASCII), tea.WithoutSignalHandler(), tea.WithWindowSize(size.Width, size.Height))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, terminalSignals...)
	defer signal.Stop(signals)
	go func() {
		for {
			select {
			case <-ctx.Done():
				program.Quit()
				return
			case s := <-signals:
				if resumes(s) {
					program.Send(resumedMsg{})
				}
				program.Send(screen.size())
			}
		}
	}()
	ended := make(chan error, 1)
	go func() {
		_, err := program.Run()
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(topPatience): // the terminal takes no more, so neither does the program
		}
	}
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// topPatience is how long the last reading, and the last line, is waited for when the view ends.
const topPatience = 200 * time.Millisecond
