package fixes

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// Data has every word in it sooner or later, and none of them means anything; a message beside it does.
func TestExplainData(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	raw := make([]byte, 8<<20)
	_, _ = random.Read(raw)
	const message = "\nRuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB\n"
	for name, text := range map[string]string{
		"binary":      string(raw),
		"base64":      base64.StdEncoding.EncodeToString(raw),
		"hexadecimal": hex.EncodeToString(raw),
	} {
		e, err := Explain(strings.NewReader(text))
		if err != nil || len(e.Findings)+len(e.Related) > 0 {
			t.Errorf("%s: %v, %v", name, e, err)
		}
		e, err = Explain(strings.NewReader(text[:1<<20] + message + text[:1<<20]))
		if err != nil || len(e.Findings) == 0 || e.Findings[0].ID != "cuda-out-of-memory" {
			t.Errorf("%s: the message in the middle of it is not found: %v, %v", name, e, err)
		}
	}
	e := ExplainString("token", "Authorization: Bearer "+strings.Repeat("QUJD", 100)+" CUDA error: out of memory")
	if len(e.Findings) == 0 || e.Findings[0].ID != "cuda-out-of-memory" {
		t.Errorf("a message behind a token on the same line: %v", e)
	}
}
