package fixes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each pair of outputs tells a cause; the same outputs, where they agree, tell nothing.
func TestOutputsCompared(t *testing.T) {
	for _, c := range []struct {
		name, text string
		wrong      ID
		from, to   string // what makes the outputs agree
	}{
		{"kernel and module", "$ uname -r\n6.8.0-52-generic\n$ ls /lib/modules/*/updates/dkms/nvidia.ko*\n/lib/modules/6.8.0-51-generic/updates/dkms/nvidia.ko.zst\n", "driver-dkms-not-built", "6.8.0-51", "6.8.0-52"},
		{"module and library", "$ cat /sys/module/nvidia/version\n560.35.03\n$ ls /usr/lib64/libnvidia-ml.so.*\n/usr/lib64/libnvidia-ml.so.565.57.01\n", "driver-library-version-mismatch", "565.57.01", "560.35.03"},
		{"module and CDI", "$ grep -m1 libcuda /etc/cdi/nvidia.yaml\n  - containerPath: /usr/lib64/libcuda.so.550.90.07\n$ cat /sys/module/nvidia/version\n560.35.03\n", "cdi-spec-stale", "550.90.07", "560.35.03"},
		{"module and image", "$ docker run --rm img ls /usr/lib64\nlibcuda.so.550.90.07\n$ cat /sys/module/nvidia/version\n560.35.03\n", "driver-libs-baked-into-image", "550.90.07", "560.35.03"},
		{"device and groups", "$ ls -l /dev/nvidia0\ncrw-rw---- 1 root video 195, 0 Nov 12 08:01 /dev/nvidia0\n$ id\nuid=1000(app) gid=1000(app) groups=1000(app)\n", "device-permission-denied", "groups=1000(app)", "groups=1000(app),44(video)"},
		{"socket and groups", "$ ls -l /var/run/docker.sock\nsrw-rw---- 1 root docker 0 Jan  5 08:14 /var/run/docker.sock\n$ groups\nmia sudo\n", "docker-socket-permission", "mia sudo", "mia docker"},
		{"file and engine", "$ cat /etc/docker/daemon.json\n{\"runtimes\": {\"nvidia\": {\"path\": \"nvidia-container-runtime\"}}}\n$ docker info | grep Runtimes\n Runtimes: io.containerd.runc.v2 runc\n", "docker-not-restarted", "v2 runc", "v2 nvidia runc"},
		{"program and machine", "$ uname -m\naarch64\n$ file run\nrun: ELF 64-bit LSB executable, x86-64, version 1 (SYSV)\n", "arch-mismatch", "aarch64", "x86_64"},
		{"memory and processes", "$ nvidia-smi --query-gpu=memory.used --format=csv,noheader\n38112 MiB\n$ nvidia-smi --query-compute-apps=pid --format=csv,noheader\n$ docker ps -q\n$\n", "orphaned-gpu-memory", "38112", "12"},
		{"variable and compose", "$ cat .env\nNVIDIA_VISIBLE_DEVICES=1\n$ docker compose config\n      NVIDIA_VISIBLE_DEVICES: \"0\"\n", "env-has-no-effect", "DEVICES=1", "DEVICES=0"},
		{"nothing printed", "$ nvidia-smi -L\nGPU 0: NVIDIA L4 (UUID: GPU-1)\n$ which nvidia-ctk\n$ docker --version\n", "toolkit-not-installed", "which nvidia-ctk\n", "which nvidia-ctk\n/usr/bin/nvidia-ctk\n"},
	} {
		for text, want := range map[string]ID{c.text: c.wrong, strings.Replace(c.text, c.from, c.to, 1): ""} {
			e, err := Explain(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if got := first(e); got != want {
				t.Errorf("%s: got %q, want %q from\n%s", c.name, got, want, text)
			}
		}
	}
}

// A command that a text breaks off behind has printed nothing yet.
func TestOutputCutOff(t *testing.T) {
	e, err := Explain(strings.NewReader("$ nvidia-smi -L\nGPU 0: NVIDIA L4 (UUID: GPU-1)\n$ which nvidia-ctk\n"))
	if err != nil || len(e.Findings) > 0 {
		t.Errorf("got %q, %v", first(e), err)
	}
}

// Whole outputs of a machine that is well agree with one another.
func TestListingsAgree(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "listings", "*.txt"))
	if err != nil || len(files) < 4 {
		t.Fatalf("only %d listings, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := Explain(strings.NewReader("$ nvidia-smi\n" + string(data))); err != nil || len(e.Findings) > 0 && first(e) != healthyID {
			t.Errorf("%s: %q, %v", filepath.Base(file), first(e), err)
		}
	}
}
