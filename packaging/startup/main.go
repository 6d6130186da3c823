// Command startup makes the module file (`go build -modfile`) with which the Makefile builds docker-gpu: the JSON
// schema library behind compose files compiles the meta-schemas of five drafts whenever a program starts, which takes
// half of all initialisation of this one, and most commands read no compose file. In the copy that the module file
// leads to, it does that when the first schema is to be compiled. A build by go.mod alone does all the same, and starts
// later.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const library = "github.com/santhosh-tekuri/jsonschema/v6"

// edits are what is changed in the copy: file, text that stands in it once, text in its place.
var edits = [][3]string{
	{"draft.go", "\t\"strings\"\n)", "\t\"strings\"\n\t\"sync\"\n)"},
	{"draft.go", "func init() {\n\tc := NewCompiler()\n", "var compileDrafts = sync.OnceFunc(func() {\n\tc := newCompiler()\n"},
	{"draft.go", "\"meta/\" + name)\n\t\t}\n\t}\n}\n", "\"meta/\" + name)\n\t\t}\n\t}\n})\n"},
	{"compiler.go", "func NewCompiler() *Compiler {\n", "func NewCompiler() *Compiler {\n\tcompileDrafts()\n\treturn newCompiler()\n}\n\nfunc newCompiler() *Compiler {\n"},
}

func main() {
	folder := flag.String("out", "bin/startup", "where the module file and the copy are put")
	flag.Parse()
	if err := lay(*folder); err != nil {
		fmt.Fprintln(os.Stderr, "startup:", err)
		os.Exit(1)
	}
}

func lay(folder string) error {
	var module struct{ Dir string }
	if out, err := exec.Command("go", "list", "-m", "-json", library).Output(); err != nil {
		return fmt.Errorf("go list -m %s: %w", library, err)
	} else if err := json.Unmarshal(out, &module); err != nil {
		return err
	}
	var env struct{ GOMOD string }
	if out, err := exec.Command("go", "env", "-json", "GOMOD").Output(); err != nil {
		return fmt.Errorf("go env: %w", err)
	} else if err := json.Unmarshal(out, &env); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	copied := filepath.Join(folder, "jsonschema")
	if err := os.CopyFS(copied, os.DirFS(module.Dir)); err != nil {
		return err
	}
	for _, edit := range edits {
		name := filepath.Join(copied, edit[0])
		if err := os.Chmod(name, 0o644); err != nil { // the module cache is read-only
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if n := bytes.Count(text, []byte(edit[1])); n != 1 {
			return fmt.Errorf("%s of %s has %d times, not once: %q; this version of it needs other edits", edit[0], library, n, edit[1])
		}
		if err := os.WriteFile(name, bytes.Replace(text, []byte(edit[1]), []byte(edit[2]), 1), 0o644); err != nil {
			return err
		}
	}
	requirements, err := os.ReadFile(env.GOMOD)
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(filepath.Dir(env.GOMOD), "go.sum"))
	if err != nil {
		return err
	}
	root, err := filepath.Abs(filepath.Dir(env.GOMOD))
	if err != nil {
		return err
	}
	copied, err = filepath.Abs(copied)
	if err != nil {
		return err
	}
	below, err := filepath.Rel(root, copied) // the binary names it: two checkouts, the same bytes
	if err != nil {
		return err
	}
	requirements = fmt.Appendf(requirements, "\nreplace %s => ./%s\n", library, filepath.ToSlash(below))
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), requirements, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "go.sum"), sums, 0o644)
}
