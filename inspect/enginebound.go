package inspect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
)

// What answers on an engine's socket may be anything, and may never end. Its words are believed up to these sizes; real
// answers are below a tenth of them.
const (
	mostAnswerHead = 1 << 20   // status and header
	mostSingle     = 16 << 20  // of one thing: the engine's settings, a container, an image
	mostList       = 64 << 20  // of a list that docker's client keeps as a whole, of a log, of a container's file
	mostContainers = 256 << 20 // of the list of containers where it is read one by one; 10,000 of them make 20 MiB
)

// allowance hands on so much of what is read, and then says that it is too much.
type allowance struct {
	from    io.Reader
	left    int64
	most    int64
	tooMuch error
}

// allow is an allowance of an engine's answer.
func allow(from io.Reader, most int64) *allowance {
	return &allowance{from, most, most, errTooLarge(most)}
}

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 && len(p) > 0 {
		return 0, a.tooMuch
	}
	n, err := a.from.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	return n, err
}

// again allows as much once more.
func (a *allowance) again() { a.left = a.most }

func errTooLarge(most int64) error {
	return fmt.Errorf("the engine's answer is larger than %d MiB", most>>20)
}

// EngineClient is docker's client, which reads answers to their end and keeps them, on connections that bound them. Host is
// the endpoint that the options lead to.
func EngineClient(host string, opts ...client.Opt) (*client.Client, error) {
	unbound, err := client.New(opts...)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return unbound.Dialer()(ctx) }
	if scheme, _, _ := strings.Cut(host, "://"); scheme == "tcp" || scheme == "http" || scheme == "https" { // or a proxy on the way
		dial = (&net.Dialer{KeepAlive: 30 * time.Second, Timeout: 30 * time.Second}).DialContext // as docker's own
	}
	return client.New(append(opts, client.WithDialContext(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &boundConn{Conn: conn}
		c.allow(mostList, 0)
		return c, nil
	}))...)
}

// boundConn allows so much to be read for each question that is written. Events, which go on for days, and what an encrypted
// question may have asked for, are allowed as much again from minute to minute.
type boundConn struct {
	net.Conn
	left, most atomic.Int64
	streams    atomic.Int64 // since when, in Unix time; 0: an answer
}

func (c *boundConn) allow(most, streams int64) {
	c.left.Store(most)
	c.most.Store(most)
	c.streams.Store(streams)
}

func (c *boundConn) Write(p []byte) (int, error) {
	if line, _, found := bytes.Cut(p, []byte(" HTTP/1.1\r\n")); found && len(line) < 4<<10 { // not encrypted
		_, path, _ := strings.Cut(string(line), " ")
		path, _, _ = strings.Cut(path, "?")
		switch last := path[strings.LastIndexByte(path, '/')+1:]; {
		case last == "events":
			c.allow(mostSingle, time.Now().Unix())
		case strings.HasSuffix(path, "/containers/json") || last == "tasks" || last == "services" || last == "nodes" || last == "logs" || last == "archive":
			c.allow(mostList, 0)
		default:
			c.allow(mostSingle, 0)
		}
	} else {
		c.allow(mostList, time.Now().Unix())
	}
	return c.Conn.Write(p)
}

func (c *boundConn) Read(p []byte) (int, error) {
	if since := c.streams.Load(); since != 0 && time.Now().Unix()-since >= 60 {
		c.allow(c.most.Load(), time.Now().Unix())
	}
	left := c.left.Load()
	if left <= 0 && len(p) > 0 {
		return 0, errTooLarge(c.most.Load())
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(int64(-n))
	return n, err
}
