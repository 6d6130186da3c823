package inspect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Output is what a container said of late: the last lines of its log, and what its health check printed.
type Output struct {
	Log        []string   `json:"log,omitempty"`    // oldest first
	Health     []string   `json:"health,omitempty"` // output of each of the last health checks, oldest first
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
}

// Bounds of what is read of logs: they may be endless, and are only looked at.
const (
	mostLogged    = 64        // containers whose logs are read
	mostTail      = "300"     // lines of each
	mostLogBytes  = 256 << 10 // of each
	mostLogWidth  = 4000      // bytes of a line
	finishedSince = 24 * time.Hour
)

// logsAPI is what LogsSource asks beyond EngineAPI.
type logsAPI interface {
	ContainerLogs(context.Context, string, client.ContainerLogsOptions) (client.ContainerLogsResult, error)
}

// LogsSource reads the last lines of the containers wanted, with their health checks' output, as far as they
// run or ended lately; those asked for by name or id however old (GET /containers/ID/json and /logs).
func LogsSource(wanted func(*Container) bool, names ...string) Source {
	return Source{Name: "logs", Then: func(s *Snapshot) func(context.Context, Machine) (Patch, error) {
		named := map[string]bool{} // by id, those to read: true where it was asked for by name
		for i := range s.Containers {
			c := &s.Containers[i]
			byName := slices.ContainsFunc(names, func(name string) bool { return c.Name == name || len(name) >= 4 && strings.HasPrefix(c.ID, name) })
			if byName || wanted(c) && len(named) < mostLogged {
				named[c.ID] = byName
			}
		}
		if len(named) == 0 {
			return nil
		}
		return func(ctx context.Context, m Machine) (Patch, error) { return readLogs(ctx, m, named) }
	}}
}

func readLogs(ctx context.Context, m Machine, named map[string]bool) (Patch, error) {
	api, err := dial(ctx, m)
	if err != nil {
		_, _, err = whyUnreachable(ctx, m.Host, err)
		return nil, err
	}
	reader, ok := api.(logsAPI)
	if !ok {
		return nil, noted("not read: this engine's logs cannot be asked for")
	}
	outputs := map[string]*Output{}
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	slots := make(chan struct{}, inspectAtOnce)
	for id, byName := range named {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var output *Output
			answer, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
			if err == nil {
				var recently bool
				if output, recently = describeOutput(answer.Container, m.Now()); !byName && !recently {
					return
				}
				output.Log, err = tail(ctx, reader, answer.Container)
			}
			mu.Lock()
			defer mu.Unlock()
			if output != nil {
				outputs[id] = output
			}
			if err != nil && !cerrdefs.IsNotFound(err) && !noLogs(err) { // not found: it went away meanwhile
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return func(s *Snapshot) {
		for i := range s.Containers {
			if output := outputs[s.Containers[i].ID]; output != nil {
				s.Containers[i].Output = output
			}
		}
	}, errors.Join(errs[:min(1, len(errs))]...)
}

// noLogs: a log driver that keeps nothing here (none, syslog, gelf) has nothing to read.
func noLogs(err error) bool {
	return cerrdefs.IsNotImplemented(err) || strings.Contains(err.Error(), "logging driver does not support reading") || strings.Contains(err.Error(), "configured logging driver")
}

// describeOutput keeps the health checks' output, and says if the container runs or ended lately.
func describeOutput(c container.InspectResponse, now time.Time) (*Output, bool) {
	o := &Output{}
	if c.State == nil {
		return o, false
	}
	if c.State.Health != nil {
		for _, result := range c.State.Health.Log {
			if result != nil {
				o.Health = append(o.Health, bounded(result.Output))
			}
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, c.State.FinishedAt); err == nil && at.Year() > 1 {
		o.FinishedAt = &at
	}
	return o, c.State.Running || o.FinishedAt != nil && now.Sub(*o.FinishedAt) < finishedSince
}

// unframe takes the frames off a log of two streams: a byte that names the stream, three zeros, the length as four
// bytes. The engine's own reader makes room for as much as a frame claims, up to 4 GiB; this one for what comes.
func unframe(out io.Writer, in io.Reader) error {
	for {
		var head [8]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		size := int64(head[4])<<24 | int64(head[5])<<16 | int64(head[6])<<8 | int64(head[7])
		if head[0] > 2 { // 3: an error of the engine's
			said, _ := io.ReadAll(io.LimitReader(in, min(size, 300)))
			return fmt.Errorf("the log is not to be had: %q", said)
		}
		if _, err := io.CopyN(out, in, size); err != nil {
			return err
		}
	}
}

// tail reads the last lines of a container's log. Without a terminal, the engine frames both streams.
func tail(ctx context.Context, api logsAPI, c container.InspectResponse) ([]string, error) {
	if c.State != nil && c.State.Status == container.StateCreated {
		return nil, nil
	}
	body, err := api.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: mostTail})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var text strings.Builder
	limited := io.LimitReader(body, mostLogBytes)
	if c.Config != nil && c.Config.Tty {
		_, err = io.Copy(&text, limited)
	} else {
		err = unframe(&text, limited)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // cut at the limit
		err = nil
	}
	var lines []string
	for scan := bufio.NewReader(strings.NewReader(text.String())); ; {
		line, readErr := scan.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line[:min(len(line), mostLogWidth)])
		}
		if readErr != nil {
			return lines, err
		}
	}
}
