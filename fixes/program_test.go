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

// What people call their services says nothing of what happened in them.
func TestContainerNames(t *testing.T) {
	for text, want := range map[string]ID{
		"worker-1     | NCCL INFO NCCL_IB_DISABLE set by environment to 1.":                                                          "",
		"stack_node.1.x2b9qk@node7    | /sbin/ldconfig.real: /usr/lib/wsl/lib/libcuda.so.1 is not a symbolic link":                   healthyID,
		"cuda-oom-1  | listening on 8080\nno-gpu-1  | listening on 8081":                                                             "",
		"worker-1  | RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB":                                                   "cuda-out-of-memory",
		"\x1b[36mworker-1  | \x1b[0mRuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB":                                    "cuda-out-of-memory",
		"web-1 | Failed to initialize NVML: Driver/library version mismatch\nweb-1 | NVML library version: 570.124":                  "driver-library-version-mismatch",
		"2025-11-25T10:41:07Z stderr F ORA-24756: transaction does not exist\n2025-11-25T10:41:07Z stderr F XID 79.12.44021 is gone": "",
	} {
		if got, _ := answer(t, text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
