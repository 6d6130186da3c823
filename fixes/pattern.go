package fixes

import (
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
)

// lazy is an expression that is compiled when it is first asked for.
func lazy(source string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(source) })
}

// pattern is an expression of the table with what a text must hold at the least for it to match: far
// quicker to look for than the expression itself.
type pattern struct {
	needs   []clause // each must hold of the squashed text
	re      func() *regexp.Regexp
	program func() *program // for [scanner.matches]; nil where it does not go
}

var patterns sync.Map

// patternOf keeps patterns: only those that a text needs are ever compiled.
func patternOf(source, flags string) *pattern {
	key := flags + source
	if p, ok := patterns.Load(key); ok {
		return p.(*pattern)
	}
	translated := "(?" + flags + ")" + dialect(source)
	p := &pattern{re: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(translated) })}
	if parsed, err := syntax.Parse(translated, syntax.Perl); err == nil {
		simple := parsed.Simplify()
		p.program = sync.OnceValue(func() *program { return newProgram(simple) })
		n := needs(simple)
		p.needs = n.clauses()
	}
	actual, _ := patterns.LoadOrStore(key, p)
	return actual.(*pattern)
}

// possible tells if a text, squashed, has what the pattern needs.
func (p *pattern) possible(in searched) bool { return in.mayHold(p.needs) && in.hold(p.needs) }

func (p *pattern) match(text string) bool { return p.re().MatchString(text) }

// matcherMemory bounds what is kept of the matchers of a search; beyond it they are made anew.
const matcherMemory = 12 << 20

// matches is [pattern.match], and remembers for the next text what it has worked out.
func (s *scanner) matches(p *pattern, text string) bool {
	m := s.matchers[p]
	if m == nil {
		if p.program == nil || p.program() == nil {
			return p.match(text)
		}
		if s.matcherSize > matcherMemory {
			clear(s.matchers)
			s.matcherSize = 0
		}
		m = newMatcher(p.program())
		s.matchers[p] = m
		s.matcherSize += m.size
	}
	before := m.size
	is, sure := m.match(text)
	s.matcherSize += m.size - before
	if !sure {
		return p.match(text)
	}
	return is
}

// literalsOf derives strings, squashed, one of which stands in every text that the expression matches.
func literalsOf(source string) ([]string, error) {
	parsed, err := syntax.Parse("(?i)"+dialect(source), syntax.Perl)
	if err != nil {
		return nil, err
	}
	n := needs(parsed.Simplify())
	best := n.best
	if n.exact != nil && better(n.exact, best) {
		best = n.exact
	}
	if len(best) == 0 || shortest(best) < 3 {
		return best, fmt.Errorf("no literal of 3 characters is certain to occur: %q", best)
	}
	best = least(best)
	slices.Sort(best)
	return best, nil
}

// need is what an expression demands of a text: exact is every string that it can match, where these
// are few; best are strings one of which must occur: the set that is quickest to rule out.
type need struct {
	exact, best []string
	all         []clause // each must hold, beside exact
}

// clause is what a text must have: one of some strings, or, of alternatives, all that one of them demands.
type clause struct {
	one []sought
	any [][]clause
}

// clauses are all that an expression demands.
func (n need) clauses() []clause {
	all := slices.Clone(n.all)
	if n.exact != nil {
		all = append(all, oneOf(n.exact)...)
	}
	slices.SortStableFunc(all, func(a, b clause) int { return b.shortest() - a.shortest() })
	return all
}

// oneOf is the clause that one of a set is there, none where that says nothing.
func oneOf(set []string) []clause {
	set = least(set)
	if n := shortest(set); len(set) == 0 || n == 0 || n == 1 && len(set) > 8 {
		return nil
	}
	c := clause{one: make([]sought, len(set))}
	for i, text := range set {
		c.one[i] = newSought(text)
	}
	return []clause{c}
}

// shortest is the length of a clause's shortest string, 0 of alternatives.
func (c clause) shortest() int {
	if c.any != nil {
		return 0
	}
	n := 1 << 30
	for i := range c.one {
		n = min(n, len(c.one[i].text))
	}
	return n
}

// oneOfThese is the clause that what one of several expressions demands is there, none where one of them demands nothing.
func oneOfThese(expressions []need) []clause {
	any := make([][]clause, len(expressions))
	var strings []string
	for i, n := range expressions {
		any[i] = n.clauses()
		switch {
		case len(any[i]) == 0:
			return nil
		case len(any[i]) > 1 || any[i][0].any != nil:
			strings = nil
			continue
		}
		for _, s := range any[i][0].one {
			strings = append(strings, s.text)
		}
	}
	if !slices.ContainsFunc(any, func(all []clause) bool { return len(all) > 1 || all[0].any != nil }) {
		return oneOf(strings)
	}
	return []clause{{any: any}}
}

const needMax = 96

func shortest(set []string) int {
	n := 1 << 30
	for _, s := range set {
		n = min(n, len(s))
	}
	return n
}

// everyday are words that stand in many lines of the logs that this program is given: poor to search by.
var everyday = strings.Fields(`gpu gpus cuda nvidia docker container driver error failed fail device devices memory image code status
	signal need find keep card video host process using not found model server version compose worker running runtime missing
	command module library kernel service starting start loaded loading available unable cannot could without invalid unknown
	support supported permission exit value this with from have does been into only file open read write daemon config default
	limit cannotopen nosuchfile nosuchfileordirectory notfound compute graphics process active config`)

// cost estimates how often one of a set occurs in a log.
func cost(set []string) float64 {
	sum := 0.0
	for _, s := range set {
		n := min(len(s), 12)
		switch {
		case slices.Contains(everyday, s):
			n = max(n-5, 1)
		case len(s) < 5 && strings.Trim(s, ".0123456789") == "": // figures are in every line
			n = 1
		}
		sum += math.Pow(0.3, float64(n))
	}
	return sum
}

// better tells if a is the better set to search by.
func better(a, b []string) bool {
	if len(a) == 0 || shortest(a) == 0 {
		return false
	}
	if short := shortest(a) < 3; len(b) > 0 && short != (shortest(b) < 3) {
		return !short
	}
	return len(b) == 0 || cost(a) < cost(b)
}

// least is a set without the strings that hold another of it.
func least(set []string) []string {
	var out []string
	for _, s := range set {
		if !slices.ContainsFunc(set, func(o string) bool { return o != s && o != "" && strings.Contains(s, o) }) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func needs(re *syntax.Regexp) need {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return need{exact: []string{""}}
	case syntax.OpLiteral:
		return need{exact: []string{squash(string(re.Rune))}}
	case syntax.OpCharClass:
		var set []string
		count := 0
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if count++; count > 4000 {
					return need{}
				}
				if r == 'ſ' || r == '\u212a' { // what folding makes of s and k
					continue
				}
				if s := squash(string(r)); !slices.Contains(set, s) {
					set = append(set, s)
				}
				if len(set) > 12 {
					return need{}
				}
			}
		}
		return need{exact: set}
	case syntax.OpCapture:
		return needs(re.Sub[0])
	case syntax.OpQuest:
		if sub := needs(re.Sub[0]); sub.exact != nil {
			return need{exact: append([]string{""}, sub.exact...)}
		}
		return need{}
	case syntax.OpStar:
		if sub := needs(re.Sub[0]); len(sub.exact) == 1 && sub.exact[0] == "" {
			return sub // blanks and quotes, which the search skips
		}
		return need{}
	case syntax.OpPlus:
		sub := needs(re.Sub[0])
		if len(sub.exact) == 1 && sub.exact[0] == "" {
			return sub
		}
		if better(sub.exact, sub.best) {
			return need{best: sub.exact, all: oneOf(sub.exact)}
		}
		return need{best: sub.best, all: sub.all}
	case syntax.OpAlternate:
		all := need{exact: []string{}, best: []string{}}
		var each []need
		for _, s := range re.Sub {
			n := needs(s)
			each = append(each, n)
			if n.exact == nil {
				all.exact = nil
			} else if all.exact != nil {
				all.exact = append(all.exact, n.exact...)
			}
			of := n.best
			if n.exact != nil && better(n.exact, of) {
				of = n.exact
			}
			if len(of) == 0 {
				all.best = nil
			} else if all.best != nil {
				all.best = append(all.best, of...)
			}
		}
		if len(all.exact) > needMax {
			all.exact = nil
		}
		if len(all.best) > 4*needMax {
			all.best = nil
		}
		if all.exact == nil {
			all.all = oneOfThese(each)
		}
		if all.exact != nil {
			slices.Sort(all.exact)
			all.exact = slices.Compact(all.exact)
		}
		return all
	case syntax.OpConcat:
		var best []string
		var all []clause
		run := []string{""}
		whole := true
		flush := func() {
			all = append(all, oneOf(run)...)
			if run := least(run); better(run, best) {
				best = run
			}
			run = []string{""}
		}
		for _, s := range re.Sub {
			n := needs(s)
			if n.exact == nil {
				all = append(all, n.all...)
			}
			if better(n.best, best) {
				best = n.best
			}
			if n.exact == nil {
				flush()
				whole = false
				continue
			}
			if len(run)*len(n.exact) > needMax {
				flush()
				whole = false
				if len(n.exact) > needMax {
					continue
				}
			}
			var product []string
			for _, a := range run {
				for _, b := range n.exact {
					product = append(product, a+b)
				}
			}
			run = product
		}
		if whole {
			return need{exact: run, best: best, all: all}
		}
		flush()
		return need{best: best, all: all}
	}
	return need{}
}
