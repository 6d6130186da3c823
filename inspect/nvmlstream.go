package inspect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/docker-gpu/docker-gpu/inspect/gpu"
)

// An NVMLStream reads NVML again and again through one child process, for views that go on: the library
// is loaded once, and the child knows since when to ask for the utilisation of processes. A child that
// does not answer in time, crashes or talks nonsense is dropped, and the next Read starts another; where
// that keeps failing, new ones are started at growing distance. Its Read stands for [Machine.NVML].
type NVMLStream struct {
	executable string
	args       []string
	turn       chan struct{} // holds one token: who has it may use what is below
	child      *streamChild
	still      map[int]GPU     // by index, as the child told them last
	figures    gpu.Unpacker    // for what it tells on top of that
	told       []byte          // the last line of figures
	left       <-chan struct{} // the child that was dropped last; closed when the system has ended it
	failures   int
	notBefore  time.Time
	lastError  error
	now        func() time.Time
}

// The distances between two attempts to start a child: the first at once, then doubled up to the longest.
const (
	firstBackOff   = time.Second
	longestBackOff = 30 * time.Second
)

type streamChild struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan []byte   // closed when the child's output ends
	ended  chan struct{} // closed when the child has ended; err is set before
	err    error
	stderr cappedBuffer
}

// NewNVMLStream is a stream of readings by executable with args, which has to call [ServeNVML]. Nothing
// is started before the first Read.
func NewNVMLStream(executable string, args ...string) *NVMLStream {
	s := &NVMLStream{executable: executable, args: args, turn: make(chan struct{}, 1), now: time.Now}
	s.turn <- struct{}{}
	return s
}

// Read asks for one reading and waits for it until ctx ends. Reads at the same time wait for one another.
func (s *NVMLStream) Read(ctx context.Context) (*NVMLAnswer, error) {
	return s.read(ctx, gpu.MovingRequest)
}

// ReadMoving is Read of these figures and the processes alone; of what stands still it tells what an earlier reading
// told, at most a minute ago.
func (s *NVMLStream) ReadMoving(ctx context.Context, asked Moving) (*NVMLAnswer, error) {
	return s.read(ctx, asked.Request())
}

func (s *NVMLStream) read(ctx context.Context, request string) (*NVMLAnswer, error) {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("NVML does not answer: %w", ctx.Err())
	}
	if s.child == nil {
		if err := s.start(ctx); err != nil {
			return nil, err
		}
	}
	answer, err := s.ask(ctx, request)
	if err != nil {
		s.drop()
		s.failed(err)
		return nil, err
	}
	s.failures = 0
	if answer.Absent != "" || answer.Driver != nil && answer.Driver.NVMLError != "" {
		// A library that did not start stays as it was loaded; a new child sees the one that an update brought.
		s.drop()
	}
	return answer, nil
}

// Close ends the child. The stream can be read again afterwards, by a new one.
func (s *NVMLStream) Close() {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if s.child != nil {
		s.drop()
	}
}

// smallChild is a Go program with a small thing to do once a second: more than one thread for it, and clearing up
// behind it before there is much to clear up, would take longer than the thing itself. It is told so before it starts:
// to change it later stops it each time.
var smallChild = []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=32MiB"}

func (s *NVMLStream) start(ctx context.Context) error {
	if s.left != nil {
		select {
		case <-s.left:
			s.left = nil
		case <-ctx.Done():
			return fmt.Errorf("NVML does not answer: %w", ctx.Err())
		case <-time.After(time.Second): // a killed process is gone at once, unless it hangs in the driver
			return fmt.Errorf("NVML does not answer: the process that asked it hangs in the driver and cannot be ended: %w", context.DeadlineExceeded)
		}
	}
	if wait := s.notBefore.Sub(s.now()); wait > 0 {
		return fmt.Errorf("%w; next attempt in %s", s.lastError, wait.Round(time.Second))
	}
	c := &streamChild{cmd: exec.Command(s.executable, s.args...), lines: make(chan []byte, 1), ended: make(chan struct{})}
	c.stderr.most = 2 << 10
	c.cmd.Stderr = &c.stderr
	c.cmd.Env = append(os.Environ(), smallChild...)
	endWithParent(c.cmd)
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("NVML child: %w", err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("NVML child: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		err = fmt.Errorf("NVML child: %w", err)
		s.failed(err)
		return err
	}
	c.stdin = stdin
	go func() {
		c.read(stdout)
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	s.child = c
	return nil
}

// read passes on the child's lines. A line that is larger than any answer ends the child.
func (c *streamChild) read(out io.Reader) {
	defer close(c.lines)
	in := bufio.NewReaderSize(out, 64<<10)
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= mostAnswer:
			continue
		case err != nil:
			if len(line) > mostAnswer {
				_ = c.cmd.Process.Kill()
			}
			return
		}
		c.lines <- bytes.Clone(line)
		line = line[:0]
	}
}

func (s *NVMLStream) ask(ctx context.Context, request string) (*NVMLAnswer, error) {
	c := s.child
	// No question follows one without an answer, so there is always room for it in the pipe.
	_, _ = io.WriteString(c.stdin, request+"\n") // a child that has ended says so below
	var line []byte
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("NVML does not answer: %w", ctx.Err())
	case l, ok := <-c.lines:
		if !ok {
			<-c.ended
			if c.err == nil {
				return nil, errors.New("NVML child ended without an answer")
			}
			return nil, childError(c.err, c.stderr.String())
		}
		line = l
	}
	if gpu.IsFigures(line) {
		answer, err := s.figures.Unpack(line)
		if err != nil {
			return nil, fmt.Errorf("NVML child: %w", err)
		}
		answer.Unchanged = bytes.Equal(line, s.told)
		s.told = line
		return answer, nil
	}
	s.told = nil
	answer, err := decodeNVML(line)
	if err != nil {
		return nil, err
	}
	if err := s.complete(answer); err != nil {
		return nil, err
	}
	s.figures.Keep(answer)
	return answer, nil
}

// complete adds to the GPUs what the child told before and did not tell again.
func (s *NVMLStream) complete(answer *NVMLAnswer) error {
	for _, at := range answer.Kept {
		before, known := s.still[at]
		if !known || at < 0 || at >= len(answer.GPUs) || answer.GPUs[at].Index != at {
			return errors.New("NVML child: answer not understood: it builds on one that was not given")
		}
		answer.GPUs[at] = answer.GPUs[at].WithStill(before)
	}
	answer.Kept = nil
	s.still = make(map[int]GPU, len(answer.GPUs))
	for _, g := range answer.GPUs {
		if g.Error == "" {
			s.still[g.Index] = g
		}
	}
	return nil
}

// drop ends the child without waiting for it: one that hangs in the driver outlives even SIGKILL.
func (s *NVMLStream) drop() {
	c := s.child
	s.child, s.left, s.still, s.figures, s.told = nil, c.ended, nil, gpu.Unpacker{}, nil
	_ = c.cmd.Process.Kill()
	_ = c.stdin.Close()
	go func() { // what it still says is for nobody
		for range c.lines {
		}
	}()
}

func (s *NVMLStream) failed(err error) {
	s.lastError = err
	if s.failures++; s.failures > 1 {
		s.notBefore = s.now().Add(min(firstBackOff<<min(s.failures-2, 10), longestBackOff))
	}
}
