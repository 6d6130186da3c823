package fixes

import "strings"

// lineThrees is [threes], and twos, of a line or a few: as little as one can afford to make for every line in which a
// literal stands. Most of what an expression needs beside its literal is ruled out by it, at a bit or two each.
type lineThrees [64]uint64

func lineThreesAt(a, b, c byte) uint16 { return uint16(hashOfThree(a, b, c) >> 20) }

// add puts in those of a text, squashed, that goes on from two characters.
func (t *lineThrees) add(before [2]byte, text string) {
	a, b := before[0], before[1]
	for i := range len(text) {
		c := text[i]
		three, two := lineThreesAt(a, b, c), lineThreesAt(0, b, c)
		t[three>>6] |= 1 << (three & 63)
		t[two>>6] |= 1 << (two & 63)
		a, b = b, c
	}
}

func (t *lineThrees) join(other *lineThrees) {
	for i, bits := range other {
		t[i] |= bits
	}
}

func (t *lineThrees) has(at uint16) bool { return t[at>>6]&(1<<(at&63)) != 0 }

// sought is a string to look for, with some of its threes.
type sought struct {
	text   string
	threes [4]uint16
	short  bool // it is one character: it has none
}

func newSought(text string) sought {
	s := sought{text: text, short: len(text) < 2}
	for i := range s.threes {
		switch at := (len(text) - 3) * i / (len(s.threes) - 1); {
		case len(text) == 2:
			s.threes[i] = lineThreesAt(0, text[0], text[1])
		case !s.short:
			s.threes[i] = lineThreesAt(text[at], text[at+1], text[at+2])
		}
	}
	return s
}

// searched is a squashed text that many strings are looked for in. What is in it need not be known where its threes, nil for
// a text without, already show that a string is not.
type searched struct {
	threes *lineThrees
	text   func() string
}

func (s searched) mayHave(what *sought) bool {
	t := s.threes
	return t == nil || what.short || t.has(what.threes[0]) && t.has(what.threes[1]) && t.has(what.threes[2]) && t.has(what.threes[3])
}

// mayHold tells, without the text, if clauses may hold.
func (s searched) mayHold(all []clause) bool {
	for i := range all {
		holds := false
		for j := 0; j < len(all[i].one) && !holds; j++ {
			holds = s.mayHave(&all[i].one[j])
		}
		for j := 0; j < len(all[i].any) && !holds; j++ {
			holds = s.mayHold(all[i].any[j])
		}
		if !holds {
			return false
		}
	}
	return true
}

func (s searched) hold(all []clause) bool {
	for i := range all {
		holds := false
		for j := 0; j < len(all[i].one) && !holds; j++ {
			one := &all[i].one[j]
			holds = s.mayHave(one) && strings.Contains(s.text(), one.text)
		}
		for j := 0; j < len(all[i].any) && !holds; j++ {
			holds = s.mayHold(all[i].any[j]) && s.hold(all[i].any[j])
		}
		if !holds {
			return false
		}
	}
	return true
}
