package fixes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// LocalHost is this machine.
type LocalHost struct{}

const (
	// maxEdited bounds the files that are edited: beyond it they are no files of settings.
	maxEdited = 64 << 20
	// scratchName is the folder beside a file in which its successor is written. The name is always the
	// same, so that what a crash leaves is taken away by the next run, and never grows.
	scratchName = ".docker-gpu.tmp"
)

// ReadFile reads a whole file.
func (LocalHost) ReadFile(path string) ([]byte, error) {
	target, err := followLinks(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(target, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, said(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, said(path, err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder, not a file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEdited+1))
	switch {
	case err != nil:
		return nil, said(path, err)
	case len(data) > maxEdited:
		return nil, fmt.Errorf("%s is larger than 64 MiB", path)
	}
	return data, nil
}

// Missing lists the folders that Replace would make.
func (LocalHost) Missing(path string) ([]string, error) {
	target, err := followLinks(path)
	if err != nil {
		return nil, err
	}
	var missing []string
	for folder := filepath.Dir(target); ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		switch {
		case err == nil && !info.IsDir():
			return nil, fmt.Errorf("%s is not a folder", folder)
		case err == nil:
			return missing, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, said(folder, err)
		}
		missing = append([]string{folder}, missing...)
	}
}

// Mode is a file's permissions.
func (LocalHost) Mode(path string) (fs.FileMode, error) {
	target, err := followLinks(path)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return 0, said(path, err)
	}
	return info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky), nil
}

// Replace writes the new file beside the old one, brings it to the disk and puts it in the old one's place.
func (h LocalHost) Replace(path string, old, new []byte, mode fs.FileMode) error {
	target, err := followLinks(path)
	if err != nil {
		return err
	}
	missing, err := h.Missing(target)
	if err != nil {
		return err
	}
	for _, folder := range missing {
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return said(folder, err)
		}
		ownAsFolder(folder)
	}
	unlock, err := lockFolder(filepath.Dir(target))
	if err != nil {
		return err
	}
	defer unlock()
	if err := h.holds(target, old); err != nil {
		return err
	}
	if old != nil {
		if err := writable(target); err != nil {
			return said(path, err)
		}
	}
	if err := replaceFile(target, new, mode, old == nil); err != nil {
		return said(path, err)
	}
	return nil
}

// Remove deletes the file itself; of a link, its target.
func (h LocalHost) Remove(path string, old []byte) error {
	target, err := followLinks(path)
	if err != nil {
		return err
	}
	unlock, err := lockFolder(filepath.Dir(target))
	if err != nil {
		return err
	}
	defer unlock()
	if err := h.holds(target, old); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil {
		return said(path, err)
	}
	return syncFolder(filepath.Dir(target))
}

// RemoveFolder deletes an empty folder.
func (LocalHost) RemoveFolder(path string) error {
	err := os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return said(path, err)
}

// longKey marks a context as that of a program which is not ended in the middle.
type longKey struct{}

// long is for programs whose work would be left half done (packages, kernel modules): where the context ends
// they are told so as ^C on a terminal tells them, and are waited for, because they know best when to stop.
func long(ctx context.Context) context.Context { return context.WithValue(ctx, longKey{}, true) }

func isLong(ctx context.Context) bool { return ctx.Value(longKey{}) != nil }

// longest is how long such a program may take from then on.
const longest = 10 * time.Minute

// Run starts a program and waits for it. Where the context ends, the program is asked to end, and two
// seconds later ended; see long. A ^C on the terminal does not reach it, it is in a process group of its own:
// whether to break off is decided in one place. What ended well all the same did what it was told.
func (LocalHost) Run(ctx context.Context, argv ...string) ([]byte, error) {
	bound, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	cmd := exec.CommandContext(bound, argv[0], argv[1:]...)
	ownGroup(cmd)
	cmd.Cancel = func() error { return endGroup(cmd.Process, false) }
	cmd.WaitDelay = 2 * time.Second
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Start()
	if err == nil {
		broken := context.AfterFunc(ctx, func() {
			if !isLong(ctx) {
				end()
				return
			}
			_ = endGroup(cmd.Process, true)
			time.AfterFunc(longest, end)
		})
		err = cmd.Wait()
		broken()
	}
	if err != nil {
		if cmd.ProcessState != nil && cmd.ProcessState.Success() {
			return out.Bytes(), nil
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		text := strings.TrimSpace(complaint.String())
		if len(text) > 2000 {
			text = "…" + text[len(text)-2000:]
		}
		if text != "" {
			return out.Bytes(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, text)
		}
		return out.Bytes(), fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return out.Bytes(), nil
}

// holds says with ErrChanged that a file does not hold old; nil stands for no file.
func (h LocalHost) holds(target string, old []byte) error {
	now, err := h.ReadFile(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if old == nil {
			return nil
		}
		return fmt.Errorf("%s %w: it is gone", target, ErrChanged)
	case err != nil:
		return err
	case old == nil || !bytes.Equal(now, old):
		return fmt.Errorf("%s %w", target, ErrChanged)
	}
	return nil
}

// followLinks is where a path leads to. The file itself and folders above it may be missing, a link may
// not lead nowhere.
func followLinks(path string) (string, error) {
	target, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	var below []string
	for {
		resolved, err := filepath.EvalSymlinks(target)
		if err == nil {
			return filepath.Join(append([]string{resolved}, below...)...), nil
		}
		if errors.Is(err, syscall.ENOTDIR) {
			return "", fmt.Errorf("%s: a folder of this path is a file", path)
		}
		if link, linkErr := os.Readlink(target); linkErr == nil {
			if errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("%s is a link to %s, which is not there", target, link)
			}
			return "", fmt.Errorf("%s is a link to %s, which leads nowhere: %w", target, link, plain(err))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", said(path, err)
		}
		parent := filepath.Dir(target)
		if parent == target {
			return "", said(path, err)
		}
		below = append([]string{filepath.Base(target)}, below...)
		target = parent
	}
}

// lockFolder keeps other writers of the same folder out, whoever they run as: the lock is on the folder
// itself and leaves no file. A file system without locks is written without; what a file holds is
// compared before it is replaced in either case.
func lockFolder(folder string) (unlock func(), err error) {
	lock := flock.New(folder, flock.SetFlag(os.O_RDONLY))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	locked, err := lock.TryLockContext(ctx, 2*time.Millisecond)
	switch {
	case locked:
		return func() { _ = lock.Close() }, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%s is locked by another program", folder)
	}
	return func() {}, nil
}

// said puts the path that the user knows before the system's reason.
func said(path string, err error) error {
	return fmt.Errorf("%s: %w", path, plain(err))
}

// plain takes an operation and a path off an error of the system.
func plain(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		return pathErr.Err
	case errors.As(err, &linkErr):
		return linkErr.Err
	}
	return err
}
