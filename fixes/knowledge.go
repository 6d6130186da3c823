package fixes

import (
	"cmp"
	"slices"
	"sync"
)

// Entry is what the project knows about one root cause: an element of fixes/knowledge/PLAYBOOK.yaml.
// `go generate ./fixes` turns these files into Go, so that no command has to parse them.
type Entry struct {
	ID       ID        `yaml:"id"`
	Title    string    `yaml:"title"`
	Severity Severity  `yaml:"severity"`
	Cause    string    `yaml:"cause"`
	Question string    `yaml:"question,omitempty"` // what would decide, where a text alone cannot
	Explains []ID      `yaml:"explains,omitempty"` // consequences: hidden where this one is found
	Symptoms []Symptom `yaml:"symptoms,omitempty"` // unpacked by [symptomEntries] alone
	Steps    []Advice  `yaml:"steps"`
	Docs     string    `yaml:"docs"`            // the vendor's page; the project's own is docs/causes/ID.md
	Since    string    `yaml:"since,omitempty"` // versions for which it holds
	Playbook string    `yaml:"-"`               // the file's name

	packed string // Symptoms, as [packSymptoms] makes them
}

// Symptom is a message that shows a root cause. Its expressions are RE2 in a dialect made for messages
// that people copy from terminals: case does not count; quotes and backslashes are taken out of text and
// expression alike; a blank stands for any blanks, a line wrap or none. Names in braces are classes of words. Where Match
// has groups named one and other, what they take has to differ: RE2 cannot compare.
type Symptom struct {
	Match  string   `yaml:"match"`
	Unless string   `yaml:"unless,omitempty"` // not where this matches the same message
	With   []string `yaml:"with,omitempty"`   // only where each of these matches somewhere in the text
	Absent []string `yaml:"absent,omitempty"` // not where one of these matches somewhere in the text
	Lines  int      `yaml:"lines,omitempty"`  // so many lines before and after belong to the message
	Prose  bool     `yaml:"prose,omitempty"`  // how people put it, no program: only for texts of their length
	Weight int      `yaml:"weight"`           // how surely it shows this very cause, 1 to 99

	// Literals, one of which stands in every text that Match matches: lower case, without the
	// characters that the search skips. Derived from Match when the table is generated.
	Literals []string `yaml:"-"`
}

// Advice is one step in words, with the command to type where there is one.
type Advice struct {
	Text     string `yaml:"text"`
	Command  string `yaml:"command,omitempty"`
	Platform string `yaml:"platform,omitempty"` // debian, fedora, suse, wsl2, docker-desktop, …; empty: all
}

func (a Advice) String() string {
	s := a.Text
	if a.Platform != "" {
		s += " (" + a.Platform + ")"
	}
	if a.Command != "" {
		s += ": " + a.Command
	}
	return s
}

// Table is the knowledge: entries by id, in the order of the files.
type Table struct {
	Entries []Entry
	at      map[ID]int
}

// Entry is the entry of an id.
func (t *Table) Entry(id ID) (Entry, bool) {
	i, ok := t.at[id]
	if !ok {
		return Entry{}, false
	}
	return t.Entries[i], true
}

func (t *Table) order(id ID) int {
	if i, ok := t.at[id]; ok {
		return i
	}
	return len(t.Entries)
}

// playbookTables are the entries by playbook; each generated file adds its own.
var playbookTables = map[string][]Entry{}

//go:generate go test -run ^TestTableIsCurrent$ -update .
//go:generate go test -run ^TestCausePages$ -update .
//go:generate go test -run ^TestWordingIsCurrent$ -update .

// Knowledge is the whole table. It panics where the table itself is faulty, which a test excludes.
var Knowledge = sync.OnceValue(func() *Table {
	t := &Table{at: map[ID]int{}}
	var names []string
	for name := range playbookTables {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	for _, name := range names {
		for _, e := range playbookTables[name] {
			if _, twice := t.at[e.ID]; twice {
				panic("fixes/knowledge: two entries for " + string(e.ID))
			}
			e.Playbook = name
			t.at[e.ID] = len(t.Entries)
			t.Entries = append(t.Entries, e)
		}
	}
	return t
})
