//go:build !container

package plugin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// A topFeed gives top its frames, each when it is due. After the last one it gives io.EOF, and note says
// why there are no more.
type topFeed interface {
	next(ctx context.Context) (*inspect.Snapshot, error)
	note() string
	close()
}

// liveFeed reads this machine: NVML through a child that lives as long as the view, the engine's
// containers when its events say that something changed.
type liveFeed struct {
	m       inspect.Machine
	tool    *inspect.Tool
	every   time.Duration
	timeout time.Duration
	stream  *inspect.NVMLStream
	frames  *inspect.Frames
	shown   atomic.Uint32 // what is asked of NVML, an [inspect.Moving]; 0: everything

	bare  *inspect.Host // what tells why there is no GPU; nil: nobody had to know yet
	start sync.Once
	ended sync.WaitGroup
	stop  context.CancelFunc
	due   time.Time

	mu      sync.Mutex
	earlier *inspect.Snapshot // engine, containers, device nodes, driver, the toolkit's settings
	ready   chan struct{}     // closed when earlier is there
}

// How long changes of containers are gathered before the engine is asked, and after what time it is asked
// without any event: of what no event tells, as a driver's update.
const (
	topGather  = 200 * time.Millisecond
	topRefresh = 10 * time.Minute
	topListen  = 250 * time.Millisecond // for the engine's events, before the first reading, which then need not be made twice
)

func newLiveFeed(app *app, every, timeout time.Duration) *liveFeed {
	m := app.machine(app.cli.CurrentContext())
	m.Seen = &inspect.ProcessesSeen{NamesFor: time.Minute}
	f := &liveFeed{m: m, tool: app.tool(), every: every, timeout: timeout, ready: make(chan struct{})}
	if self, err := os.Executable(); err == nil && m.NVML != nil {
		f.stream = inspect.NewNVMLStream(self, nvmlCommand, "--stream")
	}
	f.frames = inspect.NewFrames(f.m, f.patience())
	return f
}

// show leaves out of the frames to come what none of these columns of the GPUs shows.
func (f *liveFeed) show(columns []string) { f.shown.Store(uint32(asked(columns))) }

func (f *liveFeed) ask(ctx context.Context) (*inspect.NVMLAnswer, error) {
	shown := inspect.Moving(f.shown.Load())
	switch {
	case f.stream == nil:
		return &inspect.NVMLAnswer{Absent: "NVML is not read on this platform"}, nil
	case shown == 0:
		return f.stream.Read(ctx)
	}
	return f.stream.ReadMoving(ctx, shown)
}

// stillSources are the parts of a frame that are read only when something changed.
func stillSources() []inspect.Source {
	return []inspect.Source{inspect.EngineSource, inspect.ContainersSource(false), inspect.DeviceNodesSource, inspect.DriverSource, inspect.ToolkitConfigSource}
}

func (f *liveFeed) next(ctx context.Context) (*inspect.Snapshot, error) {
	f.start.Do(func() {
		following, stop := context.WithCancel(context.WithoutCancel(ctx))
		f.stop = stop
		changed := make(chan struct{}, 1)
		f.ended.Go(func() { f.refresh(following, changed) })
		f.ended.Go(func() { f.followEngine(following, changed) })
	})
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if wait := time.Until(f.due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.due = f.due.Add(f.every)
	if now := time.Now(); f.due.Before(now) { // a frame that was late moves those after it
		f.due = now.Add(f.every)
	}
	f.mu.Lock()
	earlier := f.earlier
	f.mu.Unlock()
	s := f.frames.Next(ctx, earlier, f.ask)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.Tool = f.tool
	if len(s.GPUs) == 0 && s.Host != nil { // nil: its GPUs are another machine's
		s.Host = f.host(ctx)
	}
	return s, nil
}

// host is all that a verdict needs of the host: where no GPU is seen, the view says why.
func (f *liveFeed) host(ctx context.Context) *inspect.Host {
	if f.bare == nil {
		f.bare = inspect.Collect(ctx, f.m, f.timeout, inspect.BareHostSource).Host
	}
	return f.bare
}

// patience is how long one frame waits for NVML: not so long that the view seems to stand still.
func (f *liveFeed) patience() time.Duration { return min(f.timeout, max(2*time.Second, 2*f.every)) }

// refresh asks the engine anew whenever something changed. Where it does not answer, the containers of
// before stay, and the reading says so.
func (f *liveFeed) refresh(ctx context.Context, changed <-chan struct{}) {
	listen := time.NewTimer(topListen)
	select {
	case <-changed:
	case <-listen.C:
	case <-ctx.Done():
	}
	listen.Stop()
	for {
		start := time.Now()
		s := inspect.Collect(ctx, f.m, f.timeout, stillSources()...)
		if ctx.Err() != nil {
			return
		}
		f.mu.Lock()
		if s.Containers == nil && f.earlier != nil && f.earlier.Containers != nil {
			s.Containers, s.Engine = f.earlier.Containers, f.earlier.Engine
			s.Host = f.earlier.Host
		}
		if f.earlier == nil {
			close(f.ready)
		}
		f.earlier = s
		f.mu.Unlock()
		timer := time.NewTimer(topRefresh)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		// Many containers that come and go must not keep the engine busy: a pause of ten times what the
		// last answer took.
		rest := time.NewTimer(max(topGather, 10*time.Since(start)-time.Since(start)))
		if took := time.Since(start); took > time.Second {
			rest.Reset(topGather)
		}
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return
		}
	}
}

// followEngine tells of changes by the engine's events, for as long as there is an engine; one that died
// is looked for at growing distance.
func (f *liveFeed) followEngine(ctx context.Context, changed chan<- struct{}) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	const first, longest = time.Second, 15 * time.Second
	wait := first
	for ctx.Err() == nil {
		began := time.Now()
		_ = inspect.WatchContainers(ctx, f.m, tell) // the reading that follows says what is wrong
		tell()
		if time.Since(began) > longest {
			wait = first
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, longest)
	}
}

func (f *liveFeed) note() string { return "" }

func (f *liveFeed) close() {
	if f.stop != nil {
		f.stop()
	}
	done := make(chan struct{})
	go func() {
		f.ended.Wait()
		if f.stream != nil {
			f.stream.Close()
		}
		close(done)
	}()
	select { // a source that hangs is left behind
	case <-done:
	case <-time.After(topPatience):
	}
}

// stopContainer is what the live view does after its question.
func (f *liveFeed) stopContainer(ctx context.Context, id string) error {
	engine, err := f.m.Dial(ctx)
	if err != nil {
		return err
	}
	return fixes.StopContainer(ctx, engine, id)
}

// oneFeed is a single Snapshot.
type oneFeed struct{ s *inspect.Snapshot }

func (f *oneFeed) next(context.Context) (*inspect.Snapshot, error) {
	if f.s == nil {
		return nil, io.EOF
	}
	s := f.s
	f.s = nil
	return s, nil
}

func (f *oneFeed) note() string {
	if f.s == nil {
		return "this is a snapshot: it does not move"
	}
	return ""
}

func (f *oneFeed) close() {}

// replayFeed plays what --record wrote: a Snapshot a line, plain or compressed (zstd, gzip).
type replayFeed struct {
	name   string
	file   io.Closer
	lines  *bufio.Reader
	pace   bool // as it was recorded; else as fast as it is asked
	most   time.Duration
	last   time.Time
	frames int
	why    string
}

func openReplay(path string, stdin io.Reader, pace bool, most time.Duration) (*replayFeed, error) {
	f := &replayFeed{name: path, pace: pace, most: most}
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("docker gpu: %w", err)
		}
		f.file, in = file, file
	}
	plain, err := decompress(in)
	if err != nil {
		f.close()
		return nil, fmt.Errorf("docker gpu: %s is no recording: %w", path, err)
	}
	f.lines = bufio.NewReaderSize(plain, 64<<10)
	return f, nil
}

// next is the next frame. A recording that was cut off plays what is there.
func (f *replayFeed) next(ctx context.Context) (*inspect.Snapshot, error) {
	line, err := readLine(f.lines, mostFrame)
	if len(bytes.TrimSpace(line)) == 0 {
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, f.end("the recording is cut off or damaged", err)
		case f.frames == 0:
			return nil, f.end("the recording is empty", nil)
		}
		return nil, f.end("end of the recording", nil)
	}
	s := &inspect.Snapshot{}
	if decodeErr := json.Unmarshal(line, s); decodeErr != nil || s.SchemaVersion < 1 || s.SchemaVersion > inspect.SchemaVersion {
		switch {
		case decodeErr == nil && s.SchemaVersion > inspect.SchemaVersion:
			return nil, f.end(fmt.Sprintf("the recording is of schema version %d, this docker gpu plays up to %d: update docker gpu", s.SchemaVersion, inspect.SchemaVersion), errUnplayable)
		case f.frames == 0:
			return nil, f.end("it is no recording of docker gpu top", errUnplayable)
		}
		return nil, f.end("the recording is cut off or damaged", errUnplayable)
	}
	if f.pace && !f.last.IsZero() {
		timer := time.NewTimer(min(f.most, max(0, s.TakenAt.Sub(f.last))))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.last = s.TakenAt
	f.frames++
	return s, nil
}

var errUnplayable = errors.New("not a frame")

// end remembers why there are no more frames. Without any it is an error.
func (f *replayFeed) end(why string, err error) error {
	f.why = fmt.Sprintf("%s: %s (%s)", f.name, why, fixes.Counted(f.frames, "frame"))
	if f.frames == 0 {
		return fmt.Errorf("docker gpu: %s: %s", f.name, why)
	}
	if err != nil {
		f.why += ": what is there was played"
	}
	return io.EOF
}

func (f *replayFeed) note() string { return f.why }

func (f *replayFeed) close() {
	if f.file != nil {
		_ = f.file.Close()
	}
}

// recordingFeed writes every frame that passes to a file. Each is complete in the file before the next:
// what stands there when top is killed can be played.
type recordingFeed struct {
	topFeed
	name string
	file *os.File
	out  interface {
		io.WriteCloser
		Flush() error
	}
	failed error
}

func record(feed topFeed, path string) (*recordingFeed, error) {
	file, err := fixes.CreateRecording(path)
	if err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("docker gpu: %s exists already: name another file for the recording", path)
		}
		return nil, fmt.Errorf("docker gpu: recording: %w", err)
	}
	r := &recordingFeed{topFeed: feed, name: path, file: file}
	if strings.HasSuffix(path, ".gz") {
		r.out = gzip.NewWriter(file)
		return r, nil
	}
	r.out, err = zstd.NewWriter(file, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("docker gpu: recording: %w", err)
	}
	return r, nil
}

func (r *recordingFeed) next(ctx context.Context) (*inspect.Snapshot, error) {
	s, err := r.topFeed.next(ctx)
	if err != nil || r.failed != nil {
		return s, err
	}
	line, err := json.Marshal(s)
	if err == nil {
		if _, err = r.out.Write(append(line, '\n')); err == nil {
			err = r.out.Flush()
		}
	}
	r.failed = err // the view goes on without
	return s, nil
}

func (r *recordingFeed) note() string {
	if r.failed != nil {
		return fmt.Sprintf("the recording %s ended: %v", r.name, r.failed)
	}
	return r.topFeed.note()
}

func (r *recordingFeed) close() {
	r.topFeed.close()
	if err := errors.Join(r.out.Close(), r.file.Close()); r.failed == nil {
		r.failed = err
	}
}
