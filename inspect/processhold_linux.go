package inspect

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// A processHold is a descriptor of a process (pidfd_open(2), Linux 5.3). It tells of any number of processes in one
// call which have ended, where a look into /proc costs a call for each. The zero value holds nothing.
type processHold struct{ fd int } // one above the descriptor

// heldProcesses is what is asked for those that have ended (epoll(7)): one above its descriptor; 0: nothing was held yet.
type heldProcesses int

// hold holds nothing where the kernel does not know how, or a filter of system calls forbids it.
func (s *ProcessesSeen) hold(pid int) processHold {
	if s.held == 0 {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return processHold{}
		}
		s.held = heldProcesses(fd + 1)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return processHold{}
	}
	h := processHold{fd + 1}
	if err := unix.EpollCtl(int(s.held-1), unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pid)}); err != nil {
		s.release(h)
		return processHold{}
	}
	return h
}

func (h processHold) held() bool { return h.fd > 0 }

func (s *ProcessesSeen) release(h processHold) {
	if h.held() {
		_ = unix.Close(h.fd - 1) // which takes it out of what is asked, too
	}
}

// ended names the held processes that have ended.
func (s *ProcessesSeen) ended() []int {
	if s.held == 0 {
		return nil
	}
	var events [mostStats]unix.EpollEvent // no more are held
	for {
		n, err := unix.EpollWait(int(s.held-1), events[:], 0)
		if err == unix.EINTR {
			continue
		}
		var pids []int
		for _, e := range events[:max(n, 0)] {
			pids = append(pids, int(e.Fd))
		}
		return pids
	}
}

// readProc reads a small file of a process. On the machine itself that takes no more calls than open, read and close: if
// what is there is a regular file, and can be waited for, need not be asked in /proc.
func readProc(root Root, name string) ([]byte, error) {
	if root != "/" {
		return root.ReadFile(name)
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	buf := make([]byte, 0, firstProc)
	for {
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		}
		buf = buf[:len(buf)+n]
		if n == 0 || len(buf) > mostProc || len(buf) < firstProc && buf[len(buf)-1] == '\n' { // less than asked for is all
			return buf, nil
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

const (
	firstProc = 1 << 10
	mostProc  = 64 << 10 // more than the paths of a process's cgroups, of each of twelve hierarchies
)
