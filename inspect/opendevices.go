package inspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
)

// OpenFromChild tells of each device node whether it can be opened, by starting executable with args and
// the paths, which has to call [ServeOpen]. A node whose driver hangs can hold a process that not even
// SIGKILL ends: at the deadline the child is left behind, and what it had said by then counts.
func OpenFromChild(executable string, args ...string) func(context.Context, []string) ([]DeviceOpen, error) {
	return func(ctx context.Context, paths []string) ([]DeviceOpen, error) {
		cmd := exec.Command(executable, append(append([]string{}, args...), paths...)...)
		endWithParent(cmd)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("child that opens devices: %w", err)
		}
		lines := make(chan DeviceOpen, len(paths))
		go func() {
			defer close(lines)
			for in := bufio.NewScanner(io.LimitReader(stdout, mostText*int64(len(paths)+1))); in.Scan(); {
				var opened DeviceOpen
				if json.Unmarshal(bytes.TrimSpace(in.Bytes()), &opened) == nil {
					lines <- opened
				}
			}
			_ = cmd.Wait()
		}()
		var all []DeviceOpen
		for len(all) < len(paths) {
			select {
			case opened, more := <-lines:
				if !more {
					return all, fmt.Errorf("child that opens devices ended early, with %d of %d", len(all), len(paths))
				}
				all = append(all, opened)
			case <-ctx.Done():
				_ = cmd.Process.Kill()
				return append(all, DeviceOpen{Path: paths[len(all)], Error: "timeout"}), nil
			}
		}
		return all, nil
	}
}

// ServeOpen opens each path and closes it again, and writes what that gave as a line of JSON. It is what
// the child process does.
func ServeOpen(paths []string, out io.Writer) error {
	enc := json.NewEncoder(out)
	for _, path := range paths {
		if err := enc.Encode(DeviceOpen{Path: path, Error: openDevice(path)}); err != nil {
			return err
		}
	}
	return nil
}
