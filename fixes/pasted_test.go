package fixes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pastedLoss is how many answers, in percent, what people paste around a report may cost: some of it does speak against what
// they tell.
const pastedLoss = 12

// TestCorpusAmongWhatIsPasted puts healthy outputs, files and templates around reports, and other people's guesses below them.
func TestCorpusAmongWhatIsPasted(t *testing.T) {
	const step = 150 // one case in so many, unless all are asked for
	var sample []corpusCase
	for i, c := range readCorpus(t, "dev") {
		if c.Expect == "" || c.Expect == healthyID || !*corpusAll && i%step != 0 {
			continue
		}
		if got, guess := answer(t, c.plain); got == c.Expect && !guess { // what words tell, other words hide
			sample = append(sample, c)
		}
	}
	files, err := filepath.Glob("testdata/pasted/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing to paste: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before, after, ok := strings.Cut(string(body), "{{report}}")
			if !ok {
				t.Fatal("has no place for a report")
			}
			lost := 0
			for _, c := range sample {
				if got, _ := answer(t, before+strings.TrimRight(c.plain, "\n")+after); got != c.Expect && !slices.Contains(c.Also, got) {
					lost++
					if *corpusTexts {
						t.Logf("%s got %s", c.ID, name(got))
					}
				}
			}
			t.Logf("%d of %d lost", lost, len(sample))
			if share := percent(lost, len(sample)); share > pastedLoss {
				t.Errorf("costs %.1f %% of the answers, want at most %d %%", share, pastedLoss)
			}
		})
	}
}
