package inspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// engineReader asks for lists of containers and for single ones. It exists because a machine can have
// thousands of them: the client's own methods read every answer twice and keep all of it.
type engineReader interface {
	list(ctx context.Context, all bool, each func(container.Summary)) error
	inspect(ctx context.Context, id string) (container.InspectResponse, error)
	close()
}

// reader is the lean way where the engine is reached by a local socket, else the client's own.
func reader(m Machine, api EngineAPI) engineReader {
	type rawClient interface {
		Dialer() func(context.Context) (net.Conn, error)
		pinger
		ClientVersion() string
	}
	raw, ok := api.(rawClient)
	if !ok || !strings.HasPrefix(m.Host, "unix://") {
		return clientReader{api}
	}
	return &socketReader{
		dial:    raw.Dialer(),
		headers: headerLines(m.Headers),
		version: sync.OnceValues(func() (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // ended by the socket, in a process that lives as long as its deadline
			defer cancel()
			if _, err := raw.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
				return "", err
			}
			return raw.ClientVersion(), nil
		}),
	}
}

type clientReader struct{ api EngineAPI }

func (r clientReader) list(ctx context.Context, all bool, each func(container.Summary)) error {
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: all})
	for _, item := range list.Items {
		each(item)
	}
	return err
}

func (r clientReader) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	answer, err := r.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	return answer.Container, err
}

func (clientReader) close() {}

// socketReader speaks HTTP over the engine's socket, one question after the other on each of its connections: as many
// of them as there are questions at the same time. The standard library's transport hands each of them through three
// goroutines, which costs more than the question.
type socketReader struct {
	dial    func(context.Context) (net.Conn, error)
	headers string
	version func() (string, error)
	buffers sync.Pool
	mu      sync.Mutex
	idle    []*socketConn
}

type socketConn struct {
	net.Conn
	head *allowance // of the answer's status and header, which have no bound of their own
	from *bufio.Reader
	used bool
}

// headerLines are the user's own headers, as they are sent.
func headerLines(headers map[string]string) string {
	lines := http.Header{"User-Agent": {"docker-gpu"}}
	for key, value := range headers {
		lines.Set(key, value)
	}
	lines.Del("Host")
	lines.Del("Content-Length")
	var b strings.Builder
	_ = lines.Write(&b) // into memory; line ends in it are made harmless
	return b.String()
}

// ask puts a question and hands over the answer's body. The connection is kept if that was read to its end.
func (r *socketReader) ask(ctx context.Context, path string, body func(io.Reader) error) error {
	version, err := r.version()
	if err != nil {
		return err
	}
	for {
		conn, err := r.connect(ctx)
		if err != nil {
			return err
		}
		answered := false
		kept, err := r.exchange(ctx, conn, "/v"+version+path, func(resp *http.Response) error {
			answered = true
			if resp.StatusCode == http.StatusOK {
				return body(resp.Body)
			}
			return refusal(resp)
		})
		again := err != nil && !answered && conn.used && ctx.Err() == nil // the engine closed it meanwhile
		if kept {
			conn.used = true
			r.mu.Lock()
			r.idle = append(r.idle, conn)
			r.mu.Unlock()
		} else {
			_ = conn.Close()
		}
		if again {
			continue
		}
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
}

func (r *socketReader) exchange(ctx context.Context, conn *socketConn, path string, answer func(*http.Response) error) (kept bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() { kept = stop() && kept }()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: docker\r\n"+r.headers+"\r\n"); err != nil {
		return false, err
	}
	conn.head.again()
	resp, err := http.ReadResponse(conn.from, nil)
	if err != nil {
		return false, err
	}
	conn.head.left = math.MaxInt64
	err = answer(resp)
	rest, _ := io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	return rest < 4<<10 && !resp.Close && resp.Body.Close() == nil, err
}

func (r *socketReader) connect(ctx context.Context) (*socketConn, error) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		conn := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return conn, nil
	}
	r.mu.Unlock()
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	if bound, is := conn.(*boundConn); is { // what is read here is bounded as it is read
		conn = bound.Conn
	}
	head := allow(conn, mostAnswerHead)
	return &socketConn{Conn: conn, head: head, from: bufio.NewReaderSize(head, 16<<10)}, nil
}

// refusal is what the engine says where it does not answer.
func refusal(resp *http.Response) error {
	var refused struct{ Message string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&refused)
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s: %w", bounded(refused.Message), cerrdefs.ErrNotFound)
	}
	return fmt.Errorf("engine answers %s: %s", resp.Status, bounded(refused.Message))
}

// leanSummary and leanContainer have what a fact is read from, and leave out the rest, which is most of an answer.
type leanSummary struct {
	ID      string `json:"Id"`
	Names   []string
	Image   string
	ImageID string
	State   container.ContainerState
	Status  string
	Labels  map[string]string
}

type leanContainer struct {
	ID      string `json:"Id"`
	Created string
	Image   string
	Name    string
	State   *struct {
		Status    container.ContainerState
		Running   bool
		OOMKilled bool
		Pid       int
		ExitCode  int
		Error     string
		StartedAt string
		Health    *struct{ Status container.HealthStatus }
	}
	Config *struct {
		User   string
		Image  string
		Env    []string
		Labels map[string]string
	}
	HostConfig *struct {
		Runtime           string
		Privileged        bool
		DeviceRequests    []container.DeviceRequest
		Devices           []container.DeviceMapping
		DeviceCgroupRules []string
		CapAdd            []string
		SecurityOpt       []string
		PidMode           container.PidMode
		IpcMode           container.IpcMode
		ShmSize           int64
		Memory            int64
	}
	Mounts []struct{ Source, Destination string }
}

// full is the answer as the client's own methods would have given it, as far as it was read.
func (l *leanContainer) full() container.InspectResponse {
	c := container.InspectResponse{ID: l.ID, Created: l.Created, Image: l.Image, Name: l.Name}
	if s := l.State; s != nil {
		c.State = &container.State{Status: s.Status, Running: s.Running, OOMKilled: s.OOMKilled, Pid: s.Pid, ExitCode: s.ExitCode, Error: s.Error, StartedAt: s.StartedAt}
		if s.Health != nil {
			c.State.Health = &container.Health{Status: s.Health.Status}
		}
	}
	if g := l.Config; g != nil {
		c.Config = &container.Config{User: g.User, Image: g.Image, Env: g.Env, Labels: g.Labels}
	}
	if h := l.HostConfig; h != nil {
		c.HostConfig = &container.HostConfig{Runtime: h.Runtime, Privileged: h.Privileged, CapAdd: h.CapAdd, SecurityOpt: h.SecurityOpt, PidMode: h.PidMode, IpcMode: h.IpcMode, ShmSize: h.ShmSize,
			Resources: container.Resources{Memory: h.Memory, DeviceRequests: h.DeviceRequests, Devices: h.Devices, DeviceCgroupRules: h.DeviceCgroupRules}}
	}
	for _, m := range l.Mounts {
		c.Mounts = append(c.Mounts, container.MountPoint{Source: m.Source, Destination: m.Destination})
	}
	return c
}

// list reads the engine's array element by element.
func (r *socketReader) list(ctx context.Context, all bool, each func(container.Summary)) error {
	path := "/containers/json"
	if all {
		path += "?all=1"
	}
	return r.ask(ctx, path, func(body io.Reader) error { return decodeContainers(body, each) })
}

// decodeContainers reads the engine's array element by element. One that is cut off is an error: what is
// missing must not look as if it were not there.
func decodeContainers(body io.Reader, each func(container.Summary)) error {
	one := allow(allow(body, mostContainers), mostSingle)
	dec := json.NewDecoder(one)
	start, err := dec.Token()
	if err == nil && start != json.Delim('[') {
		err = errors.New("the engine's answer is no list")
	}
	for err == nil && dec.More() {
		var item leanSummary
		one.again()
		if err = ignoreKind(dec.Decode(&item)); err == nil && item.ID == "" {
			err = errors.New("the engine lists a container without id")
		}
		if err == nil {
			each(container.Summary{ID: item.ID, Names: item.Names, Image: item.Image, ImageID: item.ImageID, State: item.State, Status: item.Status, Labels: item.Labels})
		}
	}
	if err == nil {
		_, err = dec.Token() // the closing bracket
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("list of containers: %w", err)
}

func (r *socketReader) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	var lean leanContainer
	err := r.ask(ctx, "/containers/"+url.PathEscape(id)+"/json", func(body io.Reader) error {
		buf, ok := r.buffers.Get().(*bytes.Buffer)
		if !ok {
			buf = &bytes.Buffer{}
		}
		defer r.buffers.Put(buf)
		buf.Reset()
		if _, err := buf.ReadFrom(allow(body, mostSingle)); err != nil {
			return fmt.Errorf("container %.12s: %w", id, err)
		}
		if err := lean.decode(buf.Bytes()); err != nil {
			return fmt.Errorf("container %.12s: %w", id, err)
		}
		return nil
	})
	if err != nil {
		return container.InspectResponse{}, err
	}
	return lean.full(), nil
}

// decode reads what the engine says of one container.
func (l *leanContainer) decode(data []byte) error {
	if err := ignoreKind(json.Unmarshal(data, l)); err != nil {
		return err
	}
	if l.ID == "" {
		return errors.New("the engine's answer is no container")
	}
	return nil
}

// ignoreKind lets pass what is said of a value of another kind than expected: those are the fields that
// are left out here, and the rest has been read.
func ignoreKind(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return nil
	}
	return err
}

func (r *socketReader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.idle {
		_ = conn.Close()
	}
	r.idle = nil
}
