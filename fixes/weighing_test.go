package fixes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// byHand is a table in which a few words tell of two causes, of an empty list of which all is well, and of a newsletter.
func byHand(t *testing.T) *wording {
	t.Helper()
	table := "# by hand\n99999 0.01\nhealthy -150\nnot-gpu-related -150\nshm-too-small -150\nthermal-throttled -150\nxid-error -150\n\n"
	for _, word := range []struct {
		word  string
		class int
	}{{"a", -1}, {"dies", 2}, {"empty", 0}, {"find", 1}, {"hot", 3}, {"is", -1}, {"it", -1}, {"list", 0}, {"loader", 2}, {"newsletter", 1}, {"not", -1}, {"one", 2}, {"slow", 3}, {"subscribe", 1}, {"with", -1}, {"worker", 2}} {
		table += word.word + "\t9"
		if word.class >= 0 {
			table += fmt.Sprintf(" %d:200", word.class)
		}
		table += "\n"
	}
	w, err := parseWording(table)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// heardOf is what a person says.
func heardOf(t *testing.T, text string) (*spoken, []*candidate) {
	t.Helper()
	var words spoken
	shown, err := scanTexts(&words, Text{Name: "question.txt", Reader: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return &words, shown
}

const loaderDies = `Hello all,
my training on two A100 is in a container that I start by hand.
As soon as I give the loader eight workers the loader dies, with one worker it is fine.
Has somebody seen this?`

// What is guessed says so, shows the lines that tell most, and asks what would decide.
func TestGuess(t *testing.T) {
	words, shown := heardOf(t, loaderDies)
	if len(shown) > 0 {
		t.Fatalf("%+v", shown)
	}
	e := explanation(words.weigh(nil, func() *wording { return byHand(t) }))
	if len(e.Findings) != 1 || e.Findings[0].ID != "shm-too-small" || e.Findings[0].Evidence[0].Line != 3 ||
		!strings.HasPrefix(e.Findings[0].Cause, "A guess: ") || !strings.HasPrefix(e.Findings[0].Title, "Perhaps: ") || e.Findings[0].Question == "" {
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

// Words and symptoms are weighed together: what either shows surely prevails.
func TestWeigh(t *testing.T) {
	const (
		hot  = "Here the card of our trainer is hot and slow since we have it. What is it?"
		talk = "Where do I subscribe to the newsletter? I do not find the newsletter any more."
		list = "Is it a fault that the list is empty, or is it not a fault? It is a new card."
	)
	show := func(weight int, heard bool, ids ...ID) (all []*candidate) {
		for _, id := range ids {
			entry, ok := Knowledge().Entry(id)
			if !ok {
				t.Fatal(id)
			}
			all = append(all, &candidate{entry: &entry, weight: weight, heard: heard})
		}
		return all
	}
	for name, c := range map[string]struct {
		text  string
		shown []*candidate
		want  []ID
		guess bool
	}{
		"words alone":                      {loaderDies, nil, []ID{"shm-too-small"}, true},
		"nothing":                          {talk, nil, nil, false},
		"both":                             {loaderDies, show(60, false, "shm-too-small"), []ID{"shm-too-small"}, false},
		"against a sign":                   {loaderDies, show(60, true, "thermal-throttled"), []ID{"shm-too-small", "thermal-throttled"}, true},
		"not sure against one":             {"It is new, and not so with a card that is not so new. Is it with a card that it is not so new?", show(60, false, "xid-error"), []ID{"xid-error"}, false},
		"for the second of two":            {hot, show(50, true, "xid-error", "thermal-throttled"), []ID{"thermal-throttled", "xid-error"}, false},
		"no fault, against a weak sign":    {talk, show(50, true, "thermal-throttled"), nil, false},
		"no fault, against a message":      {talk, show(80, false, "thermal-throttled"), []ID{"thermal-throttled"}, false},
		"all is well, against hearsay":     {list, show(50, true, "xid-error"), []ID{healthyID, "xid-error"}, true},
		"all is well, against a message":   {list, show(50, false, "xid-error"), []ID{"xid-error"}, false},
		"all is well, as symptoms say":     {hot, show(20, false, healthyID), []ID{"thermal-throttled", healthyID}, true},
		"of a cause that words don't know": {talk, show(95, false, "gpu-lost-xid"), []ID{"gpu-lost-xid"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			words, _ := heardOf(t, c.text)
			var got []ID
			answers := words.weigh(c.shown, func() *wording { return byHand(t) })
			for _, a := range answers {
				got = append(got, a.entry.ID)
			}
			if !slices.Equal(got, c.want) || len(answers) > 0 && (answers[0].guess != nil) != c.guess {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
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
		"a long log":        strings.Repeat(about+"\n", wordingLines+1),
		"long lines":        strings.Repeat(about, wordingMax/len(about)+1),
		"longer than seen":  about + "\n" + strings.Repeat("INFO ok\n", windowSize/4),
	} {
		words, shown := heardOf(t, text)
		if got := words.weigh(shown, func() *wording { t.Errorf("%s: the table is read", name); return byHand(t) }); len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if len(words.lines) > wordingLines {
			t.Errorf("%s: %d lines are kept", name, len(words.lines))
		}
	}
	var program spoken
	if _, err := scanTexts(&program, Text{Reader: strings.NewReader(about), FromProgram: true}); err != nil || program.report() != nil {
		t.Errorf("what a program wrote is judged: %v", err)
	}
	words, _ := heardOf(t, loaderDies)
	if got := words.weigh(nil, func() *wording { return nil }); got != nil {
		t.Errorf("%+v in a build without words", got)
	}
}
