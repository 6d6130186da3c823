package inspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// mostAnswer bounds what is believed of a child: 16 GPUs with 1000 processes each stay below 4 MiB.
const mostAnswer = 64 << 20

// NVMLFromChild reads NVML by starting executable with args, which has to call [ServeNVML]. A call that
// hangs in the driver can stand in uninterruptible sleep, where even SIGKILL does not end it: at the
// deadline the child is killed and left behind, and never waited for. Nor is its end waited for once it has
// answered: to let go of the driver takes some milliseconds more.
func NVMLFromChild(executable string, args ...string) func(context.Context) (*NVMLAnswer, error) {
	return func(ctx context.Context) (*NVMLAnswer, error) {
		cmd := exec.Command(executable, args...)
		stderr := cappedBuffer{most: 2 << 10}
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, fmt.Errorf("NVML child: %w", err)
		}
		endWithParent(cmd)
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("NVML child: %w", err)
		}
		type told struct {
			answer *NVMLAnswer
			err    error
		}
		done := make(chan told, 1)
		go func() {
			line, err := bufio.NewReaderSize(io.LimitReader(stdout, mostAnswer), 64<<10).ReadBytes('\n')
			if err == nil {
				answer, err := decodeNVML(line)
				done <- told{answer, err}
				defer time.AfterFunc(time.Second, func() { _ = cmd.Process.Kill() }).Stop()
			}
			ended := cmd.Wait()
			switch {
			case err == nil:
			case ended != nil:
				done <- told{nil, childError(ended, stderr.String())}
			default:
				done <- told{nil, errors.New("NVML child: it ended in the middle of its answer")}
			}
		}()
		select {
		case <-ctx.Done():
			_ = cmd.Process.Kill()
			return nil, fmt.Errorf("NVML does not answer: %w", ctx.Err())
		case t := <-done:
			return t.answer, t.err
		}
	}
}

// decodeNVML reads a child's line. One that says neither which GPUs there are nor why that is not known is no answer.
func decodeNVML(line []byte) (*NVMLAnswer, error) {
	answer := &NVMLAnswer{}
	if err := json.Unmarshal(line, answer); err != nil {
		return nil, fmt.Errorf("NVML child: answer not understood: %w", err)
	}
	if answer.Absent == "" && answer.GPUs == nil && (answer.Driver == nil || answer.Driver.NVMLError == "") {
		return nil, errors.New("NVML child: half an answer: it names no GPUs")
	}
	return answer, nil
}

// childError says how the child ended: "signal: segmentation fault" is a crash in the driver's library,
// status 127 with "symbol lookup error" a function that it lacks.
func childError(err error, stderr string) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("NVML child: %w", err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	if len(line) > 300 {
		line = line[:300]
	}
	if line != "" && exit.ExitCode() > 0 {
		return fmt.Errorf("NVML child ended with %w: %s", exit, line)
	}
	return fmt.Errorf("NVML child ended with %w", exit)
}

// cappedBuffer keeps the first bytes written to it and takes the rest without keeping it.
type cappedBuffer struct {
	bytes.Buffer
	most int
}

func (b *cappedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, b.most-b.Len()))])
	return len(p), nil
}
