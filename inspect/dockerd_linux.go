package inspect

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// socketOwner is the process that made a socket and listens on it, 0 where it cannot be told. Of a socket
// that systemd made for dockerd it is systemd.
func socketOwner(socket string) int {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
