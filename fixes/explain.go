package fixes

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
)

// Explanation is what a text says about GPUs: the answer first. Findings is empty where the GPU plays no
// part in it; a text that looks bad and is harmless gives the one finding "healthy".
type Explanation struct {
	SchemaVersion int       `json:"schemaVersion"`
	Findings      []Finding `json:"findings"`
	Related       []Finding `json:"related"` // less likely, or next to it
}

// Text is a text to explain. Name says where it comes from: a file, "logs of trainer".
type Text struct {
	Name        string
	Reader      io.Reader
	FromProgram bool // no person wrote it: no symptom of prose is looked for
}

// Explain reads a text to its end and names the cause of what it complains about.
func Explain(r io.Reader) (Explanation, error) { return ExplainTexts(Text{Reader: r}) }

// ExplainString explains the error message of a program.
func ExplainString(name, text string) Explanation {
	e, _ := ExplainTexts(Text{Name: name, Reader: strings.NewReader(text), FromProgram: true}) // reading from memory does not fail
	return e
}

// ExplainTexts explains several texts as the parts of one report. Those that could be read count, even
// where another fails. Where no message in them is known, or only weak signs of a cause, and people wrote them, their
// words are judged.
func ExplainTexts(texts ...Text) (Explanation, error) {
	var words spoken
	e, err := explainMessages(&words, texts...)
	if err == nil && words.shown <= wordingWeak {
		e = words.likeliest(e, learntWording)
	}
	return e, err
}

// explainMessages looks for the messages of the table alone, and keeps what was said for words.
func explainMessages(words *spoken, texts ...Text) (Explanation, error) {
	s := newScanner(symptoms())
	s.said = words
	var failed []error
	for _, t := range texts {
		if err := s.scan(t.Name, t.Reader, !t.FromProgram); err != nil {
			failed = append(failed, err)
		}
	}
	e := conclude(s.index.entries, s.signs)
	if words != nil && len(e.Findings) > 0 {
		words.heard = true
		for _, sign := range s.signs {
			if entry := s.index.entries[sign.entry]; entry.ID == e.Findings[0].ID {
				words.shown = max(words.shown, sign.weight)
				words.heard = words.heard && sign.symptom >= 0 && entry.Symptoms[sign.symptom].Prose
			}
		}
	}
	return e, errors.Join(failed...)
}

const healthyID ID = "healthy"

const (
	evidenceMax   = 3 // pieces of evidence of a finding
	relatedMax    = 5
	explainsSlack = 25 // how much weaker a cause's sign may be than the consequence's that it explains,
	proseSlack    = 10 // and one in what somebody says, which holds for much besides
)

// candidate is a cause with the signs of it.
type candidate struct {
	entry  *Entry
	signs  []sign
	weight int // of the surest sign
	reach  int // the weight up to which it explains others
	order  int
}

// conclude ranks what was found: causes before their consequences, then what shows it most surely, then
// what comes first.
func conclude(entries []Entry, signs []sign) Explanation {
	e := Explanation{SchemaVersion: 1, Findings: []Finding{}, Related: []Finding{}}
	var all []*candidate
	for _, s := range signs {
		i := slices.IndexFunc(all, func(c *candidate) bool { return c.entry == &entries[s.entry] })
		if i < 0 {
			i = len(all)
			all = append(all, &candidate{entry: &entries[s.entry], order: s.order})
		}
		c := all[i]
		c.signs = append(c.signs, s)
		c.weight = max(c.weight, s.weight)
		slack := explainsSlack
		if s.symptom >= 0 && c.entry.Symptoms[s.symptom].Prose {
			slack = proseSlack
		}
		c.reach = max(c.reach, s.weight+slack)
		c.order = min(c.order, s.order)
	}
	told := func(c *candidate) bool { return slices.ContainsFunc(c.signs, func(s sign) bool { return !s.aside }) }
	if slices.ContainsFunc(all, told) {
		all = slices.DeleteFunc(all, func(c *candidate) bool { return !told(c) })
	}
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(c *candidate) bool { return c.entry.ID == healthyID })
	}
	folded := map[ID][]ID{}
	rest := slices.Clone(all)
	for _, c := range all {
		for _, cause := range all {
			if cause != c && cause.reach >= c.weight && slices.Contains(cause.entry.Explains, c.entry.ID) {
				folded[cause.entry.ID] = append(folded[cause.entry.ID], c.entry.ID)
				rest = slices.DeleteFunc(rest, func(r *candidate) bool { return r == c })
			}
		}
	}
	slices.SortStableFunc(rest, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.order, b.order))
	})
	for i, c := range rest {
		slices.SortStableFunc(c.signs, func(a, b sign) int {
			return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.order, b.order))
		})
		var evidence []Evidence
		for _, s := range c.signs {
			if len(evidence) < evidenceMax && !slices.Contains(evidence, s.evidence) {
				evidence = append(evidence, s.evidence)
			}
		}
		f := NewFinding(c.entry.ID, evidence...)
		f.Folded = folded[c.entry.ID]
		switch {
		case i == 0:
			e.Findings = append(e.Findings, f)
		case len(e.Related) < relatedMax:
			e.Related = append(e.Related, f)
		}
	}
	return e
}
