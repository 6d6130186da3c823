package fixes

import "testing"

func TestWriter(t *testing.T) {
	for line, want := range map[string]int8{
		"After each boot my containers see no GPU.":       anybody,
		"  I get this since the update, why?":             anybody,
		"> Nov 25 12:00:00 gpu-03 I wrote that yesterday": anybody,
		"":                           anybody,
		"web-1  | listening on 8080": logged,
		"[   12.345678] nvidia: loading out-of-tree module taints kernel.":      logged,
		"I1125 12:00:00.000000    1042 server.go:165] serving":                  logged,
		"Nov 25 12:00:00 gpu-03 dockerd[1042]: ignoring event":                  printout,
		"2026-11-25T12:00:00.000000Z stdout F loss 0.1":                         printout,
		"WARNING: no such thing":                                                printout,
		"npm ERR! code ENOENT":                                                  printout,
		"10.0.0.4 - - \"GET /health HTTP/1.1\" 200 12":                          printout,
		"requests.exceptions.ReadTimeout: HTTPSConnectionPool: Read timed out.": printout,
		"> GET /health HTTP/1.1 404":                                            printout,
	} {
		w := &window{scanner: newScanner(symptoms()), buf: []byte(line), lines: []textLine{{end: len(line)}}}
		if got := w.writer(0); got != want {
			t.Errorf("%q is of writer %d, want %d", line, got, want)
		}
	}
}
