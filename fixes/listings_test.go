package fixes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What tools say of a machine that is well, whole and in parts: all of it from one with a real H100 (driver 580.159.04,
// toolkit 1.20.1, engine 29.9). People paste such listings into every report; none of their lines is a fault.
func TestListingsOfWellMachine(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("testdata", "listings", "*"))
	files = append(files, filepath.Join("..", "e2e", "gpu", "testdata", "1x-nvidia-h100-80gb-hbm3-580.159.04.xml"))
	if len(files) < 8 {
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
		for form, change := range corpusForms {
			if form != "plain" && !(strings.HasPrefix(form, "wrap") && strings.HasSuffix(file, ".xml")) { // who wraps XML?
				texts = append(texts, change(string(data)))
			}
		}
		parts += len(texts)
		for _, text := range texts {
			for _, f := range ExplainString("listing", text).Findings {
				if f.ID != healthyID {
					first, _, _ := strings.Cut(text, "\n")
					t.Errorf("%s, from %q: %s by %+v", filepath.Base(file), first, f.ID, f.Evidence)
				}
			}
		}
	}
	if parts < 100 {
		t.Errorf("only %d texts were tried", parts)
	}
}
