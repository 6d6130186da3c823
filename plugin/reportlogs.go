package plugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/docker-gpu/docker-gpu/inspect"
)

// mostLogBytes bounds what is kept of one container's log.
const mostLogBytes = 256 << 10

// containerLogs are the last lines of the containers that have or ask for a GPU. One that cannot be read
// says so in its place.
func containerLogs(ctx context.Context, app *app, s *inspect.Snapshot, each time.Duration) map[string]string {
	logs := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	for _, c := range s.Containers {
		if len(c.Grant.By) == 0 && c.Asks.VisibleDevices == nil {
			continue
		}
		wg.Go(func() {
			text, err := containerLog(ctx, app.cli.Client(), c.ID)
			if err != nil {
				text += fmt.Sprintf("[the log could not be read: %v]\n", err)
			}
			mu.Lock()
			defer mu.Unlock()
			logs[c.Name] = text
		})
	}
	wg.Wait()
	return logs
}

func containerLog(ctx context.Context, api client.APIClient, id string) (string, error) {
	inspected, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	stream, err := api.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "200"})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var out tail
	if c := inspected.Container.Config; c != nil && c.Tty {
		_, err = io.Copy(&out, stream)
	} else {
		_, err = stdcopy.StdCopy(&out, &out, stream)
	}
	return out.String(), err
}

// tail keeps the last bytes that were written to it.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.Buffer.Write(p)
	if over := t.Len() - mostLogBytes; over > 0 {
		t.Next(over)
	}
	return len(p), nil
}
