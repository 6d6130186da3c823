//go:build !container

package fixes

import (
	_ "embed"
	"sync"
)

//go:embed wording.zst
var wordingTable []byte

// learntWording is what go generate learnt from testdata/corpus/dev and testdata/wording. It is read when it is asked for.
var learntWording = sync.OnceValue(func() *wording {
	table, err := unpackWording(wordingTable)
	if err == nil {
		var w *wording
		if w, err = parseWording(table); err == nil {
			return w
		}
	}
	panic("fixes/wording.zst: " + err.Error()) // which a test excludes
})
