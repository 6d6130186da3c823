package fixes

import (
	"bytes"
	"regexp"
	"strings"
)

// What stands aside in a report is not what happened: another person's guess at a cause, what to try and what was tried, and
// the listings pasted beside a message, in which a person's words are looked for in vain. A sign of that counts only where
// there is none else.
// What a person tells and a listing pasted beside it speaks against counts little.
const (
	asideWeight  = mereFact + 1
	besideWeight = asideWeight + 9
)

var (
	// a sentence that guesses, or advises whoever reads it
	suggestion = lazy(`(?i)^\W*((or|otherwise|and|but|then|also|if so|if not|@\w+)\W+)?(maybe|perhaps|possibly|(it |this |that )?(could|might|may) (also |well |just |very well )?be\b|(did|have|has|can|could) you\b|(are|is|was|were|has|have) (you|your|the \w+ \w+ed)\b|(do|does|did) (you|your)\b|(it|that)s probably|in my case|for me it was|some (people|users|folks)\b|make sure|check (that|if|whether|the|your)\b|try (to|a|an|the|with|without|adding|setting|restarting|rebooting|reinstalling)\b|you (might|may|should|could|need|must|have to|can)\b|if (it|this|that) is\b)|\bin my case it was\b|\byou are just\b`)
	// a line above what another person says
	commented = lazy(`(?i)^\W*@?[\w.-]+\W{0,3}( \([^)]*\))? (commented|replied|answered)\b( .{0,40})?$|^\W*@?[\w.-]+( [\w.-]+)? (wrote|said):$`)
	// a heading, and one above what was tried or hoped for
	asideHeading = lazy(`(?i)^\s*(#+ |\*\*)?\W{0,3}(what |things |steps )?(((i|we|ive|weve)( have)?( already)? |already |i.?ve (already )?)?(tried|attempted|checked|done)( so far| already)?|(tried|done) so far|troubleshooting( steps| so far| done)*|expected (behaviou?r|results?|outcome)|what did you expect( to happen)?|what you expected|anything else|checklist|workarounds?)\W{0,4}$`)
	anyHeading   = lazy(`^\s*#+ \S|^\s*\*\*[^*]+\*\*:?\s*$`)
	// an entry of a list of what was done, and what a template says of itself
	ticked = lazy(`^\s*([-*] )?(\[[ xX]?\]|☑|✅|✔|_[^_].{24,}_\s*$)`)
	// a line of a file or of a program's output that people paste beside what they tell
	pastedLine = lazy(`^\s*(FROM|RUN|ENV|ARG|COPY|ADD|WORKDIR|CMD|ENTRYPOINT|USER|EXPOSE|VOLUME|LABEL|HEALTHCHECK|SHELL) [\S]|^\s*[|+][-=+|]|^\s*\|.*\|\s*$|^\s*- [\w.-]+[:=]\s*\S|^\s*[\w./-]+:\s*(["'\[{|>][^ ]*|[\w./:@-]+)?\s*$|^\s*[a-z]+_\w+: |^\s*[A-Z][A-Z_]+[=:]\s*\S+( \\)?\s*$|^\s*[\w.+-]+\s{2,}v?\d+(\.\d+)+\S*\s*$|^\[pip3\] |^\s+Device \d+: |^\s*GPU\d+\s|^\s+[\w .-]{1,40}: \S.{0,60}$`)
)

// What a line is in a report, as far as its form and its place show.
const (
	told   = iota // or not known
	aside         // a guess, advice, what was tried
	pasted        // of a file or of a tool's output
)

// parts says what each line is. Only in what a person may have written there is a difference.
func (w *window) parts() []int8 {
	if w.lineParts != nil && len(w.lineParts) == len(w.lines) {
		return w.lineParts
	}
	w.lineParts, w.hasAside, w.hasPasted = make([]int8, len(w.lines)), false, false
	if !w.prose || w.forgotten || len(w.buf) > proseMax {
		return w.lineParts
	}
	form := make([]bool, len(w.lines))
	for i := range w.lines {
		form[i] = pastedLine().Match(w.bytes(i))
	}
	section, other := false, false // below a heading of what stands aside, what another person says
	for i := range w.lines {
		line := w.bytes(i)
		if len(line) <= 120 {
			switch {
			case asideHeading().Match(line):
				section, other = true, false
			case commented().Match(line):
				section, other = false, true
			case anyHeading().Match(line):
				section, other = false, false
			}
		}
		switch {
		case w.byProgram(i):
		case form[i] && w.amongPasted(i, form):
			w.lineParts[i], w.hasPasted = pasted, true
		case (section || ticked().Match(line)) && !trouble().Match(line), other && !trouble().Match(line), suggests(canon(line)):
			w.lineParts[i], w.hasAside = aside, true
		}
	}
	return w.lineParts
}

// amongPasted tells if lines near one have the form of what programs write, too.
func (w *window) amongPasted(line int, form []bool) bool {
	n := 0
	for i := max(0, line-3); i <= min(len(w.lines)-1, line+3); i++ {
		if i != line && (form[i] || w.isRow(i) && len(bytes.TrimSpace(w.bytes(i))) > 0) {
			n++
		}
	}
	return n >= 2
}

// suggests tells if every sentence of a text guesses or advises.
func suggests(text string) bool {
	if text == "" || !suggestion().MatchString(text) {
		return false
	}
	for text != "" {
		one := sentence(text, 0, min(1, len(text)))
		if len(one) > 12 && !suggestion().MatchString(one) {
			return false
		}
		text = text[len(one):]
	}
	return true
}

// isAside tells if what a symptom matched stands aside, and if it is of no account at all: a person's words, most of which
// stand only in what is pasted.
func (w *window) isAside(s *Symptom, line int, text string, match *regexp.Regexp) (is, none bool) {
	if !w.prose || w.byProgram(line) {
		return false, false
	}
	part := w.parts()[line]
	if s.Prose {
		untold := 0
		for _, source := range s.With {
			if !w.somewhere(w.byTold(), source) {
				untold++
			}
		}
		if part == pasted {
			untold++
		}
		if part != told || untold > 0 {
			return true, w.hasPasted && untold > 1
		}
	} else if part == aside && !trouble().Match(w.bytes(line)) {
		return true, false
	}
	at := match.FindStringIndex(text)
	return at != nil && suggestion().MatchString(sentence(text, at[0], at[1])), false
}

// fitsBesidePasted tells if a symptom's demands hold of what is neither pasted nor aside. The head of nvidia-smi's table
// counts: it shows that the driver runs.
func (w *window) fitsBesidePasted(s *Symptom, line int) bool {
	parts := w.parts()
	if !w.hasPasted || parts[line] != told {
		return false
	}
	spoken := w.setting("spoken", func(i int) bool { return parts[i] == told || bytes.Contains(w.bytes(i), []byte("NVIDIA-SMI ")) })
	return w.fits(s, spoken)
}

// notAside is the setting of all but what stands aside.
func (w *window) notAside() *setting {
	parts := w.parts()
	if !w.hasAside {
		return w.around(-1)
	}
	return w.setting("notaside", func(i int) bool { return parts[i] != aside })
}

// byTold is the setting of what is neither pasted nor aside.
func (w *window) byTold() *setting {
	return w.setting("told", func(i int) bool { return w.parts()[i] == told && !w.byProgram(i) })
}

// sentence is the one in which a part of a text stands.
func sentence(text string, from, to int) string {
	start := 0
	for _, end := range [...]string{". ", "? ", "! ", "; ", ": "} {
		if i := strings.LastIndex(text[:from], end); i >= 0 {
			start = max(start, i+len(end))
		}
	}
	for _, end := range [...]string{". ", "? ", "! "} {
		if i := strings.Index(text[to:], end); i >= 0 {
			text = text[:to+i+len(end)]
		}
	}
	return text[start:]
}
