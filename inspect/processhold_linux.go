package inspect

import "golang.org/x/sys/unix"

// A processHold is a descriptor of a process (pidfd_open(2), Linux 5.3). It tells of any number of processes in one
// call which have ended, where a look into /proc costs a call for each. The zero value holds nothing.
type processHold struct{ fd int } // one above the descriptor

// holdProcess holds nothing where the kernel does not know how, or a filter of system calls forbids it.
func holdProcess(pid int) processHold {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return processHold{}
	}
	return processHold{fd + 1}
}

func (h processHold) held() bool { return h.fd > 0 }

func (h processHold) release() {
	if h.held() {
		_ = unix.Close(h.fd - 1)
	}
}

// ended names the held processes that have ended.
func (s *ProcessesSeen) ended() []int {
	pids, fds := make([]int, 0, len(s.known)), make([]unix.PollFd, 0, len(s.known))
	for pid, k := range s.known {
		if k.alive.held() {
			pids, fds = append(pids, pid), append(fds, unix.PollFd{Fd: int32(k.alive.fd - 1), Events: unix.POLLIN})
		}
	}
	if len(fds) == 0 {
		return nil
	}
	for {
		_, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // none can be told: all are looked at anew
			return pids
		}
		break
	}
	over := pids[:0]
	for i := range fds {
		if fds[i].Revents != 0 {
			over = append(over, pids[i])
		}
	}
	return over
}
