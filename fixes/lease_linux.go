package fixes

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt is when a file's content or mode was last changed, by the kernel's own note.
func changedAt(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(int64(stat.Ctim.Sec), int64(stat.Ctim.Nsec)) //nolint:unconvert // 32 bits wide on 32-bit machines
	}
	return info.ModTime()
}
