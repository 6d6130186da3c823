package inspect

import (
	"errors"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kernelRing reads the kernel's ring buffer from /dev/kmsg without waiting for more. Each read returns
// one record; EPIPE says that records were overwritten meanwhile.
func kernelRing(root Root) (string, func(string) (*time.Time, string), error) {
	path, err := root.Path("/dev/kmsg")
	if err != nil {
		return "", nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err == nil && info.Mode&unix.S_IFMT != unix.S_IFCHR && info.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", nil, errNotRegular // a pipe without writer reads as if the log were empty
	}
	var all strings.Builder
	buf := make([]byte, 8192)
	for all.Len() < maxFile {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN), err == nil && n == 0:
			booted := bootTime(root)
			return all.String(), func(record string) (*time.Time, string) { return parseKmsg(record, booted) }, nil
		case err != nil:
			return "", nil, err
		}
		record, _, _ := strings.Cut(string(buf[:n]), "\n") // what follows are the record's tags
		all.WriteString(record + "\n")
	}
	booted := bootTime(root)
	return all.String(), func(record string) (*time.Time, string) { return parseKmsg(record, booted) }, nil
}
