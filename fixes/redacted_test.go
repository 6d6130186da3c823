package fixes

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// What a report says of a machine is diagnosed as the machine itself: redaction takes no cause away and
// adds none.
func TestRedactedSnapshotsAreJudgedTheSame(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "snapshots", "*.json"))
	if err != nil || len(files) < 40 {
		t.Fatalf("%d snapshots, %v", len(files), err)
	}
	for _, file := range files {
		s := readTestSnapshot(t, file)
		redacted := inspect.NewRedactor(s, inspect.Identity{}).Snapshot(s)
		data, err := json.Marshal(redacted)
		if err != nil {
			t.Fatal(err)
		}
		again := &inspect.Snapshot{}
		if err := json.Unmarshal(data, again); err != nil {
			t.Fatal(err)
		}
		want, got := idsOf(Diagnose(s, Scope{}).Findings), idsOf(Diagnose(again, Scope{}).Findings)
		if !slices.Equal(want, got) {
			t.Errorf("%s: %v, redacted %v", filepath.Base(file), want, got)
		}
		if a, b := Judge(s).Code, Judge(again).Code; a != b {
			t.Errorf("%s: verdict %s, redacted %s", filepath.Base(file), a, b)
		}
	}
}
