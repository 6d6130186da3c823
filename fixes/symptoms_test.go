package fixes

import (
	"os"
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
	for _, e := range Knowledge().Entries {
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
	for _, e := range Knowledge().Entries {
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
			}
		}
	}
}
