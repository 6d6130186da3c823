package fixes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Anybody may write anything into a lease's file: it names its own GPU, holds for an hour at most, and is never a process's.
func FuzzLeaseFile(f *testing.F) {
	f.Add([]byte(`{"gpu":"GPU-2","live":true,"pid":1,"user":"root","since":"2026-11-25T10:00:00Z","until":"9999-12-31T23:59:59Z"}`))
	f.Add([]byte(`{"until":"2126-11-25T10:30:00Z","user":"` + string(make([]byte, 100)) + `"}`))
	f.Add([]byte("nonsense"))
	f.Add([]byte(""))
	folder := f.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(folder, "GPU-1.lease"), data, 0o666); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		l := &Leases{folder: folder, now: func() time.Time { return now }}
		lease, holder, err := l.Try("GPU-1")
		switch {
		case err != nil:
			t.Fatal(err)
		case lease != nil:
			lease.Release()
		case holder.GPU != "GPU-1" || holder.Live || !holder.Until.After(now) || holder.Until.After(now.Add(longestLease)) || len(holder.User) > 64:
			t.Errorf("%+v", holder)
		}
		l.now = func() time.Time { return time.Now().Add(longestLease) }
		if lease, holder, err = l.Try("GPU-1"); err != nil || lease == nil {
			t.Fatalf("held beyond an hour: %+v, %v", holder, err)
		}
		if err := l.Hold(lease, now.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		lease.Release()
		l.now = time.Now
		list, err := l.List()
		if err != nil || len(list) != 1 || list[0].PID != os.Getpid() {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := json.Marshal(list); err != nil {
			t.Error(err)
		}
	})
}

// Whatever stands in the docker CLI's config.json: installing makes the hooks be there, taking them away leaves the rest as it was.
func FuzzHooksConfig(f *testing.F) {
	for _, seed := range []string{`{}`, "", `{"plugins":{"gpu":{"error-hooks":"run, login ,,"},"debug":{"hooks":"exec"}},"features":{"hooks":"true"}}`, `{"plugins":{"gpu":{"error-hooks":7}},"features":[]}`, "{\n  \"plugins\": {\n    \"gpu\": {\"error-hooks\": \"run\"}\n  }\n}", `{"plugins":null}`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const name = "config.json"
		before, err := ReadHooks(name, data)
		if err != nil {
			return
		}
		edit := func(p Plan, old []byte) ([]byte, error) { return p.Steps[0].(*FileStep).Edit(old) }
		with, err := edit(InstallHooks(name), data)
		if err != nil {
			return // it has something else in their place, and stays as it is
		}
		state, err := ReadHooks(name, with)
		if err != nil || !state.Installed {
			t.Fatalf("%q became %q: %+v, %v", data, with, state, err)
		}
		for _, command := range before.Commands { // those of others stay
			if !hasText(state.Commands, command) {
				t.Errorf("%q is gone: %q became %q", command, data, with)
			}
		}
		if again, err := edit(InstallHooks(name), with); err != nil || string(again) != string(with) {
			t.Errorf("a second time: %q became %q, %v", with, again, err)
		}
		without, err := edit(UninstallHooks(name), with)
		if err != nil {
			t.Fatalf("%q: %v", with, err)
		}
		if state, err := ReadHooks(name, without); err != nil || state.Installed {
			t.Errorf("%q became %q: %+v, %v", with, without, state, err)
		}
	})
}

func hasText(list []string, text string) bool {
	for _, one := range list {
		if one == text {
			return true
		}
	}
	return false
}
