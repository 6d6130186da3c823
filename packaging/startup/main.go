// Command startup makes the module file (`go build -modfile`) with which the Makefile builds docker-gpu. Some libraries
// do work whenever a program starts, for what most commands never ask of them: they compile the meta-schemas of five
// drafts of JSON schema, or fifty regular expressions, and register metrics of a process that serves none. In the copies
// that the module file leads to, they do that when it is first asked for. A build by go.mod alone does all the same, and
// starts later.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// A library is changed in its copy.
type library struct {
	module string
	edits  [][3]string // file, text that stands in it once, text in its place
	lazy   []string    // files whose regular expressions are compiled when they are first asked something
}

var libraries = []library{
	{module: "github.com/santhosh-tekuri/jsonschema/v6", edits: [][3]string{
		{"draft.go", "\t\"strings\"\n)", "\t\"strings\"\n\t\"sync\"\n)"},
		{"draft.go", "func init() {\n\tc := NewCompiler()\n", "var compileDrafts = sync.OnceFunc(func() {\n\tc := newCompiler()\n"},
		{"draft.go", "\"meta/\" + name)\n\t\t}\n\t}\n}\n", "\"meta/\" + name)\n\t\t}\n\t}\n})\n"},
		{"compiler.go", "func NewCompiler() *Compiler {\n", "func NewCompiler() *Compiler {\n\tcompileDrafts()\n\treturn newCompiler()\n}\n\nfunc newCompiler() *Compiler {\n"},
	}},
	{module: "github.com/distribution/reference", lazy: []string{"regexp.go"}},
	{module: "github.com/opencontainers/go-digest", lazy: []string{"algorithm.go", "digest.go"}},
	{module: "github.com/prometheus/procfs", lazy: []string{"cpuinfo.go", "mdstat.go", "proc_fdinfo.go", "proc_limits.go", "proc_smaps.go", "schedstat.go", "slab.go", "zoneinfo.go"}},
	{module: "github.com/klauspost/compress", edits: [][3]string{
		{"internal/snapref/snappy.go", "var crcTable = crc32.MakeTable(crc32.Castagnoli)\n", ""},
		{"internal/snapref/snappy.go", "crc32.Update(0, crcTable, b)", "crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), b)"},
	}},
	// The registry of everybody, which nobody here serves: the exporter has its own.
	{module: "github.com/prometheus/client_golang", edits: [][3]string{
		{"prometheus/registry.go", "func init() {\n\tMustRegister(NewProcessCollector(ProcessCollectorOpts{}))\n\tMustRegister(NewGoCollector())\n}\n", ""},
	}},
}

// lazyFile stands beside the files of which [library.lazy] speaks, in place of regexp's own type.
const lazyFile = `package %s

import (
	"regexp"
	"sync"
)

type lazyRegexp struct {
	text string
	once sync.Once
	re   *regexp.Regexp
}

func lazily(text string) *lazyRegexp { return &lazyRegexp{text: text} }

func (l *lazyRegexp) compiled() *regexp.Regexp {
	l.once.Do(func() { l.re = regexp.MustCompile(l.text) })
	return l.re
}

func (l *lazyRegexp) String() string { return l.text }

func (l *lazyRegexp) MatchString(s string) bool { return l.compiled().MatchString(s) }

func (l *lazyRegexp) FindString(s string) string { return l.compiled().FindString(s) }

func (l *lazyRegexp) FindStringSubmatch(s string) []string { return l.compiled().FindStringSubmatch(s) }

func (l *lazyRegexp) ReplaceAllString(s, by string) string { return l.compiled().ReplaceAllString(s, by) }
`

func main() {
	folder := flag.String("out", "bin/startup", "where the module file and the copies are put")
	flag.Parse()
	if err := lay(*folder); err != nil {
		fmt.Fprintln(os.Stderr, "startup:", err)
		os.Exit(1)
	}
}

func lay(folder string) error {
	var env struct{ GOMOD string }
	if out, err := exec.Command("go", "env", "-json", "GOMOD").Output(); err != nil {
		return fmt.Errorf("go env: %w", err)
	} else if err := json.Unmarshal(out, &env); err != nil {
		return err
	}
	root, err := filepath.Abs(filepath.Dir(env.GOMOD))
	if err != nil {
		return err
	}
	requirements, err := os.ReadFile(env.GOMOD)
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for _, l := range libraries {
		copied, err := l.copy(folder)
		if err != nil {
			return fmt.Errorf("%s: %w", l.module, err)
		}
		below, err := filepath.Rel(root, copied) // the binary names it: two checkouts, the same bytes
		if err != nil {
			return err
		}
		requirements = fmt.Appendf(requirements, "\nreplace %s => ./%s\n", l.module, filepath.ToSlash(below))
	}
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), requirements, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "go.sum"), sums, 0o644)
}

// copy lays the changed copy below folder, and tells where.
func (l library) copy(folder string) (string, error) {
	var module struct{ Dir string }
	if out, err := exec.Command("go", "list", "-m", "-json", l.module).Output(); err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	} else if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	copied, err := filepath.Abs(filepath.Join(folder, strings.ReplaceAll(l.module, "/", "-")))
	if err != nil {
		return "", err
	}
	if err := copyModule(copied, module.Dir); err != nil {
		return "", err
	}
	for _, edit := range l.edits {
		if err := replaceIn(filepath.Join(copied, edit[0]), edit[1], edit[2]); err != nil {
			return "", err
		}
	}
	for _, name := range l.lazy {
		name = filepath.Join(copied, name)
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if !bytes.Contains(text, []byte("regexp.MustCompile(")) {
			return "", fmt.Errorf("%s compiles no expression; this version of it needs other edits", filepath.Base(name))
		}
		text = bytes.ReplaceAll(text, []byte("regexp.MustCompile("), []byte("lazily("))
		text = bytes.ReplaceAll(text, []byte("*regexp.Regexp"), []byte("*lazyRegexp"))
		if !bytes.Contains(text, []byte("regexp.")) {
			text = bytes.Replace(text, []byte("\t\"regexp\"\n"), nil, 1)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return "", err
		}
	}
	if len(l.lazy) > 0 {
		name := strings.TrimPrefix(path.Base(l.module), "go-")
		return copied, os.WriteFile(filepath.Join(copied, "lazily.go"), fmt.Appendf(nil, lazyFile, name), 0o644)
	}
	return copied, nil
}

// copyModule leaves out what tests alone need, which is most of some modules.
func copyModule(to, from string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && entry.Name() == "testdata":
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, below), 0o755)
		case strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, below), data, 0o644) // the module cache is read-only
	})
}

// replaceIn replaces what stands in a file once.
func replaceIn(name, old, with string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), old); n != 1 {
		return fmt.Errorf("%s has %d times, not once: %q; this version of it needs other edits", filepath.Base(name), n, old)
	}
	return os.WriteFile(name, []byte(strings.Replace(string(text), old, with, 1)), 0o644)
}
