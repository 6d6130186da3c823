package fixes

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every cause of the table has messages that must name it first and close neighbours that must not.
func TestMessages(t *testing.T) {
	data, err := os.ReadFile("testdata/messages.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var messages map[ID]struct{ Is, Not []string }
	if err := yaml.Unmarshal(data, &messages); err != nil {
		t.Fatal(err)
	}
	for _, e := range symptomEntries() {
		m := messages[e.ID]
		if len(e.Symptoms) > 0 && e.Playbook != "kubernetes" && (len(m.Is) < 3 || len(m.Not) < 2) {
			t.Errorf("%s has %d messages and %d neighbours, want 3 and 2", e.ID, len(m.Is), len(m.Not))
		}
		delete(messages, e.ID)
		for _, text := range m.Is {
			if got := first(ExplainString("", text)); got != e.ID {
				t.Errorf("%s: %q is explained as %q", e.ID, text, got)
			}
		}
		for _, text := range m.Not {
			if got := first(ExplainString("", text)); got == e.ID {
				t.Errorf("%s: %q is explained as it", e.ID, text)
			}
		}
	}
	for id := range messages {
		t.Errorf("messages for %s, which is not in the table", id)
	}
}

func first(e Explanation) ID {
	if len(e.Findings) == 0 {
		return ""
	}
	return e.Findings[0].ID
}

// The table is whole: what it says of each cause, and which causes explain which, holds together.
func TestTableIsWhole(t *testing.T) {
	for _, e := range symptomEntries() {
		if e.Title == "" || e.Cause == "" || len(e.Steps) == 0 || !strings.HasPrefix(e.Docs, "https://") || e.Severity.rank() < 0 || e.Playbook == "" {
			t.Errorf("%s is incomplete: %+v", e.ID, e)
		}
		if !strings.HasSuffix(e.Cause, ".") || strings.Count(e.Cause, ". ") > 0 {
			t.Errorf("%s: the cause is not one sentence: %q", e.ID, e.Cause)
		}
		for _, other := range e.Explains {
			o, ok := Knowledge().Entry(other)
			switch {
			case !ok:
				t.Errorf("%s explains %s, which is not in the table", e.ID, other)
			case other == e.ID || slices.Contains(o.Explains, e.ID):
				t.Errorf("%s and %s explain one another", e.ID, other)
			}
		}
		for _, s := range e.Symptoms {
			if s.Weight < 1 || s.Weight > 99 {
				t.Errorf("%s: weight %d of %q", e.ID, s.Weight, s.Match)
			}
			for _, source := range append(append([]string{s.Match, s.Unless}, s.With...), s.Absent...) {
				patternOf(source, "i").re() // panics where it does not compile
				if at := boundedContraction(source); at != "" {
					t.Errorf("%s: %q never finds \"don't\", as no word begins at \"n't\": write {nt} for \"n.?t\"", e.ID, at)
				}
			}
		}
	}
}

// boundedContraction is the place in an expression where the end of a contraction is to begin a word, "" if there is none.
func boundedContraction(source string) string {
	ends := func(at int) bool { return nt.MatchString(source[at:]) }
	for at := range len(source) {
		switch rest := source[at:]; {
		case !strings.HasPrefix(rest, `\b`) || strings.HasPrefix(rest, `\\b`):
		case ends(at + 2):
			return rest
		case strings.HasPrefix(rest, `\b(`):
			depth, class := 0, false
			for i := at + 2; i < len(source) && (i == at+2 || depth > 0); i++ {
				switch c := source[i]; {
				case c == '\\':
					i++
				case class:
					class = c != ']'
				case c == '[':
					class = true
				case c == '(':
					depth++
				case c == ')':
					depth--
				}
				if !class && depth == 1 && (source[i] == '|' || i == at+2) && ends(i+1) {
					return source[at:i+1] + "…"
				}
			}
		}
	}
	return ""
}

var nt = regexp.MustCompile(`^(\?:)?n(\.\??|'\??|\[.{1,6}\]\??)?t\b`)

func TestBoundedContraction(t *testing.T) {
	for source, found := range map[string]bool{
		`\b(not|n.?t)\b`:                true,
		`\b(n.?t|not) there`:            true,
		`x \b(a(b|c)|[)(]|n't )y`:       true,
		`\bn.?t\b`:                      true,
		`\b(?:n.?t|no)`:                 true,
		`\b(not|(is|does)n.?t)\b`:       false,
		`(not|n.?t) there`:              false,
		`\b(not) (be|n.?t)`:             false,
		`\b(no|ntfs|not)`:               false,
		`\b(cannot|{nt}|unable)\b n.?t`: false,
	} {
		if got := boundedContraction(source); got != "" != found {
			t.Errorf("%s: %q", source, got)
		}
	}
}
