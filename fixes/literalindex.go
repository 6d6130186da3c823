package fixes

// literalIndex finds the symptoms whose literals stand in a text.
type literalIndex struct {
	*automaton
	of [][]int32 // symptoms by literal
}

// newLiteralIndex is of those literals that are wanted.
func newLiteralIndex(symptoms []symptomRef, wanted func(literal string) bool) *literalIndex {
	x := &literalIndex{}
	at := map[string]int{}
	var literals []string
	for ref, s := range symptoms {
		for _, l := range s.Literals {
			if !wanted(l) {
				continue
			}
			i, known := at[l]
			if !known {
				i = len(literals)
				at[l] = i
				literals = append(literals, l)
				x.of = append(x.of, nil)
			}
			x.of[i] = append(x.of[i], int32(ref))
		}
	}
	x.automaton = newAutomaton(literals)
	return x
}

// shortText is up to what length a text has an index of its own: of the literals of which every three characters in a row
// stand in it. An error message holds a hundredth of all literals, and their index is made in a hundredth of the time.
const shortText = 8 << 10

// threes is a set of three characters in a row, by a hash of them: what is in it may be found that is not, never the other
// way round.
type threes [1 << 12]uint64

func threesAt(a, b, c byte) (word, bit uint32) {
	h := hashOfThree(a, b, c) >> 14
	return h >> 6, h & 63
}

func hashOfThree(a, b, c byte) uint32 {
	return (uint32(a)*0x9e3779b1 ^ uint32(b)*0x85ebca6b ^ uint32(c)*0xc2b2ae35) * 0x27d4eb2f
}

// threesIn is of a text in lines, as the search sees them.
func threesIn(text []byte) *threes {
	t := &threes{}
	var before [2]byte // the last two characters of the line before
	linesOf(text, true, func(start, end int, _ bool) {
		blankBlobs(text[start:end])
		line := logField(text[start:end])
		last := t.add(before, unescape(line))
		if n := prefixLength(line); n > 0 { // whether it is taken off is known only to the search
			last = t.add(before, unescape(line[n:]))
		}
		before = last
	})
	return t
}

// add puts in those of a text, squashed, that goes on from two characters, and returns the last two.
func (t *threes) add(before [2]byte, text []byte) [2]byte {
	for _, b := range text {
		c := squashed[b]
		if c == 0 {
			continue
		}
		word, bit := threesAt(before[0], before[1], c)
		t[word] |= 1 << bit
		before = [2]byte{before[1], c}
	}
	return before
}

func (t *threes) have(literal string) bool {
	for i := range len(literal) - 2 {
		word, bit := threesAt(literal[i], literal[i+1], literal[i+2])
		if t[word]&(1<<bit) == 0 {
			return false
		}
	}
	return true
}
