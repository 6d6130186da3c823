// Package simengine is a Docker engine made of answers, for tests and benchmarks that need one that is larger, faster or
// more broken than a real one can be made. It answers over a unix socket; of containers it knows nothing: what it says to
// a question is its user's.
package simengine

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Engine is one that runs. It tells events to those who follow /events.
type Engine struct {
	server *http.Server

	mu        sync.Mutex
	followers map[chan any]bool
}

// Start has an engine answer on a socket. Answer is given each question with its path without the API's version; where it
// returns false it has not answered, and the engine does: to /_ping and /events, and that there is no such thing to all
// else.
func Start(socket, apiVersion string, answer func(w http.ResponseWriter, r *http.Request, path string) bool) (*Engine, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	e := &Engine{followers: map[chan any]bool{}}
	e.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if rest, ok := strings.CutPrefix(path, "/v1."); ok {
			_, rest, _ = strings.Cut(rest, "/")
			path = "/" + rest
		}
		w.Header().Set("Api-Version", apiVersion)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case answer(w, r, path):
		case path == "/_ping":
			_, _ = io.WriteString(w, "OK")
		case path == "/events":
			e.follow(w, r)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message":"no such thing"}`)
		}
	})}
	go func() { _ = e.server.Serve(listener) }()
	return e, nil
}

// Close ends it, as an engine that is killed.
func (e *Engine) Close() error {
	err := e.server.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// JSON answers with a value.
func JSON(w http.ResponseWriter, v any) bool {
	_ = json.NewEncoder(w).Encode(v) // whoever asked may have gone
	return true
}

// Tell sends an event to all who follow. One that does not keep up is cut off, as an engine does it.
func (e *Engine) Tell(event any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for f := range e.followers {
		select {
		case f <- event:
		default:
			close(f)
			delete(e.followers, f)
		}
	}
}

// Followers is how many follow the events.
func (e *Engine) Followers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.followers)
}

func (e *Engine) follow(w http.ResponseWriter, r *http.Request) {
	f := make(chan any, 1024)
	e.mu.Lock()
	e.followers[f] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.followers, f)
		e.mu.Unlock()
	}()
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	enc := json.NewEncoder(w)
	for {
		select {
		case event, more := <-f:
			if !more || enc.Encode(event) != nil || flush.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
