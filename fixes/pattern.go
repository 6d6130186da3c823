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

// pattern is an expression of the table with what a text must hold at the least for it to match: far
// quicker to look for than the expression itself.
type pattern struct {
	needs   [][]string // of each, one must occur in the squashed text
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
		p.needs = n.all
		if len(n.exact) > 0 {
			p.needs = append(p.needs, n.exact)
		}
		for i := range p.needs {
			p.needs[i] = least(p.needs[i])
		}
		p.needs = slices.DeleteFunc(p.needs, func(set []string) bool { return shortest(set) == 0 })
		slices.SortFunc(p.needs, func(a, b []string) int { return shortest(b) - shortest(a) })
	}
	actual, _ := patterns.LoadOrStore(key, p)
	return actual.(*pattern)
}

// possible tells if a text, squashed, has what the pattern needs.
func (p *pattern) possible(squashed string) bool {
	for _, set := range p.needs {
		if !slices.ContainsFunc(set, func(s string) bool { return strings.Contains(squashed, s) }) {
			return false
		}
	}
	return true
}

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
	all         [][]string // sets, of each of which one must occur
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
		if slices.Contains(everyday, s) {
			n = max(n-5, 1)
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
			return need{best: sub.exact, all: [][]string{sub.exact}}
		}
		return need{best: sub.best, all: sub.all}
	case syntax.OpAlternate:
		all := need{exact: []string{}, best: []string{}}
		for _, s := range re.Sub {
			n := needs(s)
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
		if len(all.best) > 0 {
			all.all = [][]string{all.best}
		}
		if all.exact != nil {
			slices.Sort(all.exact)
			all.exact = slices.Compact(all.exact)
		}
		return all
	case syntax.OpConcat:
		var best []string
		var all [][]string
		run := []string{""}
		whole := true
		flush := func() {
			if shortest(run) > 0 {
				all = append(all, least(run))
			}
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
