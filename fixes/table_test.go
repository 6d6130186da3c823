package fixes

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write generated and golden files anew")

func parseKnowledge(t *testing.T, file string) []Entry {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var entries []Entry
	if err := dec.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", file, err)
	}
	for e := range entries {
		for s := range entries[e].Symptoms {
			symptom := &entries[e].Symptoms[s]
			literals, err := literalsOf(symptom.Match)
			if err != nil {
				t.Errorf("%s: %s: %q: %v", file, entries[e].ID, symptom.Match, err)
			}
			symptom.Literals = literals
			for _, source := range append(append([]string{symptom.Match, symptom.Unless}, symptom.With...), symptom.Absent...) {
				if strings.ContainsAny(source, "\t\n\v") {
					t.Errorf("%s: %s: %q has a tab or an end of line", file, entries[e].ID, source)
				}
			}
		}
	}
	return entries
}

// The Go form of the table, which the program uses, is that of the YAML files, which people write.
// `go generate ./fixes` makes it so.
func TestTableIsCurrent(t *testing.T) {
	files, err := filepath.Glob("knowledge/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no knowledge: %v", err)
	}
	var playbooks []string
	for _, file := range files {
		entries := parseKnowledge(t, file)
		playbook := strings.TrimSuffix(filepath.Base(file), ".yaml")
		playbooks = append(playbooks, playbook)
		goFile := "table_" + strings.ReplaceAll(playbook, "-", "_") + ".go"
		if *update {
			source, err := format.Source(goTable(playbook, entries))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(goFile, source, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(entries, withSymptoms(playbookTables[playbook]), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Entry{})); diff != "" {
			t.Errorf("%s is not %s: run go generate ./fixes (-want +got):\n%.2000s", goFile, file, diff)
		}
	}
	if *update {
		return
	}
	for name := range playbookTables {
		if !slices.Contains(playbooks, name) {
			t.Errorf("there is a table %s but no knowledge/%[1]s.yaml", name)
		}
	}
}

func goTable(playbook string, entries []Entry) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from knowledge/%s.yaml by go generate; DO NOT EDIT.\n\npackage fixes\n\n", playbook)
	fmt.Fprintf(&b, "func init() { playbookTables[%q] = table%s }\n\n", playbook, goName(playbook))
	fmt.Fprintf(&b, "var table%s = []Entry{\n", goName(playbook))
	str := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %q, ", name, value)
		}
	}
	for _, e := range entries {
		fmt.Fprintf(&b, "{ID: %q, Title: %q, Severity: %q,\nCause: %q,\n", e.ID, e.Title, e.Severity, e.Cause)
		str("Question", e.Question)
		if len(e.Explains) > 0 {
			b.WriteString("Explains: []ID{")
			for _, id := range e.Explains {
				fmt.Fprintf(&b, "%q, ", id)
			}
			b.WriteString("},\n")
		}
		if len(e.Symptoms) > 0 {
			b.WriteString("packed: \"\"")
			for _, packed := range strings.SplitAfter(packSymptoms(e.Symptoms), "\v") { // a line each, so that changes of several people go together
				fmt.Fprintf(&b, " +\n%q", packed)
			}
			b.WriteString(",\n")
		}
		b.WriteString("Steps: []Advice{\n")
		for _, a := range e.Steps {
			b.WriteString("{")
			str("Text", a.Text)
			str("Command", a.Command)
			str("Platform", a.Platform)
			b.WriteString("},\n")
		}
		b.WriteString("},\n")
		str("Docs", e.Docs)
		str("Since", e.Since)
		b.WriteString("},\n")
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func goName(playbook string) string {
	var b strings.Builder
	for _, word := range strings.Split(playbook, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// docs/causes holds the page of each cause, as the program prints it.
func TestCausePages(t *testing.T) {
	folder := filepath.Join("..", "docs", "causes")
	if *update {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range Knowledge().Entries {
		page := filepath.Join(folder, string(e.ID)+".md")
		pages = slices.DeleteFunc(pages, func(p string) bool { return p == page })
		want := CausePage(e)
		if *update {
			if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(page); err != nil || string(got) != want {
			t.Errorf("%s is not current (%v): run go generate ./fixes", page, err)
		}
	}
	for _, page := range pages {
		t.Errorf("%s is of no cause in the table", page)
	}
}
