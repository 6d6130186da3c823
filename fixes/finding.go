package fixes

import (
	"fmt"
	"slices"
	"strings"
)

// ID names a root cause: one of the taxonomy, the same in diagnose, explain, fix, audit and the
// documentation.
type ID string

// Severity of a finding. An error keeps a GPU from a container, a warning may, an info is good to know.
type Severity string

// The severities, worst first.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Finding is one root cause that was found, with what proves it and what to do.
type Finding struct {
	ID        ID         `json:"id"`
	Severity  Severity   `json:"severity"`
	Title     string     `json:"title"`
	Cause     string     `json:"cause"`
	Container string     `json:"container,omitempty"` // name of the container it concerns; empty: the machine or the project
	Evidence  []Evidence `json:"evidence"`
	Playbook  string     `json:"playbook"`
	Steps     []string   `json:"steps"`
	Docs      string     `json:"docs"`
	Folded    []ID       `json:"folded,omitempty"`   // consequences that this cause explains, and that are not reported
	Question  string     `json:"question,omitempty"` // what would decide between this and the related ones
}

// Evidence is where a finding was seen, and the very text or value. Line counts from 1; 0 is none.
type Evidence struct {
	Source string `json:"source"`
	Text   string `json:"text"`
	Line   int    `json:"line,omitempty"`
}

// rank orders severities, worst first.
func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// WarningOrWorse tells if commands that judge (diagnose, audit, check) exit with 1 because of it.
func (s Severity) WarningOrWorse() bool { return s == Error || s == Warning }

// NewFinding fills a finding from the knowledge table. An id that is not in the table is a fault of the
// program and panics; a test walks all of them.
func NewFinding(id ID, evidence ...Evidence) Finding {
	e, ok := Knowledge().Entry(id)
	if !ok {
		panic("fixes: no entry in the knowledge table for " + string(id))
	}
	steps := make([]string, len(e.Steps))
	for i, s := range e.Steps {
		steps[i] = s.String()
	}
	if evidence == nil {
		evidence = []Evidence{}
	}
	return Finding{ID: id, Severity: e.Severity, Title: e.Title, Cause: e.Cause, Evidence: evidence, Playbook: e.Playbook, Steps: steps, Docs: e.Docs, Question: e.Question}
}

// SplitStep parts a step of a finding into what to do and the command that does it; "" where it names none.
func SplitStep(id ID, step string) (text, command string) {
	e, _ := Knowledge().Entry(id)
	for _, a := range e.Steps {
		if text, ok := strings.CutSuffix(step, ": "+a.Command); ok && a.Command != "" {
			return text, a.Command
		}
	}
	return step, ""
}

// Counted is a number with its noun: 1 GPU, 8 GPUs.
func Counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
