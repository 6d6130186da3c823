package inspect

import (
	"fmt"
	"testing"
)

// What is done on MIG devices is a container's where it is known of each that its processes are on, and nobody else is
// on them; a process has it where it is alone.
func TestUsageOfMIGDevices(t *testing.T) {
	ada, bert := fmt.Sprintf("%064x", 0xada), fmt.Sprintf("%064x", 0xbe)
	on := func(pid int, container string) GPUProcess {
		return GPUProcess{PID: pid, Kinds: []string{"compute"}, Cgroup: "/system.slice/docker-" + container + ".scope"}
	}
	device := func(index int, util *uint32, processes ...GPUProcess) MIGDevice {
		return MIGDevice{Index: index, UUID: fmt.Sprint("MIG-", index), GPUUtilPercent: util, MemoryUtilPercent: util, Processes: processes}
	}
	whole := func(util *uint32, p GPUProcess) GPUProcess { p.GPUUtilPercent = util; return p }
	percent := func(v uint32) *uint32 { return &v }
	for _, c := range []struct {
		name      string
		devices   []MIGDevice
		processes []GPUProcess // on a GPU that is whole
		ada       string       // utilisation, and that of its processes
		bert      string
		host      string
	}{
		{name: "one process each", devices: []MIGDevice{device(0, percent(63), on(1, ada)), device(1, percent(20), on(2, bert))}, ada: "63: 63", bert: "20: 20", host: "?:"},
		{name: "two processes of one", devices: []MIGDevice{device(0, percent(63), on(1, ada), on(2, ada))}, ada: "63: ? ?", bert: "?:", host: "?:"},
		{name: "two devices", devices: []MIGDevice{device(0, percent(63), on(1, ada), on(2, ada)), device(1, percent(80), on(1, ada))}, ada: "143: ? ? 80", bert: "?:", host: "?:"},
		{name: "one of two is not known", devices: []MIGDevice{device(0, percent(63), on(1, ada)), device(1, nil, on(2, ada))}, ada: "?: 63 ?", bert: "?:", host: "?:"},
		{name: "shared", devices: []MIGDevice{device(0, percent(63), on(1, ada), on(2, bert))}, ada: "?: ?", bert: "?: ?", host: "?:"},
		{name: "shared with the host", devices: []MIGDevice{device(0, percent(63), on(1, ada), GPUProcess{PID: 9, Cgroup: "/user.slice"})}, ada: "?: ?", bert: "?:", host: "?: ?"},
		{name: "the host's", devices: []MIGDevice{device(0, percent(63), GPUProcess{PID: 9, Cgroup: "/user.slice"})}, ada: "?:", bert: "?:", host: "63: 63"},
		{name: "idle", devices: []MIGDevice{device(0, percent(0), on(1, ada))}, ada: "0: 0", bert: "?:", host: "?:"},
		{name: "not known", devices: []MIGDevice{device(0, nil, on(1, ada))}, ada: "?: ?", bert: "?:", host: "?:"},
		{name: "beside a whole GPU", devices: []MIGDevice{device(0, percent(63), on(1, ada), on(2, ada))}, processes: []GPUProcess{whole(percent(30), on(1, ada))}, ada: "93: ? ? 30", bert: "?:", host: "?:"},
		{name: "not known, beside a whole GPU", devices: []MIGDevice{device(0, nil, on(1, ada))}, processes: []GPUProcess{whole(percent(30), on(1, ada))}, ada: "30: ? 30", bert: "?:", host: "?:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Snapshot{GPUs: []GPU{{Index: 0, UUID: "GPU-0", MIG: &MIG{Enabled: true, Devices: c.devices}, Processes: []GPUProcess{}}, {Index: 1, UUID: "GPU-1", Processes: c.processes}},
				Containers: []Container{{ID: ada}, {ID: bert}}}
			for range 2 { // each frame of a view does so anew
				resolve(s, false)
			}
			text := func(u *Usage) string {
				figure := func(v *uint32) string {
					if v == nil {
						return "?"
					}
					return fmt.Sprint(*v)
				}
				if u == nil {
					return "?:"
				}
				all := figure(u.GPUUtilPercent) + ":"
				for _, p := range u.Processes {
					all += " " + figure(p.GPUUtilPercent)
				}
				return all
			}
			if got := text(s.Containers[0].Usage); got != c.ada {
				t.Errorf("ada: %s, want %s", got, c.ada)
			}
			if got := text(s.Containers[1].Usage); got != c.bert {
				t.Errorf("bert: %s, want %s", got, c.bert)
			}
			if got := text(HostUsage(s)); got != c.host {
				t.Errorf("host: %s, want %s", got, c.host)
			}
			for _, p := range s.GPUs[0].MIG.Devices[0].Processes {
				if p.GPUUtilPercent != nil {
					t.Errorf("process %d has its device's utilisation where all are listed", p.PID)
				}
			}
		})
	}
}
