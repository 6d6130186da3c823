package plugin

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkPsScale holds ps of a built binary (DOCKER_GPU_BINARY) against the way without it,
// docker ps -q | xargs docker inspect, at a simulated engine:
//
//	DOCKER_GPU_BINARY=$PWD/bin/docker-gpu go test -run '^$' -bench PsScale -benchtime 5x ./plugin
func BenchmarkPsScale(b *testing.B) {
	binary := os.Getenv("DOCKER_GPU_BINARY")
	if binary == "" {
		b.Skip("DOCKER_GPU_BINARY names no binary to measure")
	}
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			engine := startEngine(b, crowd(n)...)
			timed := func(args ...string) (seconds float64, peakKiB int) {
				// GNU time stands between: a child's peak counts that of the process it was forked from.
				cmd := exec.Command("/usr/bin/time", append([]string{"-f", "%M"}, args...)...)
				cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+engine.socket)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				start := time.Now()
				if err := cmd.Run(); err != nil {
					b.Fatal(strings.Join(args, " "), err, stderr.String())
				}
				seconds = time.Since(start).Seconds()
				lines := strings.Fields(stderr.String())
				peakKiB, err := strconv.Atoi(lines[len(lines)-1])
				if err != nil {
					b.Fatal(err)
				}
				return seconds, peakKiB
			}
			timed(binary, "ps") // the simulated engine builds its answers at the first question
			var ours, theirs float64
			var peak int
			for b.Loop() {
				seconds, kib := timed(binary, "ps")
				ours, peak = ours+seconds, max(peak, kib)
				seconds, _ = timed("sh", "-c", "docker ps -q --no-trunc | xargs docker inspect")
				theirs += seconds
			}
			b.ReportMetric(ours/float64(b.N)*1000, "ours-ms")
			b.ReportMetric(theirs/float64(b.N)*1000, "docker-ms")
			b.ReportMetric(ours/theirs, "ratio")
			b.ReportMetric(float64(peak)/1024, "peak-MiB")
		})
	}
}
