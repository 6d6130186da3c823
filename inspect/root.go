package inspect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// Root is the folder that stands for "/": "/" itself on a machine, a mounted host folder in a container,
// a tree of files in a test. Links are followed within it, absolute ones too.
type Root string

// maxFile bounds what is read of any one file: facts are small, and a file may be a device or endless.
const maxFile = 8 << 20

// errNotRegular is returned for a folder, device or pipe where a file was expected.
var errNotRegular = errors.New("is not a regular file")

// Path is where the absolute path name lies, with all links followed within the root. A path that does
// not exist is returned as far as it goes.
func (r Root) Path(name string) (string, error) {
	if r == "" || r == "/" {
		return filepath.Clean("/" + name), nil
	}
	return securejoin.SecureJoin(string(r), name)
}

// ReadFile reads the file name, at most 8 MiB of it. Pipes and devices are refused, never opened for
// reading, so that nothing can hang on them.
func (r Root) ReadFile(name string) ([]byte, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	data, err := readRegular(path, maxFile)
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr):
		return nil, r.plain(name, err)
	case err != nil:
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// readRegular reads the file at path if it is a regular one, at most so much of it.
func readRegular(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("is larger than %d MiB", most>>20)
	}
	return data, nil
}

// ReadLine is the first line of a small file (of /proc or /sys) without surrounding blanks, or "".
func (r Root) ReadLine(name string) string {
	data, err := r.ReadFile(name)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// unread is an error other than that a file is not there: it was meant to be read, and was not.
func unread(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Listable says why the folder name cannot be listed: nil where it can, or is not there.
func (r Root) Listable(name string) error {
	path, err := r.Path(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return unread(r.plain(name, err))
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return r.plain(name, err)
	}
	return nil
}

// ReadDir lists the folder name, sorted.
func (r Root) ReadDir(name string) ([]fs.DirEntry, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	return entries, r.plain(name, err)
}

// Stat follows links, Lstat does not follow the last one.
func (r Root) Stat(name string) (fs.FileInfo, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	return info, r.plain(name, err)
}

// Lstat describes name itself where it is a link.
func (r Root) Lstat(name string) (fs.FileInfo, error) {
	path, err := r.parent(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	return info, r.plain(name, err)
}

// Readlink is the target of the link name, as written in it.
func (r Root) Readlink(name string) (string, error) {
	path, err := r.parent(name)
	if err != nil {
		return "", err
	}
	target, err := os.Readlink(path)
	return target, r.plain(name, err)
}

// Exists tells if name is there. An error other than "does not exist" counts as there: it was seen, not read.
func (r Root) Exists(name string) bool {
	_, err := r.Stat(name)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// Glob lists the paths that match pattern, as paths below the root.
func (r Root) Glob(pattern string) []string {
	if r == "" || r == "/" {
		names, _ := filepath.Glob(pattern)
		return names
	}
	names, _ := filepath.Glob(filepath.Join(string(r), pattern))
	for i, name := range names {
		names[i] = "/" + strings.TrimPrefix(strings.TrimPrefix(name, string(r)), "/")
	}
	return names
}

func (r Root) parent(name string) (string, error) {
	folder, err := r.Path(filepath.Dir(name))
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, filepath.Base(name)), nil
}

// plain puts the path as the user knows it into an error, without the root in front.
func (r Root) plain(name string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return &fs.PathError{Op: pathErr.Op, Path: name, Err: pathErr.Err}
	}
	return err
}
