package fixes

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

func (w *window) bytes(line int) []byte { return w.buf[w.lines[line].start:w.lines[line].end] }

// unnamed is a line without its container's name.
func (w *window) unnamed(line int) []byte {
	raw := w.bytes(line)
	if bar := bytes.IndexByte(raw[:min(len(raw), 150)], '|'); bar > 1 && w.prefix(line) > bar {
		if at := containerName().FindIndex(raw); at != nil {
			return raw[at[1]:]
		}
	}
	return raw
}

// prefix is [prefixLength] of a line.
func (w *window) prefix(line int) int {
	l := &w.lines[line]
	if l.prefixed == 0 {
		l.prefixed = int16(prefixLength(w.bytes(line))) + 1
	}
	return int(l.prefixed) - 1
}

// unprefixed is what a line says, without its prefix.
func (w *window) unprefixed(line int) []byte {
	raw := w.bytes(line)
	if text := message(raw); len(text) != len(raw) || len(raw) > 0 && &text[0] != &raw[0] {
		return text[prefixLength(text):]
	}
	return raw[w.prefix(line):]
}

func (w *window) join(first, last int, between string) string {
	var b strings.Builder
	for i := first; i <= last; i++ {
		line := w.unnamed(i)
		if i > first && !w.lines[i-1].cut {
			b.WriteString(between)
			line = w.unprefixed(i)
		}
		b.WriteString(canon(line))
	}
	return b.String()
}

var quoteSign = []byte("> ")

// The driver wraps its own messages in the kernel log.
var nvrm, xid = []byte("NVRM: "), []byte("Xid")

const (
	wrapMax   = 6   // lines around one that show how wide a text is
	joinMax   = 3   // lines before and after one that may be the same message, wrapped
	widthMax  = 164 // wider than people wrap
	narrowest = 28  // a telephone's screen
	alikeMin  = 10  // a line that goes on does not begin with the same characters, so many of them
)

// reach is how many lines on either side may belong to a message that begins in line. A piece of a line
// that was cut is longer than any message: one neighbour is enough.
func (w *window) reach(line int) int {
	if w.lines[line].cut || line > 0 && w.lines[line-1].cut {
		return 1
	}
	return joinMax
}

// wrapped is the range of lines around line that may be one line which somebody's terminal, editor or
// mail program wrapped.
func (w *window) wrapped(line int) (first, last int) {
	first, last = line, line
	reach := w.reach(line)
	for first > max(0, line-reach) && w.continues(first-1) {
		first--
	}
	for last < min(len(w.lines)-1, line+reach) && w.continues(last) {
		last++
	}
	return first, last
}

// continues, and goesOn, which it remembers, tell if the line after the given one may be its continuation: the next line's first word
// would not have fitted.
func (w *window) continues(line int) bool {
	l := &w.lines[line]
	if l.continued == 0 || line+1 == len(w.lines)-1 { // the last line may have grown
		l.continued = 1
		if w.goesOn(line) {
			l.continued = 2
		}
	}
	return l.continued == 2
}

func (w *window) goesOn(line int) bool {
	if w.lines[line].cut {
		return true
	}
	if line+1 >= len(w.lines) {
		return false
	}
	if bytes.Contains(w.bytes(line), nvrm) && bytes.Contains(w.bytes(line+1), nvrm) && !bytes.Contains(w.bytes(line+1), xid) {
		return true
	}
	if w.sewn(line) {
		return true
	}
	width, next := w.width(line), w.width(line+1)
	if width < narrowest || width > widthMax || next == 0 || next > widthMax {
		return false
	}
	limit := w.limit(line)
	after := w.bytes(line + 1)
	if width+1+utf8.RuneCount(after[:min(len(after), 80)]) < limit {
		return false
	}
	if p := w.prefix(line + 1); p > 0 {
		if w.prefix(line) == 0 {
			return false
		}
		after = after[p:]
	}
	if before := w.unprefixed(line); w.inPart() && len(before) >= alikeMin && len(after) >= alikeMin && bytes.Equal(before[:alikeMin], after[:alikeMin]) {
		return false // in a long log, the next record of a program, which begins as this one does
	}
	word := bytes.TrimLeft(after, " \t")
	if end := bytes.IndexAny(word, " \t\r"); end >= 0 {
		word = word[:end]
	}
	return width+1+utf8.RuneCount(word) >= limit
}

// sewn tells if a sign says that a line goes on in the next: an arrow at its end or at the beginning of the next, an
// ellipsis at both, a backslash.
func (w *window) sewn(line int) bool {
	text, after := bytes.TrimRight(w.bytes(line), " \r"), bytes.TrimLeft(w.bytes(line+1), " \t")
	if len(text) == 0 || len(after) == 0 {
		return false
	}
	if end := text[len(text)-1]; end == '\\' {
		return len(text) > 1 && text[len(text)-2] != '\\'
	} else if end < utf8.RuneSelf && after[0] < utf8.RuneSelf {
		return false
	}
	for _, sign := range []string{"↵", "⏎", "↩", "⤶"} {
		if bytes.HasSuffix(text, []byte(sign)) {
			return true
		}
	}
	return bytes.HasPrefix(after, []byte("↪")) || bytes.HasPrefix(after, []byte("↳")) || bytes.HasSuffix(text, []byte("…")) && bytes.HasPrefix(after, []byte("…"))
}

// limit is how wide the text around a line is.
func (w *window) limit(line int) int {
	limit := w.width(line)
	for i := max(0, line-wrapMax); i <= min(len(w.lines)-1, line+wrapMax); i++ {
		if n := w.width(i); n <= widthMax && (n <= limit || !w.isAddress(i)) {
			limit = max(limit, n)
		}
	}
	return limit
}

// isAddress tells if a line is one word that nobody can wrap.
func (w *window) isAddress(line int) bool {
	text := bytes.Trim(w.bytes(line)[w.prefix(line):], " \t\r")
	return bytes.Contains(text, []byte("://")) && bytes.IndexByte(text, ' ') < 0
}

func (w *window) width(line int) int {
	l := &w.lines[line]
	if l.width == 0 {
		text := w.bytes(line)
		if bytes.IndexByte(text, 0x1b) >= 0 {
			text = unescape(text)
		}
		l.width = utf8.RuneCount(bytes.TrimRight(text, " \r"))
	}
	return l.width
}

// wholeText is those lines of the window as expressions on the whole text see them: once line by line, once with wraps
// undone, where there are any.
func (w *window) wholeText(of func(line int) bool) [2]string {
	var plain, joined strings.Builder
	wraps := false
	for i := range w.lines {
		if !of(i) {
			continue
		}
		line := w.bytes(i)
		if n := w.prefix(i); !bytes.Contains(line[:n], nvrm) {
			line = line[n:]
		}
		text := canon(line)
		plain.WriteString(text)
		plain.WriteByte('\n')
		joined.WriteString(text)
		if w.continues(i) {
			wraps = true
			if !w.brokenWord(i) {
				joined.WriteByte(' ')
			}
		} else {
			joined.WriteByte('\n')
		}
	}
	if !wraps {
		return [2]string{plain.String()}
	}
	return [2]string{plain.String(), joined.String()}
}

// brokenWord tells if a line that goes on in the next was broken at the column, not at a blank: in the middle
// of a word, most likely.
func (w *window) brokenWord(line int) bool {
	if w.lines[line].cut || line+1 >= len(w.lines) {
		return w.lines[line].cut
	}
	text, next := w.bytes(line), w.bytes(line+1)
	if bytes.HasPrefix(text, quoteSign) && bytes.HasPrefix(next, quoteSign) {
		next = next[len(quoteSign):]
		text = text[len(quoteSign):]
	}
	return len(text) > 0 && text[len(text)-1] > ' ' && len(next) > 0 && indentation(next) == indentation(text) && prefixLength(next) == 0 &&
		w.width(line) == w.limit(line) && !bytes.Contains(text, nvrm)
}

func indentation(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " \t")) }
