package fixes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// FileStep changes, makes or deletes one file.
type FileStep struct {
	Description
	Path string
	Name string // how diffs call the file; empty: Path
	// Edit is what the file is to hold, given what it holds; nil is no file, in both directions. It is
	// called again where the file changed meanwhile, and twice on its own result gives the same.
	Edit func(old []byte) ([]byte, error)
	Mode fs.FileMode // of a new file; 0: 0644
	Note string      // shown with the diff
	// Then are commands that a program needs to notice that the file is back, when it is undone.
	Then [][]string
	// Check is a further verification, once the file holds what was written; nil: none.
	Check func(context.Context, Host) error
}

// Describe fills in what holds of every file: it can be undone, and changing it is an edit.
func (s *FileStep) Describe() Description {
	d := s.Description
	d.Undoes = true
	if d.Harm == "" {
		d.Harm = HarmEdit
	}
	return d
}

// Preview shows the file's change as a diff.
func (s *FileStep) Preview(_ context.Context, h Host) (Preview, error) {
	old, err := readOrNil(h, s.Path)
	if err != nil {
		return Preview{}, err
	}
	want, err := s.Edit(slices.Clone(old))
	if err != nil {
		return Preview{}, err
	}
	if bytes.Equal(old, want) && (old == nil) == (want == nil) {
		return Preview{Note: s.Note}, nil
	}
	r := Record{Path: s.Path, Existed: old != nil, Before: old, Exists: want != nil, After: want, Mode: uint32(s.Mode), Undo: s.Then}
	if old != nil {
		mode, err := h.Mode(s.Path)
		if err != nil {
			return Preview{}, err
		}
		r.Mode = uint32(mode)
	} else if r.Made, err = h.Missing(s.Path); err != nil {
		return Preview{}, err
	}
	return Preview{Needed: true, Diff: Diff(orElse(s.Name, s.Path), old, want), Note: s.Note, Record: r}, nil
}

// Apply writes the file as previewed.
func (s *FileStep) Apply(_ context.Context, h Host, p Preview) (Record, error) {
	return p.Record, p.Record.write(h)
}

// Verify reads the file again: one more edit must find nothing to do.
func (s *FileStep) Verify(ctx context.Context, h Host) error {
	p, err := s.Preview(ctx, h)
	switch {
	case err != nil:
		return err
	case p.Needed:
		return fmt.Errorf("%s does not hold what was written: %w", s.Path, ErrChanged)
	case s.Check != nil:
		return s.Check(ctx, h)
	}
	return nil
}

// CommandStep runs one program.
type CommandStep struct {
	Description // Command is what is run
	// Needed says if there is anything to do; nil: always.
	Needed func(context.Context, Host) (bool, error)
	// Check says if it worked; nil: its exit code did.
	Check func(context.Context, Host) error
	// Undo are the commands that take it back, harmless where it did nothing; nil: it cannot be undone.
	Undo   [][]string
	Undone bool // what undoes another step of the plan undoes this one, too
	Note   string
}

// Describe says whether it can be undone.
func (s *CommandStep) Describe() Description {
	d := s.Description
	d.Undoes = len(s.Undo) > 0 || s.Undone
	return d
}

// Preview asks whether the command is needed.
func (s *CommandStep) Preview(ctx context.Context, h Host) (Preview, error) {
	p := Preview{Needed: true, Note: s.Note, Record: Record{Undo: s.Undo}}
	var err error
	if s.Needed != nil {
		p.Needed, err = s.Needed(ctx, h)
	}
	return p, err
}

// Apply runs the command. One that changes packages or the kernel is not ended in the middle.
func (s *CommandStep) Apply(ctx context.Context, h Host, p Preview) (Record, error) {
	if s.Harm == HarmInstall || s.Harm == HarmDriver {
		ctx = long(ctx)
	}
	_, err := h.Run(ctx, s.Command...)
	return p.Record, err
}

// Verify asks the check.
func (s *CommandStep) Verify(ctx context.Context, h Host) error {
	if s.Check == nil {
		return nil
	}
	return s.Check(ctx, h)
}

func readOrNil(h Host, path string) ([]byte, error) {
	data, err := h.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case data == nil:
		data = []byte{}
	}
	return data, nil
}

// before and after are the file's two states; nil is no file.
func (r Record) before() []byte { return orNil(r.Existed, r.Before) }
func (r Record) after() []byte  { return orNil(r.Exists, r.After) }

func orNil(is bool, data []byte) []byte {
	switch {
	case !is:
		return nil
	case data == nil:
		return []byte{}
	}
	return data
}

// write carries the record's file from before to after.
func (r Record) write(h Host) error {
	return change(h, r.Path, r.before(), r.after(), fs.FileMode(r.Mode))
}

func change(h Host, path string, old, new []byte, mode fs.FileMode) error {
	if new == nil {
		return h.Remove(path, old)
	}
	return h.Replace(path, old, new, mode)
}
