package fixes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Pages of documentation, sources, lists of changes, manifests and helps show messages, and nobody met any of them there.
func TestPages(t *testing.T) {
	files, err := filepath.Glob("testdata/pages/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("only %d pages: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for form, of := range map[string]string{"plain": string(text), "of Windows": strings.ReplaceAll(string(text), "\n", "\r\n")} {
			if got, _ := answer(t, of); got != "" && got != healthyID {
				t.Errorf("%s, %s: %s", filepath.Base(file), form, got)
			}
		}
	}
}

// What a text is decides whether anything in it was met. These reports are marked up like pages, or have sources in them.
func TestNature(t *testing.T) {
	reports := map[string]bool{
		"toolkit-not-installed/m2-both-md-with-docs-link": true, "fabric-manager-not-running/m2-both-dgx-docs": true,
		"nccl-problem/m2-both-script-then-error": true, "driver-dkms-not-built/m2-both-issue-md-headings": true,
		"compose-too-old/m2-both-docs-snippet-then-error": true, "cuda-library-missing/m2-both-script-tail-message": true,
		"framework-cpu-only-build/m2-both-dockerfile-then-error": true,
	}
	is := func(text string) nature {
		w := window{scanner: newScanner(symptoms()), buf: []byte(text)}
		linesOf(w.buf, true, func(start, end int, cut bool) {
			w.lines = append(w.lines, textLine{start: start, end: end, cut: cut})
		})
		return w.is()
	}
	for _, c := range readCorpus(t, "dev") {
		if reports[c.ID] {
			delete(reports, c.ID)
			if got := is(c.Text); got != aReport {
				t.Errorf("%s is %d, want a report", c.ID, got)
			}
		}
	}
	for id := range reports {
		t.Errorf("no case %s", id)
	}
	for name, want := range map[string]nature{"page-of-a-manual": aDocument, "debian-changelog": aDocument, "help-of-a-command": aDocument,
		"go-table-of-codes": aSource, "python-module-with-messages": aSource, "manifest-with-comments": aSetting} {
		text, err := os.ReadFile("testdata/pages/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if got := is(string(text)); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}
