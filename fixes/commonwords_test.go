package fixes

import (
	"slices"
	"strings"
	"testing"
)

// commonWords are those that logs of healthy machines with GPUs have in line after line. What they alone would have
// tried, every line of such a log would pay for.
var commonWords = strings.Fields(`gpu cuda nvidia nvml torch docker container containers containerd runtime driver drivers device devices module
	kernel image images server service engine model models memory vram process processes used utilization usage total loaded loading started
	running run info debug warning time date step epoch loss rank worker version name status state id host port path file done ok healthy
	level default config power`)

// figures are those that messages have, as logs of trainings show them by chance: losses, seconds, counts. Of 137 and 535
// little else is said.
var figures = strings.Fields(`time date step epoch loss lr rank tokens it/s seconds batch grad_norm eta total 0 0.0 1.12 2.01 7.03 8.09 9.01 17.03 18.06
	19.01 12.4 35 79 100 135 139 143 190 222 304 401 450.80 470.1 525.6 550 570 580 600 660 800 804 999 1060 2080 4090 5090`)

// No message is looked for by such words alone, or by figures, however many of them a line has: the expression, or one of
// its alternatives, needs a rarer word.
func TestCommonWordsFindNothing(t *testing.T) {
	x := symptoms()
	for _, words := range [][]string{commonWords, figures} {
		line := lineOf(strings.Join(words, "~"))
		for _, s := range x.symptoms {
			if s.Prose { // not looked for in long texts
				continue
			}
			common := slices.ContainsFunc(s.Literals, func(l string) bool {
				return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(word, l) })
			})
			if common && patternOf(s.Match, "i").possible(line) {
				t.Errorf("%s: %s is tried wherever common words stand: let it need a rarer one", x.entries[s.entry].ID, s.Match)
			}
		}
	}
}
