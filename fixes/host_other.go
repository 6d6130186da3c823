//go:build !unix

package fixes

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

const nonBlocking = 0

// replaceFile writes data beside target and gives it the name: Windows replaces an open file's name
// whole, too, but knows neither modes nor a folder to bring to the disk.
func replaceFile(target string, data []byte, mode fs.FileMode, _ bool) error {
	scratch := filepath.Join(filepath.Dir(target), scratchName)
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	name := filepath.Join(scratch, "new")
	if mode == 0 {
		mode = 0o644
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(name, target)
}

func ownAsFolder(string) {}

func writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func syncFolder(string) error { return nil }

func ownGroup(*exec.Cmd) {}

func endGroup(p *os.Process, asTerminal bool) error {
	if asTerminal { // the console has told it itself
		return nil
	}
	return p.Kill()
}

func writeOutput(path string, data []byte) error { return replaceFile(path, data, 0o600, true) }
