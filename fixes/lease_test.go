//go:build unix

package fixes

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func leasesIn(t *testing.T, folder string) *Leases {
	t.Helper()
	l, err := OpenLeases(folder)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLeases(t *testing.T) {
	l := leasesIn(t, filepath.Join(t.TempDir(), "leases"))
	clock := time.Now()
	l.now = func() time.Time { return clock }
	lease, holder, err := l.Try("GPU-a")
	if err != nil || lease == nil {
		t.Fatal(holder, err)
	}
	if second, holder, err := l.Try("GPU-a"); err != nil || second != nil || !holder.Live {
		t.Errorf("taken twice: %+v, %v", holder, err)
	}
	if other, _, err := l.Try("GPU-b"); err != nil || other == nil {
		t.Errorf("another GPU is not to be had: %v", err)
	} else {
		other.Release()
	}
	if err := l.Hold(lease, clock.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	lease.Release()
	if second, holder, _ := l.Try("GPU-a"); second != nil || holder.Live || holder.PID != os.Getpid() {
		t.Errorf("the time does not hold: %+v", holder)
	}
	if held, err := l.List(); err != nil || len(held) != 1 || held[0].GPU != "GPU-a" {
		t.Errorf("list: %+v, %v", held, err)
	}
	clock = clock.Add(2 * time.Minute)
	again, holder, err := l.Try("GPU-a")
	if err != nil || again == nil {
		t.Fatalf("the time is over, and yet held: %+v, %v", holder, err)
	}
	if err := l.Hold(again, clock.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	again.Forget()
	if third, _, _ := l.Try("GPU-a"); third == nil {
		t.Error("forgotten, and yet held")
	}
}

// What others wrote into the folder is never believed beyond a time, and never followed.
func TestLeasesDistrust(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "leases")
	l := leasesIn(t, folder)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"GPU-nonsense.lease": "{{{", "GPU-huge.lease": `{"user":"` + strings.Repeat("x", 1<<20) + `"}`, "GPU-forever.lease": `{"until":"9999-01-01T00:00:00Z","user":"` + strings.Repeat("y", 200) + `"}`} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(folder, "GPU-link.lease")); err != nil {
		t.Fatal(err)
	}
	for _, gpu := range []string{"GPU-nonsense", "GPU-huge"} {
		if lease, holder, err := l.Try(gpu); err != nil || lease == nil {
			t.Errorf("%s: %+v, %v", gpu, holder, err)
		}
	}
	if lease, holder, _ := l.Try("GPU-forever"); lease != nil || time.Until(holder.Until) > longestLease || len(holder.User) > 64 {
		t.Errorf("forever: %+v", holder)
	}
	if lease, _, err := l.Try("GPU-link"); err == nil || lease != nil {
		t.Error("a link is followed")
	}
	for _, gpu := range []string{"", "../../etc/passwd", "GPU a", strings.Repeat("a", 200)} {
		if _, _, err := l.Try(gpu); err == nil {
			t.Errorf("%q is taken for a UUID", gpu)
		}
	}
	if data, _ := os.ReadFile(secret); string(data) != "untouched" {
		t.Errorf("the file behind the link: %q", data)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLeases(link); err == nil {
		t.Error("a folder that is a link is taken")
	}
	if second, err := OpenLeases("/proc/nowhere", folder); err != nil || second.Folder() != folder {
		t.Errorf("the second folder: %v", err)
	}
}

// TestLeaseHolderProcess lets the test binary be a process that holds a lease until it is killed.
func TestLeaseHolderProcess(t *testing.T) {
	folder := os.Getenv("DOCKER_GPU_TEST_HOLD")
	if folder == "" {
		return // run by TestLeasesSurviveKills
	}
	l := leasesIn(t, folder)
	ticket, err := l.Queue()
	if err != nil {
		t.Fatal(err)
	}
	lease, _, err := l.Try("GPU-a")
	if err != nil || lease == nil {
		t.Fatalf("not to be had: %v", err)
	}
	if err := l.Hold(lease, time.Time{}); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("holding\n")
	ticket.First()
	time.Sleep(time.Hour)
}

// A holder that is killed leaves neither a lease nor a place in the queue.
func TestLeasesSurviveKills(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "leases")
	l := leasesIn(t, folder)
	kills := 20
	if testing.Short() {
		kills = 3
	}
	if n, err := strconv.Atoi(os.Getenv("DOCKER_GPU_KILLS")); err == nil {
		kills = n
	}
	for range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLeaseHolderProcess$")
		cmd.Env = append(os.Environ(), "DOCKER_GPU_TEST_HOLD="+folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		if strings.TrimSpace(line) != "holding" {
			t.Fatalf("the holder says %q", line)
		}
		if lease, _, _ := l.Try("GPU-a"); lease != nil {
			t.Fatal("held by another process, and yet to be had")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		lease, holder, err := l.Try("GPU-a")
		if err != nil || lease == nil {
			t.Fatalf("killed, and yet held: %+v, %v", holder, err)
		}
		lease.Release()
	}
	ticket, err := l.Queue()
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Leave()
	if !ticket.First() {
		t.Error("the dead stand in the queue")
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.ticket")); len(left) != 1 {
		t.Errorf("%d tickets are left behind", len(left)-1)
	}
}

// First come, first served; and only one chooses at a time.
func TestLeaseQueue(t *testing.T) {
	l := leasesIn(t, filepath.Join(t.TempDir(), "leases"))
	var tickets []*Ticket
	for range 5 {
		ticket, err := l.Queue()
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	for i, ticket := range tickets {
		for _, later := range tickets[i+1:] {
			if later.First() {
				t.Error("one who came later is first")
			}
		}
		if !ticket.First() {
			t.Error("the first is not first")
		}
		ticket.Leave()
	}
	inside, most := 0, 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			leave, err := l.Alone(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			inside--
			mu.Unlock()
			leave()
		})
	}
	all.Wait()
	if most != 1 {
		t.Errorf("%d chose at once", most)
	}
}
