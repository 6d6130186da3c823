package fixes

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// RootHost is this machine with root's rights. A second docker gpu, started once as root (by sudo), does what
// it is told, a line of JSON each: a user's own process decides, asks and keeps the journal, and root's does
// nothing but what those steps ask for that need root. What a user may read anyway is read without it.
type RootHost struct {
	Host // reads what it may
	// Start starts the second process: its standard input, its standard output, and what waits for its end.
	Start func() (io.WriteCloser, io.Reader, func() error, error)

	mu      sync.Mutex
	in      io.WriteCloser
	answers chan rootAnswer // closed where the second process ends
	wait    func() error
}

// rootCall is what the second process is told; an "end" breaks the running program off.
type rootCall struct {
	Op   string   `json:"op"`
	Path string   `json:"path,omitempty"`
	Was  bool     `json:"was,omitempty"` // Old is a file's text, not the lack of one
	Old  []byte   `json:"old,omitempty"`
	New  []byte   `json:"new,omitempty"`
	Mode uint32   `json:"mode,omitempty"`
	Argv []string `json:"argv,omitempty"`
	Long bool     `json:"long,omitempty"` // a program that is not ended in the middle
}

type rootAnswer struct {
	Data  []byte   `json:"data,omitempty"`
	Names []string `json:"names,omitempty"`
	Mode  uint32   `json:"mode,omitempty"`
	Error string   `json:"error,omitempty"`
	Kinds []string `json:"kinds,omitempty"` // what the error is, for errors.Is
}

// rootKinds are the errors that callers tell apart.
var rootKinds = map[string]error{"missing": fs.ErrNotExist, "denied": fs.ErrPermission, "changed": ErrChanged, "canceled": context.Canceled, "deadline": context.DeadlineExceeded}

// rootError is an error of the second process.
type rootError struct {
	text  string
	kinds []string
}

func (e *rootError) Error() string { return e.text }

// Is tells by the kinds that the second process named.
func (e *rootError) Is(target error) bool {
	for _, kind := range e.kinds {
		if rootKinds[kind] == target {
			return true
		}
	}
	return false
}

func (h *RootHost) start() error {
	if h.in != nil {
		return nil
	}
	in, out, wait, err := h.Start()
	if err != nil {
		return err
	}
	h.in, h.wait, h.answers = in, wait, make(chan rootAnswer)
	go func() {
		defer close(h.answers)
		dec := json.NewDecoder(bufio.NewReader(out))
		for {
			var a rootAnswer
			if dec.Decode(&a) != nil {
				return
			}
			h.answers <- a
		}
	}()
	return nil
}

// call has the second process do one thing. It answers even where the context ends: by then it has broken
// off what it was doing.
func (h *RootHost) call(ctx context.Context, c rootCall) (rootAnswer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.start(); err != nil {
		return rootAnswer{}, err
	}
	enc := json.NewEncoder(h.in)
	if err := enc.Encode(c); err != nil {
		return rootAnswer{}, h.gone()
	}
	done := ctx.Done()
	for {
		select {
		case a, ok := <-h.answers:
			switch {
			case !ok:
				return rootAnswer{}, h.gone()
			case a.Error != "":
				return a, &rootError{a.Error, a.Kinds}
			}
			return a, nil
		case <-done:
			done = nil
			_ = enc.Encode(rootCall{Op: "end"})
		}
	}
}

func (h *RootHost) gone() error {
	reason := "it ended"
	if err := h.wait(); err != nil {
		reason = err.Error()
	}
	return fmt.Errorf("docker gpu could not be started as root: %s", reason)
}

// Close lets the second process end.
func (h *RootHost) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in == nil {
		return nil
	}
	err := h.in.Close()
	for range h.answers {
	}
	return errors.Join(err, h.wait())
}

// ReadFile asks root only for what the user may not read.
func (h *RootHost) ReadFile(path string) ([]byte, error) {
	data, err := h.Host.ReadFile(path)
	if !errors.Is(err, fs.ErrPermission) {
		return data, err
	}
	a, err := h.call(context.Background(), rootCall{Op: "read", Path: path})
	return a.Data, err
}

// Missing is the same for root, who sees into every folder.
func (h *RootHost) Missing(path string) ([]string, error) {
	names, err := h.Host.Missing(path)
	if !errors.Is(err, fs.ErrPermission) {
		return names, err
	}
	a, err := h.call(context.Background(), rootCall{Op: "missing", Path: path})
	return a.Names, err
}

// Mode is the same for root.
func (h *RootHost) Mode(path string) (fs.FileMode, error) {
	mode, err := h.Host.Mode(path)
	if !errors.Is(err, fs.ErrPermission) {
		return mode, err
	}
	a, err := h.call(context.Background(), rootCall{Op: "mode", Path: path})
	return fs.FileMode(a.Mode), err
}

// Replace writes as root.
func (h *RootHost) Replace(path string, old, new []byte, mode fs.FileMode) error {
	_, err := h.call(context.Background(), rootCall{Op: "replace", Path: path, Was: old != nil, Old: old, New: new, Mode: uint32(mode)})
	return err
}

// Remove deletes as root.
func (h *RootHost) Remove(path string, old []byte) error {
	_, err := h.call(context.Background(), rootCall{Op: "remove", Path: path, Was: old != nil, Old: old})
	return err
}

// RemoveFolder deletes as root.
func (h *RootHost) RemoveFolder(path string) error {
	_, err := h.call(context.Background(), rootCall{Op: "remove-folder", Path: path})
	return err
}

// Run starts a program as root.
func (h *RootHost) Run(ctx context.Context, argv ...string) ([]byte, error) {
	a, err := h.call(ctx, rootCall{Op: "run", Argv: argv, Long: isLong(ctx)})
	return a.Data, err
}

// ServeRoot is the second process: it does what the lines of in say until they end, and then ends what it
// still runs.
func ServeRoot(in io.Reader, out io.Writer, host Host) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	calls, ends := make(chan rootCall), make(chan struct{}, 1)
	failed := make(chan error, 1)
	go func() {
		defer cancel() // whoever told it what to do is gone
		defer close(calls)
		dec := json.NewDecoder(bufio.NewReader(in))
		for {
			var c rootCall
			if err := dec.Decode(&c); err != nil {
				if !errors.Is(err, io.EOF) {
					failed <- fmt.Errorf("what to do as root does not read: %w", err)
				}
				return
			}
			if c.Op != "end" {
				calls <- c
				continue
			}
			select {
			case ends <- struct{}{}:
			default:
			}
		}
	}()
	enc := json.NewEncoder(out)
	for c := range calls {
		select { // meant for a call that was through already
		case <-ends:
		default:
		}
		answered := make(chan rootAnswer, 1)
		each, stop := context.WithCancel(ctx)
		go func() { answered <- doAsRoot(each, host, c) }()
		var answer rootAnswer
		for waiting := true; waiting; {
			select {
			case answer = <-answered:
				waiting = false
			case <-ends:
				stop()
			}
		}
		stop()
		if err := enc.Encode(answer); err != nil {
			return err
		}
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func doAsRoot(ctx context.Context, host Host, c rootCall) (a rootAnswer) {
	old := orNil(c.Was, c.Old)
	var err error
	switch c.Op {
	case "read":
		a.Data, err = host.ReadFile(c.Path)
	case "missing":
		a.Names, err = host.Missing(c.Path)
	case "mode":
		var mode fs.FileMode
		mode, err = host.Mode(c.Path)
		a.Mode = uint32(mode)
	case "replace":
		err = host.Replace(c.Path, old, orNil(true, c.New), fs.FileMode(c.Mode))
	case "remove":
		err = host.Remove(c.Path, old)
	case "remove-folder":
		err = host.RemoveFolder(c.Path)
	case "run":
		if len(c.Argv) == 0 {
			err = errors.New("no program is named")
			break
		}
		if c.Long {
			ctx = long(ctx)
		}
		a.Data, err = host.Run(ctx, c.Argv...)
	default:
		err = fmt.Errorf("%q is not known", c.Op)
	}
	if err != nil {
		a.Error = err.Error()
		for kind, is := range rootKinds {
			if errors.Is(err, is) {
				a.Kinds = append(a.Kinds, kind)
			}
		}
	}
	return a
}
