package fixes

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A short text, whose literals alone are looked for, shows the very signs that it shows among all literals, however it
// was pasted.
func TestShortTexts(t *testing.T) {
	t.Parallel()
	short := newSymptomIndex(symptomEntries())
	whole := newSymptomIndex(symptomEntries())
	whole.short = func([]byte) *literalIndex { return whole.whole() }
	signs := func(x *symptomIndex, text string) []sign {
		s := newScanner(x)
		if err := s.scan("", strings.NewReader(text), true); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(s.signs, func(a, b sign) int { return cmp.Or(cmp.Compare(a.entry, b.entry), cmp.Compare(a.symptom, b.symptom)) })
		return s.signs
	}
	forms := slices.Sorted(maps.Keys(corpusForms))
	for _, part := range corpusParts {
		for i, c := range readCorpus(t, part) {
			some := forms[i/20%len(forms):][:1]
			if *corpusAll {
				some = forms
			} else if i%20 != 0 {
				continue
			}
			for _, form := range append([]string{""}, some...) {
				text := c.Text
				if form != "" {
					text = corpusForms[form](c.plain)
				}
				if got, want := signs(short, text), signs(whole, text); !slices.Equal(got, want) {
					t.Errorf("%s %s: %v, among all literals %v", c.ID, form, got, want)
				}
			}
		}
	}
}
