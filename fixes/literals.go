package fixes

import (
	"slices"
	"strings"
)

// automaton finds which of many literals occur in bytes that come piece by piece (Aho and Corasick,
// 1975). It looks at letters, digits and punctuation only: blanks, line ends, quotes, backslashes,
// control characters and everything beyond ASCII are skipped, so that a message is found however it was
// wrapped, quoted or padded. Letters match in either case.
type automaton struct {
	classes int
	class   [256]uint8 // 0: skipped
	child   []int32    // first child of a state, 0: none
	next    []int32    // next sibling
	label   []uint8    // class of the edge that leads to a state
	fail    []int32
	depth   []uint8
	output  [][]int32 // literals that end at a state, those of its suffixes included
}

// classed gives the character that stands for b in literals, or 0 where b is skipped.
func classed(b byte) byte {
	switch {
	case b <= ' ' || b >= 0x7f || b == '"' || b == '\'' || b == '`' || b == '\\':
		return 0
	case 'A' <= b && b <= 'Z':
		return b + 'a' - 'A'
	}
	return b
}

// squash is s as the automaton sees it.
func squash(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if c := squashed[s[i]]; c != 0 {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// squashed is [classed] of every byte.
var squashed = func() (of [256]byte) {
	for b := range of {
		of[b] = classed(byte(b))
	}
	return of
}()

func newAutomaton(literals []string) *automaton {
	a := &automaton{child: []int32{0, 0}, next: []int32{0, 0}, label: []uint8{0, 0}, depth: []uint8{0, 0}, output: [][]int32{nil, nil}}
	var used [256]bool
	for _, l := range literals {
		for i := range len(l) {
			used[l[i]] = true
		}
	}
	// Class 1 is everything that stands in no literal; state 1 is the root, 0 means "none".
	var classOf [256]uint8
	a.classes = 2
	for c := range 256 {
		if used[c] {
			classOf[c] = uint8(a.classes)
			a.classes++
		}
	}
	for b := range 256 {
		if c := classed(byte(b)); c != 0 {
			a.class[b] = max(classOf[c], 1)
		}
	}
	for id, l := range literals {
		state := int32(1)
		for i := range len(l) {
			state = a.grow(state, classOf[l[i]])
		}
		a.output[state] = append(a.output[state], int32(id))
	}
	a.link()
	return a
}

func (a *automaton) edge(state int32, class uint8) int32 {
	for s := a.child[state]; s != 0; s = a.next[s] {
		if a.label[s] == class {
			return s
		}
	}
	return 0
}

func (a *automaton) grow(state int32, class uint8) int32 {
	if s := a.edge(state, class); s != 0 {
		return s
	}
	s := int32(len(a.child))
	a.child = append(a.child, 0)
	a.next = append(a.next, a.child[state])
	a.label = append(a.label, class)
	a.depth = append(a.depth, uint8(min(int(a.depth[state])+1, 255)))
	a.output = append(a.output, nil)
	a.child[state] = s
	return s
}

// link sets the failure links, breadth first.
func (a *automaton) link() {
	a.fail = make([]int32, len(a.child))
	queue := []int32{1}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		for s := a.child[state]; s != 0; s = a.next[s] {
			queue = append(queue, s)
			a.fail[s] = 1
			if state == 1 {
				continue
			}
			for f := a.fail[state]; ; f = a.fail[f] {
				if to := a.edge(f, a.label[s]); to != 0 {
					a.fail[s] = to
					break
				}
				if f == 1 {
					break
				}
			}
			if more := a.output[a.fail[s]]; len(more) > 0 {
				a.output[s] = append(slices.Clip(a.output[s]), more...)
			}
		}
	}
}

// literalSearch is one search through one text: the automaton with the transitions computed so far.
type literalSearch struct {
	a     *automaton
	shift uint
	table []uint32 // next state by state and class, 0 where not computed yet; hasOutput marks states with output
	state uint32
}

const hasOutput = 1 << 31

func (a *automaton) search() *literalSearch {
	s := &literalSearch{a: a, state: 1}
	for 1<<s.shift < a.classes {
		s.shift++
	}
	s.table = make([]uint32, len(a.child)<<s.shift)
	return s
}

// feed searches on in b and calls hit with the literals that end there.
func (s *literalSearch) feed(b []byte, hit func(literals []int32)) {
	state, class, table, shift := s.state, &s.a.class, s.table, s.shift
	for _, c := range b {
		k := class[c]
		if k == 0 {
			continue
		}
		to := table[state<<shift|uint32(k)]
		if to == 0 {
			to = s.step(state, k)
		}
		if to&hasOutput != 0 {
			to &^= hasOutput
			hit(s.a.output[to])
		}
		state = to
	}
	s.state = state
}

// step computes one transition.
func (s *literalSearch) step(state uint32, class uint8) uint32 {
	to := int32(1)
	for f := int32(state); ; f = s.a.fail[f] {
		if e := s.a.edge(f, class); e != 0 {
			to = e
			break
		}
		if f == 1 {
			break
		}
	}
	next := uint32(to)
	if len(s.a.output[to]) > 0 {
		next |= hasOutput
	}
	s.table[state<<s.shift|uint32(class)] = next
	return next
}

// within tells if the search stands so deep in a literal that the next line may go on with it.
func (s *literalSearch) within() bool { return s.a.depth[s.state] >= 4 }
