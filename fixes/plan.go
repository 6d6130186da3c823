package fixes

import (
	"context"
	"errors"
	"io/fs"
)

// Harm is what a step can do to those who work on the machine. All but Edit are asked for by name.
type Harm string

// The kinds of harm, in rising order.
const (
	HarmEdit    Harm = "edit"    // a file changes, and can be changed back
	HarmReload  Harm = "reload"  // the engine reads its configuration again; containers go on
	HarmRestart Harm = "restart" // a service or a container stops and starts
	HarmInstall Harm = "install" // packages come or go
	HarmDriver  Harm = "driver"  // kernel modules, GPU state
	HarmReboot  Harm = "reboot"
)

// Plan is what a playbook or a command means to do, in order. It is plain to read before anything
// happens; an Executor carries it out.
type Plan struct {
	Name  string // playbook or command: cdi, enable
	Steps []Step
}

// Step is one change to the machine: one file or one command. Steps touch nothing but the Host that they
// are handed. FileStep and CommandStep are what most plans are made of.
//
// There is no Undo here: the process that undoes is another one than that which applied, so undoing is
// a function of the Record in the journal alone (Executor.Undo).
type Step interface {
	Describe() Description
	// Preview finds out what the step would do now, and changes nothing. Its Record is written to the
	// journal before Apply is called, so it holds all that undoing needs.
	Preview(context.Context, Host) (Preview, error)
	// Apply does what the preview says and returns its Record, completed by what only doing it told.
	// ErrChanged: somebody was faster; the executor previews and tries again.
	Apply(context.Context, Host, Preview) (Record, error)
	Verify(context.Context, Host) error
}

// Description says what a step does, and why.
type Description struct {
	Text    string   `json:"text"`              // Register the runtime "nvidia" in /etc/docker/daemon.json
	Reason  ID       `json:"reason,omitempty"`  // the finding it answers
	Harm    Harm     `json:"harm"`              //
	Root    bool     `json:"root"`              // needs root
	Command []string `json:"command,omitempty"` // exactly what is run, where it is a command
	Undoes  bool     `json:"undoes"`            // can be undone
}

// Preview is what a step would do now. Where Needed is false there is nothing left to do.
type Preview struct {
	Needed bool   `json:"needed"`
	Diff   string `json:"diff,omitempty"` // unified
	Note   string `json:"note,omitempty"`
	Record Record `json:"-"`
}

// Record is what the journal keeps of a step: enough to undo it and to see whether somebody changed the
// same since. It is of a file (Path) or of a command (Undo); a step that cannot be undone has neither.
type Record struct {
	Path    string     `json:"path,omitempty"`    // as the user named it; links are followed
	Existed bool       `json:"existed,omitempty"` // the file was there before
	Before  []byte     `json:"before,omitempty"`
	Exists  bool       `json:"exists,omitempty"` // the step leaves the file there
	After   []byte     `json:"after,omitempty"`  // what the step wrote
	Mode    uint32     `json:"mode,omitempty"`   // permissions the file had, or gets where it is new
	Made    []string   `json:"made,omitempty"`   // folders that were made for it, outermost first
	Undo    [][]string `json:"undo,omitempty"`   // commands that take it back, in this order; harmless where the step did nothing
}

// ErrChanged is returned by a Host where a file does not hold what it was said to hold.
var ErrChanged = errors.New("was changed by somebody else meanwhile")

// Host is all that a step may touch. LocalHost is this machine.
type Host interface {
	// ReadFile follows links. A missing file is fs.ErrNotExist; a link without target, a folder, a
	// device, and what is larger than 64 MiB are other errors.
	ReadFile(path string) ([]byte, error)
	// Missing lists the folders above path that are not there, outermost first.
	Missing(path string) ([]string, error)
	// Mode is the permissions of the file that path leads to. A missing file is fs.ErrNotExist.
	Mode(path string) (fs.FileMode, error)
	// Replace writes new in place of old, whole and atomically: it follows links to their target, keeps
	// mode, owner and extended attributes, makes missing folders, and fails with ErrChanged unless the
	// file still holds old (nil: is not there). mode is that of a new file; 0 is 0644 less the umask.
	Replace(path string, old, new []byte, mode fs.FileMode) error
	// Remove deletes a file that still holds old, or fails with ErrChanged.
	Remove(path string, old []byte) error
	// RemoveFolder deletes an empty folder; one that is not empty stays, which is no error.
	RemoveFolder(path string) error
	// Run starts a program, never a shell, and returns its standard output. The error of one that fails
	// ends with what it said on standard error.
	Run(ctx context.Context, argv ...string) ([]byte, error)
}
