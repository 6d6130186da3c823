package fixes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Leases keep two starts from taking the same GPU. Each GPU has a file in a folder that all users of the
// machine share; who holds its lock holds the GPU, for as long as the process lives: after a crash nothing
// is left behind. `pick`, which ends at once, leaves a time in the file until which the GPU is taken.
//
// Any user may lock any file, so that one can keep the others from picking; more they cannot do: what
// stands in the files is shown, and never believed beyond a time.
type Leases struct {
	folder string
	now    func() time.Time
}

// LeaseHolder says who holds a GPU. Live is true where a process holds the lock now.
type LeaseHolder struct {
	GPU   string    `json:"gpu"`
	Live  bool      `json:"live"`
	PID   int       `json:"pid,omitempty"`
	User  string    `json:"user,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // of a lease that outlives its process
}

// Lease is a GPU that is held.
type Lease struct {
	GPU  string
	file *os.File
}

// longestLease bounds what a file can claim.
const longestLease = time.Hour

// OpenLeases opens the first of the folders that can be used: the machine's, which is made with root's
// rights, or the user's own, which keeps only that user's starts apart.
func OpenLeases(folders ...string) (*Leases, error) {
	var failed error
	for _, folder := range folders {
		if folder == "" {
			continue
		}
		err := usableFolder(folder)
		if err == nil {
			return &Leases{folder: folder, now: time.Now}, nil
		}
		failed = err
	}
	if failed == nil {
		failed = errors.New("no folder for leases is named")
	}
	return nil, failed
}

// Folder is where the leases are.
func (l *Leases) Folder() string { return l.folder }

// usableFolder makes the folder where it is missing. One that is a link, or that somebody else than root
// or this user made, is refused.
func usableFolder(folder string) error {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o777 | fs.ModeSticky
	}
	if err := os.Mkdir(folder, 0o700); err == nil {
		if err := os.Chmod(folder, mode); err != nil { // what the umask took
			return said(folder, err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return said(folder, err)
	}
	info, err := os.Lstat(folder)
	switch {
	case err != nil:
		return said(folder, err)
	case !info.IsDir():
		return fmt.Errorf("%s is no folder", folder)
	case !ownedByRootOrUs(info):
		return fmt.Errorf("%s belongs to somebody else", folder)
	}
	probe, err := openLeaseFile(filepath.Join(folder, "pick.lock"))
	if err != nil {
		return said(filepath.Join(folder, "pick.lock"), err)
	}
	return probe.Close()
}

// openLeaseFile opens a file that all may lock. It is first opened without O_CREATE: the kernel refuses
// that flag for another user's file in a folder with the sticky bit (fs.protected_regular).
func openLeaseFile(path string) (*os.File, error) {
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				if info, statErr := f.Stat(); statErr != nil || !info.Mode().IsRegular() {
					f.Close()
					return nil, errors.Join(statErr, errors.New("is no regular file"))
				}
			}
			return f, err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
		if err == nil {
			return f, f.Chmod(0o666)
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, fs.ErrNotExist
}

// Alone waits until no other pick is choosing.
func (l *Leases) Alone(ctx context.Context) (leave func(), err error) {
	f, err := openLeaseFile(filepath.Join(l.folder, "pick.lock"))
	if err != nil {
		return nil, said(l.folder, err)
	}
	for {
		held, err := lockFile(f)
		if err != nil || held {
			if err != nil {
				f.Close()
				return nil, said(l.folder, err)
			}
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another pick does not end: %w", ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// leaseFile is the name of a GPU's file. UUIDs are letters, digits and dashes; what is not is no UUID.
func (l *Leases) leaseFile(gpu string) (string, error) {
	if gpu == "" || len(gpu) > 100 || strings.Trim(gpu, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return "", fmt.Errorf("%q is no UUID of a GPU", gpu)
	}
	return filepath.Join(l.folder, gpu+".lease"), nil
}

// Try takes a GPU, or says who holds it: then the lease is nil.
func (l *Leases) Try(gpu string) (*Lease, *LeaseHolder, error) {
	path, err := l.leaseFile(gpu)
	if err != nil {
		return nil, nil, err
	}
	f, err := openLeaseFile(path)
	if err != nil {
		return nil, nil, said(path, err)
	}
	held, err := lockFile(f)
	if err != nil {
		f.Close()
		return nil, nil, said(path, err)
	}
	holder := l.read(f, gpu)
	if !held {
		f.Close()
		holder.Live, holder.Until = true, time.Time{}
		return nil, &holder, nil
	}
	if holder.Until.After(l.now()) {
		f.Close()
		return nil, &holder, nil
	}
	return &Lease{GPU: gpu, file: f}, nil, nil
}

// read is what the holder wrote; nonsense is as good as nothing, and no time is longer than longestLease: counted
// from when the file was last written, which nobody can set, so that no claim lasts for ever.
func (l *Leases) read(f *os.File, gpu string) LeaseHolder {
	holder := LeaseHolder{}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 4<<10))
	if err != nil || json.Unmarshal(data, &holder) != nil {
		holder = LeaseHolder{}
	}
	holder.GPU, holder.Live = gpu, false
	from := l.now()
	if info, err := f.Stat(); err == nil {
		if changed := changedAt(info); changed.Before(from) {
			from = changed
		}
	}
	if latest := from.Add(longestLease); holder.Until.After(latest) {
		holder.Until = latest
	}
	if len(holder.User) > 64 {
		holder.User = holder.User[:64]
	}
	return holder
}

// Hold writes down who holds the GPU; until is when the lease ends by itself after the process is gone,
// or zero for "with the process".
func (l *Leases) Hold(lease *Lease, until time.Time) error {
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	data, err := json.Marshal(LeaseHolder{GPU: lease.GPU, PID: os.Getpid(), User: name, Since: l.now().UTC(), Until: until.UTC()})
	if err == nil {
		err = errors.Join(lease.file.Truncate(0), func() error { _, err := lease.file.WriteAt(data, 0); return err }())
	}
	if err != nil {
		return said(lease.file.Name(), err)
	}
	return nil
}

// Release gives the GPU back. A time that Hold wrote stays.
func (l *Lease) Release() { _ = l.file.Close() }

// Forget gives the GPU back at once, whatever time was written.
func (l *Lease) Forget() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}

// KeepAcrossExec lets the program that this process becomes hold the lease on.
func (l *Lease) KeepAcrossExec() error { return keepAcrossExec(l.file) }

// List says who holds what.
func (l *Leases) List() ([]LeaseHolder, error) {
	entries, err := os.ReadDir(l.folder)
	if err != nil {
		return nil, said(l.folder, err)
	}
	holders := []LeaseHolder{}
	for _, entry := range entries {
		gpu, ok := strings.CutSuffix(entry.Name(), ".lease")
		if !ok {
			continue
		}
		lease, holder, err := l.Try(gpu)
		switch {
		case err != nil: // somebody's nonsense in a folder that all can write
		case lease != nil:
			lease.Release()
		default:
			holders = append(holders, *holder)
		}
	}
	return holders, nil
}

// A Ticket is a place in the queue of those who wait for a GPU: first come, first served.
type Ticket struct {
	leases *Leases
	name   string
	file   *os.File
}

// Queue takes a place at the end of the queue.
func (l *Leases) Queue() (*Ticket, error) {
	for range 100 {
		name := fmt.Sprintf("%020d-%d.ticket", l.now().UnixNano(), os.Getpid())
		path := filepath.Join(l.folder, name)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = f.Chmod(0o666)
		}
		if err != nil {
			return nil, said(path, err)
		}
		if held, err := lockFile(f); err != nil || !held {
			f.Close()
			continue // somebody looked at it between the two calls and takes it for forgotten
		}
		return &Ticket{l, name, f}, nil
	}
	return nil, fmt.Errorf("%s: no place in the queue", l.folder)
}

// First tells if nobody waits who came before. Tickets of those who are gone are taken away.
func (t *Ticket) First() bool {
	entries, err := os.ReadDir(t.leases.folder)
	if err != nil {
		return true
	}
	names := []string{}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".ticket") && entry.Name() < t.name {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(t.leases.folder, name)
		f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
		if err != nil {
			continue
		}
		held, err := lockFile(f)
		if err == nil && !held {
			f.Close()
			return false
		}
		_ = os.Remove(path) // another user's is theirs to remove: with the sticky bit this fails, and does no harm
		f.Close()
	}
	return true
}

// Leave gives the place up.
func (t *Ticket) Leave() {
	_ = os.Remove(filepath.Join(t.leases.folder, t.name))
	_ = t.file.Close()
}
