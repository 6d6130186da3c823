package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// ticksPerSecond is the unit of times in /proc/PID/stat: USER_HZ, which is 100 for every Linux program.
const ticksPerSecond = 100

// ProcessesSeen remembers what /proc told of processes, for readers that look every second. A process is
// its PID and its start: a PID that is another process's by now is read anew.
type ProcessesSeen struct {
	// NamesFor is how long a process's name is told again: exec may change it, and programs name themselves when
	// they start, so that it is looked at sooner at first. Zero: not at all.
	NamesFor time.Duration

	mu     sync.Mutex
	known  map[int]seenProcess
	owners map[int]string  // container ids by the engine's word, of processes that /proc does not tell; "": it does not know either
	others map[string]bool // ids that this engine does not know
	proves string          // id of a container that /proc names

	held   heldProcesses // by processHold
	looked []int         // PIDs that were looked at in the reading under way, and are held

	engine string // what was known of the engine when it was last compared to this machine
	where  string // what came of that
}

type seenProcess struct {
	started uint64 // ticks after boot
	name    string
	cgroup  string
	used    bool        // in the reading under way
	stat    *os.File    // its /proc/PID/stat, which stays this process's whoever has the PID later; nil: not kept open
	alive   processHold // tells that it has ended, without a look into /proc
	named   time.Time   // when its name was read
	looks   int         // how often
}

// soonest is how long a process's name is told again after the first look, eight times as long after each other: what
// calls itself another name does so when it starts, and what execs has to open the GPU anew.
const (
	soonest = 2 * time.Second
	sooner  = 3 // doublings
)

// mostStats bounds the files that are kept open: a view may have 1024 of them, unless its user was given more.
const mostStats = 256

// seeProcesses adds what /proc tells of the processes that NVML has just listed: name and cgroup. NVML's
// PIDs are the host's. A process that started after NVML's answer is not the one that NVML saw.
func seeProcesses(m Machine, gpus []GPU) {
	latest := uint64(1) << 63
	if m.Booted != nil {
		if since, ok := m.Booted(); ok {
			latest = uint64(since * ticksPerSecond / time.Second)
		}
	}
	seen := m.Seen
	keep := seen != nil
	if !keep {
		seen = &ProcessesSeen{}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.known == nil {
		seen.known = map[int]seenProcess{}
	}
	var now time.Time
	if keep && seen.NamesFor > 0 {
		now = m.Now()
		for _, pid := range seen.ended() {
			seen.forget(pid)
		}
	}
	listed := map[int]bool{}
	each := func(visit func(*GPUProcess)) {
		of := func(processes []GPUProcess) {
			for i := range processes {
				visit(&processes[i])
			}
		}
		for g := range gpus {
			of(gpus[g].Processes)
			if mig := gpus[g].MIG; mig != nil {
				for d := range mig.Devices {
					of(mig.Devices[d].Processes)
				}
			}
		}
	}
	each(func(p *GPUProcess) {
		listed[p.PID] = true
		seen.see(m.Root, p, latest, keep, now)
		if p.Cgroup == "" && !p.Gone {
			p.ContainerID = seen.owners[p.PID]
		}
	})
	if lost := seen.lost(); lost != nil {
		each(func(p *GPUProcess) {
			if slices.Contains(lost, p.PID) {
				p.Name, p.Cgroup, p.Gone = "", "", true
			}
		})
	}
	for pid, p := range seen.known { // what NVML no longer lists is forgotten
		if !p.used {
			seen.forget(pid)
			continue
		}
		p.used = false
		seen.known[pid] = p
	}
	for pid := range seen.owners {
		if !listed[pid] {
			delete(seen.owners, pid)
		}
	}
}

// elsewhere says again what compare said of the same engine: this kernel stays the same as long as a process lives.
func (s *ProcessesSeen) elsewhere(engine string, compare func() string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine != engine {
		s.engine, s.where = engine, compare()
	}
	return s.where
}

// unasked takes out what the engine was asked before.
func (s *ProcessesSeen) unasked(pids map[int]bool, ids []string) []string {
	if s == nil {
		return ids
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid := range s.owners {
		delete(pids, pid)
	}
	return slices.DeleteFunc(ids, func(id string) bool { return s.others[id] })
}

// answered keeps what the engine said of those that it was asked for.
func (s *ProcessesSeen) answered(pids map[int]bool, owners map[int]string, ids []string, found []Container) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owners == nil {
		s.owners, s.others = map[int]string{}, map[string]bool{}
	}
	for pid := range pids {
		s.owners[pid] = owners[pid]
	}
	for _, id := range ids {
		if len(s.others) < 4096 && !slices.ContainsFunc(found, func(c Container) bool { return c.ID == id }) {
			s.others[id] = true
		}
	}
}

func (s *ProcessesSeen) see(root Root, p *GPUProcess, latest uint64, keep bool, now time.Time) {
	if p.PID <= 0 {
		return
	}
	k, known := s.known[p.PID]
	tell := func() {
		s.known[p.PID] = k
		p.Name, p.Cgroup = k.name, k.cgroup
	}
	switch {
	case known && k.used: // on another GPU, in this same reading
		tell()
		return
	case known && k.fresh(s, now) && k.started <= latest:
		k.used = true
		tell()
		return
	case known && k.stat != nil && k.cgroup != "":
		var buf [1024]byte
		n, _ := k.stat.ReadAt(buf[:], 0) // an error, with nothing read, says that it ended
		if name, started, ok := parseStat(buf[:n]); ok && started == k.started && started <= latest {
			k.name, k.used, k.named = name, true, now
			tell()
			return
		}
		s.forget(p.PID)
		k, known = seenProcess{}, false
	}
	folder := "/proc/" + strconv.Itoa(p.PID)
	if k.alive.held() && k.cgroup != "" && k.started <= latest { // it is the same process, and only its name may be another
		if name, err := readProc(root, folder+"/comm"); err == nil {
			k.name, k.used, k.named = string(bytes.TrimSuffix(name, []byte("\n"))), true, now
			k.looks++
			s.looked = append(s.looked, p.PID)
			tell()
			return
		}
	}
	// Held before it is looked at: if the PID changes hands in between, what is held has ended, and it is looked at anew.
	var alive processHold
	if keep && s.NamesFor > 0 && !known && root == "/" && len(s.known) < mostStats {
		alive = s.hold(p.PID)
	}
	defer func() { s.release(alive) }()
	stat, err := readProc(root, folder+"/stat")
	name, started, ok := parseStat(stat)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it ended, or it is hidden (hidepid=)
		return
	case err != nil || !ok:
		return
	case started > latest:
		p.Gone = true
		return
	}
	if !known || k.started != started || k.cgroup == "" {
		s.forget(p.PID)
		k = seenProcess{started: started, name: name}
		if data, err := readProc(root, folder+"/cgroup"); err == nil {
			k.cgroup = processCgroup(data)
		}
		if alive.held() { // it had the PID all the time, if it has not ended by now
			s.looked = append(s.looked, p.PID)
		} else if again, err := readProc(root, folder+"/stat"); err == nil { // the PID changed hands between the two files
			if _, now, ok := parseStat(again); ok && now != started {
				p.Gone = true
				return
			}
		}
	}
	k.name, k.used, k.named = name, true, now // exec changes the name
	k.looks++
	switch {
	case alive.held() && k.cgroup != "":
		k.alive, alive = alive, processHold{}
	case keep && k.stat == nil && !k.alive.held() && root == "/" && len(s.known) < mostStats:
		k.stat = openStat(folder+"/stat", started)
	}
	tell()
}

// lost names those of the processes looked at in this reading that ended before it was through: what was read of
// them may be of others, which have their PIDs now.
func (s *ProcessesSeen) lost() []int {
	looked := s.looked
	s.looked = nil
	if len(looked) == 0 {
		return nil
	}
	var lost []int
	for _, pid := range s.ended() {
		if slices.Contains(looked, pid) {
			lost = append(lost, pid)
			s.forget(pid)
		}
	}
	return lost
}

// fresh tells if all that was read of a process that has not ended is told again without a look.
func (k *seenProcess) fresh(s *ProcessesSeen, now time.Time) bool {
	return k.alive.held() && k.cgroup != "" && now.Sub(k.named) < min(s.NamesFor, soonest<<(sooner*min(max(k.looks-1, 0), 5)))
}

// same tells if another reading of the processes that it knows would tell of each what the last one told.
func (s *ProcessesSeen) same(now time.Time) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.known {
		if !k.fresh(s, now) {
			return false
		}
	}
	return len(s.ended()) == 0
}

// openStat keeps a process's file open, which spares the way to it at every reading. Nil where it cannot, or
// where the PID has changed hands.
func openStat(path string, started uint64) *os.File {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	var buf [1024]byte
	n, _ := f.ReadAt(buf[:], 0)
	if _, now, ok := parseStat(buf[:n]); !ok || now != started {
		_ = f.Close()
		return nil
	}
	return f
}

func (s *ProcessesSeen) forget(pid int) {
	k := s.known[pid]
	if k.stat != nil {
		_ = k.stat.Close()
	}
	s.release(k.alive)
	delete(s.known, pid)
}

// parseStat reads the name and the start, in ticks after boot, from /proc/PID/stat. The name stands in
// brackets and may hold anything, brackets and line ends included (proc_pid_stat(5)).
func parseStat(data []byte) (name string, started uint64, ok bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return "", 0, false
	}
	at := 3 // the first field behind the name is the third
	for field := range bytes.FieldsSeq(data[end+1:]) {
		if at == 22 {
			started, err := strconv.ParseUint(string(field), 10, 63)
			if err != nil {
				return "", 0, false
			}
			return string(data[open+1 : end]), started, true
		}
		at++
	}
	return "", 0, false
}

// ProcessesSource asks the engine about the GPU processes that /proc gave to no container: by the id
// that their cgroup names, for a container that is younger than the engine's list, and by the engine's
// own lists of processes (GET /containers/ID/top) where /proc cannot be read or names no containers, as
// with hidepid, or a rootless engine without systemd.
var ProcessesSource = Source{Name: "processes", Then: traceProcesses, First: true}

func traceProcesses(s *Snapshot) func(context.Context, Machine) (Patch, error) {
	if s.Containers == nil || s.Engine == nil || s.Engine.Location != "local" {
		return nil
	}
	var younger []string       // ids that the list does not have
	untraced := map[int]bool{} // PIDs of which /proc says nothing
	unnamed := map[int]bool{}  // PIDs whose cgroup names no container
	eachProcess(s.GPUs, func(_ UsageProcess, p *GPUProcess) {
		if p.ContainerID != "" || p.Gone || p.PID <= 0 {
			return
		}
		ids := ContainerIDs(p.Cgroup)
		switch {
		case len(ids) > 0:
			if !slices.Contains(younger, ids[0]) && len(younger) < 64 {
				younger = append(younger, ids[0])
			}
		case p.Cgroup == "":
			untraced[p.PID] = true
		default:
			unnamed[p.PID] = true
		}
	})
	if len(untraced)+len(unnamed)+len(younger) == 0 {
		return nil
	}
	var running, first []Container
	for _, c := range s.Containers {
		if c.PID > 0 && (c.State == "running" || c.State == "paused") {
			running = append(running, c)
		}
	}
	if len(running) > 0 {
		first = running[:1]
	}
	return func(ctx context.Context, m Machine) (Patch, error) {
		if len(unnamed) > 0 && len(first) > 0 && !m.Seen.procNames(m.Root, first[0]) {
			for pid := range unnamed {
				untraced[pid] = true
			}
		}
		younger := m.Seen.unasked(untraced, younger)
		if len(untraced)+len(younger) == 0 {
			return nil, nil
		}
		api, err := dial(ctx, m)
		if err != nil {
			return nil, err
		}
		late, err := findYounger(ctx, api, younger)
		owners := map[int]string{}
		if len(untraced) > 0 {
			var topErr error
			owners, topErr = engineProcesses(ctx, api, running, untraced)
			err = errors.Join(err, topErr)
		}
		if err == nil {
			m.Seen.answered(untraced, owners, younger, late)
		}
		return func(s *Snapshot) {
			s.Containers = append(s.Containers, late...)
			eachProcess(s.GPUs, func(_ UsageProcess, p *GPUProcess) {
				if id, ok := owners[p.PID]; ok && p.ContainerID == "" && !p.Gone {
					p.ContainerID = id
				}
			})
		}, err
	}
}

// procNames tells if /proc shows the container's first process in a cgroup that names the container.
func (s *ProcessesSeen) procNames(root Root, c Container) bool {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.proves == c.ID {
			return true
		}
	}
	data, err := root.ReadFile(path.Join("/proc", strconv.Itoa(c.PID), "cgroup"))
	names := err == nil && slices.Contains(ContainerIDs(processCgroup(data)), c.ID)
	if names && s != nil {
		s.proves = c.ID
	}
	return names
}

// findYounger asks for containers by id; those that the engine does not know are another engine's.
func findYounger(ctx context.Context, api EngineAPI, ids []string) ([]Container, error) {
	var found []Container
	for _, id := range ids {
		answer, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		switch {
		case cerrdefs.IsNotFound(err):
		case err != nil:
			return found, err
		default:
			found = append(found, describeContainer(answer.Container))
		}
	}
	return found, nil
}

// engineProcesses says which of the PIDs runs in which of the containers, by the engine's word.
func engineProcesses(ctx context.Context, api EngineAPI, containers []Container, pids map[int]bool) (map[int]string, error) {
	lister, ok := api.(interface {
		ContainerTop(context.Context, string, client.ContainerTopOptions) (client.ContainerTopResult, error)
	})
	if !ok {
		return nil, nil
	}
	owners := map[int]string{}
	var mu sync.Mutex
	var firstErr error
	var wg sync.WaitGroup
	slots := make(chan struct{}, topAtOnce)
	for _, c := range containers {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answer, err := lister.ContainerTop(ctx, c.ID, client.ContainerTopOptions{Arguments: []string{"-eo", "pid"}})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) && firstErr == nil { // it ended meanwhile
					firstErr = fmt.Errorf("processes of container %s: %w", c.Name, err)
				}
				return
			}
			at := slices.Index(answer.Titles, "PID")
			for _, row := range answer.Processes {
				if at < 0 || at >= len(row) {
					continue
				}
				if pid, err := strconv.Atoi(row[at]); err == nil && pids[pid] {
					owners[pid] = c.ID
				}
			}
		})
	}
	wg.Wait()
	return owners, firstErr
}

// topAtOnce bounds the lists of processes that one engine is asked for at the same time: for each it
// starts a ps.
const topAtOnce = 4
