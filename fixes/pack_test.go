package fixes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestPackSymptoms(t *testing.T) {
	all := []Symptom{
		{Match: `a\tb`, Weight: 7, Literals: []string{"ab"}},
		{Match: `"quoted" é`, Unless: "x", With: []string{"a", "b|c"}, Absent: []string{"d", ""}, Lines: 3, Prose: true, Weight: 62, Literals: []string{"failedto", "failedtocreate", "failedtogo", "other"}},
		{Match: "m", With: []string{"w"}, Prose: true, Weight: 99, Literals: []string{longLiteral + "a", longLiteral + "b"}},
	}
	if diff := cmp.Diff(all, (&unpacker{}).symptoms(packSymptoms(all)), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("packed and unpacked (-want +got):\n%s", diff)
	}
	if got := (&unpacker{}).symptoms(packSymptoms(nil)); got != nil {
		t.Errorf("of none: %v", got)
	}
}

// longLiteral is longer than what a literal's first character can say it shares.
const longLiteral = "a-literal-that-is-longer-than-the-ninety-three-characters-of-another-which-one-character-can-tell-it-shares"
