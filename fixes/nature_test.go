package fixes

import "testing"

// What a text is decides whether anything in it was met: pages, sources and manifests are told from reports.
func TestNature(t *testing.T) {
	want := map[string]nature{
		"not-gpu-related/m2-page-of-a-manual": aDocument, "not-gpu-related/m2-go-table-of-codes": aSource,
		"not-gpu-related/m2-python-module-with-messages": aSource, "not-gpu-related/m2-debian-changelog": aDocument,
		"not-gpu-related/m2-help-of-a-command": aDocument, "not-gpu-related/m2-manifest-with-comments": aSetting,
		"toolkit-not-installed/m2-both-md-with-docs-link":        aReport, // marked up like a page, with an error as it was printed
		"fabric-manager-not-running/m2-both-dgx-docs":            aReport,
		"nccl-problem/m2-both-script-then-error":                 aReport,
		"driver-dkms-not-built/m2-both-issue-md-headings":        aReport,
		"compose-too-old/m2-both-docs-snippet-then-error":        aReport,
		"cuda-library-missing/m2-both-script-tail-message":       aReport,
		"framework-cpu-only-build/m2-both-dockerfile-then-error": aReport,
	}
	for _, c := range readCorpus(t, "dev") {
		if want[c.ID] == notLookedAt {
			continue
		}
		w := window{scanner: newScanner(symptoms()), buf: []byte(c.Text)}
		linesOf(w.buf, true, func(start, end int, cut bool) {
			w.lines = append(w.lines, textLine{start: start, end: end, cut: cut})
		})
		if got := w.is(); got != want[c.ID] {
			t.Errorf("%s is %d, want %d", c.ID, got, want[c.ID])
		}
		delete(want, c.ID)
	}
	for id := range want {
		t.Errorf("no case %s", id)
	}
}
