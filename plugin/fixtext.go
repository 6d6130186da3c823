package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/cli/cli"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// writePlan shows what was found, each step with reason, diff or command, harm and whether it needs root,
// and what is left to people.
func writePlan(app *app, a *fixAnswer, needed []fixStep, opts *fixOptions) error {
	var b strings.Builder
	if len(a.Findings) == 0 {
		what := "Nothing was found that docker gpu could mend."
		if len(opts.names) > 0 {
			what = "Nothing to mend: of " + strings.Join(opts.names, ", ") + " nothing was found here."
		}
		b.WriteString(what + "\n")
		_, err := fmt.Fprint(app.out(), b.String())
		return err
	}
	b.WriteString("Found:\n")
	for _, f := range a.Findings {
		where := ""
		if f.Container != "" {
			where = " (container " + harmlessName(f.Container) + ")"
		}
		fmt.Fprintf(&b, "  %s: %s%s\n", f.ID, harmlessName(f.Title), where)
	}
	if len(needed) > 0 {
		b.WriteString("\nPlan:\n")
	}
	writePlanSteps(&b, needed)
	if len(needed) == 0 && len(a.Steps) > 0 {
		b.WriteString("\nThe steps that mend this are done already.\n")
	}
	if len(a.Manual) > 0 {
		b.WriteString("\nLeft to you:\n")
		for _, m := range a.Manual {
			why := ""
			if m.Why != "" {
				why = ": " + m.Why
			}
			fmt.Fprintf(&b, "  %s%s\n", m.Finding, harmlessName(why))
			for _, s := range m.Steps {
				fmt.Fprintf(&b, "    - %s\n", harmlessName(s))
			}
		}
	}
	if opts.dryRun && len(needed) > 0 {
		b.WriteString("\nNothing was changed (--dry-run).\n")
	} else if opts.from != "" && len(needed) > 0 {
		fmt.Fprintf(&b, "\nThis is the plan for the machine of %s: it is carried out there.\n", harmlessName(opts.from))
	} else if len(needed) > 0 {
		b.WriteString("\n")
	}
	_, err := fmt.Fprint(app.out(), b.String())
	return err
}

// writePlanSteps shows each step with its kind, its command or diff, and what keeps it from being done.
func writePlanSteps(b *strings.Builder, needed []fixStep) {
	for i, f := range needed {
		kind := string(f.Harm)
		if f.Root {
			kind += ", as root"
		}
		if !f.Undoes {
			kind += ", cannot be undone"
		}
		fmt.Fprintf(b, "  %d. %s  [%s]\n", i+1, harmlessName(f.Text), kind)
		if f.Reason != "" {
			fmt.Fprintf(b, "     because of %s\n", f.Reason)
		}
		if len(f.Command) > 0 {
			sudo := ""
			if f.Root && os.Geteuid() != 0 {
				sudo = "sudo "
			}
			fmt.Fprintf(b, "     $ %s%s\n", sudo, harmlessName(quoteArgs(f.Command)))
		}
		writeIndented(b, f.Diff)
		if f.Note != "" {
			fmt.Fprintf(b, "     (%s)\n", harmlessName(f.Note))
		}
		if f.Error != "" {
			b.WriteString("     cannot be done now:\n")
			writeIndented(b, f.Error+"\n")
		}
	}
}

func writeIndented(b *strings.Builder, text string) {
	for line := range strings.Lines(harmlessText(text)) {
		b.WriteString("     " + strings.TrimRight(line, "\n") + "\n")
	}
}

// tellStep says how a step went.
func tellStep(app *app, p fixes.Progress) {
	switch p.State {
	case fixes.StepDone:
		fmt.Fprintf(app.out(), "✓ %s\n", harmlessName(p.What.Text))
	case fixes.StepUnneeded:
		fmt.Fprintf(app.out(), "– %s: done already\n", harmlessName(p.What.Text))
	case fixes.StepUndone:
		fmt.Fprintf(app.out(), "✓ undone: %s\n", harmlessName(p.What.Text))
	case fixes.StepFailed:
		fmt.Fprintf(app.out(), "✗ %s\n", harmlessName(p.What.Text))
	}
}

func sayFixed(app *app, a *fixAnswer, x *fixes.Executor) error {
	undo := ""
	if a.Entry != 0 && slices.ContainsFunc(a.Steps, func(f fixStep) bool { return f.Undoes && f.State == fixes.StepDone }) {
		undo = fmt.Sprintf("Take it back: %s\n", x.UndoCommand(a.Entry))
	}
	if len(a.Remaining) == 0 {
		_, err := fmt.Fprintf(app.out(), "\nDone and verified: what was found is gone.\n%s", undo)
		return err
	}
	ids := make([]string, len(a.Remaining))
	for i, id := range a.Remaining {
		ids[i] = string(id)
	}
	fmt.Fprintf(app.out(), "\nThe steps are done, but this is still found: %s\nSee docker gpu diagnose. %s", strings.Join(ids, ", "), undo)
	return cli.StatusError{StatusCode: 1}
}

// fixChange is a line of `fix --list --format json`.
type fixChange struct {
	ID       int         `json:"id"`
	At       string      `json:"at,omitempty"`
	Name     string      `json:"name,omitempty"`
	Steps    []fixedStep `json:"steps"`
	Undoable bool        `json:"undoable"`
	Undone   bool        `json:"undone"`
	Damage   string      `json:"damage,omitempty"`
}

type fixedStep struct {
	fixes.Description
	State fixes.StepState `json:"state"`
	Error string          `json:"error,omitempty"`
}

func runFixList(app *app, opts *fixOptions) error {
	entries, err := app.executor().Journal.Entries()
	if err != nil {
		return fmt.Errorf("docker gpu: the journal: %w", err)
	}
	columns := []column{{title: "ID", keep: keepAlways, right: true}, {title: "WHEN", keep: 4}, {title: "WHAT", keep: keepAlways, least: 16}, {title: "STEPS", keep: 3, least: 20}, {title: "STATE", keep: keepAlways}}
	var rows [][]string
	for _, e := range entries {
		c := fixChange{ID: e.ID, Name: e.Name, Undoable: e.Undoable(), Undone: e.Undone(), Damage: e.Damage, Steps: []fixedStep{}}
		if !e.StartedAt.IsZero() {
			c.At = e.StartedAt.UTC().Format("2006-01-02T15:04:05Z")
		}
		var texts []string
		failed := false
		for _, s := range e.Steps {
			c.Steps = append(c.Steps, fixedStep{s.Description, s.State, s.Error})
			texts = append(texts, s.Text)
			failed = failed || s.State == fixes.StepFailed || s.State == fixes.StepBegun
		}
		if opts.format == "json" {
			if err := writeJSON(app.out(), c, ""); err != nil {
				return err
			}
			continue
		}
		state := "done"
		switch {
		case c.Damage != "":
			state = "damaged: " + c.Damage
		case c.Undone:
			state = "undone"
		case failed:
			state = "broken off"
		}
		rows = append(rows, []string{strconv.Itoa(c.ID), c.At, harmlessName(c.Name), harmlessName(strings.Join(texts, "; ")), harmlessName(state)})
	}
	if opts.format == "json" {
		return nil
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(app.out(), "docker gpu has changed nothing here so far.")
		return err
	}
	return writeTable(app.out(), opts.width(app), columns, rows)
}

func runFixUndo(ctx context.Context, app *app, opts *fixOptions) error {
	id, _ := strconv.Atoi(opts.undo) // "newest" is 0
	x := app.fixExecutor(opts.sudo)
	defer x.Close()
	if opts.dryRun {
		return showUndo(app, x, id)
	}
	if opts.format != "json" {
		x.Tell = func(p fixes.Progress) { tellStep(app, p) }
	}
	entry, err := x.Pick(id)
	if err == nil && os.Geteuid() != 0 && !opts.sudo && slices.ContainsFunc(entry.Steps, func(s fixes.JournalStep) bool { return s.Root && s.Undoable() }) {
		err = fmt.Errorf("undoing change %d needs root, nothing was undone. Run: docker gpu fix --undo %d --sudo", entry.ID, entry.ID)
	}
	if err == nil {
		entry, err = x.Undo(ctx, entry.ID)
	}
	if errors.Is(err, fixes.ErrNothingToUndo) && os.Geteuid() != 0 {
		err = fmt.Errorf("%w of yours; what was changed as root stands in root's journal: sudo docker gpu fix --undo", err)
	}
	if opts.format == "json" {
		answer := map[string]any{"schemaVersion": inspect.SchemaVersion, "id": entry.ID, "undone": err == nil}
		var conflict *fixes.ConflictError
		if errors.As(err, &conflict) {
			answer["conflict"] = map[string]string{"path": conflict.Path, "ours": conflict.Ours, "theirs": conflict.Theirs}
		} else if err != nil {
			answer["error"] = err.Error()
		}
		if writeErr := writeJSON(app.out(), answer, "  "); writeErr != nil {
			return writeErr
		}
		if err != nil {
			return cli.StatusError{StatusCode: 1}
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("docker gpu: %w", err)
	}
	fmt.Fprintf(app.out(), "Change %d (%s) is undone.\n", entry.ID, harmlessName(entry.Name))
	for _, s := range entry.Stays() {
		fmt.Fprintf(app.out(), "Cannot be undone and stays: %s\n", harmlessName(s.Text))
	}
	return nil
}

// showUndo says what undoing would do.
func showUndo(app *app, x *fixes.Executor, id int) error {
	entries, err := x.Journal.Entries()
	if err != nil {
		return fmt.Errorf("docker gpu: the journal: %w", err)
	}
	for _, e := range entries {
		if id != 0 && e.ID != id || id == 0 && !e.Undoable() {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "Undoing change %d (%s):\n", e.ID, harmlessName(e.Name))
		for i := len(e.Steps) - 1; i >= 0; i-- {
			s := e.Steps[i]
			if s.State == fixes.StepUndone {
				continue
			}
			fmt.Fprintf(&b, "  %s\n", harmlessName(s.Text))
			if s.Record.Path != "" {
				writeIndented(&b, fixes.Diff(s.Record.Path, s.Record.After, s.Record.Before))
			}
			for _, argv := range s.Record.Undo {
				fmt.Fprintf(&b, "     $ %s\n", harmlessName(quoteArgs(argv)))
			}
		}
		b.WriteString("Nothing was changed (--dry-run).\n")
		_, err := fmt.Fprint(app.out(), b.String())
		return err
	}
	return errors.New("docker gpu: there is nothing to undo")
}
