package fixes

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// People ask without a message: "since the update no container sees the card". Where no symptom stands in a
// text, its words are weighed, and the cause whose reports are worded like it is named, as a guess that says so. Each
// cause has a weight for every word and pair of words, learnt to tell its reports from all others (logistic regression
// of one against the rest, as in Rifkin and Klautau, 2004, over words that count the more the rarer they are; the steps
// are those of AdaGrad, Duchi et al., 2011). It must be sure; else nothing is said.
const (
	wordingMax     = 4 << 10 // longer texts are logs, in which messages speak and words do not
	wordingLines   = 60
	wordingPlain   = 4  // different words of plain English that a sentence has at the least,
	wordingShare   = 5  // and that one word in so many is one of those
	wordMax        = 24 // in characters: what is longer is a name, a path or a sum
	wordingRelated = 2  // the next likely causes that are told
	wordingShown   = 2  // lines

	// How sure the judge is: the distance to the next cause, that to reports without a fault, how many words are known,
	// how many lines there are, for manuals are long, and whether the text speaks of GPUs and laments at all. Their shares
	// were learnt, by logistic regression again, from what told right answers from all else in reports that the judge had
	// not learnt from.
	sureMargin  = 0.47
	sureFault   = 0.43
	sureKnown   = 1.44 // for e times as many
	sureLines   = -0.56
	sureSilent  = -0.41 // about GPUs
	sureLament  = 0.49
	sureBias    = -5.97
	sureEnough  = 2.5
	sureNone    = 4 // so much likelier no fault is, that weak signs of one are not believed
	sureAgainst = 3 // where there are weak signs of another fault
)

// wordingWeak is the weight up to which a symptom shows its cause less surely than words do.
const wordingWeak = 50

// wordingNone is the class of reports without a fault of a GPU.
const wordingNone ID = "not-gpu-related"

// wording has the weights of words, of how words begin, and of pairs of words.
type wording struct {
	classes []ID
	bias    []int // by class
	reports int   // that were learnt from
	unit    float64
	lines   string // "WORD[*| WORD]<tab>REPORTS CLASS:WEIGHT…", weights in units
}

//go:embed wording.zst
var wordingTable []byte

// learntWording is what go generate learnt from testdata/corpus/dev. It is read when it is asked for.
var learntWording = sync.OnceValue(func() *wording {
	table, err := unpackWording(wordingTable)
	if err == nil {
		var w *wording
		if w, err = parseWording(table); err == nil {
			return w
		}
	}
	panic("fixes/wording.zst: " + err.Error()) // which a test excludes
})

func unpackWording(packed []byte) (string, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return "", err
	}
	defer d.Close()
	table, err := d.DecodeAll(packed, nil)
	return string(table), err
}

// parseWording reads the head of a table: a line "REPORTS UNIT", a line "ID BIAS" for each class, an empty line. Of
// the lines after it only those are read whose words stand in a text.
func parseWording(table string) (*wording, error) {
	head, lines, _ := strings.Cut(table, "\n\n")
	w := &wording{lines: lines}
	for line := range strings.Lines(head) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		first, second, _ := strings.Cut(line, " ")
		var err error
		if w.unit == 0 {
			if w.reports, err = strconv.Atoi(first); err == nil {
				w.unit, err = strconv.ParseFloat(second, 64)
			}
			if err == nil && (w.reports <= 0 || w.unit <= 0) {
				err = errors.New("not above 0")
			}
		} else {
			var bias int
			bias, err = strconv.Atoi(second)
			w.classes, w.bias = append(w.classes, ID(first)), append(w.bias, bias)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	if len(w.classes) == 0 {
		return nil, errors.New("there is no class")
	}
	return w, nil
}

// weighed is what is known of a word.
type weighed struct {
	rarity  float64
	weights []float64 // by class
}

// weigh looks words up.
func (w *wording) weigh(words []string) (map[string]weighed, error) {
	wanted := make(map[string]bool, len(words))
	for _, word := range words {
		wanted[word] = true
	}
	found := make(map[string]weighed, len(words))
	for line := range strings.Lines(w.lines) {
		word, rest, ok := strings.Cut(line, "\t")
		if ok && !wanted[word] {
			continue
		}
		count, rest, _ := strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
		in, err := strconv.Atoi(count)
		if err != nil || in < 0 {
			return nil, fmt.Errorf("%q has no reports", line)
		}
		of := weighed{rarity: rarity(in, w.reports) * heft(word), weights: make([]float64, len(w.classes))}
		for field := range strings.FieldsSeq(rest) {
			c, weight, _ := strings.Cut(field, ":")
			class, err := strconv.Atoi(c)
			if err != nil || class < 0 || class >= len(w.classes) {
				return nil, fmt.Errorf("%q: %q is no weight of a class", line, field)
			}
			units, err := strconv.Atoi(weight)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			of.weights[class] = float64(units) * w.unit
		}
		found[word] = of
	}
	return found, nil
}

// rarity is how much a word counts that stands in some of all reports, in steps that no machine rounds otherwise.
func rarity(in, all int) float64 {
	return math.Round(64*math.Log(float64(all+1)/float64(in+1))) / 64
}

// likeness is what words say of a text.
type likeness struct {
	class  ID      // whose reports are worded like it, of those of a fault
	sure   float64 // above 0: rather right than wrong
	ranked []int   // all classes, that one first, then the likeliest
	words  map[string]weighed
	none   map[ID]float64 // how much likelier no fault is than a cause
}

// like judges a report.
func (w *wording) like(r *report) likeness {
	found, err := w.weigh(r.features)
	if err != nil || len(found) == 0 || len(w.classes) <= wordingRelated+1 {
		return likeness{} // a test excludes the error
	}
	length := 0.0
	for _, of := range found {
		length += of.rarity * of.rarity
	}
	length = math.Sqrt(length)
	score := make([]float64, len(w.classes))
	for _, word := range slices.Sorted(maps.Keys(found)) { // in order, so that sums are the same again
		of := found[word]
		for c, weight := range of.weights {
			score[c] += of.rarity / length * weight
		}
	}
	for c, bias := range w.bias {
		score[c] += float64(bias) * w.unit
	}
	l := likeness{words: found}
	for c := range w.classes {
		l.ranked = append(l.ranked, c)
	}
	slices.SortStableFunc(l.ranked, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	first, next, none := -1, math.Inf(-1), math.Inf(-1)
	for _, c := range l.ranked {
		switch {
		case w.faultless(c):
			none = max(none, score[c])
		case first < 0:
			first = c
		default:
			next = max(next, score[c])
		}
	}
	if first < 0 {
		return likeness{}
	}
	l.none = map[ID]float64{}
	for c, id := range w.classes {
		l.none[id] = none - score[c]
	}
	l.class = w.classes[first]
	l.ranked = slices.Insert(slices.DeleteFunc(l.ranked, func(c int) bool { return c == first }), 0, first)
	l.sure = sureBias + sureMargin*(score[first]-next) + sureFault*(score[first]-none) + sureKnown*math.Log(float64(len(found)+1)) + sureLines*math.Log(float64(r.lines+1))
	if !r.aboutGPUs {
		l.sure += sureSilent
	}
	if r.laments {
		l.sure += sureLament
	}
	return l
}

// faultless is whether reports of a class have no fault.
func (w *wording) faultless(class int) bool {
	return w.classes[class] == wordingNone || w.classes[class] == healthyID
}

// tells is whether a text is so much like the reports of a fault that it is named.
func (l likeness) tells(enough float64) bool { return l.class != "" && l.sure >= enough }

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
	long  bool      // too much was said
	of    []*window // the texts, to see what they are where a cause is to be guessed
	shown int       // how surely symptoms show the first finding, 0 where there is none
	heard bool      // it rests on what somebody says alone
}

// keep takes over the lines of a text that was read to its end, if a person may have written it.
func (s *spoken) keep(w *window) {
	if s.long || !w.prose || s.bytes+len(w.buf) > wordingMax || len(s.lines)+len(w.lines) > wordingLines {
		s.long, s.lines = true, nil
		return
	}
	s.bytes += len(w.buf)
	s.of = append(s.of, w)
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

var aName = lazy(`(?i)[\w.]/[\w.]|\.(com|io|net|org|py|git|o)\b|\b(gpu|cuda)[-_]\w`)

// aboutGPUs are words that a text about GPUs has.
var aboutGPUs = lazy(`(?i)gpu|nvidia|cuda|cudnn|nvml|nvenc|nvdec|nccl|geforce|quadro|\btesla\b|\b[rg]tx\b|\b[ahlv]\d{2,3}s?\b|/dev/dri|/dev/dxg|^graphics$|\bxid\b|\bmig\b`)

var (
	otherVendor = lazy(`(?im)` + otherVendors + `|\bhip\b|\bsycl\b`)
	ownVendor   = lazy(`(?im)` + nvidia)
	taught      = lazy(`(?im)` + teaching + `|` + otherQuestion)
)

// lamented are words that say themselves that something is amiss.
const lamented = `no|not|nothing|none|never|cannot|(do|does|did|is|are|was|were|ca|could|wo|would|has|have|had)nt|t|unable|fail\w*|errors?|refus\w+|reject\w+|den(y|ies|ied)|slow\w*|gone|los[et]s?|miss\w*|vanish\w*|disappear\w*|crash\w*|die[sd]?|kill\w*|stop\w*|wrong\w*|bro?ken?|hangs?|freez\w*|frozen|stuck|unknown|invalid|complain\w*|unsupported|problem\w*|trouble\w*|empty|exits?|exited|abort\w*|dropped|falls?|half|throttl\w*|suddenly`

var (
	// laments: a question below the output of a tool is often but about what it prints, so there one of these must stand
	// in what the person says.
	laments = lazy(`(?i)\b(` + lamented + `)\b`)
	// complaints are these, and the words of somebody to whom something happened, who writes no manual: without one of them
	// there is nothing to explain.
	complaints = lazy(`(?i)\?|\b(` + lamented + `|\w+nt|instead|too|still|drops?|hot|since|my|our|we|i)\b`)
)

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

// isOutput tells if a line is of a tool rather than of somebody who speaks: hardly a word in it is plain.
func isOutput(words []string) bool {
	plain := 0
	for _, word := range words {
		if slices.Contains(plainWords, word) {
			plain++
		}
	}
	return len(words) >= 3 && plain*wordingShare < len(words)
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

// features are the words of a line, how longer ones begin, and the pairs of neighbours.
func features(words []string) []string {
	out := make([]string, 0, 4*len(words))
	before := ""
	for _, word := range words {
		for _, letters := range [...]int{4, 5} {
			if at, longer := letter(word, letters); longer {
				out = append(out, word[:at]+"*")
			}
		}
		word = stem(word)
		out = append(out, word)
		if before != "" {
			out = append(out, before+" "+word)
		}
		before = word
	}
	return out
}

// letter is where the letter after so many begins, if there is one.
func letter(word string, letters int) (int, bool) {
	for at := range word {
		if letters == 0 {
			return at, true
		}
		letters--
	}
	return 0, false
}

// heft is how much a feature counts beside others: pairs are many, and few of them are ever met again.
func heft(feature string) float64 {
	if strings.Contains(feature, " ") {
		return 0.625
	}
	return 1
}

// report is a text as words judge it.
type report struct {
	features           []string
	lines              int
	aboutGPUs, laments bool
}

// report is all that was said, nil where it is not for words to judge.
func (s *spoken) report() *report {
	if s.long || len(s.lines) == 0 {
		return nil
	}
	r := &report{lines: len(s.lines)}
	var words []string
	var text strings.Builder
	sentences, output, lament := false, false, false
	for _, line := range s.lines {
		of := wordsOf(line.text)
		words, sentences = append(words, of...), sentences || isSentence(of)
		for _, raw := range line.raw { // a sentence below a tool's table may look like the table's last line, wrapped
			of := wordsOf(raw)
			lament = lament || isSentence(of) && laments().MatchString(raw)
			output = output || isOutput(of)
		}
		text.WriteString(line.text + "\n")
	}
	whole := text.String()
	if !sentences || output && !lament || taught().MatchString(whole) || !complaints().MatchString(whole) || otherVendor().MatchString(whole) && !ownVendor().MatchString(whole) {
		return nil
	}
	r.features, r.aboutGPUs, r.laments = features(words), speaksOfGPUs(whole), laments().MatchString(whole)
	return r
}

// likeliest is the answer by the words where they tell, with what symptoms show as related, else that; and none where
// a cause is only heard, weakly, in what somebody says, and words tell surely that there is no fault.
func (s *spoken) likeliest(shown Explanation, learnt func() *wording) Explanation {
	enough, reason := float64(sureEnough), guessUnknown
	if len(shown.Findings) > 0 {
		enough, reason = sureAgainst, guessWeak
	}
	r := s.report()
	if r == nil || len(shown.Findings) > 0 && shown.Findings[0].ID == healthyID {
		return shown // and the table is not even read
	}
	if slices.ContainsFunc(s.of, func(w *window) bool { return w.is() != aReport }) {
		return shown // a page or a program, not somebody's words
	}
	w := learnt()
	l := w.like(r)
	if len(shown.Findings) > 0 && s.heard && l.none[shown.Findings[0].ID] >= sureNone {
		return Explanation{SchemaVersion: 1, Findings: []Finding{}, Related: []Finding{}}
	}
	if !l.tells(enough) || len(shown.Findings) > 0 && shown.Findings[0].ID == l.class {
		return shown
	}
	f := guessed(l.class, reason, s.telling(l.words, l.ranked[0], l.ranked[1]))
	f.Title = "Perhaps: " + f.Title
	e := Explanation{SchemaVersion: 1, Findings: []Finding{f}, Related: []Finding{}}
	if len(shown.Findings) > 0 {
		for _, f := range slices.Concat(shown.Findings, shown.Related) {
			if f.ID != l.class && len(e.Related) < relatedMax {
				e.Related = append(e.Related, f)
			}
		}
		return e
	}
	for _, c := range l.ranked[1 : wordingRelated+1] {
		if w.faultless(c) {
			break // what comes after is less likely than that nothing is wrong
		}
		e.Related = append(e.Related, guessed(w.classes[c], reason, s.telling(l.words, c, l.ranked[0])))
	}
	return e
}

// guessSays begins the cause of a finding that rests on words, and then comes why it does.
const (
	guessSays    = "A guess: "
	guessUnknown = "no message that is known stands in this text, but reports of this cause are worded like it. "
	guessWeak    = "there are only weak signs of another cause in this text, and reports of this one are worded like it. "
)

// guessed is a finding that rests on words and says so.
func guessed(id ID, reason string, evidence []Evidence) Finding {
	f := NewFinding(id, evidence...)
	f.Cause = guessSays + reason + f.Cause
	decide := "`docker gpu diagnose` on the machine itself, or the error message in full, would tell."
	if f.Question != "" {
		decide = f.Question + " " + decide
	}
	f.Question = decide
	return f
}

// telling are the lines that speak most for one class against another.
func (s *spoken) telling(words map[string]weighed, class, against int) []Evidence {
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
			of, ok := words[word]
			if !ok {
				continue
			}
			d := of.rarity * (of.weights[class] - of.weights[against])
			t.weight += d
			if d > most && !strings.ContainsAny(word, " 0*") {
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
