package fixes

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/client"
)

// StopContainer stops a container as `docker stop` does: its first process is asked to end, and is ended
// after the engine's grace period. Processes are never ended by number, which may be another's by then.
func StopContainer(ctx context.Context, engine any, id string) error {
	stopper, ok := engine.(interface {
		ContainerStop(context.Context, string, client.ContainerStopOptions) (client.ContainerStopResult, error)
	})
	if !ok {
		return errors.New("this engine cannot be told to stop a container")
	}
	if _, err := stopper.ContainerStop(ctx, id, client.ContainerStopOptions{}); err != nil {
		return fmt.Errorf("stop container %.12s: %w", id, err)
	}
	return nil
}
