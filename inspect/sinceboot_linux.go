package inspect

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot is how long this kernel runs, suspended or not, by the clock that /proc/PID/stat counts in.
func SinceBoot() (time.Duration, bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}
