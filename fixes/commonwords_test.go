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

// No message is looked for by such words alone, however many of them a line has: the expression, or one of its
// alternatives, needs a rarer one.
func TestCommonWordsFindNothing(t *testing.T) {
	line := lineOf(strings.Join(commonWords, "~"))
	x := symptoms()
	for _, s := range x.symptoms {
		if s.Prose { // not looked for in long texts
			continue
		}
		common := slices.ContainsFunc(s.Literals, func(l string) bool {
			return slices.ContainsFunc(commonWords, func(word string) bool { return strings.Contains(word, l) })
		})
		if common && patternOf(s.Match, "i").possible(line) {
			t.Errorf("%s: %s is tried wherever common words stand: let it need a rarer one", x.entries[s.entry].ID, s.Match)
		}
	}
}
