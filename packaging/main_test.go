package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPackageVersion(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	for in, want := range map[string]string{
		"v1.2.3":                   "1.2.3",
		"v1.2.3-4-g0123abc":        "1.2.3+4.g0123abc",
		"v1.2.3-4-g0123abc-dirty":  "1.2.3+4.g0123abc.dirty",
		"d360c73":                  "0.0.0~19700102000000.d360c73",
		"d360c73-dirty":            "0.0.0~19700102000000.d360c73.dirty",
		"v1.2.3-rc1 $(touch x);\n": "0.0.0~19700102000000.v1.2.3.rc1.touch.x.",
	} {
		if got := packageVersion(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Man pages, completions and the licences of what is built in, the same bytes each time.
func TestLay(t *testing.T) {
	t.Chdir("..") // go list and nfpm run in the repository's folder
	folders := []string{t.TempDir(), t.TempDir()}
	for _, folder := range folders {
		if err := lay(folder, "v1.2.3", []string{"amd64"}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"man/docker-gpu-ps.1.gz":     ".SH OPTIONS",
		"man/docker-gpu-health.1.gz": "HEALTHCHECK",
		"completions/docker-gpu":     "__start_docker-gpu",
		"completions/_docker-gpu":    "#compdef docker-gpu",
		"licences.txt":               "github.com/spf13/cobra v",
		"nfpm-amd64.yaml":            `version: "1.2.3"`,
	} {
		var texts []string
		for _, folder := range folders {
			texts = append(texts, strings.ReplaceAll(read(t, filepath.Join(folder, name)), folder, "OUT"))
		}
		if !strings.Contains(texts[0], want) || texts[0] != texts[1] {
			t.Errorf("%s: %q is missing, or two runs differ", name, want)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
