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
	"regexp/syntax"
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
		if diff := cmp.Diff(entries, playbookTables[playbook], cmpopts.EquateEmpty()); diff != "" {
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
	strs := func(name string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "%s: []string{", name)
			for _, v := range values {
				fmt.Fprintf(&b, "%q, ", v)
			}
			b.WriteString("}, ")
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
			b.WriteString("Symptoms: []Symptom{\n")
			for _, s := range e.Symptoms {
				b.WriteString("{")
				str("Match", s.Match)
				str("Unless", s.Unless)
				strs("With", s.With)
				strs("Absent", s.Absent)
				if s.Lines > 0 {
					fmt.Fprintf(&b, "Lines: %d, ", s.Lines)
				}
				fmt.Fprintf(&b, "Weight: %d, ", s.Weight)
				strs("Literals", s.Literals)
				b.WriteString("},\n")
			}
			b.WriteString("},\n")
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

// literalsOf derives strings, squashed, one of which stands in every text that the expression matches.
func literalsOf(source string) ([]string, error) {
	parsed, err := syntax.Parse("(?i)"+dialect(source), syntax.Perl)
	if err != nil {
		return nil, err
	}
	n := needs(parsed.Simplify())
	best := n.best
	if n.exact != nil && better(n.exact, best) {
		best = n.exact
	}
	if len(best) == 0 || shortest(best) < 3 {
		return best, fmt.Errorf("no literal of 3 characters is certain to occur: %q", best)
	}
	slices.Sort(best)
	return slices.Compact(best), nil
}

// need is what an expression demands of a text: exact is every string that it can match, where these
// are few; best are strings one of which must occur.
type need struct{ exact, best []string }

const needMax = 96

func shortest(set []string) int {
	n := 1 << 30
	for _, s := range set {
		n = min(n, len(s))
	}
	return n
}

func better(a, b []string) bool {
	if len(b) == 0 {
		return len(a) > 0 && shortest(a) > 0
	}
	score := func(set []string) int { return min(shortest(set), 16)*8 - len(set) }
	return len(a) > 0 && shortest(a) > 0 && score(a) > score(b)
}

func needs(re *syntax.Regexp) need {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return need{exact: []string{""}}
	case syntax.OpLiteral:
		return need{exact: []string{squash(string(re.Rune))}}
	case syntax.OpCharClass:
		var set []string
		count := 0
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if count++; count > 4000 {
					return need{}
				}
				if r == 'ſ' || r == '\u212a' { // what folding makes of s and k
					continue
				}
				if s := squash(string(r)); !slices.Contains(set, s) {
					set = append(set, s)
				}
				if len(set) > 12 {
					return need{}
				}
			}
		}
		return need{exact: set}
	case syntax.OpCapture:
		return needs(re.Sub[0])
	case syntax.OpQuest:
		if sub := needs(re.Sub[0]); sub.exact != nil {
			return need{exact: append([]string{""}, sub.exact...)}
		}
		return need{}
	case syntax.OpStar:
		if sub := needs(re.Sub[0]); len(sub.exact) == 1 && sub.exact[0] == "" {
			return sub // blanks and quotes, which the search skips
		}
		return need{}
	case syntax.OpPlus:
		sub := needs(re.Sub[0])
		if len(sub.exact) == 1 && sub.exact[0] == "" {
			return sub
		}
		if better(sub.exact, sub.best) {
			return need{best: sub.exact}
		}
		return need{best: sub.best}
	case syntax.OpAlternate:
		all := need{exact: []string{}, best: []string{}}
		for _, s := range re.Sub {
			n := needs(s)
			if n.exact == nil {
				all.exact = nil
			} else if all.exact != nil {
				all.exact = append(all.exact, n.exact...)
			}
			of := n.best
			if n.exact != nil && better(n.exact, of) {
				of = n.exact
			}
			if len(of) == 0 {
				all.best = nil
			} else if all.best != nil {
				all.best = append(all.best, of...)
			}
		}
		if len(all.exact) > needMax {
			all.exact = nil
		}
		if all.exact != nil {
			slices.Sort(all.exact)
			all.exact = slices.Compact(all.exact)
		}
		return all
	case syntax.OpConcat:
		var best []string
		run := []string{""}
		whole := true
		flush := func() {
			if better(run, best) {
				best = slices.Clone(run)
			}
			run = []string{""}
		}
		for _, s := range re.Sub {
			n := needs(s)
			if better(n.best, best) {
				best = n.best
			}
			if n.exact == nil {
				flush()
				whole = false
				continue
			}
			if len(run)*len(n.exact) > needMax {
				flush()
				whole = false
				if len(n.exact) > needMax {
					continue
				}
			}
			var product []string
			for _, a := range run {
				for _, b := range n.exact {
					product = append(product, a+b)
				}
			}
			run = product
		}
		if whole {
			return need{exact: run, best: best}
		}
		flush()
		return need{best: best}
	}
	return need{}
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
