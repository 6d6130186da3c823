package fixes

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"unicode/utf8"
)

// The search for symptoms streams: a window of the text is in memory, never the text. Each line goes
// through the automaton once; where it hits a symptom's literal, the symptom's expression is tried on
// that line and, where the line looks wrapped, on what it was before that.
const (
	windowSize = 512 << 10 // what is seen around a line at most
	contextLen = 128 << 10 // of that, at least so much before and after a line, where the text has it
	lineMax    = 2 << 10   // longer lines are taken in pieces
	proseMax   = 64 << 10  // a longer text is a log, not what a person wrote: no symptom of prose is looked for
	logLines   = 8         // so many lines of programs are one, in which or beside which a person may have written
)

type textLine struct {
	start, end int // in the window
	number     int
	cut        bool  // the next one is the same line
	width      int   // in characters, 0: not measured
	continued  int8  // 0: not known, 1: no, 2: yes
	writer     int8  // 0: not known
	prefixed   int16 // length of the prefix and 1, 0: not measured
}

type hit struct {
	line    int
	symptom int32
}

// window is the part of a text in memory.
type window struct {
	*scanner
	source     string
	buf        []byte
	lines      []textLine
	hits       []hit
	begun      int // start in buf of the line that is not complete
	number     int // its number
	piece      int // how many lines, and pieces of long ones, there were
	literals   *literalIndex
	search     *literalSearch
	settings   map[string]*setting // by service, of this window
	services   []string            // by line, of this window; nil: not looked for
	lineParts  []int8              // by line, of this window; nil: not looked at
	hasAside   bool                // some of them
	hasPasted  bool
	voiceless  *bool                  // of this window; nil: not looked at
	recent     *[recentLines]lineText // of this window
	onLineOf   int                    // line of onLineText
	onLineText searched
	nearOf     nearLines
	nearText   searched
	forgotten  bool // something was dropped
	prose      bool // a person may have written it
	beside     bool // there is a log beside what a person may have written
	nature     nature
	oneself    bool // somebody tells of himself: set with nature
}

// scan reads a text to its end. Prose tells if a person may have written it.
func (s *scanner) scan(source string, r io.Reader, prose bool) error {
	r, err := decoded(r)
	if err != nil {
		return err
	}
	w := &window{scanner: s, source: source, number: 1, prose: prose}
	w.buf = make([]byte, 0, 64<<10)
	defer func() {
		if len(s.signs) == 0 && s.said != nil && !w.forgotten {
			w.cut()
		}
		s.lines += w.number
		if s.said != nil {
			s.said.keep(w)
		}
	}()
	for w.literals == nil { // the beginning, and whether there is more
		n, err := r.Read(w.buf[len(w.buf):shortText])
		w.buf = w.buf[:len(w.buf)+n]
		switch {
		case err != nil:
			w.literals = s.index.short(w.buf)
			r = ended{err}
		case len(w.buf) == shortText:
			w.literals = s.index.whole()
		}
	}
	w.search = w.literals.search()
	w.rememberLines()
	for {
		if len(w.buf) == cap(w.buf) {
			if cap(w.buf) < windowSize {
				w.buf = slices.Grow(w.buf, cap(w.buf))
			} else {
				w.look(len(w.buf) - contextLen)
				w.forget()
			}
		}
		n, err := r.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		w.split(err != nil)
		if err != nil {
			w.prose = w.prose && !w.forgotten && len(w.buf) <= proseMax
			w.beside = w.prose && w.logLines() >= logLines
			w.look(len(w.buf) + 1)
			if w.prose {
				w.compare()
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// logLines is how many lines a program wrote. What services say of each other is not what a person tells.
func (w *window) logLines() int {
	n := 0
	for i := range w.lines {
		if w.byProgram(i) {
			n++
		}
	}
	return n
}

// split takes the new complete lines through the automaton.
func (w *window) split(last bool) {
	begun := w.begun
	w.begun += linesOf(w.buf[begun:], last, func(start, end int, cut bool) {
		w.line(begun+start, begun+end, cut)
		if begun+end < len(w.buf) && !cut {
			w.number++
		}
	})
}

// linesOf hands over the complete lines of a text, long ones cut, and what is behind the last line end where that is the
// last of the text. It returns where the rest begins.
func linesOf(text []byte, last bool, each func(start, end int, cut bool)) (rest int) {
	for rest < len(text) {
		n := bytes.IndexByte(text[rest:min(len(text), rest+lineMax)], '\n')
		switch {
		case n >= 0:
			each(rest, rest+n, false)
			rest += n + 1
		case len(text)-rest >= lineMax:
			each(rest, rest+lineMax, true)
			rest += lineMax
		case last:
			each(rest, len(text), false)
			rest = len(text)
		default:
			return rest
		}
	}
	return rest
}

// ended is a text that has been read to its end, or as far as it could be.
type ended struct{ err error }

func (e ended) Read([]byte) (int, error) { return 0, e.err }

func (w *window) line(start, end int, cut bool) {
	at := len(w.lines)
	blankBlobs(w.buf[start:end])
	text := logField(w.buf[start:end])
	rest := at > 0 && w.lines[at-1].cut
	switch {
	case rest:
	case w.search.within():
		text = text[prefixLength(text):]
	case len(text) > 0 && text[0] == '>':
		text = bytes.TrimLeft(text, "> ")
	}
	w.piece++
	w.lines = append(w.lines, textLine{start: start, end: end, number: w.number, cut: cut})
	if isBinary(w.buf[start:end]) {
		return
	}
	w.search.feed(unescape(text), func(literal int32) {
		for _, s := range w.literals.of[literal] {
			if w.index.symptoms[s].Prose && (!w.prose || w.forgotten || start > proseMax) {
				continue
			}
			if w.found[s] || len(w.hits) > 0 && slices.Contains(w.hits[max(0, len(w.hits)-8):], hit{at, s}) {
				continue
			}
			if (cut || rest) && !w.pieces[s].due(w.number, w.piece) {
				continue
			}
			w.hits = append(w.hits, hit{at, s})
		}
	})
}

// blobMin is the length from which letters, digits and the signs of base64 without a break are data.
const blobMin = 200

// blankBlobs dots out keys, images and other data in base64 or hexadecimal: sooner or later such a blob has
// every word in it, and none of them means anything.
func blankBlobs(line []byte) {
	if len(line) < blobMin {
		return
	}
	start := 0
	for i := 0; i <= len(line); i++ {
		if i < len(line) && isBlobByte[line[i]] {
			continue
		}
		if i-start >= blobMin {
			for j := start; j < i; j++ {
				line[j] = '.'
			}
		}
		start = i + 1
	}
}

// isBinary tells if a line is no text: more than every eighth character is a control, or was no character.
func isBinary(line []byte) bool {
	if len(line) < 64 {
		return false
	}
	odd, all := 0, 0
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		line = line[size:]
		all++
		if r == utf8.RuneError || r < ' ' && r != '\t' && r != '\r' && r != 0x1b {
			odd++
		}
	}
	return odd*8 > all
}

var isBlobByte = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-") {
		is[c] = true
	}
	return is
}()

// look tries the expressions of the symptoms hit in lines that end before limit.
func (w *window) look(limit int) {
	w.settings, w.services, w.lineParts, w.voiceless = map[string]*setting{}, nil, nil, nil
	if !w.forgotten { // of a long text the first part tells what it is
		w.nature = notLookedAt
	}
	w.forgetLines()
	done := 0
	for _, h := range w.hits {
		if w.lines[h.line].end >= limit {
			break
		}
		done++
		if !w.found[h.symptom] {
			w.try(h)
		}
	}
	w.hits = w.hits[done:]
}

// forget drops what lies so far back that nothing needs it.
func (w *window) forget() {
	keep := len(w.buf) - 2*contextLen
	first, _ := slices.BinarySearchFunc(w.lines, keep, func(l textLine, at int) int { return l.start - at })
	if len(w.hits) > 0 {
		first = min(first, max(0, w.hits[0].line-wrapMax))
	}
	drop := w.begun
	w.forgotten = true
	if first < len(w.lines) {
		drop = w.lines[first].start
	}
	w.buf = append(w.buf[:0], w.buf[drop:]...)
	w.lines = append(w.lines[:0], w.lines[first:]...)
	for i := range w.lines {
		w.lines[i].start -= drop
		w.lines[i].end -= drop
	}
	hits := make([]hit, 0, len(w.hits))
	for _, h := range w.hits {
		hits = append(hits, hit{h.line - first, h.symptom})
	}
	w.hits = hits
	w.begun -= drop
}
