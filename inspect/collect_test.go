package inspect

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"
)

func machine() Machine { return Machine{Root: "/nowhere", Now: time.Now} }

// A source that hangs costs its deadline, a source that panics itself; the others are kept.
func TestCollectKeepsWhatAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		release := make(chan struct{})
		s := Collect(t.Context(), machine(), time.Second,
			Source{Name: "good", Read: func(context.Context, Machine) (Patch, error) {
				return func(s *Snapshot) { s.GPUs = []GPU{{Index: 0}} }, nil
			}},
			Source{Name: "hangs", Read: func(context.Context, Machine) (Patch, error) {
				<-release
				return func(s *Snapshot) { s.GPUs = nil }, nil
			}},
			Source{Name: "panics", Read: func(context.Context, Machine) (Patch, error) { panic("broken") }},
			Source{Name: "denied", Read: func(context.Context, Machine) (Patch, error) { return nil, fs.ErrPermission }},
			Source{Name: "absent", Read: func(context.Context, Machine) (Patch, error) { return nil, ErrAbsent }},
		)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %s, want the deadline", took)
		}
		close(release)
		synctest.Wait()
		if len(s.GPUs) != 1 {
			t.Errorf("GPUs: %v: the late patch was applied or the good one lost", s.GPUs)
		}
		if r := s.Sources; !r[1].TimedOut || r[2].Error == "" || !r[3].Denied || !r[4].Absent || r[4].Error != "" || r[0].Error != "" {
			t.Errorf("sources: %+v", r)
		}
	})
}

// A local GPU is never shown as a remote engine's.
func TestCollectReadsNothingLocalForARemoteEngine(t *testing.T) {
	for _, host := range []string{"ssh://ada", "tcp://10.0.0.7:2376"} {
		m := machine()
		m.Host = host
		s := Collect(t.Context(), m, time.Second, Source{Name: "nvml", Local: true, Read: func(context.Context, Machine) (Patch, error) {
			return nil, errors.New("was read")
		}})
		if r := s.Sources[0]; r.Error != "" || r.Note == "" {
			t.Errorf("%s: %+v", host, r)
		}
	}
}
