package fixes

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
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
	wordingLearnt  = "testdata/learnt.txt" // sums of the cases that wording.zst was learnt from
	wordingOwn     = "testdata/wording"    // short reports: learn/ is learnt from, unseen/ never
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
		shown, err := scanTexts(nil, Text{Reader: strings.NewReader(c.Text)})
		if err != nil {
			tb.Fatal(err)
		}
		h.known = len(shown) > 0
	}
	plain := newScanner(noSymptoms)
	plain.said = &spoken{}
	if err := plain.scan("", strings.NewReader(c.plain), true); err != nil {
		tb.Fatal(err)
	}
	for _, line := range plain.said.lines {
		h.all = append(h.all, line.text)
	}
	h.all = features(h.all...)
	return h
}

// hearCorpus hears what wording.zst is learnt from: the corpus, the reports that only teach, and, since reports stand among
// healthy outputs and other programs' lines, every other report of a fault once more with one without a fault. Which one
// that is hardly changes when a case is added.
func hearCorpus(tb testing.TB) []heard {
	tb.Helper()
	var all, faults, faultless []heard
	for _, c := range readCorpus(tb, "dev") {
		all = append(all, hear(tb, c))
	}
	for _, c := range readCases(tb, filepath.Join(wordingOwn, "learn")) {
		c.ID = "wording/" + c.ID
		all = append(all, hear(tb, c))
	}
	for _, h := range all {
		if h.faultless() {
			faultless = append(faultless, h)
		} else {
			faults = append(faults, h)
		}
	}
	bySum := func(h heard, sum string) int { return cmp.Compare(h.sum(), sum) }
	slices.SortFunc(faultless, func(a, b heard) int { return bySum(a, b.sum()) })
	for _, h := range faults {
		if sum := h.sum(); strings.Contains("02468ace", sum[len(sum)-1:]) {
			at, _ := slices.BinarySearchFunc(faultless, sum, bySum)
			other := faultless[at%len(faultless)]
			h.ID, h.Text, h.all = "mixed/"+h.ID, h.Text+other.Text, slices.Concat(h.all, other.all)
			all = append(all, h)
		}
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
		h := heard{class: e.ID, all: features(text), told: true}
		h.ID, h.Text = "knowledge/"+string(e.ID), text
		all = append(all, h)
	}
	return all
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
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("wording.zst", e.EncodeAll([]byte(learn(reports)), nil), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Words alone answer reports that nothing was learnt from, whatever symptoms say: no symptom is asked.
func TestWordingUnseen(t *testing.T) {
	t.Parallel()
	var faults, said, right, faultless int
	var alarms []string
	for _, c := range readCases(t, filepath.Join(wordingOwn, "unseen")) {
		h := hear(t, c)
		if h.asked == nil || h.known { // a symptom says that it is harmless
			continue
		}
		answers := h.said.weigh(nil, learntWording)
		switch {
		case h.faultless():
			faultless++
			if len(answers) > 0 {
				alarms = append(alarms, fmt.Sprintf("%s → %s", c.ID, answers[0].entry.ID))
			}
		default:
			faults++
			if len(answers) > 0 {
				said++
				if id := answers[0].entry.ID; id == c.Expect || slices.Contains(c.Also, id) {
					right++
				}
			}
		}
	}
	t.Logf("%d of %d reports of a fault answered (%.0f %%), %.1f %% of them right; %d of %d without a fault got an answer: %q",
		said, faults, percent(said, faults), percent(right, said), len(alarms), faultless, alarms)
	if faults < 100 || faultless < 30 {
		t.Errorf("only %d reports with and %d without a fault were judged", faults, faultless)
	}
	if right := percent(right, said); right < 90 {
		t.Errorf("%.1f %% right, want at least 90 %%", right)
	}
	if said := percent(said, faults); said < 35 {
		t.Errorf("%.1f %% answered, want at least 35 %%", said)
	}
	if alarms := percent(len(alarms), faultless); alarms > 5 {
		t.Errorf("%.1f %% of those without a fault, all of which speak of GPUs, got an answer, want at most 5 %%", alarms)
	}
}

// A few reports that stand here teach what tells them apart.
func TestLearn(t *testing.T) {
	var all []heard
	for class, texts := range map[ID][]string{
		"shm-too-small":     {"the loader dies with several workers", "workers of the loader die, one worker is fine", "with more workers the loader of my training dies"},
		"thermal-throttled": {"the card gets hot and slow", "it is hot and after a minute slow", "so hot that it becomes slow in the summer"},
		wordingNone:         {"the page does not open", "is there a newsletter for the page", "the page of the model opens slowly"},
		healthyID:           {"the list is empty and all is well", "it is well but the list is empty", "an empty list, all well"},
	} {
		for i, text := range texts {
			all = append(all, heard{corpusCase: corpusCase{ID: fmt.Sprint(class, i), Text: text}, class: class, all: features(text)})
		}
	}
	table := learn(all)
	slices.Reverse(all)
	if learn(all) != table {
		t.Error("another order teaches otherwise")
	}
	w, err := parseWording(table)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]ID{
		"Eight workers, and the loader dies.": "shm-too-small", "Hot as the summer, slow as ever.": "thermal-throttled",
		"The newsletter has a page.": wordingNone, "An empty list.": healthyID,
	} {
		l := w.like(&report{lines: []string{text}})
		for c, id := range w.classes {
			if margin := l.margin[c]; (id == want) != (margin > 0) {
				t.Errorf("%q: %.2f for %s", text, margin, id)
			}
		}
	}
}

func TestParseWording(t *testing.T) {
	const head = "# from reports\n9 0.01\na 1\nb 0\n"
	w, err := parseWording(head + "\nw\t2 0:-3 1:4\n")
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.lookUp([]string{"w", "other"})
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
		"no reports": "w\tx 0:1", "below": "w\t-1 0:1", "no class": "w\t2 x:1", "a class too many": "w\t2 2:1", "no weight": "w\t2 0:", "no colon": "w\t2 0",
	} {
		w, err := parseWording(head + "\n" + line + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if found, err := w.lookUp([]string{"w"}); err == nil {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// Every line of the table is one that lookUp reads.
func TestWordingParses(t *testing.T) {
	w := learntWording()
	var words []string
	for line := range strings.Lines(w.lines) {
		word, _, _ := strings.Cut(line, "\t")
		words = append(words, word)
	}
	found, err := w.lookUp(words)
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
			return explanation(s.said.weigh(nil, learntWording))
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
