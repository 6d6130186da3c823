package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
		Ping(context.Context, client.PingOptions) (client.PingResult, error)
		ClientVersion() string
	}
	raw, ok := api.(rawClient)
	if !ok || !strings.HasPrefix(m.Host, "unix://") {
		return clientReader{api}
	}
	dial := raw.Dialer()
	return &socketReader{
		headers: m.Headers,
		version: sync.OnceValues(func() (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // ended by the socket, in a process that lives as long as its deadline
			defer cancel()
			if _, err := raw.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
				return "", err
			}
			return raw.ClientVersion(), nil
		}),
		http: &http.Client{Transport: &http.Transport{
			DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			MaxIdleConnsPerHost: inspectAtOnce,
			DisableCompression:  true,
		}},
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

// socketReader speaks HTTP over the engine's socket.
type socketReader struct {
	http    *http.Client
	headers map[string]string
	version func() (string, error)
	buffers sync.Pool
}

// mostContainer bounds what is believed of one container; real answers are below 100 KiB.
const mostContainer = 16 << 20

func (r *socketReader) get(ctx context.Context, path string) (io.ReadCloser, error) {
	version, err := r.version()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/v"+version+path, nil)
	if err != nil {
		return nil, err
	}
	for key, value := range r.headers {
		req.Header.Set(key, value)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var refused struct{ Message string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&refused)
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s: %w", bounded(refused.Message), cerrdefs.ErrNotFound)
	}
	return nil, fmt.Errorf("engine answers %s: %s", resp.Status, bounded(refused.Message))
}

// lean leaves out what no fact is read from, and with it most of the answer.
type leanSummary struct {
	container.Summary
	HostConfig      struct{}
	NetworkSettings struct{}
	Mounts          struct{}
	Ports           struct{}
}

type leanContainer struct {
	container.InspectResponse
	NetworkSettings struct{}
	GraphDriver     struct{}
	Storage         struct{}
	Args            struct{}
	ExecIDs         struct{}
}

// list reads the engine's array element by element.
func (r *socketReader) list(ctx context.Context, all bool, each func(container.Summary)) error {
	path := "/containers/json"
	if all {
		path += "?all=1"
	}
	body, err := r.get(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	dec := json.NewDecoder(body)
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("list of containers: %w", err)
	}
	for dec.More() {
		var item leanSummary
		if err := ignoreKind(dec.Decode(&item)); err != nil {
			return fmt.Errorf("list of containers: %w", err)
		}
		each(item.Summary)
	}
	return nil
}

func (r *socketReader) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	body, err := r.get(ctx, "/containers/"+id+"/json")
	if err != nil {
		return container.InspectResponse{}, err
	}
	defer body.Close()
	buf, ok := r.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = &bytes.Buffer{}
	}
	defer r.buffers.Put(buf)
	buf.Reset()
	if n, err := buf.ReadFrom(io.LimitReader(body, mostContainer+1)); err != nil || n > mostContainer {
		return container.InspectResponse{}, fmt.Errorf("container %.12s: %w", id, errors.Join(err, errTooLarge(n)))
	}
	var lean leanContainer
	if err := ignoreKind(json.Unmarshal(buf.Bytes(), &lean)); err != nil {
		return container.InspectResponse{}, fmt.Errorf("container %.12s: %w", id, err)
	}
	return lean.InspectResponse, nil
}

func errTooLarge(n int64) error {
	if n > mostContainer {
		return errors.New("the engine's answer is larger than 16 MiB")
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

func (r *socketReader) close() { r.http.CloseIdleConnections() }
