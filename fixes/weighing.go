package fixes

import (
	"cmp"
	"math"
	"slices"
)

// Symptoms know messages, words know how reports are worded, and each is right where the other is wrong. So they are weighed
// together. Where symptoms show a cause, the chance of each grows with how much the words are those of its reports, and with
// that symptoms show it first; the shares were learnt by conditional logistic regression. Where they show none, a cause is
// named if words are sure of it: how sure they must be was learnt by logistic regression from what told right answers from
// all else. Both were learnt from reports that neither the words nor the symptoms had been made from.
const (
	shareWords   = 5.3   // of a cause's margin
	shareFirst   = 3.5   // for the cause that symptoms show first
	shareHealthy = 4.2   // for that all is well,
	shareWell    = 3.1   // where symptoms show that,
	shareNone    = -0.35 // and for that there is no fault
	likelyEnough = 0.4   // the chance from which another cause is named than symptoms show,
	likelyNone   = 0.5   // and from which there is none
	vetoed       = 50    // the weight of what is only heard up to which there can be none

	sureEnough  = 1.75
	sureBias    = -1.25
	sureMargin  = -0.5
	sureDoubt   = 3.5   // for a margin below 0
	sureNext    = 1.05  // for the distance to the next cause
	sureNone    = -2.1  // for the margin of there being no fault
	sureKnown   = 0.33  // for e times as many known words,
	sureLines   = -1.3  // and lines
	sureSilent  = -1.3  // where nobody says a sentence,
	sureListed  = -0.4  // or nothing that is amiss beside a tool's output,
	sureAside   = -0.1  // of GPUs nothing is said,
	sureContent = -0.35 // and nothing is amiss

	guessedRelated = 2 // the next likely causes that are told
	knownLeast     = 3 // words that must be known
)

// weigh puts the causes that symptoms show in the order of their chances, and adds the one that words tell where it is the
// likeliest.
func (s *spoken) weigh(shown []*candidate, learnt func() *wording) []*candidate {
	r := s.report()
	if r == nil || slices.ContainsFunc(s.of, func(w *window) bool { return w.is() != aReport }) {
		return shown // a log, a page or a program, not somebody's words
	}
	if len(shown) == 0 && !r.complains {
		return nil // and the table is not even read
	}
	w := learnt()
	if w == nil || slices.ContainsFunc(shown, func(c *candidate) bool { return !slices.Contains(w.classes, c.entry.ID) }) {
		return shown
	}
	l := w.like(r)
	switch {
	case len(l.words) < knownLeast:
		return shown
	case len(shown) == 0:
		return s.guess(w, l, r)
	}
	first := shown[0]
	if first.compared {
		return shown // what two outputs say of each other, or half a message says, is no matter of words
	}
	chance := w.chances(l, first)
	likeliest, most := 0, 0.0
	hearsay := first.heard && first.weight <= vetoed && !slices.ContainsFunc(s.of, func(w *window) bool { return w.beside || w.hasPasted })
	for class, p := range chance {
		if w.faultless(class) && w.classes[class] != first.entry.ID && !hearsay {
			continue // much that is well stands beside what is not
		}
		if p > most {
			likeliest, most = class, p
		}
	}
	id := w.classes[likeliest]
	enough := likelyEnough
	if w.faultless(likeliest) {
		enough = likelyNone
	}
	switch {
	case id == first.entry.ID, most < enough, id == wordingNone && first.entry.ID == healthyID:
		return shown
	case id == wordingNone:
		return nil
	}
	if at := slices.IndexFunc(shown, func(c *candidate) bool { return c.entry.ID == id }); at >= 0 {
		c := shown[at]
		return slices.Insert(slices.Delete(slices.Clone(shown), at, at+1), 0, c)
	}
	return slices.Insert(slices.Clone(shown), 0, s.guessed(w, l, likeliest, slices.Index(w.classes, first.entry.ID), guessAgainst))
}

// guess names the cause that words are sure of, and the next likely ones.
func (s *spoken) guess(w *wording, l likeness, r *report) []*candidate {
	order := l.order()
	faults := slices.DeleteFunc(slices.Clone(order), w.faultless)
	if len(faults) < 2 || r.sure(l, faults[0], faults[1], w) < sureEnough {
		return nil
	}
	all := []*candidate{s.guessed(w, l, faults[0], faults[1], guessUnknown)}
	for _, class := range order {
		if len(all) > guessedRelated || w.faultless(class) {
			break // what comes after is less likely than that nothing is wrong
		}
		if class != faults[0] {
			all = append(all, s.guessed(w, l, class, faults[0], guessUnknown))
		}
	}
	return all
}

// sure is how sure words are of a cause and not of the next one: above 0 it is rather right than wrong.
func (r *report) sure(l likeness, first, next int, w *wording) float64 {
	none := math.Inf(-1)
	for class, margin := range l.margin {
		if w.faultless(class) {
			none = max(none, margin)
		}
	}
	z := sureBias + sureMargin*l.margin[first] + sureDoubt*min(l.margin[first], 0) + sureNext*(l.margin[first]-l.margin[next]) + sureNone*none +
		sureKnown*math.Log(float64(len(l.words)+1)) + sureLines*math.Log(float64(len(r.lines)+1))
	for _, that := range [...]struct {
		is    bool
		share float64
	}{{!r.spoken, sureSilent}, {r.listed, sureListed}, {!r.aboutGPUs, sureAside}, {!r.laments, sureContent}} {
		if that.is {
			z += that.share
		}
	}
	return z
}

// faultless is whether reports of a class have no fault.
func (w *wording) faultless(class int) bool {
	return w.classes[class] == wordingNone || w.classes[class] == healthyID
}

// chances are those of the classes where symptoms show one first.
func (w *wording) chances(l likeness, first *candidate) []float64 {
	chance := make([]float64, len(w.classes))
	for class, id := range w.classes {
		z := shareWords * l.margin[class]
		switch {
		case id == healthyID && first.entry.ID == id:
			z += shareHealthy + shareWell
		case id == first.entry.ID:
			z += shareFirst
		case id == healthyID:
			z += shareHealthy
		case id == wordingNone:
			z += shareNone
		}
		chance[class] = z
	}
	most, sum := slices.Max(chance), 0.0
	for class, z := range chance {
		chance[class] = math.Exp(z - most)
		sum += chance[class]
	}
	for class := range chance {
		chance[class] /= sum
	}
	return chance
}

// order are the classes, the likeliest first.
func (l likeness) order() []int {
	order := make([]int, len(l.margin))
	for class := range order {
		order[class] = class
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(l.margin[b], l.margin[a]) })
	return order
}

// guessed is a class that words tell of, rather than another.
func (s *spoken) guessed(w *wording, l likeness, class, against int, reason string) *candidate {
	entry, _ := Knowledge().Entry(w.classes[class])
	return &candidate{entry: &entry, guess: &guess{reason, s.telling(l.words, class, against)}}
}

// guess is why a cause is named that no symptom shows, and by what.
type guess struct {
	reason   string
	evidence []Evidence
}

// guessSays begins the cause of a finding that rests on words, and then comes why it does.
const (
	guessSays    = "A guess: "
	guessUnknown = "no message that is known stands in this text, but reports of this cause are worded like it. "
	guessAgainst = "there are signs of another cause in this text, but it is worded like reports of this one. "
)

// finding is one that rests on words and says so.
func (g *guess) finding(id ID) Finding {
	f := NewFinding(id, g.evidence...)
	f.Cause = guessSays + g.reason + f.Cause
	decide := "`docker gpu diagnose` on the machine itself, or the error message in full, would tell."
	if f.Question != "" {
		decide = f.Question + " " + decide
	}
	f.Question = decide
	return f
}
