package plugin

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/commands holds the page of each command, as the command describes itself.
func TestCommandPages(t *testing.T) {
	docker, err := Commands("test")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join("..", "docs", "commands")
	if *update {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, cmd := range Documented(docker.Commands()[0]) {
		known[cmd.CommandPath()] = true
		page, want := filepath.Join(folder, PageName(cmd)+".md"), CommandPage(cmd)
		pages = slices.DeleteFunc(pages, func(p string) bool { return p == page })
		hold(t, page, want)
		if cmd.Short == "" || strings.Contains(want, "\x1b") {
			t.Errorf("%s: a page without a first sentence, or with escapes", page)
		}
	}
	hold(t, filepath.Join("..", "docs", "README.md"), IndexPage(docker.Commands()[0]))
	for _, page := range pages {
		if *update {
			err = os.Remove(page)
		}
		if !*update || err != nil {
			t.Errorf("%s is of no command", page)
		}
	}
	for path := range exits {
		if !known[path] {
			t.Errorf("exit codes are told of %q, which is no command", path)
		}
	}
	for path := range answers {
		if !known[path] {
			t.Errorf("JSON is told of %q, which is no command", path)
		}
	}
}

func hold(t *testing.T, page, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != want {
		t.Errorf("%s is not current (%v): run go test ./plugin -run TestCommandPages -update", page, err)
	}
}

// Every page of docs leads somewhere: no link of one page to another is dead.
func TestPagesLinkToWhatIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", "docs"), func(page string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(page) != ".md" {
			return err
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("%d links were looked at: %v", seen, err)
	}
}
