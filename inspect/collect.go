package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// Machine is everything a source may read from. Sources use nothing else of the process they run in.
type Machine struct {
	Root         Root
	Dial         func(context.Context) (EngineAPI, error) // leads to the engine; called once by each source that needs it
	Context      string                                   // name of the docker context
	Host         string                                   // the engine's endpoint: unix:///var/run/docker.sock, ssh://ada
	NVML         func(context.Context) (*NVMLAnswer, error)
	NVMLBrief    func(context.Context) (*NVMLAnswer, error) // as NVML, without what no check judges; nil: NVML
	NVMLTopology func(context.Context) (*NVMLAnswer, error) // as NVML, with the wiring of the GPUs
	Run          Runner
	Getenv       func(string) string
	Environ      func() []string // all variables, as os.Environ has them; nil: none
	Now          func() time.Time
	WorkDir      string
	Headers      map[string]string                                     // that the user's configuration puts on every question to the engine
	Open         func(context.Context, []string) ([]DeviceOpen, error) // tells of device nodes whether they can be opened
	Booted       func() (time.Duration, bool)                          // how long this kernel runs (CLOCK_BOOTTIME), where it can be told
	Seen         *ProcessesSeen                                        // what earlier readings found in /proc; nil: nothing is kept
}

// Runner starts an outside program and returns its standard output: the last resort, for facts that no
// file tells. Programs are named, never given to a shell.
type Runner func(ctx context.Context, argv ...string) ([]byte, error)

// A Source reads one part of the Snapshot. Read does not touch the Snapshot: it returns a patch, which
// the collector applies, or drops when it comes too late. A source that saw only a part returns both the
// patch and the error. Local sources see the machine that this process runs on.
type Source struct {
	Name  string
	Local bool
	Read  func(context.Context, Machine) (Patch, error)
	// Then takes the place of Read where there is something to ask only when the others are done: it sees
	// their facts and returns the reading that is still to be made, or nil.
	Then func(*Snapshot) func(context.Context, Machine) (Patch, error)
	// First, of a source with Then: the others with Then wait for it, as it may find containers of which they read more.
	First bool
}

// Patch puts what a source has read into the Snapshot.
type Patch func(*Snapshot)

// ErrAbsent says that there is nothing to read on this machine, which is no failure.
var ErrAbsent = errors.New("not there")

// noted is an error that is none: it says why a source read nothing, or whence the facts come.
type noted string

func (n noted) Error() string { return string(n) }

// Collect reads the sources side by side, each under its own deadline, and returns what they saw. It
// returns when the slowest has answered or its deadline has passed; a source that hangs is left behind.
// The order of the sources is the order in which their patches are applied.
func Collect(ctx context.Context, m Machine, each time.Duration, sources ...Source) *Snapshot {
	type answer struct {
		at    int
		patch Patch
		err   error
		took  time.Duration
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	s := &Snapshot{SchemaVersion: SchemaVersion, TakenAt: m.Now().UTC()}
	elsewhere := elsewhereByEndpoint(m.Context, m.Host)
	answers := make(chan answer, len(sources)) // buffered: a late source ends by itself
	start := time.Now()
	waiting := 0
	got := make([]*answer, len(sources))
	for i, source := range sources {
		if source.Read == nil {
			continue
		}
		if source.Local && elsewhere != "" {
			got[i] = &answer{at: i, err: noted(elsewhere)}
			continue
		}
		waiting++
		go func() {
			defer func() {
				if r := recover(); r != nil { // one source's fault must not take the command with it
					answers <- answer{at: i, err: fmt.Errorf("%s: internal error: %v", source.Name, r), took: time.Since(start)}
				}
			}()
			patch, err := source.Read(ctx, m)
			answers <- answer{i, patch, err, time.Since(start)}
		}()
	}
	for ; waiting > 0; waiting-- {
		select {
		case a := <-answers:
			got[a.at] = &a
		case <-ctx.Done():
			// What is ready now still counts: the deadline was theirs, not ours.
			for drained := false; !drained; {
				select {
				case a := <-answers:
					got[a.at] = &a
				default:
					drained = true
				}
			}
			waiting = 1
		}
	}
	s.Sources = make([]Reading, len(sources))
	apply := func(local bool) {
		for i, source := range sources {
			if source.Local != local || source.Read == nil {
				continue
			}
			reading := Reading{Name: source.Name, TookSeconds: time.Since(start).Seconds()}
			a := got[i]
			tooLate := a == nil || a.patch == nil && errors.Is(a.err, context.DeadlineExceeded) && a.err.Error() == context.DeadlineExceeded.Error()
			switch {
			case tooLate:
				reading.TimedOut = true
				reading.Error = fmt.Sprintf("no answer within %s", each)
			default:
				reading.TookSeconds = a.took.Seconds()
				if local && elsewhere != "" {
					a.patch, a.err = nil, noted(elsewhere)
				}
				if a.patch != nil {
					a.patch(s)
				}
				reading.describe(a.err)
			}
			s.Sources[i] = reading
		}
	}
	apply(false)
	if elsewhere == "" {
		elsewhere = elsewhereByFacts(s, m)
	}
	apply(true)
	resolve(s, elsewhere != "")
	for _, first := range []bool{true, false} {
		if late(outer, m, each, sources, first, s) {
			resolve(s, elsewhere != "")
		}
	}
	return s
}

// late makes the readings that build on the others, side by side, each under a deadline of its own. Asked is whether the
// facts may be others now.
func late(ctx context.Context, m Machine, each time.Duration, sources []Source, first bool, s *Snapshot) (asked bool) {
	patches, readings := make([]Patch, len(sources)), make([]Reading, len(sources))
	var wg sync.WaitGroup
	for i, source := range sources {
		if source.Then == nil || source.First != first {
			continue
		}
		readings[i].Name = source.Name
		if read := source.Then(s); read != nil {
			wg.Go(func() { patches[i], readings[i] = then(ctx, m, each, source.Name, read) })
		}
	}
	wg.Wait()
	for i, patch := range patches {
		if readings[i].Name != "" {
			s.Sources[i] = readings[i]
		}
		if patch != nil {
			patch(s)
			asked = true
		}
	}
	return asked
}

// then makes one such reading.
func then(ctx context.Context, m Machine, each time.Duration, name string, read func(context.Context, Machine) (Patch, error)) (patch Patch, reading Reading) {
	reading = Reading{Name: name}
	type answer struct {
		patch Patch
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	start := time.Now()
	answers := make(chan answer, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				answers <- answer{nil, fmt.Errorf("%s: internal error: %v", name, r)}
			}
		}()
		patch, err := read(ctx, m)
		answers <- answer{patch, err}
	}()
	select {
	case a := <-answers:
		patch = a.patch
		reading.describe(a.err)
	case <-ctx.Done():
		reading.TimedOut, reading.Error = true, fmt.Sprintf("no answer within %s", each)
	}
	reading.TookSeconds = time.Since(start).Seconds()
	return patch, reading
}

// describe sorts an error into what a reader of the Snapshot needs to know of it.
func (r *Reading) describe(err error) {
	var note noted
	switch {
	case err == nil:
	case errors.As(err, &note):
		r.Note = string(note)
	case errors.Is(err, ErrAbsent):
		r.Absent = true
		r.Note = err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		r.TimedOut = true
		r.Error = err.Error()
	default:
		r.Denied = errors.Is(err, fs.ErrPermission)
		r.Error = err.Error()
	}
}
