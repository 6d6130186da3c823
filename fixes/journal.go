package fixes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Journal is the folder that remembers what was changed: one file an entry, NUMBER.jsonl, to which lines
// are only ever appended, each on the disk before what it tells of is done. So a crash leaves at most
// one unfinished last line, which tells of something that was not begun; every other line that does not
// read is damage, and an entry with damage is shown and never acted on.
type Journal struct {
	Folder string // $XDG_STATE_HOME/docker-gpu/journal
	Now    func() time.Time
	Wait   time.Duration // how long to wait for another docker gpu that is at work; 0: 10 s
}

// The newest entries are kept, as long as they are not too many or too large.
const (
	keepEntries = 200
	keepBytes   = 512 << 20
)

// StepState is how far a step came.
type StepState string

// The states. A begun step may or may not have happened: a crash came between.
const (
	StepUnneeded StepState = "unneeded" // there was nothing to do; not in the journal
	StepBegun    StepState = "begun"
	StepDone     StepState = "done"
	StepFailed   StepState = "failed"
	StepUndone   StepState = "undone"
)

// JournalEntry is one plan that was carried out, as the journal tells it.
type JournalEntry struct {
	SchemaVersion int           `json:"schemaVersion"`
	ID            int           `json:"id"`
	Name          string        `json:"name"`
	StartedAt     time.Time     `json:"startedAt"`
	Steps         []JournalStep `json:"steps"`
	Damage        string        `json:"damage,omitempty"` // why it cannot be believed: file, line, reason
	path          string
}

// JournalStep is a step of an entry.
type JournalStep struct {
	Description
	State  StepState `json:"state"`
	At     time.Time `json:"at"` // of the latest state
	Record Record    `json:"record"`
	Error  string    `json:"error,omitempty"`
}

// Undoable tells if anything of the entry can still be taken back.
func (e JournalEntry) Undoable() bool {
	return e.Damage == "" && slices.ContainsFunc(e.Steps, JournalStep.Undoable)
}

// Undoable tells if the step can still be taken back.
func (s JournalStep) Undoable() bool {
	return s.State != StepUndone && (s.Record.Path != "" || len(s.Record.Undo) > 0)
}

// Undone tells if all of it was taken back that can be.
func (e JournalEntry) Undone() bool {
	return !e.Undoable() && slices.ContainsFunc(e.Steps, func(s JournalStep) bool { return s.State == StepUndone })
}

// Stays are the steps that did something and cannot be taken back.
func (e JournalEntry) Stays() (steps []JournalStep) {
	for _, s := range e.Steps {
		if s.State != StepUndone && !s.Undoable() && !s.Undoes {
			steps = append(steps, s)
		}
	}
	return steps
}

// journalLine is a line of an entry's file: its head, or a step's new state. The description and the record
// stand in the line that begins a step, and the record again where doing it told more.
type journalLine struct {
	SchemaVersion int          `json:"schemaVersion,omitempty"`
	ID            int          `json:"id,omitempty"`
	Name          string       `json:"name,omitempty"`
	At            time.Time    `json:"at"`
	Step          *int         `json:"step,omitempty"`
	State         StepState    `json:"state,omitempty"`
	Description   *Description `json:"description,omitempty"`
	Record        *Record      `json:"record,omitempty"`
	Error         string       `json:"error,omitempty"`
}

const journalVersion = 1

// holder is what stands in the lock's file while somebody holds it.
type holder struct {
	PID   int       `json:"pid"`
	What  string    `json:"what"` // fix cdi
	Since time.Time `json:"since"`
}

// lock keeps a second docker gpu from changing the machine at the same time; what is told to a second one
// that waits in vain.
func (j *Journal) lock(ctx context.Context, what string) (unlock func(), err error) {
	if err := os.MkdirAll(j.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("the journal cannot be kept: %w", said(j.Folder, err))
	}
	wait := j.Wait
	if wait == 0 {
		wait = 10 * time.Second
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	lock := flock.New(filepath.Join(j.Folder, "lock"), flock.SetPermissions(0o600))
	locked, err := lock.TryLockContext(limited, 3*time.Millisecond)
	switch {
	case locked:
		note, _ := json.Marshal(holder{os.Getpid(), what, j.Now().UTC()})
		_ = os.WriteFile(lock.Path(), note, 0o600) // for others to read: that it cannot be written keeps nobody from working
		return func() {
			_ = os.Truncate(lock.Path(), 0)
			_ = lock.Close()
		}, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w while another docker gpu was at work: nothing was changed", errInterrupted)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%s is changing this machine: nothing was changed. Run this again when it is done (lock: %s)", heldBy(lock.Path()), lock.Path())
	}
	return nil, fmt.Errorf("the journal cannot be locked: %w", said(lock.Path(), err))
}

// heldBy names who holds the lock, by what it wrote into the file.
func heldBy(path string) string {
	var h holder
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &h) != nil || h.PID <= 0 {
		return "another docker gpu"
	}
	return fmt.Sprintf("docker gpu %s (process %d, since %s)", h.What, h.PID, h.Since.Local().Format("15:04:05"))
}

// Entries are all entries, the newest first.
func (j *Journal) Entries() ([]JournalEntry, error) {
	files, err := j.files()
	if err != nil {
		return nil, err
	}
	entries := make([]JournalEntry, 0, len(files))
	for _, id := range slices.Backward(files) {
		e, err := j.read(id)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Entry reads one entry.
func (j *Journal) Entry(id int) (JournalEntry, error) {
	e, err := j.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return JournalEntry{}, fmt.Errorf("the journal has no entry %d", id)
	}
	return e, err
}

// files are the numbers of the entries, ascending.
func (j *Journal) files() ([]int, error) {
	names, err := os.ReadDir(j.Folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, said(j.Folder, err)
	}
	var ids []int
	for _, name := range names {
		if number, ok := strings.CutSuffix(name.Name(), ".jsonl"); ok {
			if id, err := strconv.Atoi(number); err == nil && id > 0 {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (j *Journal) path(id int) string { return filepath.Join(j.Folder, fmt.Sprintf("%06d.jsonl", id)) }

func (j *Journal) read(id int) (JournalEntry, error) {
	path := j.path(id)
	data, err := os.ReadFile(path)
	if err != nil {
		return JournalEntry{}, said(path, err)
	}
	e := parseEntry(data)
	e.path = path
	if e.Damage == "" && len(data) > 0 && e.ID != 0 && e.ID != id {
		e.Damage = fmt.Sprintf("it says that it is entry %d", e.ID)
	}
	if e.Damage != "" {
		e.Damage = path + ": " + e.Damage
	}
	e.ID = id
	return e, nil
}

// parseEntry reads an entry's file. What it cannot understand makes the entry damaged, except a last
// line without its end, which a crash cut short before what it tells of was begun.
func parseEntry(data []byte) JournalEntry {
	var e JournalEntry
	number := 0
	damaged := func(format string, args ...any) JournalEntry {
		e.Damage = fmt.Sprintf("line %d: ", number) + fmt.Sprintf(format, args...)
		return e
	}
	for raw := range bytes.Lines(data) {
		number++
		if !bytes.HasSuffix(raw, []byte("\n")) {
			break
		}
		var l journalLine
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			return damaged("%s", err)
		}
		if _, err := dec.Token(); err == nil {
			return damaged("more than one object")
		}
		switch {
		case number == 1:
			if l.SchemaVersion != journalVersion || l.ID <= 0 || l.Step != nil {
				return damaged("is no head of version %d", journalVersion)
			}
			e.SchemaVersion, e.ID, e.Name, e.StartedAt = l.SchemaVersion, l.ID, l.Name, l.At
			continue
		case l.Step == nil || *l.Step < 0 || *l.Step > len(e.Steps):
			return damaged("is of no step")
		case *l.Step == len(e.Steps):
			if l.State != StepBegun || l.Description == nil || l.Record == nil {
				return damaged("step %d does not begin", *l.Step)
			}
			e.Steps = append(e.Steps, JournalStep{Description: *l.Description})
		}
		s := &e.Steps[*l.Step]
		switch l.State {
		case StepBegun, StepDone, StepFailed, StepUndone:
		default:
			return damaged("unknown state %q", l.State)
		}
		s.State, s.At, s.Error = l.State, l.At, l.Error
		if l.Record != nil {
			s.Record = *l.Record
		}
	}
	if number == 0 || number == 1 && e.ID == 0 {
		e.Name = "(interrupted before anything was done)"
	}
	return e
}

// begin makes the next entry. The caller holds the lock.
func (j *Journal) begin(name string) (*writing, error) {
	ids, err := j.files()
	if err != nil {
		return nil, err
	}
	next := 1
	if len(ids) > 0 {
		next = ids[len(ids)-1] + 1
	}
	j.prune(ids)
	f, err := os.OpenFile(j.path(next), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the journal cannot be kept: %w", said(j.path(next), err))
	}
	w := &writing{file: f, id: next, now: j.Now}
	if err := w.write(journalLine{SchemaVersion: journalVersion, ID: next, Name: name}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := syncFolder(j.Folder); err != nil {
		return nil, errors.Join(fmt.Errorf("the journal cannot be kept: %w", said(j.Folder, err)), f.Close())
	}
	return w, nil
}

// open goes on with an entry, to undo it.
func (j *Journal) open(id int) (*writing, error) {
	path := j.path(id)
	// A line that a crash cut short goes first: the next one must not be glued to it.
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, said(path, err)
	}
	if end := bytes.LastIndexByte(data, '\n') + 1; end < len(data) {
		if err := os.Truncate(path, int64(end)); err != nil {
			return nil, said(path, err)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, said(path, err)
	}
	return &writing{file: f, id: id, now: j.Now}, nil
}

// prune takes the oldest entries away, so that the journal does not grow without end. Failing at it
// harms nothing.
func (j *Journal) prune(ids []int) {
	var size int64
	for i, id := range slices.Backward(ids) {
		if info, err := os.Stat(j.path(id)); err == nil {
			size += info.Size()
		}
		if len(ids)-i >= keepEntries || size > keepBytes {
			_ = os.Remove(j.path(id))
		}
	}
}

// writing is an entry that is being written.
type writing struct {
	file *os.File
	id   int
	now  func() time.Time
}

func (w *writing) write(l journalLine) error {
	l.At = w.now().UTC()
	var line bytes.Buffer
	enc := json.NewEncoder(&line) // ends the line
	enc.SetEscapeHTML(false)
	err := enc.Encode(l)
	if err == nil {
		out := bufio.NewWriter(w.file)
		_, _ = out.Write(line.Bytes())
		if err = out.Flush(); err == nil {
			err = w.file.Sync()
		}
	}
	if err != nil {
		return fmt.Errorf("the journal cannot be kept: %w", said(w.file.Name(), err))
	}
	return nil
}

func (w *writing) close() {
	if w != nil {
		_ = w.file.Close()
	}
}
