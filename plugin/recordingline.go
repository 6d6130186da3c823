package plugin

import (
	"bufio"
	"errors"
	"fmt"
)

// mostFrame bounds one recorded Snapshot.
const mostFrame = 64 << 20

var errLongLine = errors.New("it is longer")

// readLine reads up to the end of a line, at most so many bytes.
func readLine(in *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > most {
			return nil, fmt.Errorf("%w than %d MiB", errLongLine, most>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
