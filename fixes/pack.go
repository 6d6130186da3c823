package fixes

import (
	"maps"
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
var symptomEntries = sync.OnceValue(func() []Entry { return withSymptoms(Knowledge().Entries) })

func withSymptoms(entries []Entry) []Entry {
	entries = slices.Clone(entries)
	var u unpacker
	u.literals.Grow(96 << 10) // what they take today, and some
	for e := range entries {
		entries[e].Symptoms = u.symptoms(entries[e].packed)
	}
	return entries
}

// SearchedTexts are the literals of all symptoms, each once: what the search goes through a text for.
func SearchedTexts() []string {
	known := map[string]bool{}
	for _, e := range symptomEntries() {
		for _, s := range e.Symptoms {
			for _, literal := range s.Literals {
				known[literal] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(known))
}

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

// unpacker takes strings of [packSymptoms] apart. It panics on another, which a test excludes.
type unpacker struct {
	room     []string        // for lists, of which there are thousands
	literals strings.Builder // those that are not in a packed string as they stand, one behind another
}

func (u *unpacker) symptoms(packed string) []Symptom {
	if packed == "" {
		return nil
	}
	all := make([]Symptom, strings.Count(packed, "\v")+1)
	for i := range all {
		s := &all[i]
		var numbers, with, absent, literals string
		numbers, packed, _ = strings.Cut(packed, "\t")
		s.Match, packed, _ = strings.Cut(packed, "\t")
		s.Unless, packed, _ = strings.Cut(packed, "\t")
		with, packed, _ = strings.Cut(packed, "\t")
		absent, packed, _ = strings.Cut(packed, "\t")
		literals, packed, _ = strings.Cut(packed, "\v")
		numbers, s.Prose = strings.CutSuffix(numbers, "p")
		weight, lines, wide := strings.Cut(numbers, "/")
		s.Weight, _ = strconv.Atoi(weight)
		if wide {
			s.Lines, _ = strconv.Atoi(lines)
		}
		s.With, s.Absent = u.list(with, '\n'), u.list(absent, '\n')
		s.Literals = u.list(literals, ' ')
		before := ""
		for l, packed := range s.Literals {
			if shared := packed[0] - '!'; shared == 0 {
				before = packed[1:]
			} else {
				start := u.literals.Len()
				u.literals.WriteString(before[:shared])
				u.literals.WriteString(packed[1:])
				before = u.literals.String()[start:]
			}
			s.Literals[l] = before
		}
	}
	return all
}

// list is what stands between separators, nil where nothing does.
func (u *unpacker) list(joined string, between byte) []string {
	if joined == "" {
		return nil
	}
	if cap(u.room)-len(u.room) < 200 { // what is full is left to those who have lists in it
		u.room = make([]string, 0, 4<<10)
	}
	start := len(u.room)
	for {
		at := strings.IndexByte(joined, between)
		if at < 0 {
			break
		}
		u.room = append(u.room, joined[:at])
		joined = joined[at+1:]
	}
	u.room = append(u.room, joined)
	return u.room[start:len(u.room):len(u.room)]
}
