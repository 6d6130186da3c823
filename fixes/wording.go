package fixes

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// What a report says it says in words, whether a message is known or not: "since the update no container sees the card". So the
// words of a text are weighed, how they begin, and their pairs: each cause has a weight for each of them, learnt to tell its
// reports from all others (a linear support vector machine of one against the rest, over words that count the more the rarer
// they are; see learn_test.go). How sure that makes a cause is weighed with what symptoms show in weighing.go.
const (
	wordingMax   = 16 << 10 // longer texts are logs, in which messages speak and words do not
	wordingLines = 400
	wordingPlain = 4  // different words of plain English that a sentence has at the least,
	wordingShare = 5  // and that one word in so many is one of those
	wordMax      = 24 // in characters: what is longer is a name, a path or a sum
	numberMax    = 4  // digits of a number that tells something by itself
	nameLeast    = 6  // bytes of a name that has these signs in it
	nameMost     = 40
	nameSigns    = "./:@=+-"
	wordingShown = 2 // lines
)

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

func unpackWording(packed []byte) (string, error) {
	d, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return "", err
	}
	defer d.Close()
	var head zstd.Header
	if err := head.Decode(packed); err != nil {
		return "", err
	}
	var table strings.Builder
	table.Grow(int(head.FrameContentSize))
	_, err = io.Copy(&table, d)
	return table.String(), err
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

// lookUp is what the table knows of words.
func (w *wording) lookUp(words []string) (map[string]weighed, error) {
	found := make(map[string]weighed, len(words))
	for _, word := range words {
		if _, known := found[word]; known {
			continue
		}
		line := w.line(word)
		if line == "" {
			continue
		}
		count, rest, _ := strings.Cut(line, " ")
		in, err := strconv.Atoi(count)
		if err != nil || in < 0 {
			return nil, fmt.Errorf("%s: %q has no reports", word, line)
		}
		of := weighed{rarity: rarity(in, w.reports), weights: make([]float64, len(w.classes))}
		for field := range strings.FieldsSeq(rest) {
			c, weight, _ := strings.Cut(field, ":")
			class, err := strconv.Atoi(c)
			if err != nil || class < 0 || class >= len(w.classes) {
				return nil, fmt.Errorf("%s: %q: %q is no weight of a class", word, line, field)
			}
			units, err := strconv.Atoi(weight)
			if err != nil {
				return nil, fmt.Errorf("%s: %q: %w", word, line, err)
			}
			of.weights[class] = float64(units) * w.unit
		}
		found[word] = of
	}
	return found, nil
}

// line is what stands behind a word in the table, whose lines are in the order of their words.
func (w *wording) line(word string) string {
	from, to := 0, len(w.lines) // the beginnings of lines
	for from < to {
		middle := from + (to-from)/2
		middle = strings.LastIndexByte(w.lines[:middle], '\n') + 1
		middle = max(middle, from)
		line, _, _ := strings.Cut(w.lines[middle:to], "\n")
		at, rest, _ := strings.Cut(line, "\t")
		switch cmp.Compare(at, word) {
		case 0:
			return rest
		case 1:
			to = middle
		default:
			from = middle + len(line) + 1
		}
	}
	return ""
}

// rarity is how much a word counts that stands in some of all reports, in steps that no machine rounds otherwise.
func rarity(in, all int) float64 {
	return math.Round(64*math.Log(float64(all+1)/float64(in+1))) / 64
}

// likeness is what words say of a text: how much its words are those of the reports of each class.
type likeness struct {
	margin []float64 // by class: above 0 where it is one of them
	words  map[string]weighed
}

// like judges a report.
func (w *wording) like(r *report) likeness {
	found, err := w.lookUp(features(r.lines...))
	l := likeness{margin: make([]float64, len(w.classes)), words: found}
	if err != nil {
		return l // a test excludes it
	}
	length := 0.0
	for _, of := range found {
		length += of.rarity * of.rarity
	}
	length = math.Sqrt(length)
	for _, word := range slices.Sorted(maps.Keys(found)) { // in order, so that sums are the same again
		of := found[word]
		for c, weight := range of.weights {
			l.margin[c] += of.rarity / length * weight
		}
	}
	for c, bias := range w.bias {
		l.margin[c] += float64(bias) * w.unit
	}
	return l
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
	long  bool      // too much was said
	of    []*window // the texts, to see what they are
}

// keep takes over the lines of a text that was read to its end, if a person may have written it.
func (s *spoken) keep(w *window) {
	if s.long || !w.prose || s.bytes+len(w.buf) > wordingMax || len(s.lines)+len(w.lines) > wordingLines {
		s.long, s.lines = true, nil
		return
	}
	s.bytes += len(w.buf)
	s.of = append(s.of, w)
	parts := w.parts()
	only := !slices.ContainsFunc(parts, func(part int8) bool { return part != aside })
	for i := 0; i < len(w.lines); i++ {
		if parts[i] == aside && !only {
			continue // another one's guess is not what happened
		}
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
	taught      = lazy(`(?im)` + teaching + `|` + otherQuestion + `|^#+ \[?v?\d+\.\d`)
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
	for word := range strings.FieldsFuncSeq(line, notOfWord) {
		if word = sameNumbers(strings.ToLower(word)); utf8.RuneCountInString(word) <= wordMax {
			words = append(words, word)
		}
	}
	return words
}

func notOfWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }

// sameNumbers writes every number of a word as 0.
func sameNumbers(word string) string {
	var b strings.Builder
	number := false
	for _, r := range word {
		digit := unicode.IsDigit(r)
		switch {
		case !digit:
			b.WriteRune(r)
		case !number:
			b.WriteByte('0')
		}
		number = digit
	}
	return b.String()
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

// features are the words of lines, how longer ones begin, the pairs of neighbours, small numbers as they stand, with what
// stands before them ("xid 79", "error 804"), and names that are made of more than words ("/dev/nvidia0", "--gpus=all").
func features(lines ...string) []string {
	var out []string
	before := ""
	for _, line := range lines {
		for name := range strings.FieldsFuncSeq(line, func(r rune) bool { return notOfWord(r) && !strings.ContainsRune(nameSigns, r) }) {
			if len(name) >= nameLeast && len(name) <= nameMost && strings.ContainsAny(name, nameSigns) {
				out = append(out, "~"+sameNumbers(strings.ToLower(name)))
			}
		}
		for token := range strings.FieldsFuncSeq(line, notOfWord) {
			token = strings.ToLower(token)
			word := sameNumbers(token)
			if utf8.RuneCountInString(word) > wordMax {
				continue
			}
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
			if n := digits(token); n > 0 && n <= numberMax {
				out = append(out, "="+token)
				if before != "" {
					out = append(out, before+" ="+token)
				}
			}
			before = word
		}
	}
	return out
}

func digits(word string) int {
	n := 0
	for _, r := range word {
		if unicode.IsDigit(r) {
			n++
		}
	}
	return n
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

// report is a text as words judge it.
type report struct {
	lines     []string
	spoken    bool // somebody says a sentence
	listed    bool // there is a tool's output, and nothing in what somebody says is amiss
	aboutGPUs bool
	laments   bool
	complains bool // of what may be NVIDIA's, and does not teach: else nothing is wrong where no symptom says so
}

// report is all that was said, nil where it is not for words to judge.
func (s *spoken) report() *report {
	if s.long || len(s.lines) == 0 {
		return nil
	}
	r := &report{}
	output, lament := false, false
	for _, line := range s.lines {
		r.lines = append(r.lines, line.text)
		r.spoken = r.spoken || isSentence(wordsOf(line.text))
		for _, raw := range line.raw { // a sentence below a tool's table may look like the table's last line, wrapped
			of := wordsOf(raw)
			lament = lament || isSentence(of) && laments().MatchString(raw)
			output = output || isOutput(of)
		}
	}
	whole := strings.Join(r.lines, "\n")
	r.listed, r.aboutGPUs, r.laments = output && !lament, speaksOfGPUs(whole), laments().MatchString(whole)
	r.complains = complaints().MatchString(whole) && !taught().MatchString(whole) && (!otherVendor().MatchString(whole) || ownVendor().MatchString(whole))
	return r
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
		for _, word := range features(line.text) {
			of, ok := words[word]
			if !ok {
				continue
			}
			d := of.rarity * (of.weights[class] - of.weights[against])
			t.weight += d
			if d > most && !strings.ContainsAny(word, " 0*=~") {
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
