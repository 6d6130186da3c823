package fixes

import (
	"cmp"
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// People ask without a message: "since the update no container sees the card". Where no symptom stands in a
// text, its words are compared with those of the corpus's reports, and the cause whose reports are worded like
// it is named, as a guess that says so (naive Bayes: how much likelier a word is in reports of the cause than in all
// the others; Rennie et al., 2003). It must lead by a margin; else nothing is said.
const (
	wordingMax     = 4 << 10 // longer texts are logs, in which messages speak and words do not
	wordingLines   = 60
	wordingPlain   = 4    // different words of plain English that a sentence has at the least,
	wordingShare   = 5    // and that one word in so many is one of those
	wordMax        = 24   // in characters: what is longer is a name, a path or a sum
	wordingMargin  = 0.75 // margin to the next cause: a guess that errs names another fault of a GPU at the worst,
	wordingFault   = 4.6  // and to reports without a fault, of whose words there can be no end
	wordingRelated = 2    // the next likely causes that are told
	wordingShown   = 2    // lines

	smoothOwn    = 0.1 // reports that every word is taken to stand in, of a cause
	smoothOthers = 0.3 // and of all the others
	priorShare   = 0.5 // how much it counts that a cause has many reports
)

// wordingNone is the class of reports without a fault of a GPU.
const wordingNone ID = "not-gpu-related"

// wording counts in how many reports of each cause a word or a pair of words stands.
type wording struct {
	classes []ID
	reports []int // by class
	words   map[string][]wordCount
	ofClass []int // all counts of a class
	all     int
}

// wordCount is a number of reports of a class.
type wordCount struct{ class, reports int }

//go:embed wording.txt
var wordingTable string

// learntWording is what go generate learnt from testdata/corpus/dev. It is read when it is asked for.
var learntWording = sync.OnceValue(func() *wording {
	w, err := parseWording(wordingTable)
	if err != nil {
		panic("fixes/wording.txt: " + err.Error()) // which a test excludes
	}
	return w
})

// parseWording reads a table: a line "ID REPORTS" for each class; an empty line; lines
// "WORD[ WORD]<tab>CLASS:REPORTS…", where ":1" is left out.
func parseWording(table string) (*wording, error) {
	w := &wording{words: make(map[string][]wordCount, strings.Count(table, "\n"))}
	head, body, _ := strings.Cut(table, "\n\n")
	for line := range strings.Lines(head) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		id, count, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		w.classes, w.reports = append(w.classes, ID(id)), append(w.reports, n)
	}
	for line := range strings.Lines(body) {
		word, counts, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			return nil, fmt.Errorf("%q has no counts", line)
		}
		var of []wordCount
		for field := range strings.FieldsSeq(counts) {
			class, reports, many := strings.Cut(field, ":")
			c := wordCount{reports: 1}
			var err error
			if c.class, err = strconv.Atoi(class); err == nil && many {
				c.reports, err = strconv.Atoi(reports)
			}
			if err != nil || c.class < 0 || c.class >= len(w.classes) {
				return nil, fmt.Errorf("%q: %q is no count", line, field)
			}
			of = append(of, c)
		}
		w.words[word] = of
	}
	w.sum()
	return w, nil
}

func (w *wording) sum() {
	w.ofClass, w.all = make([]int, len(w.classes)), 0
	for _, of := range w.words {
		for _, c := range of {
			w.ofClass[c.class] += c.reports
			w.all += c.reports
		}
	}
}

// weights are, by class, how much likelier a word is in its reports than in all others, as logarithms.
func (w *wording) weights(word string) []float64 {
	in, total := make([]float64, len(w.classes)), 0.0
	for _, c := range w.words[word] {
		in[c.class] = float64(c.reports)
		total += in[c.class]
	}
	size := float64(len(w.words))
	for c, n := range in {
		own, all := float64(w.ofClass[c]), float64(w.all)
		in[c] = math.Log((n+smoothOwn)/(own+smoothOwn*size)) - math.Log((total-n+smoothOthers)/(all-own+smoothOthers*size))
	}
	return in
}

// likeness is what words say of a text.
type likeness struct {
	class  ID      // whose reports are worded like it
	margin float64 // to the next
	fault  float64 // to reports without a fault
	ranked []int   // classes, the likeliest first
}

// like judges words and pairs of words, each taken once.
func (w *wording) like(words []string) likeness {
	all, n := 0, 0
	for _, reports := range w.reports {
		all += reports
	}
	score := make([]float64, len(w.classes))
	for c, reports := range w.reports {
		score[c] = priorShare * math.Log(float64(reports)/float64(all))
	}
	seen := map[string]bool{}
	for _, word := range words {
		if seen[word] || w.words[word] == nil {
			continue
		}
		seen[word] = true
		n++
		for c, weight := range w.weights(word) {
			score[c] += weight
		}
	}
	if n == 0 || len(w.classes) <= wordingRelated {
		return likeness{}
	}
	l := likeness{ranked: make([]int, len(w.classes)), fault: math.Inf(1)}
	for c := range l.ranked {
		l.ranked[c] = c
	}
	slices.SortStableFunc(l.ranked, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	first := l.ranked[0]
	l.class = w.classes[first]
	l.margin = (score[first] - score[l.ranked[1]]) / math.Sqrt(float64(n))
	for c, id := range w.classes {
		if id == wordingNone || id == healthyID {
			l.fault = min(l.fault, (score[first]-score[c])/math.Sqrt(float64(n)))
		}
	}
	return l
}

// tells is whether a text is so much like the reports of a fault that it is named.
func (l likeness) tells() bool {
	return l.class != "" && l.class != wordingNone && l.class != healthyID && l.margin >= wordingMargin && l.fault >= wordingFault
}

// saidLine is a line as its writer meant it, wraps undone, with the very text.
type saidLine struct {
	source string
	number int
	text   string   // without what terminals, journals and runtimes add
	raw    []string // the lines as they stand
}

// said keeps the lines of short texts, as long as all of them together are short.
type spoken struct {
	lines []saidLine
	bytes int
	long  bool // too much was said
}

// keep takes over the lines of a text that was read to its end, if a person may have written it.
func (s *spoken) keep(w *window) {
	if s.long || !w.prose || s.bytes+len(w.buf) > wordingMax || len(s.lines)+len(w.lines) > wordingLines {
		s.long, s.lines = true, nil
		return
	}
	s.bytes += len(w.buf)
	for i := 0; i < len(w.lines); i++ {
		line := saidLine{source: w.source, number: w.lines[i].number}
		var text strings.Builder
		for {
			raw := w.bytes(i)
			if !isBinary(raw) {
				text.WriteString(canon(w.unprefixed(i)))
				line.raw = append(line.raw, readable(raw))
			}
			if i+1 >= len(w.lines) || !w.continues(i) {
				break
			}
			if !w.brokenWord(i) {
				text.WriteByte(' ')
			}
			i++
		}
		if line.text = text.String(); line.text != "" {
			s.lines = append(s.lines, line)
		}
	}
}

// speaksOfGPUs tells if a text has to do with GPUs. What images, hosts, files and services are called ("acme/gpu-job",
// "gpu-03") says nothing of what happened to them.
func speaksOfGPUs(text string) bool {
	for word := range strings.FieldsSeq(text) {
		if aName().MatchString(word) && !strings.Contains(word, "/dev/") && !strings.Contains(word, "nvidia.com/") && !strings.Contains(word, "/nvidia") {
			continue
		}
		if aboutGPUs().MatchString(word) {
			return true
		}
	}
	return false
}

var aName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)[\w.]/[\w.]|\.(com|io|net|org|py|git|o)\b|\b(gpu|cuda)[-_]\w`)
})

// aboutGPUs are words that a text about GPUs has.
var aboutGPUs = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)gpu|nvidia|cuda|cudnn|nvml|nvenc|nvdec|nccl|geforce|quadro|\btesla\b|\b[rg]tx\b|\b[ahlv]\d{2,3}s?\b|/dev/dri|/dev/dxg|\bcdi\b|^graphics$|\bxid\b|\bmig\b`)
})

var (
	otherVendor = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?im)` + otherVendors + `|\bhip\b|\bsycl\b`) })
	ownVendor   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?im)` + nvidia) })
)

// complaints are words that somebody has to whom something happened, and who writes no manual: without one of them
// there is nothing to explain.
var complaints = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\?|\b(no|not|nothing|none|never|cannot|\w+nt|t|unable|fail\w*|errors?|refus\w+|reject\w+|den(y|ies|ied)|slow\w*|gone|los[et]s?|miss\w*|vanish\w*|disappear\w*|crash\w*|die[sd]?|kill\w*|stop\w*|wrong\w*|bro?ken?|hangs?|freez\w*|frozen|stuck|instead|unknown|invalid|complain\w*|unsupported|problem\w*|trouble\w*|empty|too|still|exits?|exited|abort\w*|drops?|dropped|falls?|half|hot|throttl\w*|since|suddenly|my|our|we|i)\b`)
})

// plainWords are those that sentences are made with, whatever they are about.
var plainWords = strings.Fields(`i we my our me us you it its this that these those they the a an is are was were be been am do does did
	can cannot could would should will has have had not no but and or so because since after before when while until if then than what
	why how which who where there here only just even also still now again any some every each all both with without from into out on in
	at to of for by as about`)

// isSentence tells if somebody wrote a line, and no program.
func isSentence(words []string) bool {
	var different []string
	plain := 0
	for _, word := range words {
		if !slices.Contains(plainWords, word) {
			continue
		}
		plain++
		if !slices.Contains(different, word) {
			different = append(different, word)
		}
	}
	return len(different) >= wordingPlain && plain*wordingShare >= len(words)
}

// wordsOf are the words of a line: lower case, every number the same.
func wordsOf(line string) []string {
	var words []string
	var b strings.Builder
	number := false
	end := func() {
		if n := utf8.RuneCountInString(b.String()); n > 0 && n <= wordMax {
			words = append(words, b.String())
		}
		b.Reset()
		number = false
	}
	for _, r := range line {
		switch {
		case unicode.IsDigit(r):
			if !number {
				b.WriteByte('0')
			}
			number = true
		case unicode.IsLetter(r) || r == '_':
			b.WriteRune(unicode.ToLower(r))
			number = false
		default:
			end()
		}
	}
	end()
	return words
}

// stem takes an ending off a word.
func stem(word string) string {
	for _, ending := range []string{"ing", "edly", "ed", "es", "s", "ly"} {
		if len(word)-len(ending) >= 4 && strings.HasSuffix(word, ending) {
			return word[:len(word)-len(ending)]
		}
	}
	return word
}

// features are the words of a line and the pairs of neighbours.
func features(words []string) []string {
	out := make([]string, 0, 2*len(words))
	before := ""
	for _, word := range words {
		word = stem(word)
		out = append(out, word)
		if before != "" {
			out = append(out, before+" "+word)
		}
		before = word
	}
	return out
}

// about are the features of all that was said, nil where it is not for this to judge.
func (s *spoken) about() []string {
	if s.long {
		return nil
	}
	var words []string
	var text strings.Builder
	sentences := false
	for _, line := range s.lines {
		of := wordsOf(line.text)
		words, sentences = append(words, of...), sentences || isSentence(of)
		text.WriteString(line.text + "\n")
	}
	whole := text.String()
	if !sentences || !complaints().MatchString(whole) || !speaksOfGPUs(whole) || otherVendor().MatchString(whole) && !ownVendor().MatchString(whole) {
		return nil
	}
	return features(words)
}

// likeliest is the answer by the words alone; without findings where they do not tell.
func (s *spoken) likeliest(learnt func() *wording) Explanation {
	e := Explanation{SchemaVersion: 1, Findings: []Finding{}, Related: []Finding{}}
	words := s.about()
	if words == nil {
		return e // and the table is not even read
	}
	w := learnt()
	l := w.like(words)
	if !l.tells() {
		return e
	}
	f := guessed(l.class, s.telling(w, l.ranked[0], l.ranked[1]))
	f.Title = "Perhaps: " + f.Title
	e.Findings = append(e.Findings, f)
	for _, c := range l.ranked[1 : wordingRelated+1] {
		if w.classes[c] == wordingNone || w.classes[c] == healthyID {
			break // what comes after is less likely than that nothing is wrong
		}
		e.Related = append(e.Related, guessed(w.classes[c], s.telling(w, c, l.ranked[0])))
	}
	return e
}

// guessSays begins the cause of a finding that rests on words.
const guessSays = "A guess: no message that is known stands in this text, but reports of this cause are worded like it. "

// guessed is a finding that rests on words and says so.
func guessed(id ID, evidence []Evidence) Finding {
	f := NewFinding(id, evidence...)
	f.Cause = guessSays + f.Cause
	decide := "`docker gpu diagnose` on the machine itself, or the error message in full, would tell."
	if f.Question != "" {
		decide = f.Question + " " + decide
	}
	f.Question = decide
	return f
}

// telling are the lines that speak most for one class against another.
func (s *spoken) telling(w *wording, class, against int) []Evidence {
	type told struct {
		line   int
		weight float64
		word   string
	}
	var all []told
	for i, line := range s.lines {
		t := told{line: i}
		most := 0.0
		for _, word := range features(wordsOf(line.text)) {
			if w.words[word] == nil {
				continue
			}
			weights := w.weights(word)
			d := weights[class] - weights[against]
			t.weight += d
			if d > most && !strings.ContainsAny(word, " 0") {
				t.word, most = word, d
			}
		}
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b told) int { return cmp.Compare(b.weight, a.weight) })
	var evidence []Evidence
	for _, t := range all {
		if len(evidence) == wordingShown || len(evidence) > 0 && t.weight < all[0].weight/4 {
			break
		}
		line := s.lines[t.line]
		around := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(t.word))
		evidence = append(evidence, Evidence{Source: line.source, Line: line.number, Text: shortened(strings.Join(line.raw, "\n"), around)})
	}
	return evidence
}
