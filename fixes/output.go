package fixes

// WriteOutput writes a file that a user asked for by name (a report, a page), whole and atomically, for
// its owner alone to read. What stood there before is replaced.
func WriteOutput(path string, data []byte) error { return writeOutput(path, data) }
