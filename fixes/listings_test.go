package fixes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What tools say of a machine that is well, whole and in parts: all of it from ones with a real H100 or H200 (driver
// 580.159.04, toolkit 1.20.1, engine 29.9). People paste such listings into every report; none of their lines is a fault,
// whether a program's output is read or what somebody pastes.
func TestListingsOfWellMachine(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("testdata", "listings", "*"))
	files = append(files, filepath.Join("..", "e2e", "gpu", "testdata", "1x-nvidia-h100-80gb-hbm3-580.159.04.xml"),
		filepath.Join("..", "e2e", "gpu", "testdata", "1x-nvidia-h200-580.159.04.json"))
	if len(files) < 14 {
		t.Fatalf("only %d listings", len(files))
	}
	section := regexp.MustCompile(`(?m)^    \S[^:\n]*\n(     .*\n)+|^\t\t<\w+>\n(\t\t\t.*\n)+`)
	parts := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts := append(section.FindAllString(string(data), -1), string(data))
		pasted := append(slices.Clone(texts), corpusForms["quote"](string(data)), corpusForms["ansi"](string(data)))
		for form, change := range corpusForms {
			if form != "plain" && !strings.HasSuffix(file, ".json") && !(strings.HasPrefix(form, "wrap") && strings.HasSuffix(file, ".xml")) { // who wraps XML?
				texts = append(texts, change(string(data)))
			}
		}
		parts += len(texts)
		none := func(text string, e Explanation) {
			for _, f := range e.Findings {
				if f.ID != healthyID {
					first, _, _ := strings.Cut(text, "\n")
					t.Errorf("%s, from %q: %s by %+v", filepath.Base(file), first, f.ID, f.Evidence)
				}
			}
		}
		for _, text := range texts {
			none(text, ExplainString("listing", text))
		}
		for _, text := range pasted {
			e, err := Explain(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			none(text, e)
		}
	}
	if parts < 100 {
		t.Errorf("only %d texts were tried", parts)
	}
}
