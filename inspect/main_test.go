package inspect

import (
	"testing"

	"go.uber.org/goleak"
)

// No goroutine outlives the tests, but those that wait for a source that hangs, which is how it is left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
