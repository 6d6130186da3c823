package fixes

import "context"

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

// Plan is what a playbook or a command means to do, in order. It is plain to read before anything happens.
type Plan struct {
	Name  string // playbook or command: cdi, enable
	Steps []Step
}

// Step is one change to the machine. Steps touch nothing but the Host that they are handed.
type Step interface {
	Describe() Description
	Preview(context.Context, Host) (Preview, error)
	Apply(context.Context, Host) (Record, error)
	Verify(context.Context, Host) error
	Undo(context.Context, Host, Record) error // refuses where what it made was changed since
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
}

// Record is what the journal keeps of an applied step: enough to undo it and to see whether somebody
// changed the same since.
type Record struct {
	Path    string   `json:"path,omitempty"`
	Existed bool     `json:"existed,omitempty"` // the file was there before
	Before  []byte   `json:"before,omitempty"`
	After   []byte   `json:"after,omitempty"` // what the step wrote
	Mode    uint32   `json:"mode,omitempty"`
	Made    []string `json:"made,omitempty"` // folders that were made for it
	Undo    []string `json:"undo,omitempty"` // command that takes it back
}

// Host is all that a step may touch.
type Host interface {
	// ReadFile follows links. A missing file is fs.ErrNotExist.
	ReadFile(path string) ([]byte, error)
	// Replace writes new in place of old, whole and atomically: it follows links to their target, keeps
	// mode, owner and extended attributes, makes missing folders, and fails with ErrChanged unless the
	// file still holds old (nil: is not there).
	Replace(path string, old, new []byte) error
	// Remove deletes a file that still holds old.
	Remove(path string, old []byte) error
	// Run starts a program, never a shell.
	Run(ctx context.Context, argv ...string) ([]byte, error)
}
