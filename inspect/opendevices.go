package inspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
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
			readOpened(stdout, paths, func(opened DeviceOpen) { lines <- opened })
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
				_ = stdout.Close() // whoever else holds its other end
				return append(all, DeviceOpen{Path: paths[len(all)], Error: "timeout"}), nil
			}
		}
		return all, nil
	}
}

// readOpened reads what the child says of the paths, each once; what is not about one of them is left out.
func readOpened(in io.Reader, paths []string, each func(DeviceOpen)) {
	open := slices.Clone(paths)
	for lines := bufio.NewScanner(io.LimitReader(in, mostText*int64(len(paths)+1))); len(open) > 0 && lines.Scan(); {
		var opened DeviceOpen
		if json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &opened) != nil {
			continue
		}
		if at := slices.Index(open, opened.Path); at >= 0 {
			open = slices.Delete(open, at, at+1)
			each(opened)
		}
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
