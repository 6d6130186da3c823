package fixes

import (
	"regexp/syntax"
	"slices"
	"strings"
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
	refused int // texts with too many states
}

type matcherState struct {
	before uint8 // kind of the character before
	at     []uint32
}

const (
	accepted        = -1
	matcherFirst    = 1    // the state before the first character; 0 is none
	matcherStates   = 2000 // in one text: more, and the standard library does it
	matcherRefusals = 4
)

func newMatcher(p *program) *matcher {
	m := &matcher{program: p, seen: make([]uint32, len(p.inst)), known: map[string]int32{}, size: 4 * len(p.inst)}
	m.states = append(m.states, matcherState{})
	m.table = append(m.table, make([]int32, len(p.example))...)
	m.state(0, nil)
	return m
}

// match tells if the program matches somewhere in the text, and whether it could tell.
func (m *matcher) match(text string) (is, sure bool) {
	if m.refused >= matcherRefusals {
		return false, false
	}
	n, state, limit := len(m.example), int32(matcherFirst), len(m.states)+matcherStates
	for i := 0; i < len(text); {
		var class uint8
		if c := text[i]; c < utf8.RuneSelf {
			class = m.ascii[c]
			i++
		} else {
			r, size := utf8.DecodeRuneInString(text[i:])
			class = m.class(r)
			i += size
		}
		to := m.table[int(state)*n+int(class)]
		if to == 0 {
			if to = m.step(state, int(class)); len(m.states) > limit {
				m.refused++
				return false, false
			}
		}
		if to == accepted {
			return true, true
		}
		state = to
	}
	end := m.table[int(state)*n+n-1]
	if end == 0 {
		end = m.step(state, n-1)
	}
	return end == accepted, true
}

// step works out what a state becomes at a character of a class.
func (m *matcher) step(state int32, class int) int32 {
	s, r := m.states[state], m.example[class]
	flags := syntax.EmptyOpContext(kindRune[s.before], kindRune[kindOf(r)])
	m.mark++
	var waiting []uint32
	matched := false
	stack := append([]uint32{m.start}, s.at...)
	for len(stack) > 0 && !matched {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if m.seen[pc] == m.mark {
			continue
		}
		m.seen[pc] = m.mark
		switch in := &m.inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, in.Arg, in.Out)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^flags == 0 {
				stack = append(stack, in.Out)
			}
		case syntax.InstMatch:
			matched = true
		case syntax.InstFail:
		default:
			if r >= 0 && takes(in, r) {
				waiting = append(waiting, pc)
			}
		}
	}
	to := int32(accepted)
	if !matched {
		to = m.state(kindOf(r), m.onward(waiting))
	}
	m.table[int(state)*len(m.example)+class] = to
	return to
}

// onward is where those that took the character go, of each chain only the one that waits earliest.
func (m *matcher) onward(took []uint32) []uint32 {
	slices.SortFunc(took, func(a, b uint32) int {
		x, y := m.chain[a], m.chain[b]
		if x.id != y.id {
			return int(x.id - y.id)
		}
		if x.at != y.at {
			return int(x.at - y.at)
		}
		return int(a) - int(b)
	})
	var to []uint32
	for i, pc := range took {
		if id := m.chain[pc].id; id != 0 && i > 0 && m.chain[took[i-1]].id == id {
			continue
		}
		to = append(to, m.inst[pc].Out)
	}
	slices.Sort(to)
	return slices.Compact(to)
}

// state is the number of a state, new or known.
func (m *matcher) state(before uint8, at []uint32) int32 {
	var key strings.Builder
	key.WriteByte(before)
	for _, pc := range at {
		key.Write([]byte{byte(pc), byte(pc >> 8)})
	}
	if id, ok := m.known[key.String()]; ok {
		return id
	}
	id := int32(len(m.states))
	m.states = append(m.states, matcherState{before, at})
	m.table = append(m.table, make([]int32, len(m.example))...)
	m.known[key.String()] = id
	m.size += 4*len(m.example) + 6*len(at) + 100
	return id
}
