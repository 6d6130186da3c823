package fixes

import (
	_ "embed"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A terminal, a chat or a browser's box shows the first part of a long line, a search in a log the last one. Where no
// symptom stands in a text, a line that ends in the middle of a well-known message, or begins there, is taken for it: from
// so many characters on as no other cause's message shares.

// cutMessages.txt has the messages: the cause, how many of the message's first characters show it, how many of its last
// ones, the message. 0: none do. `go test ./fixes -run TestCutMessages -update` counts them anew.
//
//go:embed cutmessages.txt
var cutMessagesText string

type cutMessage struct {
	id         ID
	text       string // as [uncounted] makes it
	head, tail int
}

var cutMessages = sync.OnceValue(func() []cutMessage { return parseCutMessages(cutMessagesText) })

func parseCutMessages(text string) []cutMessage {
	var all []cutMessage
	for line := range strings.Lines(text) {
		id, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		head, rest, ok2 := strings.Cut(rest, " ")
		tail, message, ok3 := strings.Cut(rest, " ")
		m := cutMessage{id: ID(id), text: uncounted(canon([]byte(message)))}
		var err, err2 error
		m.head, err = strconv.Atoi(head)
		m.tail, err2 = strconv.Atoi(tail)
		if !ok || !ok2 || !ok3 || err != nil || err2 != nil {
			panic("fixes/cutmessages.txt: " + line)
		}
		all = append(all, m)
	}
	return all
}

const (
	cutWeight   = 40   // surer than words, less sure than whole messages
	cutLines    = 1000 // a longer text is a log as it was written: only its first and last lines may be cut
	cutMissing  = 2    // characters of the message that are not there, at the least
	cutAtMost   = 400  // characters of a line that are looked at on either side
	goesOnAlike = 3    // characters at which the next line is seen to hold the rest
)

var anyFigures = lazy(`\d[\d.]*`)

// uncounted is a line in lower case, each figure, version and number 0.
func uncounted(line string) string { return anyFigures().ReplaceAllString(strings.ToLower(line), "0") }

var cutMark = lazy(`(\s*[<\[({]?(\.{2,}|(output |log |line )?(was |is )?(truncated|cut( off)?|snip(ped)?)|\d+ more( lines)?)[>\])}]?|[\s.,;)\]}>|])+$`)

// cut looks for messages of which a part is missing.
func (w *window) cut() {
	for i := range w.lines {
		if i > 0 && i < len(w.lines)-1 && len(w.lines) > cutLines || w.lines[i].cut {
			continue
		}
		line := w.unprefixed(i)
		if len(line) == 0 {
			continue
		}
		head := uncounted(canon(line[:min(len(line), cutAtMost)]))
		tail := uncounted(canon(line[max(0, len(line)-cutAtMost):]))
		tail = cutMark().ReplaceAllString(tail, "")
		head = strings.TrimLeft(head, ".… ")
		next := ""
		if i+1 < len(w.lines) {
			next = strings.TrimLeft(uncounted(canon(w.unprefixed(i+1))), ".… ")
		}
		for m := range cutMessages() {
			message := &cutMessages()[m]
			if (message.head > 0 && message.endsIn(tail, next) || message.tail > 0 && message.beginsIn(head)) && w.isOf(message.id) && !w.notMet(i, i, i, false) {
				w.show(message.id, cutWeight, i, anyFigures())
				return
			}
		}
	}
}

// isOf tells if a text that names another vendor's GPU may be about a cause.
func (w *window) isOf(id ID) bool {
	entry := w.entryOf(id)
	if entry < 0 {
		return false
	}
	everywhere := w.around(-1)
	return !w.ofNVIDIA(entry) || !w.somewhere(everywhere, otherVendors) || w.somewhere(everywhere, nvidia)
}

// show adds a line as a sign of a cause that no symptom of the table found. Around is what stays of a long line.
func (w *window) show(id ID, weight, line int, around *regexp.Regexp) {
	if entry := w.entryOf(id); entry >= 0 {
		w.signs = append(w.signs, sign{entry: entry, symptom: -1, weight: weight, order: w.scanner.lines + w.lines[line].number,
			evidence: Evidence{Source: w.source, Line: w.lines[line].number, Text: shortened(readable(w.bytes(line)), around)}})
	}
}

// entryOf is where a cause stands in the table, -1 where it does not.
func (s *scanner) entryOf(id ID) int {
	return slices.IndexFunc(s.index.entries, func(e Entry) bool { return e.ID == id })
}

// endsIn tells if a line ends within the message, and the next one does not go on with it.
func (m *cutMessage) endsIn(line, next string) bool {
	for at := len(line); at > 0; {
		at = strings.LastIndex(line[:at], m.text[:m.head])
		if at < 0 {
			return false
		}
		rest := line[at:]
		if len(rest) <= len(m.text)-cutMissing && strings.HasPrefix(m.text, rest) && (at == 0 || !isLetter(line[at-1])) {
			missing := strings.TrimSpace(m.text[len(rest):])
			return next == "" || !strings.HasPrefix(next, missing[:min(len(missing), goesOnAlike)])
		}
	}
	return false
}

// beginsIn tells if a line begins within the message.
func (m *cutMessage) beginsIn(line string) bool {
	last := m.text[len(m.text)-m.tail:]
	at := strings.Index(line, last)
	if at < 0 {
		return false
	}
	end := at + len(last)
	return end <= len(m.text)-cutMissing && strings.HasSuffix(m.text, line[:end]) && (end == len(line) || !isLetter(line[end]) && line[end] != ':' && line[end] != '=') // else it names a figure
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || c >= 0x80 }
