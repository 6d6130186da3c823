package fixes

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReplaceKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "real", "env"), "old", 0o640)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join("real", "env"), link); err != nil {
		t.Fatal(err)
	}
	if err := (LocalHost{}).Replace(link, []byte("old"), []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, file); got != "new" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q, mode %v", got, info.Mode())
	}
	if target, err := os.Readlink(link); err != nil || target != filepath.Join("real", "env") {
		t.Errorf("the link became %q, %v", target, err)
	}
	for _, folder := range []string{dir, filepath.Dir(file)} {
		if _, err := os.Lstat(filepath.Join(folder, scratchName)); err == nil {
			t.Errorf("%s stays in %s", scratchName, folder)
		}
	}
}

func TestReplaceRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("file"), "old", 0o644)
	write(t, path("read-only"), "old", 0o444)
	for link, target := range map[string]string{"dangling": "nowhere", "loop": "loop2", "loop2": "loop"} {
		if err := os.Symlink(target, path(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, path, old, want string }{
		{"changed", "file", "other", "was changed by somebody else"},
		{"gone", "missing", "old", "was changed by somebody else"},
		{"folder", ".", "old", "is a folder, not a file"},
		{"read-only", "read-only", "old", "is read-only (mode 0444)"},
		{"dangling link", "dangling", "old", "is a link to nowhere, which is not there"},
		{"loop of links", "loop", "old", "is a link to loop2, which leads nowhere"},
		{"file as folder", "file/env", "old", "a folder of this path is a file"},
		{"device", "/dev/null", "old", "is no regular file"},
	} {
		name := c.path
		if !filepath.IsAbs(name) {
			name = path(name)
		}
		if err := (LocalHost{}).Replace(name, []byte(c.old), []byte("new"), 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := (LocalHost{}).Replace(path("file"), nil, []byte("new"), 0); !errors.Is(err, ErrChanged) {
		t.Errorf("a file where none was expected: %v", err)
	}
	if content(t, path("file")) != "old" || content(t, path("read-only")) != "old" {
		t.Error("a refused write wrote")
	}
}

func TestReplaceMakesFoldersAndClearsLeftovers(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a", "b", "env")
	missing, err := LocalHost{}.Missing(file)
	if err != nil || len(missing) != 2 || !strings.HasSuffix(missing[0], "a") {
		t.Errorf("missing: %q, %v", missing, err)
	}
	if err := (LocalHost{}).Replace(file, nil, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the new file: %v", info.Mode())
	}
	left := write(t, filepath.Join(dir, "a", "b", scratchName, "leftover"), "from a crash", 0o600)
	if err := (LocalHost{}).Replace(file, []byte("x"), []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a crash left stays")
	}
}

func TestRunNeverUsesAShell(t *testing.T) {
	out, err := LocalHost{}.Run(context.Background(), "printf", "%s", "$(id); a b")
	if err != nil || string(out) != "$(id); a b" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := (LocalHost{}).Run(context.Background(), "ls", "/does-not-exist-here"); err == nil || !strings.Contains(err.Error(), "does-not-exist-here") {
		t.Errorf("what the program complained of is lost: %v", err)
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"same", "a\n", "a\n", ""},
		{"change", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
			"--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n"},
		{"append", "a\n", "a\nb\n", "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n a\n+b\n"},
		{"no final newline", "a", "a\nb\n", "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n"},
		{"empty", "", "b\n", "--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+b\n"},
	} {
		if got := Diff("/f", []byte(c.old), []byte(c.new)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if got := Diff("f", nil, []byte("b\n")); !strings.HasPrefix(got, "--- /dev/null\n+++ b/f\n") {
		t.Errorf("new file: %q", got)
	}
}
