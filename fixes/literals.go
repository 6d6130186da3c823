package fixes

import (
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
	first   [256]int32 // child of the root by class: it has so many
	label   []uint8    // class of the edge that leads to a state
	fail    []int32
	depth   []uint8
	literal []int32 // that ends at a state, and 1; 0: none
	shorter []int32 // the longest suffix of a state at which a literal ends, 0: none
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
	most := 2 // states
	for _, l := range literals {
		most += len(l)
	}
	room := make([]int32, 5*most)
	column := func(n int) []int32 { return room[n*most : n*most+2 : (n+1)*most] }
	a := &automaton{child: column(0), next: column(1), literal: column(2), fail: column(3), shorter: column(4), label: make([]uint8, 2, most), depth: make([]uint8, 2, most)}
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
		a.literal[state] = int32(id) + 1
	}
	a.link()
	return a
}

func (a *automaton) edge(state int32, class uint8) int32 {
	if state == 1 {
		return a.first[class]
	}
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
	a.literal = append(a.literal, 0)
	a.child[state] = s
	if state == 1 {
		a.first[class] = s
	}
	return s
}

// link sets the failure links, breadth first.
func (a *automaton) link() {
	a.fail, a.shorter = a.fail[:len(a.child)], a.shorter[:len(a.child)]
	queue := make([]int32, 1, len(a.child))
	queue[0] = 1
	for i := 0; i < len(queue); i++ {
		state := queue[i]
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
			if f := a.fail[s]; a.literal[f] != 0 {
				a.shorter[s] = f
			} else {
				a.shorter[s] = a.shorter[f]
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

// feed searches on in b and calls hit with each literal that ends there.
func (s *literalSearch) feed(b []byte, hit func(literal int32)) {
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
			for at := int32(to); at != 0; at = s.a.shorter[at] {
				if l := s.a.literal[at]; l != 0 {
					hit(l - 1)
				}
			}
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
	if s.a.literal[to] != 0 || s.a.shorter[to] != 0 {
		next |= hasOutput
	}
	s.table[state<<s.shift|uint32(class)] = next
	return next
}

// within tells if the search stands so deep in a literal that the next line may go on with it.
func (s *literalSearch) within() bool { return s.a.depth[s.state] >= 4 }
