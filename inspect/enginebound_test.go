package inspect

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// endlessly writes begin, and then more without end.
func endlessly(w http.ResponseWriter, r *http.Request, begin, more string) {
	_, err := io.WriteString(w, begin)
	for more = strings.Repeat(more, 1+64<<10/len(more)); err == nil && r.Context().Err() == nil; {
		_, err = io.WriteString(w, more)
	}
}

// An answer that never ends is given up, in words, by docker's client with our hook and by our own reader of the socket.
func TestEndlessAnswers(t *testing.T) {
	answer := ""
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.47")
		if strings.HasSuffix(r.URL.Path, "/_ping") {
			_, _ = io.WriteString(w, "OK")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch answer {
		case "text":
			begin := `{"ID":"`
			if strings.HasSuffix(r.URL.Path, "/containers/json") {
				begin = "[" + begin
			}
			endlessly(w, r, begin, "a")
		case "elements":
			endlessly(w, r, `[{"Id":"a"}`, `,{"Id":"`+strings.Repeat("a", 64<<10)+`"}`)
		case "blanks":
			endlessly(w, r, "", " ")
		case "error":
			w.WriteHeader(http.StatusInternalServerError)
			endlessly(w, r, `{"message":"`, "a")
		}
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	folder, err := os.MkdirTemp("", "engine") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	socket := filepath.Join(folder, "e.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: handler}
	go func() { _ = local.Serve(l) }()
	defer local.Close()
	dialled := func(host string) *client.Client {
		c, err := EngineClient(host, client.WithHost(host))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	far, near := dialled("tcp://"+server.Listener.Addr().String()), dialled("unix://"+socket)
	own := reader(Machine{Host: "unix://" + socket}, near)
	defer own.close()
	for _, c := range []struct {
		name, answer string
		ask          func(ctx context.Context) error
		want         string
	}{
		{"version", "text", func(ctx context.Context) error {
			_, err := far.ServerVersion(ctx, client.ServerVersionOptions{})
			return err
		}, "larger than 16 MiB"},
		{"info", "text", func(ctx context.Context) error { _, err := far.Info(ctx, client.InfoOptions{}); return err }, "larger than 16 MiB"},
		{"info, blanks", "blanks", func(ctx context.Context) error { _, err := far.Info(ctx, client.InfoOptions{}); return err }, "larger than 16 MiB"},
		{"info, an error", "error", func(ctx context.Context) error { _, err := far.Info(ctx, client.InfoOptions{}); return err }, ""},
		{"list", "text", func(ctx context.Context) error {
			_, err := far.ContainerList(ctx, client.ContainerListOptions{})
			return err
		}, "larger than 64 MiB"},
		{"list of many", "elements", func(ctx context.Context) error {
			_, err := far.ContainerList(ctx, client.ContainerListOptions{})
			return err
		}, "larger than 64 MiB"},
		{"container", "text", func(ctx context.Context) error {
			_, err := far.ContainerInspect(ctx, "a", client.ContainerInspectOptions{})
			return err
		}, "larger than 16 MiB"},
		{"an event", "text", func(ctx context.Context) error { return <-far.Events(ctx, client.EventsListOptions{}).Err }, "larger than 16 MiB"},
		{"own list", "text", func(ctx context.Context) error { return own.list(ctx, true, func(container.Summary) {}) }, "larger than 16 MiB"},
		{"own list of many", "elements", func(ctx context.Context) error { return own.list(ctx, true, func(container.Summary) {}) }, "larger than 256 MiB"},
		{"own container", "text", func(ctx context.Context) error { _, err := own.inspect(ctx, "a"); return err }, "larger than 16 MiB"},
	} {
		answer = c.answer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		err := c.ask(ctx)
		if err == nil || !strings.Contains(err.Error(), c.want) || ctx.Err() != nil {
			t.Errorf("%s: %.300v", c.name, err)
		}
		cancel()
	}
}

// Neither is a header that never ends.
func TestEndlessHeader(t *testing.T) {
	for _, begin := range []string{"HTTP/1.1 200 OK\r\nX-A: ", "HTTP/1.1 200 "} {
		ours, theirs := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			_, err := io.WriteString(theirs, begin)
			for err == nil {
				_, err = io.WriteString(theirs, strings.Repeat("a", 64<<10))
			}
		}()
		r := &socketReader{dial: func(context.Context) (net.Conn, error) { return ours, nil }, version: func() (string, error) { return "1.47", nil }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := r.inspect(ctx, "a")
		if err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
			t.Errorf("%q: %.300v", begin, err)
		}
		cancel()
		_ = theirs.Close()
	}
}

// What goes on for days is not cut off.
func TestLongStreams(t *testing.T) {
	for _, c := range []struct {
		question string
		cut      bool
	}{
		{"GET /v1.47/events?filters=x HTTP/1.1\r\nHost: docker\r\n\r\n", false},
		{"GET /v1.47/containers/events/json HTTP/1.1\r\nHost: docker\r\n\r\n", true}, // a container of that name
	} {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		go func() {
			var err error
			for piece := make([]byte, 1<<20); err == nil; {
				_, err = theirs.Write(piece)
			}
		}()
		conn := &boundConn{Conn: ours}
		if _, err := io.WriteString(conn, c.question); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			_, err := io.CopyN(io.Discard, conn, 10<<20)
			if err != nil {
				if !c.cut || !strings.Contains(err.Error(), "larger than 16 MiB") {
					t.Errorf("%.40s: %v", c.question, err)
				}
				c.cut = false
				break
			}
			if conn.streams.Load() != 0 {
				conn.streams.Add(-60) // a minute later
			}
		}
		if c.cut {
			t.Errorf("%.40s: not bounded", c.question)
		}
		_ = conn.Close()
		_ = theirs.Close()
	}
}
