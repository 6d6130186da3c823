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
// where another fails. What symptoms show is weighed with what words say, where people wrote the texts.
func ExplainTexts(texts ...Text) (Explanation, error) {
	var words spoken
	shown, err := scanTexts(&words, texts...)
	if err == nil {
		shown = words.weigh(shown, learntWording)
	}
	return explanation(shown), err
}

// scanTexts looks for the symptoms of the table, and keeps what was said for words.
func scanTexts(words *spoken, texts ...Text) ([]*candidate, error) {
	s := newScanner(symptoms())
	s.said = words
	var failed []error
	for _, t := range texts {
		if err := s.scan(t.Name, t.Reader, !t.FromProgram); err != nil {
			failed = append(failed, err)
		}
	}
	return ranked(s.index.entries, s.signs), errors.Join(failed...)
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
	entry    *Entry
	signs    []sign
	weight   int  // of the surest sign
	heard    bool // that one stands in what somebody says,
	compared bool // or was no symptom's: two outputs were compared, or a message was cut
	reach    int  // the weight up to which it explains others
	order    int
	folded   []ID
	guess    *guess // nil: signs show it
}

// ranked puts what was found in order: causes before their consequences, which are folded, then what shows it most
// surely, then what comes first.
func ranked(entries []Entry, signs []sign) []*candidate {
	var all []*candidate
	for _, s := range signs {
		i := slices.IndexFunc(all, func(c *candidate) bool { return c.entry == &entries[s.entry] })
		if i < 0 {
			i = len(all)
			all = append(all, &candidate{entry: &entries[s.entry], order: s.order})
		}
		c := all[i]
		c.signs = append(c.signs, s)
		slack, heard := explainsSlack, s.symptom >= 0 && c.entry.Symptoms[s.symptom].Prose
		if heard {
			slack = proseSlack
		}
		switch {
		case s.weight > c.weight:
			c.weight, c.heard, c.compared = s.weight, heard, s.symptom < 0
		case s.weight == c.weight:
			c.heard, c.compared = c.heard && heard, c.compared || s.symptom < 0
		}
		c.reach = max(c.reach, s.weight+slack)
		c.order = min(c.order, s.order)
	}
	told := func(c *candidate) bool { return slices.ContainsFunc(c.signs, func(s sign) bool { return !s.aside }) }
	if slices.ContainsFunc(all, told) {
		all = slices.DeleteFunc(all, func(c *candidate) bool { return !told(c) })
	}
	if well := slices.IndexFunc(all, func(c *candidate) bool { return c.entry.ID == healthyID }); well >= 0 && len(all) > 1 {
		surer := func(c *candidate) bool {
			return c.weight > all[well].weight || c.weight == all[well].weight && c != all[well]
		}
		if slices.ContainsFunc(all, surer) {
			all = slices.Delete(all, well, well+1)
		} else {
			all = all[well : well+1] // only facts of the machine beside it
		}
	}
	rest := slices.Clone(all)
	for _, c := range all {
		for _, cause := range all {
			if cause != c && cause.reach >= c.weight && slices.Contains(cause.entry.Explains, c.entry.ID) {
				cause.folded = append(cause.folded, c.entry.ID)
				rest = slices.DeleteFunc(rest, func(r *candidate) bool { return r == c })
			}
		}
	}
	slices.SortStableFunc(rest, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.order, b.order))
	})
	return rest
}

// finding is what is told of a cause.
func (c *candidate) finding() Finding {
	if c.guess != nil {
		return c.guess.finding(c.entry.ID)
	}
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
	f.Folded = c.folded
	return f
}

// explanation tells of the first cause, and what else there is.
func explanation(of []*candidate) Explanation {
	e := Explanation{SchemaVersion: 1, Findings: []Finding{}, Related: []Finding{}}
	for i, c := range of {
		switch {
		case i == 0:
			f := c.finding()
			if c.guess != nil {
				f.Title = "Perhaps: " + f.Title
			}
			e.Findings = append(e.Findings, f)
		case len(e.Related) < relatedMax:
			e.Related = append(e.Related, c.finding())
		}
	}
	return e
}
