package fixes

import "os"

// WriteOutput writes a file that a user asked for by name (a report, a page), whole and atomically, for
// its owner alone to read. What stood there before is replaced.
func WriteOutput(path string, data []byte) error { return writeOutput(path, data) }

// CreateRecording makes a file that grows while it is written, for its owner alone to read. What stands
// there already is left alone.
func CreateRecording(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}
