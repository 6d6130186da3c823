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
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var wordingAnew = flag.Bool("wording.anew", false, "with -update: learn the wording anew, even where little of the corpus is new")

const (
	wordingRare    = 4                     // words in fewer reports teach nothing
	wordingTimes   = 4                     // so often a report without a fault counts: there is no end of them, and here are few
	wordingLearnt  = "testdata/learnt.txt" // sums of the cases that wording.txt was learnt from
	wordingOwn     = "testdata/wording"    // reports without a fault, in sentences: learn/ is learnt from, unseen/ never
	wordingNewMost = 4                     // learnt anew when more than one case in so many is new
)

// heard is a case as the judge of words sees it.
type heard struct {
	corpusCase
	class ID
	said  spoken
	words []string // nil where it is not for words to judge
	known bool     // without a fault, and a symptom says so
	all   []string // what it teaches
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
	h.words = h.said.about()
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

// hearCorpus hears what wording.txt is learnt from.
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

// syntaxOf is what an expression has besides words.
var syntaxOf = regexp.MustCompile(`\\[a-zA-Z]|\{[\d,]+\}|\[[^\]]*\]|\(\?:|[()|?*+.^$\\]`)

// hearKnowledge hears what the table of causes says of each, and the words of its expressions.
func hearKnowledge(expressions bool) []heard {
	var all []heard
	add := func(e Entry, what, text string) {
		h := heard{class: e.ID, all: features(wordsOf(text))}
		h.ID, h.Text = "knowledge/"+string(e.ID)+"/"+what, text
		all = append(all, h)
	}
	for _, e := range Knowledge().Entries {
		if e.ID == wordingNone {
			continue
		}
		text := e.Title + ". " + e.Cause
		for _, step := range e.Steps {
			text += ". " + step.String()
		}
		add(e, "words", text)
		text = ""
		for _, s := range e.Symptoms {
			text += syntaxOf.ReplaceAllString(s.Match+" "+strings.Join(s.With, " "), " ") + " "
		}
		if expressions {
			add(e, "expressions", text)
		}
	}
	return all
}

// learn counts the words of reports.
func learn(reports []heard) *wording {
	w := &wording{words: map[string][]wordCount{}}
	count, in := map[string]map[int]int{}, map[string]int{}
	known := map[ID]bool{}
	for _, h := range reports {
		known[h.class] = true
	}
	w.classes = slices.Sorted(maps.Keys(known))
	w.reports = make([]int, len(w.classes))
	for _, h := range reports {
		class, _ := slices.BinarySearch(w.classes, h.class)
		times := 1
		if h.faultless() {
			times = wordingTimes
		}
		w.reports[class] += times
		seen := map[string]bool{}
		for _, word := range h.all {
			if seen[word] {
				continue
			}
			seen[word] = true
			if count[word] == nil {
				count[word] = map[int]int{}
			}
			count[word][class] += times
			in[word]++
		}
	}
	for word, of := range count {
		if in[word] < wordingRare {
			continue
		}
		for _, class := range slices.Sorted(maps.Keys(of)) {
			w.words[word] = append(w.words[word], wordCount{class, of[class]})
		}
	}
	w.sum()
	return w
}

// String is the table as parseWording reads it.
func (w *wording) String() string {
	var b strings.Builder
	b.WriteString("# Learnt from testdata/corpus/dev and testdata/wording by go generate; DO NOT EDIT.\n")
	for i, id := range w.classes {
		fmt.Fprintf(&b, "%s %d\n", id, w.reports[i])
	}
	b.WriteString("\n")
	for _, word := range slices.Sorted(maps.Keys(w.words)) {
		b.WriteString(word)
		sep := "\t"
		for _, c := range w.words[word] {
			fmt.Fprintf(&b, "%s%d", sep, c.class)
			if c.reports > 1 {
				fmt.Fprintf(&b, ":%d", c.reports)
			}
			sep = " "
		}
		b.WriteString("\n")
	}
	return b.String()
}

// sum tells a case from any other, and from itself with another text or answer.
func (h heard) sum() string {
	f := fnv.New32a()
	_, _ = io.WriteString(f, h.ID+"\n"+string(h.class)+"\n"+h.Text) // a hash does not fail
	return fmt.Sprintf("%08x", f.Sum32())
}

// wording.txt is what its cases teach, and most cases of the corpus are among them. `go generate ./fixes` learns
// anew only when that is no longer so: a case or an expression more is no reason to rewrite the whole table.
func TestWordingIsCurrent(t *testing.T) {
	corpus := hearCorpus(t)
	reports := append(slices.Clone(corpus), hearKnowledge(true)...)
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
	due := fresh > len(corpus)/wordingNewMost
	same := len(known) < len(learnt) || learn(known).String() == wordingTable // what went cannot be learnt again
	switch {
	case !*update:
		if due || !same {
			t.Errorf("wording.txt is not what the corpus teaches (%d of %d cases are new): run go generate ./fixes", fresh, len(corpus))
		}
	case due || !same || *wordingAnew:
		all := strings.Join(slices.Sorted(maps.Keys(sums)), "\n") + "\n"
		if err := os.WriteFile(wordingLearnt, []byte(all), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("wording.txt", []byte(learn(reports).String()), 0o644); err != nil {
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
	case !l.tells():
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

// Words alone, learnt from seven eighths of the reports, answer the other eighth: no symptom is asked. Reports of one
// thread stay together, and expressions, which were written for them, are left out. wordingMargin and wordingFault
// were chosen by these figures.
func TestWordingUnseen(t *testing.T) {
	const parts = 8
	reports := hearCorpus(t)
	part := func(h heard) int {
		thread := h.ID
		if strings.Contains(h.Basis, "#") {
			thread = h.Basis
		}
		f := fnv.New32a()
		_, _ = io.WriteString(f, thread) // a hash does not fail
		return int(f.Sum32() % parts)
	}
	var s wordingScore
	for p := range parts {
		from := hearKnowledge(false)
		for _, h := range reports {
			if part(h) != p {
				from = append(from, h)
			}
		}
		w := learn(from)
		for _, h := range reports {
			if part(h) == p && h.words != nil {
				s.count(h, w.like(h.words))
			}
		}
	}
	// Manuals, and what was written to lead explain astray, make most of these alarms. All of them are learnt in the end.
	t.Logf("%d of %d reports of a fault answered (%.0f %%), %.1f %% of them right; %d of %d without a fault got an answer: %q",
		s.said, s.faults, percent(s.said, s.faults), percent(s.right, s.said), s.falseAlarms, s.faultless, s.alarms)
	if right := percent(s.right, s.said); right < 90 {
		t.Errorf("%.1f %% right, want at least 90 %%", right)
	}
	if said := percent(s.said, s.faults); said < 40 {
		t.Errorf("%.1f %% answered, want at least 40 %%", said)
	}
	if alarms := percent(s.falseAlarms, s.faultless); alarms > 5 {
		t.Errorf("%.1f %% of those without a fault, all of which speak of GPUs, got an answer, want at most 5 %%", alarms)
	}
}

// Reports without a fault that nothing was learnt from get none by their words, whatever symptoms say.
func TestWordingFaultless(t *testing.T) {
	judged := 0
	for _, c := range readCases(t, filepath.Join(wordingOwn, "unseen")) {
		h := hear(t, c)
		if h.words != nil {
			judged++
		}
		for _, f := range h.said.likeliest(learntWording).Findings {
			t.Errorf("%s got %s:\n%s", c.ID, f.ID, c.Text)
		}
	}
	if judged < 30 {
		t.Errorf("only %d reports were judged", judged)
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
	return learn(all)
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
	if _, err := explainMessages(&program, Text{Reader: strings.NewReader(text), FromProgram: true}); err != nil || program.about() != nil {
		t.Errorf("what a program wrote is guessed at: %v", err)
	}
	e := words.likeliest(func() *wording { return smallWording(t) })
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
		"no GPU":            strings.ReplaceAll(about, "A100", "laptop"),
		"another vendor's":  strings.ReplaceAll(about, "A100", "Radeon GPU with ROCm"),
		"only a name":       "As soon as I give the loader of acme/gpu-job eight workers it dies, with one worker it is fine on host gpu-03.",
		"no sentence":       "gpu0: loader workers dead; gpu1: loader workers dead",
		"a long log":        strings.Repeat(about+"\n", wordingLines+1),
		"long lines":        strings.Repeat(about, wordingMax/len(about)+1),
		"longer than seen":  about + "\n" + strings.Repeat("INFO ok\n", windowSize/4),
	} {
		var words spoken
		if _, err := explainMessages(&words, Text{Reader: strings.NewReader(text)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		e := words.likeliest(func() *wording { t.Errorf("%s: the table is read", name); return smallWording(t) })
		if len(e.Findings)+len(e.Related) > 0 || e.Findings == nil || e.Related == nil {
			t.Errorf("%s: %+v", name, e)
		}
		if len(words.lines) > wordingLines {
			t.Errorf("%s: %d lines are kept", name, len(words.lines))
		}
	}
}

func TestParseWording(t *testing.T) {
	w := smallWording(t)
	again, err := parseWording(w.String())
	if err != nil || again.String() != w.String() || again.all != w.all || !slices.Equal(again.ofClass, w.ofClass) {
		t.Errorf("%v\n%s", err, again)
	}
	for name, table := range map[string]string{
		"no reports": "a\n\nw\t0\n", "no number": "a 1\n\nw\tx\n", "no class": "a 1\n\nw\t1\n", "no counts": "a 1\n\nw\n", "no reports of a class": "a 1\n\nw\t0:\n", "below": "a 1\n\nw\t-1\n",
	} {
		if _, err := parseWording(table); err == nil {
			t.Errorf("%s: no error", name)
		}
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
			return s.said.likeliest(learntWording)
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
