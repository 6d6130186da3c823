package fixes

// lineText is what the search has worked out of a line, as several symptoms hit the same one and its neighbours.
type lineText struct {
	line      int
	hasCanon  bool
	hasBare   bool
	hasThrees bool
	canonical string
	squashed  string // of canonical
	bare      string
	threes    lineThrees
}

// recentLines are so many whose texts are kept: more than any symptom looks around itself.
const recentLines = 32

// nearLines are the squashed texts of a line and of those around it as one.
type nearLines struct {
	line, from, to int
	text           string // "": not made yet
	threes         lineThrees
}

func (w *window) rememberLines() {
	w.recent = &[recentLines]lineText{}
	w.onLineText = searched{&lineThrees{}, func() string { return w.squash(w.onLineOf) }}
	w.nearText = searched{&w.nearOf.threes, w.nearOf.of(w)}
	w.forgetLines()
}

// forgetLines is for when lines get other numbers.
func (w *window) forgetLines() {
	for i := range w.recent {
		w.recent[i].line = -1
	}
	w.onLineOf, w.nearOf.line = -1, -1
}

func (w *window) lineText(line int) *lineText {
	l := &w.recent[line%recentLines]
	if l.line != line {
		*l = lineText{line: line}
	}
	return l
}

// canon is [canon] of a line, without the name of the container whose line it is: what people call a service
// ("worker-1", "no-cache-1") is none of its words.
func (w *window) canon(line int) string {
	l := w.lineText(line)
	if !l.hasCanon {
		l.canonical, l.hasCanon = canon(w.unnamed(line)), true
		l.squashed = squash(l.canonical)
	}
	return l.canonical
}

func (w *window) squash(line int) string {
	w.canon(line)
	return w.lineText(line).squashed
}

// bare is a line without its prefix, squashed.
func (w *window) bare(line int) string {
	l := w.lineText(line)
	if !l.hasBare {
		if text := w.unprefixed(line); len(text) == len(w.bytes(line)) {
			l.bare = w.squash(line)
		} else {
			l.bare = squash(canon(text))
		}
		l.hasBare = true
	}
	return l.bare
}

// threes are those of a bare line that goes on from the line before.
func (w *window) threes(line int) *lineThrees {
	l := w.lineText(line)
	if !l.hasThrees {
		l.threes.add(w.lastTwo(line), w.bare(line))
		l.hasThrees = true
	}
	return &l.threes
}

// lastTwo are the last two characters of the bare lines before one, as far as they are near.
func (w *window) lastTwo(line int) (two [2]byte) {
	for i, at := line-1, 1; i >= max(0, line-recentLines/2) && at >= 0; i-- {
		bare := w.bare(i)
		for n := len(bare) - 1; n >= 0 && at >= 0; n-- {
			two[at] = bare[n]
			at--
		}
	}
	return two
}

// onLine is a line, squashed, to look for strings in.
func (w *window) onLine(line int) searched {
	if w.onLineOf != line {
		w.onLineOf, *w.onLineText.threes = line, *w.threes(line)
		if text := w.squash(line); text != w.bare(line) {
			w.onLineText.threes.add([2]byte{}, text)
		}
	}
	return w.onLineText
}

// near is a line and those around it, to look for strings in.
func (w *window) near(line, from, to int) searched {
	from, to = max(0, from), min(len(w.lines)-1, to)
	if n := &w.nearOf; n.line != line || n.from != from || n.to != to {
		n.line, n.from, n.to, n.text = line, from, to, ""
		n.threes = *w.onLine(line).threes
		for i := from; i <= to; i++ {
			if i != line {
				n.threes.join(w.threes(i))
			}
		}
	}
	return w.nearText
}

// of is the text of near lines, made where it is looked at.
func (n *nearLines) of(w *window) func() string {
	var text []byte
	return func() string {
		if n.text == "" {
			text = text[:0]
			for i := n.from; i <= n.to; i++ {
				text = append(text, w.bare(i)...)
			}
			text = append(text, '\n')
			text = append(text, w.squash(n.line)...) // what was taken off is part of some messages
			n.text = string(text)
		}
		return n.text
	}
}
