package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// The edits fit the library in go.mod, and what is made of them builds.
func TestLay(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	folder := t.TempDir()
	for range 2 { // the second time over what is there
		if err := lay(folder); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "build", "-modfile", filepath.Join(folder, "go.mod"), "github.com/compose-spec/compose-go/v2/loader").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
