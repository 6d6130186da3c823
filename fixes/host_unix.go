//go:build unix

package fixes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// nonBlocking lets a pipe or device be opened and refused without waiting for it.
const nonBlocking = syscall.O_NONBLOCK

// replaceFile writes data to the disk and gives it the name target. The caller holds the folder's lock.
func replaceFile(target string, data []byte, mode fs.FileMode, isNew bool) error {
	folder := filepath.Dir(target)
	scratch := filepath.Join(folder, scratchName)
	if err := os.RemoveAll(scratch); err != nil { // left by a run that was killed
		return err
	}
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return fmt.Errorf("nothing can be written to %s: %w", folder, plain(err))
	}
	defer os.RemoveAll(scratch)
	permissions := renameio.WithPermissions(0o644)
	if mode != 0 {
		permissions = renameio.WithStaticPermissions(mode.Perm())
	}
	pending, err := renameio.NewPendingFile(target, renameio.WithTempDir(scratch), permissions)
	if err != nil {
		return err
	}
	defer pending.Cleanup()
	if _, err := pending.Write(data); err != nil {
		return err
	}
	if isNew {
		ownAsFolderOf(pending.File, folder)
	} else if err := keepAttributes(pending.File, target); err != nil {
		return err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return syncFolder(folder)
}

// keepAttributes gives a file the owner, the extended attributes and the mode of another. An owner that
// cannot be kept is an error, attributes are kept where the file system and the user's rights let them.
func keepAttributes(f *os.File, of string) error {
	var was, is unix.Stat_t
	if err := unix.Stat(of, &was); err != nil {
		return err
	}
	if err := unix.Fstat(int(f.Fd()), &is); err != nil {
		return err
	}
	if was.Uid != is.Uid || was.Gid != is.Gid {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return fmt.Errorf("belongs to user %d and group %d, which could not be kept: %w", was.Uid, was.Gid, plain(err))
		}
	}
	for _, name := range attributes(of) {
		if value, ok := attribute(of, name); ok {
			_ = unix.Fsetxattr(int(f.Fd()), name, value, 0)
		}
	}
	return f.Chmod(fs.FileMode(was.Mode&0o777) | special(uint32(was.Mode))) //nolint:unconvert // 16 bits on macOS
}

func special(mode uint32) (m fs.FileMode) {
	if mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}

func attributes(path string) (names []string) {
	size, err := unix.Listxattr(path, nil)
	if err != nil || size <= 0 {
		return nil
	}
	buf := make([]byte, size)
	if size, err = unix.Listxattr(path, buf); err != nil {
		return nil
	}
	start := 0
	for i, b := range buf[:size] {
		if b == 0 {
			names = append(names, string(buf[start:i]))
			start = i + 1
		}
	}
	return names
}

func attribute(path, name string) ([]byte, bool) {
	size, err := unix.Getxattr(path, name, nil)
	if err != nil {
		return nil, false
	}
	value := make([]byte, size)
	if size > 0 {
		if size, err = unix.Getxattr(path, name, value); err != nil {
			return nil, false
		}
	}
	return value[:size], true
}

// ownAsFolder gives a new folder to the owner of the one it lies in, where root makes it: `sudo docker
// gpu enable` leaves the user a file that is theirs.
func ownAsFolder(folder string) {
	f, err := os.Open(folder)
	if err != nil {
		return
	}
	defer f.Close()
	ownAsFolderOf(f, filepath.Dir(folder))
}

func ownAsFolderOf(f *os.File, folder string) {
	var owner unix.Stat_t
	if os.Geteuid() != 0 || unix.Stat(folder, &owner) != nil || owner.Uid == 0 {
		return
	}
	_ = f.Chown(int(owner.Uid), int(owner.Gid))
}

// writable says why a file may not be written, for root too: a file without any write bit is one that
// somebody protects.
func writable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode()&0o222 == 0 {
		return fmt.Errorf("is read-only (mode %04o)", info.Mode().Perm())
	}
	return unix.Access(path, unix.W_OK)
}

// syncFolder brings a rename to the disk. File systems that cannot do that for a folder say EINVAL.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// ownGroup keeps a program out of the terminal's process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks a program and those that it started to end; as a terminal's ^C does where it is to choose the moment.
func endGroup(p *os.Process, asTerminal bool) error {
	s := syscall.SIGTERM
	if asTerminal {
		s = syscall.SIGINT
	}
	if err := syscall.Kill(-p.Pid, s); err != nil {
		return os.ErrProcessDone
	}
	return nil
}

func writeOutput(path string, data []byte) error {
	return renameio.WriteFile(path, data, 0o600, renameio.WithExistingPermissions())
}
