package fixes

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The symptoms are most of the table, and only who explains a text needs them. In the program they are strings, one a
// cause, which is half the room that slices of slices of strings take, and costs commands that explain nothing no time.
// In a string, each symptom is its weight, then what it matches with, then its literals, with tabs between. Of a literal
// stands how many characters it shares with the one before (as a character, from '!' on), and the rest of it.

// symptomEntries are the entries of the table with their symptoms.
var symptomEntries = sync.OnceValue(func() []Entry {
	entries := slices.Clone(Knowledge().Entries)
	for e := range entries {
		entries[e].Symptoms = unpackSymptoms(entries[e].packed)
	}
	return entries
})

const mostShared = 0x7e - '!'

func packSymptoms(symptoms []Symptom) string {
	var packed []string
	for _, s := range symptoms {
		numbers := strconv.Itoa(s.Weight)
		if s.Lines > 0 {
			numbers += "/" + strconv.Itoa(s.Lines)
		}
		if s.Prose {
			numbers += "p"
		}
		var literals strings.Builder
		before := ""
		for i, l := range s.Literals {
			shared := 0
			for shared < min(len(l), len(before), mostShared) && l[shared] == before[shared] {
				shared++
			}
			if i > 0 {
				literals.WriteByte(' ')
			}
			literals.WriteByte(byte('!' + shared))
			literals.WriteString(l[shared:])
			before = l
		}
		packed = append(packed, strings.Join([]string{numbers, s.Match, s.Unless, strings.Join(s.With, "\n"), strings.Join(s.Absent, "\n"), literals.String()}, "\t"))
	}
	return strings.Join(packed, "\v")
}

// unpackSymptoms takes a string of [packSymptoms] apart. It panics on another, which a test excludes.
func unpackSymptoms(packed string) []Symptom {
	if packed == "" {
		return nil
	}
	list := func(joined string) []string {
		if joined == "" {
			return nil
		}
		return strings.Split(joined, "\n")
	}
	all := make([]Symptom, 0, strings.Count(packed, "\v")+1)
	for one := range strings.SplitSeq(packed, "\v") {
		part := strings.SplitN(one, "\t", 6)
		numbers, prose := strings.CutSuffix(part[0], "p")
		weight, lines, _ := strings.Cut(numbers, "/")
		s := Symptom{Match: part[1], Unless: part[2], With: list(part[3]), Absent: list(part[4]), Prose: prose, Literals: unpackLiterals(part[5])}
		s.Weight, _ = strconv.Atoi(weight)
		s.Lines, _ = strconv.Atoi(lines)
		all = append(all, s)
	}
	return all
}

func unpackLiterals(packed string) []string {
	var whole strings.Builder // of all of them: one string
	ends := make([]int, 0, strings.Count(packed, " ")+1)
	start := 0
	for l := range strings.SplitSeq(packed, " ") {
		before := whole.String()[start:]
		start = whole.Len()
		whole.WriteString(before[:l[0]-'!'])
		whole.WriteString(l[1:])
		ends = append(ends, whole.Len())
	}
	literals, start := make([]string, len(ends)), 0
	for i, end := range ends {
		literals[i] = whole.String()[start:end]
		start = end
	}
	return literals
}
