package inspect

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A process whose end can be told is not looked for in /proc again; once it has ended, nothing of it is kept.
func TestProcessesHeld(t *testing.T) {
	seen := &ProcessesSeen{NamesFor: time.Minute}
	itself := seen.hold(os.Getpid())
	if !itself.held() {
		t.Skip("this kernel has no pidfd_open")
	}
	seen.release(itself)
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	first := descriptors()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	clock := time.Unix(0, 0)
	m := Machine{Root: "/", Now: func() time.Time { return clock }, Seen: seen}
	look := func() GPUProcess {
		gpus := []GPU{{Processes: []GPUProcess{{PID: cmd.Process.Pid}}}}
		seeProcesses(m, gpus)
		return gpus[0].Processes[0]
	}
	before := descriptors()
	p := look()
	if p.Cgroup == "" {
		t.Fatalf("%+v", p)
	}
	if k := m.Seen.known[p.PID]; !k.alive.held() || k.stat != nil {
		t.Errorf("not held, or held twice: %+v", k)
	}
	m.Seen.known[p.PID] = func(k seenProcess) seenProcess { k.name = "kept"; return k }(m.Seen.known[p.PID])
	if p := look(); p.Name != "kept" {
		t.Errorf("looked for again: %+v", p)
	}
	clock = clock.Add(time.Hour)
	if p := look(); p.Name != "sleep" {
		t.Errorf("its name is never read again: %+v", p)
	}
	if n := descriptors(); n != before+1 {
		t.Errorf("%d descriptors for one process", n-before)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if p := look(); p.Cgroup != "" || len(m.Seen.known) != 0 {
		t.Errorf("it has ended: %+v, kept: %+v", p, m.Seen.known)
	}
	if n := descriptors(); n != first {
		t.Errorf("%d descriptors are left", n-first)
	}
}

// What is read of a process that ends meanwhile may be another's, which has the PID now.
func TestProcessLost(t *testing.T) {
	seen := &ProcessesSeen{NamesFor: time.Minute}
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := Machine{Root: "/", Seen: seen, Now: func() time.Time { return time.Unix(0, 0) }}
	gpus := []GPU{{Processes: []GPUProcess{{PID: cmd.Process.Pid}}}, {Processes: []GPUProcess{{PID: cmd.Process.Pid}}}}
	seeProcesses(m, gpus)
	if seen.held == 0 {
		t.Skip("this kernel has no pidfd_open")
	}
	if p := gpus[1].Processes[0]; p.Name != "sleep" || p.Gone {
		t.Fatalf("%+v", p)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	seen.looked = []int{cmd.Process.Pid, os.Getpid()}
	if lost := seen.lost(); len(lost) != 1 || lost[0] != cmd.Process.Pid || len(seen.known) != 0 || seen.looked != nil {
		t.Errorf("lost: %v, known: %v", lost, seen.known)
	}
}

// What is read by three calls is what is read by others, whether it fits into the first or not.
func TestReadProc(t *testing.T) {
	for _, name := range []string{"/proc/self/cgroup", "/proc/filesystems", "/proc/cpuinfo", "/proc/self/limits", "/proc/version"} {
		want, err := Root("/").ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readProc("/", name); err != nil || name != "/proc/cpuinfo" && string(got) != string(want) || len(got) < min(len(want), firstProc) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := readProc("/", "/proc/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	if got, err := readProc("/", "/proc/kallsyms"); err == nil && len(got) > 2*mostProc {
		t.Errorf("%d bytes of an endless file", len(got))
	}
}
