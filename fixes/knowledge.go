package fixes

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed knowledge/*.yaml
var knowledgeFiles embed.FS

// Entry is what the project knows about one root cause: a document of fixes/knowledge/PLAYBOOK.yaml.
type Entry struct {
	ID       ID        `yaml:"id"`
	Title    string    `yaml:"title"`
	Severity Severity  `yaml:"severity"`
	Cause    string    `yaml:"cause"`
	Question string    `yaml:"question,omitempty"` // what would decide, where a text alone cannot
	Symptoms []Symptom `yaml:"symptoms,omitempty"`
	Explains []ID      `yaml:"explains,omitempty"` // consequences: hidden where this one is found
	Steps    []Advice  `yaml:"steps"`
	Docs     string    `yaml:"docs"`            // the vendor's page; the project's own is docs/causes/ID.md
	Since    string    `yaml:"since,omitempty"` // versions for which it holds
	Playbook string    `yaml:"-"`               // the file's name
}

// Symptom is a message that shows a root cause. Match is a regular expression (RE2) over one message,
// of which Literals, or literals derived from it, must occur; Unless must not match in the same message,
// Absent nowhere in the text.
type Symptom struct {
	Match    string   `yaml:"match"`
	Literals []string `yaml:"literals,omitempty"`
	Unless   string   `yaml:"unless,omitempty"`
	Absent   string   `yaml:"absent,omitempty"`
	With     string   `yaml:"with,omitempty"` // must match somewhere in the text
	Weight   int      `yaml:"weight,omitempty"`
}

// Advice is one step in words, with the command to type where there is one.
type Advice struct {
	Text     string `yaml:"text"`
	Command  string `yaml:"command,omitempty"`
	Platform string `yaml:"platform,omitempty"` // debian, fedora, suse, wsl2, docker-desktop, …; empty: all
}

func (a Advice) String() string {
	if a.Command == "" {
		return a.Text
	}
	return a.Text + ": " + a.Command
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

// Knowledge is the embedded table, read at first use. It panics where the table itself is faulty, which
// a test excludes.
var Knowledge = sync.OnceValue(func() *Table {
	t := &Table{at: map[ID]int{}}
	names, err := knowledgeFiles.ReadDir("knowledge")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		data, err := knowledgeFiles.ReadFile("knowledge/" + name.Name())
		if err != nil {
			panic(err)
		}
		entries, err := parseKnowledge(strings.TrimSuffix(path.Base(name.Name()), ".yaml"), data)
		if err != nil {
			panic(fmt.Errorf("fixes/knowledge/%s: %w", name.Name(), err))
		}
		for _, e := range entries {
			if _, twice := t.at[e.ID]; twice {
				panic("fixes/knowledge: two entries for " + string(e.ID))
			}
			t.at[e.ID] = len(t.Entries)
			t.Entries = append(t.Entries, e)
		}
	}
	return t
})

func parseKnowledge(playbook string, data []byte) ([]Entry, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var entries []Entry
	if err := dec.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for i := range entries {
		entries[i].Playbook = playbook
	}
	return entries, nil
}
