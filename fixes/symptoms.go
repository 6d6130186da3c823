package fixes

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// The search for symptoms streams: a window of the text is in memory, never the text. Each line goes
// through the automaton once; where it hits a symptom's literal, the symptom's expression is tried on
// that line and, where the line looks wrapped, on what it was before that.
const (
	windowSize = 512 << 10 // what is seen around a line at most
	contextLen = 128 << 10 // of that, at least so much before and after a line, where the text has it
	lineMax    = 2 << 10   // longer lines are taken in pieces
)

// A sign is a symptom that was found.
type sign struct {
	entry, symptom int
	weight         int
	evidence       Evidence
	order          int // lines before it, over all texts
}

// symptomIndex is the table of symptoms, made for searching.
type symptomIndex struct {
	entries  []Entry
	symptoms []symptomRef
	literals *automaton
	of       [][]int32 // symptoms by literal
}

type symptomRef struct {
	entry, symptom int
	*Symptom
}

var symptoms = sync.OnceValue(func() *symptomIndex { return newSymptomIndex(Knowledge().Entries) })

func newSymptomIndex(entries []Entry) *symptomIndex {
	x := &symptomIndex{entries: entries}
	at := map[string]int{}
	var literals []string
	for e := range entries {
		for s := range entries[e].Symptoms {
			ref := int32(len(x.symptoms))
			x.symptoms = append(x.symptoms, symptomRef{e, s, &entries[e].Symptoms[s]})
			for _, l := range entries[e].Symptoms[s].Literals {
				i, known := at[l]
				if !known {
					i = len(literals)
					at[l] = i
					literals = append(literals, l)
					x.of = append(x.of, nil)
				}
				x.of[i] = append(x.of[i], ref)
			}
		}
	}
	x.literals = newAutomaton(literals)
	return x
}

var dialectReplacer = strings.NewReplacer(`"`, "", "'", "", "`", "", " +", `\s+`, " ", `\s*`)

// dialect turns an expression of the table into RE2: see Symptom.
func dialect(source string) string { return dialectReplacer.Replace(source) }

// scanner looks for symptoms in one or several texts.
type scanner struct {
	index *symptomIndex
	signs []sign
	found []bool     // symptoms that need no further look
	match []*pattern // by symptom, where it was tried
	tried []tries    // by symptom, of its context
	joins []tries    // by symptom, of lines put together
	lines int        // of the texts so far

	matchers    map[*pattern]*matcher
	matcherSize int
}

// tries of a symptom that failed: what costs much is, in a text that goes on and on, tried ever less often.
type tries struct{ failed, skip int }

// due counts a try, and tells if it is to be made.
func (t *tries) due(free int) bool {
	if t.skip > 0 {
		t.skip--
		return false
	}
	if t.failed++; t.failed > free {
		t.skip = 1<<min(t.failed-free, 30) - 1
	}
	return true
}

func newScanner(x *symptomIndex) *scanner {
	return &scanner{index: x, found: make([]bool, len(x.symptoms)), match: make([]*pattern, len(x.symptoms)), tried: make([]tries, len(x.symptoms)), joins: make([]tries, len(x.symptoms)), matchers: map[*pattern]*matcher{}}
}

// A text about another vendor's GPU says much that one about NVIDIA's says too ("out of memory", "no
// device found"). What it says counts only where NVIDIA's name, or something that only it has, is in it.
const (
	otherVendors = `\bamdgpu\b|\brocm|\bhip(blas|Error|Malloc|MemAlloc|cc)?\b|/dev/kfd|\bgfx\d{3,4}\b|\bRadeon\b|\bi915\b|level[-_ ]zero|\bxpu\b|\boneapi\b|\bhabana|\bgaudi|MPS backend|\bAMD (GPU|Instinct)|Intel (Arc|GPU|\(R\) Arc)`
	nvidia       = `nvidia|NVRM|\bnvml|(^|[^.\w])cuda([^.]|$)|cudnn|cublas|\bnvenc|nvdec|\bnccl|geforce|\btesla\b|quadro|\b[RG]TX\b|\bXid\b|nvcr\.io`
)

// generic are causes that need no NVIDIA GPU to strike.
var generic = []ID{"docker-socket-permission", "docker-daemon-not-running", "daemon-json-invalid", "shm-too-small", "host-out-of-memory",
	"arch-mismatch", "engine-too-old", "device-permission-denied", "compose-syntax", "compose-too-old", "gpus-flag-quoting"}

func (s *scanner) ofNVIDIA(entry int) bool {
	return !slices.Contains(generic, s.index.entries[entry].ID)
}

type textLine struct {
	start, end int // in the window
	number     int
	cut        bool  // the next one is the same line
	width      int   // in characters, 0: not measured
	continued  int8  // 0: not known, 1: no, 2: yes
	prefixed   int16 // length of the prefix and 1, 0: not measured
	bare       string
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
	search     *literalSearch
	context    map[string]bool // expressions tried on this window
	text       [2]string       // the window for those: as lines, and with wraps undone
	squashed   string
	texted     bool
	nearAt     [2]int // line and reach of nearText
	nearText   string
	canonAt    int // line of canonText
	canonText  string
	squashText string
}

// scan reads a text to its end.
func (s *scanner) scan(source string, r io.Reader) error {
	r, err := decoded(r)
	if err != nil {
		return err
	}
	w := &window{scanner: s, source: source, number: 1, search: s.index.literals.search()}
	w.buf = make([]byte, 0, 64<<10)
	defer func() { s.lines += w.number }()
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
			w.look(len(w.buf) + 1)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// split takes the new complete lines through the automaton.
func (w *window) split(last bool) {
	for w.begun < len(w.buf) {
		rest := w.buf[w.begun:]
		n := bytes.IndexByte(rest[:min(len(rest), lineMax)], '\n')
		switch {
		case n >= 0:
			w.line(w.begun, w.begun+n, false)
			w.begun += n + 1
			w.number++
		case len(rest) >= lineMax:
			w.line(w.begun, w.begun+lineMax, true)
			w.begun += lineMax
		case last:
			w.line(w.begun, len(w.buf), false)
			w.begun = len(w.buf)
		default:
			return
		}
	}
}

func (w *window) line(start, end int, cut bool) {
	at := len(w.lines)
	blankBlobs(w.buf[start:end])
	text := logField(w.buf[start:end])
	if w.search.within() && (at == 0 || !w.lines[at-1].cut) {
		text = text[prefixLength(text):]
	}
	w.lines = append(w.lines, textLine{start: start, end: end, number: w.number, cut: cut})
	if isBinary(w.buf[start:end]) {
		return
	}
	w.search.feed(unescape(text), func(literal int32) {
		for _, s := range w.index.of[literal] {
			if w.found[s] || len(w.hits) > 0 && slices.Contains(w.hits[max(0, len(w.hits)-8):], hit{at, s}) {
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
	w.context, w.texted, w.nearAt, w.canonAt = map[string]bool{}, false, [2]int{-1, -1}, -1
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

func (w *window) try(h hit) {
	ref := w.index.symptoms[h.symptom]
	match := w.match[h.symptom]
	if match == nil {
		match = patternOf(ref.Match, "i")
		w.match[h.symptom] = match
	}
	first, last, text := h.line, h.line, ""
	alone := match.possible(w.squash(h.line))
	if !alone {
		if ref.Lines == 0 && !w.continues(h.line) && (h.line == 0 || !w.continues(h.line-1)) {
			return
		}
		if !match.possible(w.near(h.line, max(ref.Lines, w.reach(h.line)))) {
			return
		}
	}
	switch {
	case ref.Lines > 0:
		first, last = max(0, h.line-ref.Lines), min(len(w.lines)-1, h.line+ref.Lines)
		if text = w.join(first, last, " "); !w.matches(match, text) {
			return
		}
		first, last = h.line, h.line
	default:
		if text = w.canon(h.line); alone && w.matches(match, text) {
			break
		}
		if first, last = w.wrapped(h.line); first == last || !w.joins[h.symptom].due(64) {
			return
		}
		if text = w.join(first, last, ""); w.matches(match, text) {
			break
		}
		if text = w.join(first, last, " "); !w.matches(match, text) {
			return
		}
	}
	if ref.Unless != "" {
		unless := patternOf(ref.Unless, "i")
		if w.matches(unless, text) {
			return
		}
		if first == last && ref.Lines == 0 && (w.width(h.line) >= 60 || h.line > 0 && w.width(h.line-1) >= 60) { // what speaks against it may stand in the wrapped rest
			if a, b := w.wrapped(h.line); a < b && w.matches(unless, w.join(a, min(b, h.line+1), "")) {
				return
			}
		}
	}
	if len(ref.With)+len(ref.Absent) > 0 || w.ofNVIDIA(ref.entry) {
		if !w.tried[h.symptom].due(6) {
			return
		}
		if !w.fits(ref.Symptom) || w.ofNVIDIA(ref.entry) && w.somewhere(otherVendors) && !w.somewhere(nvidia) {
			return
		}
	}
	w.found[h.symptom] = true
	w.signs = append(w.signs, sign{
		entry: ref.entry, symptom: ref.symptom, weight: ref.Weight, order: w.scanner.lines + w.lines[h.line].number,
		evidence: Evidence{Source: w.source, Line: w.lines[first].number, Text: w.excerpt(first, last, match.re())},
	})
}

// near is the squashed text of a line and so many around it.
func (w *window) near(line, reach int) string {
	if at := [2]int{line, reach}; w.nearAt != at {
		var b strings.Builder
		for i := max(0, line-reach); i <= min(len(w.lines)-1, line+reach); i++ {
			b.WriteString(w.bare(i))
		}
		b.WriteString("\n" + squash(w.canon(line))) // what was taken off is part of some messages
		w.nearAt, w.nearText = at, b.String()
	}
	return w.nearText
}

// bare is a line without its prefix, squashed.
func (w *window) bare(line int) string {
	l := &w.lines[line]
	if l.bare == "" && l.end > l.start {
		text := w.unprefixed(line)
		l.bare = squash(canon(text))
	}
	return l.bare
}

// canon and squash of a line are kept, as several symptoms hit the same.
func (w *window) canon(line int) string {
	if w.canonAt != line {
		w.canonAt, w.canonText = line, canon(w.bytes(line))
		w.squashText = squash(w.canonText)
	}
	return w.canonText
}

func (w *window) squash(line int) string {
	w.canon(line)
	return w.squashText
}

func (w *window) bytes(line int) []byte { return w.buf[w.lines[line].start:w.lines[line].end] }

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
		line := w.bytes(i)
		if i > first && !w.lines[i-1].cut {
			b.WriteString(between)
			line = w.unprefixed(i)
		}
		b.WriteString(canon(line))
	}
	return b.String()
}

// The driver wraps its own messages in the kernel log.
var nvrm, xid = []byte("NVRM: "), []byte("Xid")

const (
	wrapMax  = 6   // lines around one that show how wide a text is
	joinMax  = 3   // lines before and after one that may be the same message, wrapped
	widthMax = 134 // wider than people wrap
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
	width, next := w.width(line), w.width(line+1)
	if width < 40 || width > widthMax || next == 0 || next > widthMax {
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
	word := bytes.TrimLeft(after, " \t")
	if end := bytes.IndexAny(word, " \t\r"); end >= 0 {
		word = word[:end]
	}
	return width+1+utf8.RuneCount(word) >= limit
}

// limit is how wide the text around a line is.
func (w *window) limit(line int) int {
	limit := w.width(line)
	for i := max(0, line-wrapMax); i <= min(len(w.lines)-1, line+wrapMax); i++ {
		if n := w.width(i); n <= widthMax {
			limit = max(limit, n)
		}
	}
	return limit
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

// fits tells if a symptom's demands on the whole text hold, as far as the window shows it.
func (w *window) fits(s *Symptom) bool {
	for _, source := range s.Absent {
		if w.somewhere(source) {
			return false
		}
	}
	for _, source := range s.With {
		if !w.somewhere(source) {
			return false
		}
	}
	return true
}

func (w *window) somewhere(source string) bool {
	if known, tried := w.context[source]; tried {
		return known
	}
	if !w.texted {
		w.text, w.texted = w.wholeText(), true
		w.squashed = squash(w.text[0])
	}
	p := patternOf(source, "im")
	is := p.possible(w.squashed) && (w.matches(p, w.text[0]) || w.text[1] != "" && w.matches(p, w.text[1]))
	w.context[source] = is
	return is
}

// wholeText is the window as expressions on the whole text see it: once line by line, once with wraps
// undone, where there are any.
func (w *window) wholeText() [2]string {
	var plain, joined strings.Builder
	wraps := false
	for i := range w.lines {
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
	return len(text) > 0 && text[len(text)-1] > ' ' && len(next) > 0 && next[0] > ' ' && prefixLength(next) == 0 &&
		w.width(line) == w.limit(line) && !bytes.Contains(text, nvrm)
}

// excerptMax is how much of a line is shown as evidence, in characters.
const excerptMax = 400

// excerpt is the very text that was matched; of a long line, the part around the match.
func (w *window) excerpt(first, last int, match *regexp.Regexp) string {
	var parts []string
	for i := first; i <= last; i++ {
		text := strings.ToValidUTF8(string(escapes().ReplaceAllFunc(w.bytes(i), func(m []byte) []byte {
			if m[0] == '&' || bytes.HasPrefix(m, []byte(`\u00`)) {
				return m
			}
			return nil
		})), "\ufffd")
		text = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r == 0 || r == '\r' {
				return -1
			}
			return r
		}, text))
		parts = append(parts, text)
	}
	text := strings.Join(parts, "\n")
	if utf8.RuneCountInString(text) <= excerptMax {
		return text
	}
	runes := []rune(text)
	from := 0
	if at := match.FindStringIndex(text); at != nil {
		from = max(0, utf8.RuneCountInString(text[:at[0]])-excerptMax/4)
	} else if at := match.FindStringIndex(canon([]byte(text))); at != nil {
		from = max(0, utf8.RuneCountInString(canon([]byte(text))[:at[0]])-excerptMax/4)
	}
	to := min(len(runes), from+excerptMax)
	from = max(0, to-excerptMax)
	out := string(runes[from:to])
	if from > 0 {
		out = "…" + out
	}
	if to < len(runes) {
		out += "…"
	}
	return out
}
