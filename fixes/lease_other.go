//go:build !unix

package fixes

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const noFollow = 0

var errNoLeases = errors.New("GPUs are picked on Linux only")

func lockFile(*os.File) (bool, error)  { return false, errNoLeases }
func keepAcrossExec(*os.File) error    { return errNoLeases }
func ownedByRootOrUs(fs.FileInfo) bool { return true }

func changedAt(info fs.FileInfo) time.Time { return info.ModTime() }
