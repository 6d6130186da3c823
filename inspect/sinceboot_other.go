//go:build !linux

package inspect

import "time"

// SinceBoot is not known here.
func SinceBoot() (time.Duration, bool) { return 0, false }
