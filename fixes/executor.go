package fixes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Executor carries plans out, and takes them back. It is the only one that calls Apply: what was there
// before stands in the journal before anything is touched.
type Executor struct {
	Host    Host
	Root    Host         // for steps that need root; nil: Host
	End     func() error // ends what Root needs; nil: nothing
	Journal *Journal
	// Tell is told of each step as it begins (StepBegun) and as it ends; nil: nobody is.
	Tell func(Progress)
}

// Close ends what the executor started.
func (x *Executor) Close() {
	if x.End != nil {
		_ = x.End()
	}
}

// HostFor is the host that a step is handed.
func (x *Executor) HostFor(d Description) Host {
	if d.Root && x.Root != nil {
		return x.Root
	}
	return x.Host
}

// Progress is what happened to a step just now.
type Progress struct {
	Step    int // counts from 0
	Steps   int
	What    Description
	State   StepState
	Preview Preview
	Err     error

	begun, applied bool
}

// Result is what became of a plan. Entry is its number in the journal; 0: nothing had to be changed.
type Result struct {
	Entry int
	Steps []Progress
}

// Changed tells if any step did something.
func (r Result) Changed() bool {
	return slices.ContainsFunc(r.Steps, func(p Progress) bool { return p.State == StepDone })
}

// errInterrupted is what a user's ^C, or a SIGTERM, comes to.
var errInterrupted = errors.New("interrupted")

// StepError is the failure of one step. Steps after it were not begun.
type StepError struct {
	Step, Steps int
	What        Description
	Entry       int  // journal entry; 0: nothing was changed
	Earlier     bool // steps before it did something
	Begun       bool // it may have done something itself
	Applied     bool // it did, and only its verification failed
	Undo        string
	Err         error
}

func (e *StepError) Error() string {
	if errors.Is(e.Err, context.Canceled) {
		return e.interrupted()
	}
	text := fmt.Sprintf("step %d of %d, %q: %s", e.Step+1, e.Steps, e.What.Text, e.Err)
	switch {
	case e.Steps == 1 && e.Applied:
		return fmt.Sprintf("%s\nTake it back: %s", e.Err, e.Undo)
	case e.Steps == 1:
		return e.Err.Error()
	case e.Earlier:
		text += fmt.Sprintf("\nThe steps before it stay done. Mend this and run the same command again, or take them back: %s", e.Undo)
	default:
		text += "\nNothing else was changed. Mend this and run the same command again."
	}
	return text
}

// interrupted says where the user's signal came, and both ways on.
func (e *StepError) interrupted() string {
	switch {
	case !e.Begun && !e.Earlier:
		return "interrupted: nothing was changed"
	case e.Begun:
		return fmt.Sprintf("interrupted in step %d of %d, %q: it may be done in part, and nothing after it was begun.\nGo on: run the same command again. Take back what was done: %s", e.Step+1, e.Steps, e.What.Text, e.Undo)
	}
	return fmt.Sprintf("interrupted before step %d of %d, %q: the steps before it are done, nothing else was begun.\nGo on: run the same command again. Take back what was done: %s", e.Step+1, e.Steps, e.What.Text, e.Undo)
}

// UndoCommand is what a user types to take an entry back.
func (x *Executor) UndoCommand(entry int) string {
	text := fmt.Sprintf("docker gpu fix --undo %d", entry)
	if x.Root != nil {
		text += " --sudo"
	}
	return text
}

func (e *StepError) Unwrap() error { return e.Err }

// Preview says what each step would do now, given that none of the others has been done.
func (x *Executor) Preview(ctx context.Context, plan Plan) ([]Preview, error) {
	previews := make([]Preview, len(plan.Steps))
	for i, step := range plan.Steps {
		var err error
		if previews[i], err = step.Preview(ctx, x.HostFor(step.Describe())); err != nil {
			return nil, &StepError{Step: i, Steps: len(plan.Steps), What: step.Describe(), Err: err}
		}
	}
	return previews, nil
}

// Run carries a plan out, step by step, and stops at the first one that fails. Two of them at once, in
// this process or another, go one after the other.
func (x *Executor) Run(ctx context.Context, plan Plan) (Result, error) {
	var result Result
	unlock, err := x.Journal.lock(ctx, plan.Name)
	if err != nil {
		return result, err
	}
	defer unlock()
	var entry *writing
	defer func() { entry.close() }()
	number := 0 // of the step in the journal, which has only the needed ones
	for i, step := range plan.Steps {
		p := Progress{Step: i, Steps: len(plan.Steps), What: step.Describe()}
		err := ctx.Err()
		if err == nil {
			entry, err = x.carry(ctx, plan.Name, entry, &number, step, &p)
		}
		result.Steps = append(result.Steps, p)
		if entry != nil {
			result.Entry = entry.id
		}
		if err != nil {
			earlier := slices.ContainsFunc(result.Steps[:i], func(p Progress) bool { return p.State == StepDone })
			return result, &StepError{i, len(plan.Steps), p.What, result.Entry, earlier, p.begun, p.applied, x.UndoCommand(result.Entry), err}
		}
	}
	return result, nil
}

// carry does one step: preview, journal, apply, verify. Where somebody else changed the file between
// preview and apply, it starts over, so that nobody's change is lost.
func (x *Executor) carry(ctx context.Context, name string, entry *writing, number *int, step Step, p *Progress) (*writing, error) {
	const tries = 20
	var err error
	h := x.HostFor(p.What)
	for try := 0; ; try++ {
		if p.Preview, err = step.Preview(ctx, h); err != nil {
			break
		}
		if !p.Preview.Needed {
			p.State = StepUnneeded
			x.tell(*p)
			return entry, nil
		}
		if entry == nil {
			if entry, err = x.Journal.begin(name); err != nil {
				break
			}
		}
		at := *number
		if err = entry.write(journalLine{Step: &at, State: StepBegun, Description: &p.What, Record: &p.Preview.Record}); err != nil {
			break
		}
		p.State, p.begun = StepBegun, true
		x.tell(*p)
		var record Record
		record, err = step.Apply(ctx, h, p.Preview)
		if errors.Is(err, ErrChanged) && try < tries && ctx.Err() == nil {
			continue // the same number begins again, with what is there now
		}
		*number++
		line := journalLine{Step: &at, State: StepDone}
		if !sameRecord(record, p.Preview.Record) {
			line.Record = &record
		}
		if p.applied = err == nil; p.applied {
			if err = step.Verify(ctx, h); err != nil {
				err = fmt.Errorf("was carried out, but: %w", err)
			}
		}
		if err != nil {
			line.State, line.Error = StepFailed, err.Error()
		}
		p.State, p.Err = line.State, err
		// The change is made: that this cannot be noted is no reason to call it failed, the begun line
		// holds all that undoing needs.
		_ = entry.write(line)
		x.tell(*p)
		return entry, err
	}
	p.State, p.Err = StepFailed, err
	x.tell(*p)
	return entry, err
}

func (x *Executor) tell(p Progress) {
	if x.Tell != nil {
		x.Tell(p)
	}
}

func sameRecord(a, b Record) bool {
	return a.Path == b.Path && a.Existed == b.Existed && a.Exists == b.Exists && a.Mode == b.Mode && bytes.Equal(a.Before, b.Before) &&
		bytes.Equal(a.After, b.After) && slices.Equal(a.Made, b.Made) && slices.EqualFunc(a.Undo, b.Undo, slices.Equal[[]string])
}

// ConflictError says that a file was changed after docker gpu wrote it, so that undoing would destroy
// somebody's work. Ours is the diff of what was done then, Theirs of what was done to it since.
type ConflictError struct {
	Path, Ours, Theirs string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s was changed since, so it is left alone.\nWhat docker gpu changed:\n%sWhat was changed after that:\n%s", e.Path, e.Ours, e.Theirs)
}

// Undo takes an entry back, the last step first; 0 is the newest entry that can be undone. All files are
// looked at before any is touched: where one was changed since, a ConflictError says so and nothing is
// undone. Undoing twice changes nothing.
func (x *Executor) Undo(ctx context.Context, id int) (JournalEntry, error) {
	unlock, err := x.Journal.lock(ctx, "fix --undo")
	if err != nil {
		return JournalEntry{}, err
	}
	defer unlock()
	entry, err := x.Pick(id)
	if err != nil {
		return entry, err
	}
	if err := x.conflicts(entry); err != nil {
		return entry, err
	}
	w, err := x.Journal.open(entry.ID)
	if err != nil {
		return entry, err
	}
	defer w.close()
	for i := len(entry.Steps) - 1; i >= 0; i-- {
		s := &entry.Steps[i]
		if !s.Undoable() {
			continue
		}
		p := Progress{Step: i, Steps: len(entry.Steps), What: s.Description, State: StepBegun}
		x.tell(p)
		err := ctx.Err()
		if err == nil {
			err = takeBack(ctx, x.HostFor(s.Description), s.Record)
		}
		if err != nil {
			p.State, p.Err = StepFailed, err
			x.tell(p)
			if errors.Is(err, context.Canceled) {
				return entry, fmt.Errorf("%w at step %d of %d, %q: the steps after it are undone. Run again: %s", errInterrupted, i+1, len(entry.Steps), s.Text, x.UndoCommand(entry.ID))
			}
			return entry, fmt.Errorf("step %d of %d, %q, could not be undone: %w\nThe steps after it are undone; mend this and run again: %s", i+1, len(entry.Steps), s.Text, err, x.UndoCommand(entry.ID))
		}
		if err := w.write(journalLine{Step: &i, State: StepUndone}); err != nil {
			return entry, err
		}
		s.State = StepUndone
		p.State = StepUndone
		x.tell(p)
	}
	return entry, nil
}

// ErrNothingToUndo is returned where the journal holds no change that could be taken back.
var ErrNothingToUndo = errors.New("there is nothing to undo")

// Pick is the entry that Undo would take back, or why there is none.
func (x *Executor) Pick(id int) (JournalEntry, error) {
	if id != 0 {
		e, err := x.Journal.Entry(id)
		switch {
		case err != nil:
			return e, err
		case e.Damage != "":
			return e, fmt.Errorf("entry %d of the journal is damaged and cannot be undone: %s", id, e.Damage)
		case !e.Undoable() && e.Undone():
			return e, fmt.Errorf("entry %d is already undone", id)
		case !e.Undoable():
			return e, fmt.Errorf("nothing of entry %d can be undone", id)
		}
		return e, nil
	}
	entries, err := x.Journal.Entries()
	if err != nil {
		return JournalEntry{}, err
	}
	for _, e := range entries {
		if e.Damage != "" { // the newest may be this one: going past it would be a guess
			return e, fmt.Errorf("entry %d of the journal is damaged: %s\nName the entry to undo: docker gpu fix --undo ID (docker gpu fix --list shows them)", e.ID, e.Damage)
		}
		if e.Undoable() {
			return e, nil
		}
	}
	return JournalEntry{}, ErrNothingToUndo
}

// conflicts finds files of the entry that hold neither what was written nor what was there before.
// Where an entry changed a file more than once, only the last change shows.
func (x *Executor) conflicts(entry JournalEntry) error {
	seen := map[string]bool{}
	for _, s := range slices.Backward(entry.Steps) {
		r := s.Record
		if r.Path == "" || s.State == StepUndone || seen[r.Path] {
			continue
		}
		seen[r.Path] = true
		now, err := readOrNil(x.HostFor(s.Description), r.Path)
		if err != nil {
			return err
		}
		if !sameFile(now, r.after()) && !sameFile(now, r.before()) {
			return &ConflictError{r.Path, Diff(r.Path, r.before(), r.after()), Diff(r.Path, r.after(), now)}
		}
	}
	return nil
}

func sameFile(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// takeBack undoes one step by its record.
func takeBack(ctx context.Context, h Host, r Record) error {
	if r.Path != "" {
		now, err := readOrNil(h, r.Path)
		if err != nil {
			return err
		}
		switch {
		case sameFile(now, r.before()): // it never came to it, or was undone by hand
		case !sameFile(now, r.after()):
			return &ConflictError{r.Path, Diff(r.Path, r.before(), r.after()), Diff(r.Path, r.after(), now)}
		default:
			back := r
			back.Existed, back.Before, back.Exists, back.After = r.Exists, r.After, r.Existed, r.Before
			if err := back.write(h); err != nil {
				return err
			}
		}
		for _, folder := range slices.Backward(r.Made) {
			if err := h.RemoveFolder(folder); err != nil {
				return err
			}
		}
	}
	for _, argv := range r.Undo {
		if _, err := h.Run(ctx, argv...); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
		}
	}
	return nil
}

// NewJournal is the journal below a state folder, $XDG_STATE_HOME/docker-gpu.
func NewJournal(stateFolder string, now func() time.Time) *Journal {
	return &Journal{Folder: stateFolder + "/journal", Now: now}
}
