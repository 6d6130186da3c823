package fixes

import (
	"cmp"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A program is an expression made for the one question that the search asks: does it match somewhere in
// this text. The standard library's engine also tells where, and pays for that at each character with
// every place in the expression that could be the one; here those places are taken together as a state,
// and what a state becomes at a character is worked out once (Thompson, 1968).
type program struct {
	inst    []syntax.Inst
	start   uint32
	ascii   [utf8.RuneSelf]uint8 // class of a character: those that no instruction tells apart share one
	bounds  []rune               // where the classes of the others begin
	classes []uint8              // of bounds
	example []rune               // a character of each class; the last class is the end of the text
	chain   []chainPlace         // by instruction
}

// chainPlace is an instruction's place in a chain: x{0,3} is x(x(x)?)?, and who waits at an earlier x can
// do all that who waits at a later one can. One of them is enough, so that .{0,200} does not multiply states.
type chainPlace struct{ id, at int32 }

// newProgram is nil for what this cannot do.
func newProgram(parsed *syntax.Regexp) *program {
	prog, err := syntax.Compile(parsed)
	if err != nil || len(prog.Inst) > 20_000 {
		return nil
	}
	p := &program{inst: prog.Inst, start: uint32(prog.Start)}
	if !p.classify() {
		return nil
	}
	p.findChains()
	return p
}

func isRune(op syntax.InstOp) bool {
	return op == syntax.InstRune || op == syntax.InstRune1 || op == syntax.InstRuneAny || op == syntax.InstRuneAnyNotNL
}

// takes tells if an instruction takes a character.
func takes(i *syntax.Inst, r rune) bool {
	switch i.Op {
	case syntax.InstRune, syntax.InstRune1:
		return i.MatchRune(r)
	case syntax.InstRuneAny:
		return true
	case syntax.InstRuneAnyNotNL:
		return r != '\n'
	}
	return false
}

func sameRunes(a, b *syntax.Inst) bool {
	return a.Op == b.Op && a.Arg == b.Arg && slices.Equal(a.Rune, b.Rune)
}

// classify sorts characters into classes.
func (p *program) classify() bool {
	bounds := []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1, utf8.RuneSelf}
	var kinds []*syntax.Inst // instructions that differ in what they take
	for i := range p.inst {
		in := &p.inst[i]
		if !isRune(in.Op) || slices.ContainsFunc(kinds, func(k *syntax.Inst) bool { return sameRunes(k, in) }) {
			continue
		}
		kinds = append(kinds, in)
		if len(in.Rune) == 1 {
			bounds = append(bounds, in.Rune[0], in.Rune[0]+1)
			for r := unicode.SimpleFold(in.Rune[0]); r != in.Rune[0]; r = unicode.SimpleFold(r) {
				bounds = append(bounds, r, r+1)
			}
			continue
		}
		for j := 0; j+1 < len(in.Rune); j += 2 {
			bounds = append(bounds, in.Rune[j], in.Rune[j+1]+1)
		}
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	known := map[string]uint8{}
	signature := make([]byte, len(kinds)+1)
	for i, from := range bounds {
		for k, in := range kinds {
			signature[k] = 0
			if takes(in, from) {
				signature[k] = 1
			}
		}
		signature[len(kinds)] = kindOf(from)
		class, ok := known[string(signature)]
		if !ok {
			if len(p.example) >= 250 {
				return false
			}
			class = uint8(len(p.example))
			known[string(signature)] = class
			p.example = append(p.example, from)
		}
		to := rune(utf8.RuneSelf)
		if i+1 < len(bounds) {
			to = min(to, bounds[i+1])
		}
		for r := from; r < to; r++ {
			p.ascii[r] = class
		}
		if from >= utf8.RuneSelf {
			p.bounds, p.classes = append(p.bounds, from), append(p.classes, class)
		}
	}
	p.example = append(p.example, -1)
	return true
}

// kindOf is what an assertion needs to know of the character beside it.
func kindOf(r rune) uint8 {
	switch {
	case r < 0:
		return 0
	case r == '\n':
		return 1
	case syntax.IsWordChar(r):
		return 2
	}
	return 3
}

// kindRune stands for all characters of a kind.
var kindRune = [...]rune{-1, '\n', 'a', ' '}

func (p *program) findChains() {
	next := map[uint32]uint32{} // from the branch before one x to the branch before the next
	follows := map[uint32]bool{}
	for pc := range p.inst {
		a := &p.inst[pc]
		if a.Op != syntax.InstAlt || !isRune(p.inst[a.Out].Op) {
			continue
		}
		to := p.inst[a.Out].Out
		if b := &p.inst[to]; b.Op == syntax.InstAlt && to != uint32(pc) && b.Arg == a.Arg && isRune(p.inst[b.Out].Op) && sameRunes(&p.inst[a.Out], &p.inst[b.Out]) {
			next[uint32(pc)] = to
			follows[to] = true
		}
	}
	p.chain = make([]chainPlace, len(p.inst))
	id := int32(0)
	for pc := range p.inst {
		if _, ok := next[uint32(pc)]; !ok || follows[uint32(pc)] {
			continue
		}
		id++
		for at, here := int32(0), uint32(pc); ; at++ {
			p.chain[p.inst[here].Out] = chainPlace{id, at}
			to, ok := next[here]
			if !ok || at > int32(len(p.inst)) {
				break
			}
			here = to
		}
	}
}

func (p *program) class(r rune) uint8 {
	i, ok := slices.BinarySearch(p.bounds, r)
	if !ok {
		i--
	}
	return p.classes[i]
}

// matcher runs a program and keeps what it has worked out. It is for one goroutine.
type matcher struct {
	*program
	table   []int32 // next state by state and class: 0 is not worked out yet, accepted is a match
	states  []matcherState
	known   map[string]int32
	seen    []uint32 // by instruction: mark of the closure that has been there
	mark    uint32
	size    int // of all of it, roughly, in bytes
	refused int // texts that made too many states

	stack, took, to []uint32 // room for step
	key             []byte
}

// matcherState is a row of the table. States are numbered by where their rows begin.
type matcherState struct {
	before uint8 // kind of the character before
	at     []uint32
}

const (
	accepted       = -1
	matcherStates  = 3000 // kept at the same time
	matcherPays    = 6    // characters for each of them at the least: else the standard library is as quick
	matcherRefuses = 4    // so many texts that did not pay are enough to know
)

func newMatcher(p *program) *matcher {
	m := &matcher{program: p, seen: make([]uint32, len(p.inst))}
	m.reset()
	return m
}

// reset forgets all states.
func (m *matcher) reset() {
	m.states, m.known, m.size = append(m.states[:0], matcherState{}), map[string]int32{}, 4*len(m.inst)
	m.table = append(m.table[:0], make([]int32, len(m.example))...) // there is no state 0
}

// match tells if the program matches somewhere in the text, and whether it could tell.
func (m *matcher) match(text string) (is, sure bool) {
	if m.refused >= matcherRefuses {
		return false, false
	}
	state := m.state(0, nil)
	since := 0
	for i := 0; i < len(text); {
		var class int32
		if c := text[i]; c < utf8.RuneSelf {
			class = int32(m.ascii[c])
			i++
		} else {
			r, size := utf8.DecodeRuneInString(text[i:])
			class = int32(m.class(r))
			i += size
		}
		to := m.table[state+class]
		if to == 0 {
			if len(m.states) > matcherStates {
				if i-since < matcherPays*matcherStates && since > 0 {
					m.refused++
					return false, false
				}
				here := m.states[state/int32(len(m.example))]
				m.reset()
				state, since = m.state(here.before, here.at), i
			}
			to = m.step(state, class)
		}
		if to == accepted {
			return true, true
		}
		state = to
	}
	end := int32(len(m.example) - 1)
	to := m.table[state+end]
	if to == 0 {
		to = m.step(state, end)
	}
	return to == accepted, true
}

// step works out what a state becomes at a character of a class.
func (m *matcher) step(state, class int32) int32 {
	s, r := m.states[state/int32(len(m.example))], m.example[class]
	flags := syntax.EmptyOpContext(kindRune[s.before], kindRune[kindOf(r)])
	m.mark++
	m.took = m.took[:0]
	matched := false
	m.stack = append(append(m.stack[:0], m.start), s.at...)
	for len(m.stack) > 0 && !matched {
		pc := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if m.seen[pc] == m.mark {
			continue
		}
		m.seen[pc] = m.mark
		switch in := &m.inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			m.stack = append(m.stack, in.Arg, in.Out)
		case syntax.InstCapture, syntax.InstNop:
			m.stack = append(m.stack, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^flags == 0 {
				m.stack = append(m.stack, in.Out)
			}
		case syntax.InstMatch:
			matched = true
		case syntax.InstFail:
		default:
			if r >= 0 && takes(in, r) {
				m.took = append(m.took, pc)
			}
		}
	}
	to := int32(accepted)
	if !matched {
		to = m.state(kindOf(r), m.onward())
	}
	m.table[state+class] = to
	return to
}

// onward is where those that took the character go, of each chain only the one that waits earliest.
func (m *matcher) onward() []uint32 {
	slices.SortFunc(m.took, func(a, b uint32) int {
		x, y := m.chain[a], m.chain[b]
		return cmp.Or(int(x.id-y.id), int(x.at-y.at))
	})
	m.to = m.to[:0]
	for i, pc := range m.took {
		if id := m.chain[pc].id; id != 0 && i > 0 && m.chain[m.took[i-1]].id == id {
			continue
		}
		m.to = append(m.to, m.inst[pc].Out)
	}
	slices.Sort(m.to)
	return slices.Compact(m.to)
}

// state is the number of a state, new or known.
func (m *matcher) state(before uint8, at []uint32) int32 {
	m.key = append(m.key[:0], before)
	for _, pc := range at {
		m.key = append(m.key, byte(pc), byte(pc>>8))
	}
	if id, ok := m.known[string(m.key)]; ok {
		return id
	}
	id := int32(len(m.table))
	m.states = append(m.states, matcherState{before, slices.Clone(at)})
	for range m.example {
		m.table = append(m.table, 0)
	}
	m.known[string(m.key)] = id
	m.size += 4*len(m.example) + 6*len(at) + 100
	return id
}
