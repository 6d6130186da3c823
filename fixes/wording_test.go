package fixes

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var wordingAnew = flag.Bool("wording.anew", false, "with -update: learn the wording anew, even where little of the corpus is new")

const (
	wordingRare    = 2       // words in fewer reports teach nothing
	wordingTimes   = 6       // so often a report without a fault counts: there is no end of them, and here are few
	wordingTold    = 0.3     // of a report, that the table of causes counts
	wordingKept    = 140_000 // weights, those that change most
	wordingRounds  = 8       // through all reports
	wordingStep    = 0.5
	wordingSmall   = 1e-5                  // how much small weights are preferred
	wordingLittle  = 1e-3                  // an error that is not worth a step
	wordingLearnt  = "testdata/learnt.txt" // sums of the cases that wording.zst was learnt from
	wordingOwn     = "testdata/wording"    // reports without a fault, in sentences: learn/ is learnt from, unseen/ never
	wordingNewMost = 4                     // learnt anew when more than one case in so many is new
)

// heard is a case as the judge of words sees it.
type heard struct {
	corpusCase
	class ID
	said  spoken
	asked *report  // nil where it is not for words to judge
	known bool     // without a fault, and a symptom says so
	all   []string // what it teaches
	told  bool     // by the table of causes
}

func (h heard) faultless() bool { return h.class == wordingNone || h.class == healthyID }

var noSymptoms = newSymptomIndex(nil)

func hear(tb testing.TB, c corpusCase) heard {
	tb.Helper()
	h := heard{corpusCase: c, class: cmp.Or(c.Expect, wordingNone)}
	s := newScanner(noSymptoms)
	s.said = &h.said
	if err := s.scan("", strings.NewReader(c.Text), true); err != nil {
		tb.Fatal(err)
	}
	h.asked = h.said.report()
	if h.class == healthyID {
		e, err := explainMessages(nil, Text{Reader: strings.NewReader(c.Text)})
		if err != nil {
			tb.Fatal(err)
		}
		h.known = len(e.Findings) > 0
	}
	plain := newScanner(noSymptoms)
	plain.said = &spoken{}
	if err := plain.scan("", strings.NewReader(c.plain), true); err != nil {
		tb.Fatal(err)
	}
	var words []string
	for _, line := range plain.said.lines {
		words = append(words, wordsOf(line.text)...)
	}
	h.all = features(words)
	return h
}

// hearCorpus hears what wording.zst is learnt from.
func hearCorpus(tb testing.TB) []heard {
	tb.Helper()
	var all []heard
	for _, c := range readCorpus(tb, "dev") {
		all = append(all, hear(tb, c))
	}
	for _, c := range readCases(tb, filepath.Join(wordingOwn, "learn")) {
		c.ID = "wording/" + c.ID
		all = append(all, hear(tb, c))
	}
	return all
}

// hearKnowledge hears what the table of causes says of each.
func hearKnowledge() []heard {
	var all []heard
	for _, e := range Knowledge().Entries {
		if e.ID == wordingNone {
			continue
		}
		text := e.Title + ". " + e.Cause
		for _, step := range e.Steps {
			text += ". " + step.String()
		}
		h := heard{class: e.ID, all: features(wordsOf(text)), told: true}
		h.ID, h.Text = "knowledge/"+string(e.ID), text
		all = append(all, h)
	}
	return all
}

// lesson is a report as the weights learn it.
type lesson struct {
	class   int
	words   []int // sorted
	value   []float64
	faulty  bool
	reports float64 // that it counts for
}

// learn finds the weights that tell reports of each class from all others. It only adds, multiplies, divides and takes roots, in one order and never in one step (float64(a*b)), so that every
// machine learns the same.
func learn(reports []heard) string {
	reports = slices.Clone(reports)
	slices.SortStableFunc(reports, func(a, b heard) int { return cmp.Compare(a.sum(), b.sum()) })
	in, known := map[string]int{}, map[ID]bool{}
	own := make([][]string, len(reports))
	for i, h := range reports {
		known[h.class] = true
		own[i] = slices.Compact(slices.Sorted(slices.Values(h.all)))
		for _, word := range own[i] {
			in[word]++
		}
	}
	maps.DeleteFunc(in, func(_ string, n int) bool { return n < wordingRare })
	words := slices.Sorted(maps.Keys(in))
	number := make(map[string]int, len(words))
	weights, moved := make([][]float64, len(words)+1), make([][]float64, len(words)+1) // the last is the bias
	classes := slices.Sorted(maps.Keys(known))
	for i := range weights {
		weights[i], moved[i] = make([]float64, len(classes)), make([]float64, len(classes))
	}
	rare := make([]float64, len(words))
	for i, word := range words {
		number[word], rare[i] = i, rarity(in[word], len(reports))*heft(word)
	}
	lessons := make([]lesson, len(reports))
	for i, h := range reports {
		l := lesson{class: slices.Index(classes, h.class), faulty: !h.faultless(), reports: 1}
		if h.told {
			l.reports = wordingTold
		}
		length := 0.0
		for _, word := range own[i] {
			if n, ok := number[word]; ok {
				l.words, l.value = append(l.words, n), append(l.value, rare[n])
				length += float64(rare[n] * rare[n])
			}
		}
		for k := range l.value {
			l.value[k] /= math.Sqrt(length)
		}
		lessons[i] = l
	}
	order := rand.New(rand.NewPCG(1, 1))
	errs := make([]float64, len(classes))
	for range wordingRounds {
		for _, i := range order.Perm(len(lessons)) {
			lessons[i].step(weights, moved, errs, func(word int) float64 {
				return wordingSmall * float64(len(reports)) / float64(in[words[word]])
			})
		}
	}
	return writeWording(classes, words, in, rare, weights, len(reports))
}

// step moves the weights to where a report is answered better.
func (l *lesson) step(weights, moved [][]float64, errs []float64, small func(word int) float64) {
	bias := len(weights) - 1
	copy(errs, weights[bias])
	for k, word := range l.words {
		for c, weight := range weights[word] {
			errs[c] += float64(weight * l.value[k])
		}
	}
	var wrong []int
	for c, score := range errs {
		counts, is := l.reports, c == l.class
		if !l.faulty {
			counts = wordingTimes
		}
		e := likelihood(score)
		if is {
			e--
		}
		if math.Abs(e) < wordingLittle {
			continue
		}
		errs[c] = e * counts
		wrong = append(wrong, c)
	}
	move := func(to, by []float64, c int, d float64) {
		by[c] += float64(d * d)
		to[c] -= wordingStep * d / math.Sqrt(by[c])
	}
	for _, c := range wrong {
		move(weights[bias], moved[bias], c, errs[c])
	}
	for k, word := range l.words {
		for _, c := range wrong {
			if d := float64(errs[c]*l.value[k]) + float64(small(word)*weights[word][c]); d != 0 {
				move(weights[word], moved[word], c, d)
			}
		}
	}
}

// likelihood is that of a score, 1/(1+e^-score).
func likelihood(score float64) float64 {
	e := 1 - min(max(score, -30), 30)/1024
	for range 10 {
		e *= e
	}
	return 1 / (1 + e)
}

// writeWording writes the table as parseWording reads it: of all weights those that change most, as small numbers.
func writeWording(classes []ID, words []string, in map[string]int, rare []float64, weights [][]float64, reports int) string {
	type one struct {
		word, class int
		changes     float64
	}
	var kept []one
	most := 0.0
	for i := range words {
		usual := slices.Sorted(slices.Values(weights[i]))[len(classes)/2] // what all causes have in common tells none
		for c := range weights[i] {
			weights[i][c] -= usual
			kept = append(kept, one{i, c, math.Abs(weights[i][c]) * rare[i] * math.Sqrt(float64(in[words[i]]))})
			most = max(most, math.Abs(weights[i][c]))
		}
	}
	slices.SortStableFunc(kept, func(a, b one) int { return cmp.Compare(b.changes, a.changes) })
	kept = kept[:min(wordingKept, len(kept))]
	slices.SortFunc(kept, func(a, b one) int { return cmp.Or(cmp.Compare(a.word, b.word), cmp.Compare(a.class, b.class)) })
	unit := most / 127
	var b strings.Builder
	fmt.Fprintf(&b, "# Learnt from testdata/corpus/dev and testdata/wording by go generate; DO NOT EDIT.\n%d %.6f\n", reports, unit)
	for c, id := range classes {
		fmt.Fprintf(&b, "%s %.0f\n", id, math.Round(weights[len(words)][c]/unit))
	}
	last := -1
	for _, k := range kept {
		weight := math.Round(weights[k.word][k.class] / unit)
		if weight == 0 {
			continue
		}
		if k.word != last {
			fmt.Fprintf(&b, "\n%s\t%d", words[k.word], in[words[k.word]])
			last = k.word
		}
		fmt.Fprintf(&b, " %d:%.0f", k.class, weight)
	}
	b.WriteString("\n")
	return b.String()
}

// sum tells a case from any other, and from itself with another text or answer.
func (h heard) sum() string {
	f := fnv.New32a()
	_, _ = io.WriteString(f, h.ID+"\n"+string(h.class)+"\n"+h.Text) // a hash does not fail
	return fmt.Sprintf("%08x", f.Sum32())
}

// wording.zst is what its cases teach, and most cases of the corpus are among them. `go generate ./fixes` learns
// anew only when that is no longer so: a case or an expression more is no reason to rewrite the whole table.
func TestWordingIsCurrent(t *testing.T) {
	if !*update {
		t.Parallel()
	}
	corpus := hearCorpus(t)
	reports := append(slices.Clone(corpus), hearKnowledge()...)
	sums := map[string]heard{}
	for _, h := range reports {
		sums[h.sum()] = h
	}
	file, err := os.ReadFile(wordingLearnt)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var known []heard
	learnt := map[string]bool{}
	for sum := range strings.FieldsSeq(string(file)) {
		learnt[sum] = true
		if h, ok := sums[sum]; ok {
			known = append(known, h)
		}
	}
	fresh := 0
	for _, h := range corpus {
		if !learnt[h.sum()] {
			fresh++
		}
	}
	table, err := unpackWording(wordingTable)
	if err != nil && !*update {
		t.Fatal(err)
	}
	due := fresh > len(corpus)/wordingNewMost
	same := len(known) < len(learnt) || learn(known) == table // what went cannot be learnt again
	switch {
	case !*update:
		if due || !same {
			t.Errorf("wording.zst is not what the corpus teaches (%d of %d cases are new): run go generate ./fixes", fresh, len(corpus))
		}
	case due || !same || *wordingAnew:
		all := strings.Join(slices.Sorted(maps.Keys(sums)), "\n") + "\n"
		if err := os.WriteFile(wordingLearnt, []byte(all), 0o644); err != nil {
			t.Fatal(err)
		}
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("wording.zst", e.EncodeAll([]byte(learn(reports)), nil), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// wordingScore is how words alone answer reports that they were not learnt from.
type wordingScore struct {
	faults, said, right    int // reports of a fault that are for words to judge; those answered
	faultless, falseAlarms int
	alarms                 []string
}

func (s *wordingScore) count(h heard, l likeness) {
	switch {
	case !h.faultless():
		s.faults++
	case h.known:
		return // a symptom says that it is harmless
	default:
		s.faultless++
	}
	switch {
	case !l.tells(sureEnough):
	case h.faultless():
		s.falseAlarms++
		s.alarms = append(s.alarms, fmt.Sprintf("%s → %s", h.ID, l.class))
	default:
		s.said++
		if l.class == h.class || slices.Contains(h.Also, l.class) {
			s.right++
		}
	}
}

// Words alone answer reports that nothing was learnt from, whatever symptoms say: no symptom is asked.
func TestWordingUnseen(t *testing.T) {
	t.Parallel()
	var s wordingScore
	for _, c := range readCases(t, filepath.Join(wordingOwn, "unseen")) {
		if h := hear(t, c); h.asked != nil {
			s.count(h, learntWording().like(h.asked))
		}
	}
	t.Logf("%d of %d reports of a fault answered (%.0f %%), %.1f %% of them right; %d of %d without a fault got an answer: %q",
		s.said, s.faults, percent(s.said, s.faults), percent(s.right, s.said), s.falseAlarms, s.faultless, s.alarms)
	if s.faults < 100 || s.faultless < 30 {
		t.Errorf("only %d reports with and %d without a fault were judged", s.faults, s.faultless)
	}
	if right := percent(s.right, s.said); right < 90 {
		t.Errorf("%.1f %% right, want at least 90 %%", right)
	}
	if said := percent(s.said, s.faults); said < 25 {
		t.Errorf("%.1f %% answered, want at least 25 %%", said)
	}
	if alarms := percent(s.falseAlarms, s.faultless); alarms > 3 {
		t.Errorf("%.1f %% of those without a fault, all of which speak of GPUs, got an answer, want at most 3 %%", alarms)
	}
}

// smallWording is learnt from a few reports that stand here, so that neither the corpus nor an expression more
// changes what comes of it.
func smallWording(t *testing.T) *wording {
	t.Helper()
	var all []heard
	for _, c := range []struct {
		class ID
		texts []string
	}{
		{"shm-too-small", []string{"the loader dies with several workers", "workers of the loader die, one worker is fine", "with more workers the loader of my training dies"}},
		{"thermal-throttled", []string{"the card gets hot and slow", "it is hot and after a minute slow", "so hot that it becomes slow in the summer"}},
		{wordingNone, []string{"the page does not open", "is there a newsletter for the page", "the page of the model opens slowly"}},
		{healthyID, []string{"the list is empty and all is well", "it is well but the list is empty", "an empty list, all well"}},
	} {
		for range 2 {
			for _, text := range c.texts {
				all = append(all, heard{class: c.class, all: features(wordsOf(text))})
			}
		}
	}
	return learnt(t, all)
}

func learnt(tb testing.TB, reports []heard) *wording {
	tb.Helper()
	w, err := parseWording(learn(reports))
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// What is guessed says so, shows the lines that tell most, and asks what would decide.
func TestGuess(t *testing.T) {
	const text = `Hello all,
my training on two A100 is in a container that I start by hand.
As soon as I give the loader eight workers it dies, with one worker it is fine.
Has somebody seen this?`
	var words spoken
	if e, err := explainMessages(&words, Text{Name: "question.txt", Reader: strings.NewReader(text)}); err != nil || len(e.Findings) > 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	var program spoken
	if _, err := explainMessages(&program, Text{Reader: strings.NewReader(text), FromProgram: true}); err != nil || program.report() != nil {
		t.Errorf("what a program wrote is guessed at: %v", err)
	}
	e := words.likeliest(Explanation{Findings: []Finding{}, Related: []Finding{}}, func() *wording { return smallWording(t) })
	if len(e.Findings) != 1 || e.Findings[0].ID != "shm-too-small" || e.Findings[0].Evidence[0].Line != 3 ||
		!strings.HasPrefix(e.Findings[0].Cause, "A guess: ") || e.Findings[0].Question == "" {
		t.Errorf("%+v", e)
	}
	got, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	golden := filepath.Join(wordingOwn, "guess.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != string(got) {
		t.Errorf("%v; got:\n%s", err, got)
	}
}

// Words overrule weak signs of another fault, which are told then as related, and nothing else.
func TestGuessAgainstSigns(t *testing.T) {
	const text = "As soon as I give the loader on my A100 eight workers it dies, with one worker it is fine."
	for _, c := range []struct {
		name  string
		shown ID
		guess bool
	}{
		{"another fault", "thermal-throttled", true},
		{"the same", "shm-too-small", false},
		{"nothing is wrong", healthyID, false},
	} {
		var words spoken
		if _, err := explainMessages(&words, Text{Reader: strings.NewReader(text)}); err != nil {
			t.Fatal(err)
		}
		shown := Explanation{SchemaVersion: 1, Findings: []Finding{NewFinding(c.shown)}, Related: []Finding{NewFinding("shm-too-small"), NewFinding("xid-error")}}
		e := words.likeliest(shown, func() *wording { return smallWording(t) })
		if !c.guess {
			if !reflect.DeepEqual(e, shown) {
				t.Errorf("%s: %+v", c.name, e)
			}
			continue
		}
		var related []ID
		for _, f := range e.Related {
			related = append(related, f.ID)
		}
		if len(e.Findings) != 1 || e.Findings[0].ID != "shm-too-small" || !strings.HasPrefix(e.Findings[0].Cause, guessSays+guessWeak) || !slices.Equal(related, []ID{"thermal-throttled", "xid-error"}) {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
}

// How surely symptoms show the first finding is kept for words.
func TestShown(t *testing.T) {
	for text, sure := range map[string]bool{"CUDA out of memory": true, "All is well.": false} {
		var words spoken
		if _, err := explainMessages(&words, Text{Reader: strings.NewReader(text)}); err != nil || words.shown > wordingWeak != sure {
			t.Errorf("%q: %d, %v", text, words.shown, err)
		}
	}
}

// What is not for words to judge is not judged, and the table not read.
func TestNotForWords(t *testing.T) {
	const about = "As soon as I give the loader on my A100 eight workers it dies, with one worker it is fine. "
	binary := make([]byte, 2000)
	for i := range binary {
		binary[i] = byte(i * i >> 3)
	}
	for name, text := range map[string]string{
		"empty":             "",
		"blank":             " \n\t\n",
		"NULs":              strings.Repeat("\x00", 500),
		"binary":            string(binary),
		"binary with a GPU": string(binary) + "\nGPU\n",
		"a blob":            strings.Repeat("GPUisthewordofit", 100),
		"no complaint":      "It is the loader that gives the A100 its work, with as many workers as there are cores.",
		"another vendor's":  strings.ReplaceAll(about, "A100", "Radeon GPU with ROCm"),
		"no sentence":       "gpu0: loader workers dead; gpu1: loader workers dead",
		"a long log":        strings.Repeat(about+"\n", wordingLines+1),
		"long lines":        strings.Repeat(about, wordingMax/len(about)+1),
		"longer than seen":  about + "\n" + strings.Repeat("INFO ok\n", windowSize/4),
	} {
		var words spoken
		if _, err := explainMessages(&words, Text{Reader: strings.NewReader(text)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		e := words.likeliest(Explanation{Findings: []Finding{}, Related: []Finding{}}, func() *wording { t.Errorf("%s: the table is read", name); return smallWording(t) })
		if len(e.Findings)+len(e.Related) > 0 || e.Findings == nil || e.Related == nil {
			t.Errorf("%s: %+v", name, e)
		}
		if len(words.lines) > wordingLines {
			t.Errorf("%s: %d lines are kept", name, len(words.lines))
		}
	}
}

func TestParseWording(t *testing.T) {
	const head = "# from reports\n9 0.01\na 1\nb 0\n"
	w, err := parseWording(head + "\nw\t2 0:-3 1:4\n")
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.weigh([]string{"w", "other"})
	if err != nil || len(found) != 1 || !slices.Equal(found["w"].weights, []float64{-0.03, 0.04}) || found["w"].rarity != rarity(2, 9) {
		t.Errorf("%+v, %v", found, err)
	}
	for name, table := range map[string]string{
		"empty": "", "no unit": "9\na 1\nb 0\n\n", "no reports": "0 0.1\na 0\n\n", "a unit of nothing": "9 0\na 0\n\n",
		"no bias": "9 0.1\na x\n\n", "no class": "9 0.1\n\n",
	} {
		if _, err := parseWording(table); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, line := range map[string]string{
		"no tab": "w", "no reports": "w\tx 0:1", "below": "w\t-1 0:1", "no class": "w\t2 x:1", "a class too many": "w\t2 2:1", "no weight": "w\t2 0:", "no colon": "w\t2 0",
	} {
		w, err := parseWording(head + "\n" + line + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if found, err := w.weigh([]string{"w"}); err == nil {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// Every line of the table is one that weigh reads.
func TestWordingParses(t *testing.T) {
	w := learntWording()
	var words []string
	for line := range strings.Lines(w.lines) {
		word, _, _ := strings.Cut(line, "\t")
		words = append(words, word)
	}
	found, err := w.weigh(words)
	if err != nil || len(found) != len(words) || len(words) < 5000 {
		t.Errorf("%d of %d words: %v", len(found), len(words), err)
	}
}

// Whatever is said, a guess names a cause that the table knows, shows lines that are there, and is the same again.
func FuzzGuess(f *testing.F) {
	f.Add([]byte("The GPU is gone from my container since I woke the machine, and the host has it still."))
	f.Add([]byte("> my card\n> (an RTX) gets\n\xff hot and then slow\r\n\x1b[31m so that it is not of use"))
	f.Add([]byte("\xff\xfeG\x00P\x00U\x00"))
	f.Add([]byte(`{"log":"it is the GPU that does not come back and I have no idea\n","stream":"stderr"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		hearAgain := func() Explanation {
			s := newScanner(noSymptoms)
			s.said = &spoken{}
			if err := s.scan("", bytes.NewReader(text), true); err != nil {
				return Explanation{}
			}
			return s.said.likeliest(Explanation{}, learntWording)
		}
		e := hearAgain()
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, finding := range append(slices.Clone(e.Findings), e.Related...) {
			if len(finding.Evidence) == 0 {
				t.Errorf("%+v", finding)
			}
			for _, evidence := range finding.Evidence {
				if evidence.Line < 1 || evidence.Line > lines && !bytes.Contains(text, []byte{0}) && !bytes.HasPrefix(text, []byte{0x1f}) && !bytes.HasPrefix(text, []byte{0x28}) && utf16Order(text) == 0 {
					t.Errorf("line %d of %d", evidence.Line, lines)
				}
			}
		}
		if again := hearAgain(); !reflect.DeepEqual(e, again) {
			t.Errorf("%+v, then %+v", e, again)
		}
	})
}
