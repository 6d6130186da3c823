//go:build cgo && linux

package gpu

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// sampleWindow is how far back the utilisation of a process is looked for. The driver samples every sixth
// of a second to every second, and keeps samples for longer than they mean anything.
const sampleWindow = 2 * time.Second

// processes merges NVML's three lists by PID; nil where none of them could be read. Utilisation is known
// of whole GPUs only.
func (r *nvmlReader) processes(d nvml.Device, wholeGPU bool) []GPUProcess {
	var all []GPUProcess
	for _, list := range []struct {
		kind   string
		symbol string
		call   func() ([]nvml.ProcessInfo, nvml.Return)
	}{
		{"compute", "nvmlDeviceGetComputeRunningProcesses", d.GetComputeRunningProcesses},
		{"graphics", "nvmlDeviceGetGraphicsRunningProcesses", d.GetGraphicsRunningProcesses},
		{"mps", "nvmlDeviceGetMPSComputeRunningProcesses", d.GetMPSComputeRunningProcesses},
	} {
		if !r.known(list.symbol) && !r.known(list.symbol+"_v2") && !r.known(list.symbol+"_v3") {
			continue
		}
		infos, ret := list.call()
		if ret != nvml.SUCCESS {
			r.note(ret)
			continue
		}
		if all == nil {
			all = []GPUProcess{}
		}
		for _, info := range infos {
			p := GPUProcess{PID: int(info.Pid), Kinds: []string{list.kind}}
			if info.UsedGpuMemory != math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
				p.MemoryUsedBytes = ptr(info.UsedGpuMemory)
			}
			if info.GpuInstanceId != math.MaxUint32 {
				p.GPUInstanceID = ptr(int(info.GpuInstanceId))
			}
			if info.ComputeInstanceId != math.MaxUint32 {
				p.ComputeInstanceID = ptr(int(info.ComputeInstanceId))
			}
			all = addProcess(all, p)
		}
	}
	if wholeGPU && len(all) > 0 {
		r.processUtil(d, all)
	}
	return all
}

// addProcess adds what one list says of a process to what the others said.
func addProcess(all []GPUProcess, p GPUProcess) []GPUProcess {
	at := slices.IndexFunc(all, func(q GPUProcess) bool {
		return p.PID == q.PID && equal(p.GPUInstanceID, q.GPUInstanceID) && equal(p.ComputeInstanceID, q.ComputeInstanceID)
	})
	if at < 0 {
		return append(all, p)
	}
	for _, kind := range p.Kinds {
		if !slices.Contains(all[at].Kinds, kind) {
			all[at].Kinds = append(all[at].Kinds, kind)
		}
	}
	if m := all[at].MemoryUsedBytes; p.MemoryUsedBytes != nil && (m == nil || *m < *p.MemoryUsedBytes) {
		all[at].MemoryUsedBytes = p.MemoryUsedBytes
	}
	return all
}

// processUtil adds the newest sample of each process. One without a sample did nothing in the window:
// NVML then says "Not Found". With MIG there are no samples at all, and what clients of MPS do is counted as their server's.
func (r *nvmlReader) processUtil(d nvml.Device, all []GPUProcess) {
	if !r.known("nvmlDeviceGetProcessUtilization") {
		return
	}
	since := r.now().Add(-sampleWindow).UnixMicro()
	samples, ret := processSamples(d, uint64(since))
	if ret != nvml.SUCCESS && ret != nvml.ERROR_NOT_FOUND {
		return
	}
	newest := map[int]nvml.ProcessUtilizationSample{}
	for _, s := range samples {
		if old, seen := newest[int(s.Pid)]; !seen || s.TimeStamp >= old.TimeStamp {
			newest[int(s.Pid)] = s
		}
	}
	percent := func(v uint32) *uint32 {
		if v > 100 { // what the driver writes for "not known"
			return nil
		}
		return &v
	}
	for i := range all {
		s, sampled := newest[all[i].PID]
		if !sampled && slices.Contains(all[i].Kinds, "mps") { // the server of MPS is what the driver sees at work
			continue
		}
		all[i].GPUUtilPercent, all[i].MemoryUtilPercent = percent(s.SmUtil), percent(s.MemUtil)
		all[i].EncoderUtilPercent, all[i].DecoderUtilPercent = percent(s.EncUtil), percent(s.DecUtil)
	}
}

// processSamples asks twice, for the number and for the samples. Where there are more of them the second
// time, go-nvml reaches beyond its buffer; that is a panic, and for us no sample.
func processSamples(d nvml.Device, since uint64) (samples []nvml.ProcessUtilizationSample, ret nvml.Return) {
	defer func() {
		if recover() != nil {
			samples, ret = nil, nvml.ERROR_UNKNOWN
		}
	}()
	return d.GetProcessUtilization(since)
}

// mig reads the MIG devices. Their processes are those of the GPU too, where it does not tell them itself:
// that takes more rights than asking the MIG device.
func (r *nvmlReader) mig() {
	d := r.device
	if !r.known("nvmlDeviceGetMigMode") {
		return
	}
	now, pending, ret := d.GetMigMode()
	if ret != nvml.SUCCESS {
		return
	}
	m := &MIG{Enabled: now == nvml.DEVICE_MIG_ENABLE, PendingEnabled: pending == nvml.DEVICE_MIG_ENABLE, Devices: []MIGDevice{}}
	r.gpu.MIG = m
	m.MaxDevices = figure(r, "nvmlDeviceGetMaxMigDeviceCount", d.GetMaxMigDeviceCount)
	if !m.Enabled || m.MaxDevices == nil || !r.known("nvmlDeviceGetMigDeviceHandleByIndex") {
		return
	}
	for i := range min(*m.MaxDevices, 64) {
		handle, ret := d.GetMigDeviceHandleByIndex(i)
		if ret != nvml.SUCCESS {
			continue
		}
		device := r.migDevice(i, handle)
		m.Devices = append(m.Devices, device)
		for _, p := range device.Processes {
			r.gpu.Processes = addProcess(r.gpu.Processes, p)
		}
	}
}

func (r *nvmlReader) migDevice(index int, d nvml.Device) MIGDevice {
	m := MIGDevice{Index: index}
	if v := figure(r, "nvmlDeviceGetUUID", d.GetUUID); v != nil {
		m.UUID = *v
	}
	if v := figure(r, "nvmlDeviceGetName", d.GetName); v != nil { // NVIDIA A100-SXM4-40GB MIG 1g.5gb
		m.Name = *v
		if _, profile, ok := strings.Cut(*v, " MIG "); ok {
			m.Profile = profile
		}
	}
	m.GPUInstanceID = figure(r, "nvmlDeviceGetGpuInstanceId", d.GetGpuInstanceId)
	m.ComputeInstanceID = figure(r, "nvmlDeviceGetComputeInstanceId", d.GetComputeInstanceId)
	if v := figure(r, "nvmlDeviceGetMemoryInfo", d.GetMemoryInfo); v != nil {
		m.MemoryTotalBytes, m.MemoryUsedBytes, m.MemoryFreeBytes = &v.Total, &v.Used, &v.Free
	}
	if v := figure(r, "nvmlDeviceGetAttributes_v2", d.GetAttributes); v != nil {
		m.Multiprocessors = ptr(int(v.MultiprocessorCount))
		if m.Profile == "" {
			m.Profile = migProfile(v.GpuInstanceSliceCount, v.ComputeInstanceSliceCount, v.MemorySizeMB)
		}
	}
	m.Processes = r.processes(d, false)
	for i := range m.Processes { // asked of the MIG device, an older driver leaves out which it is
		if m.Processes[i].GPUInstanceID == nil {
			m.Processes[i].GPUInstanceID, m.Processes[i].ComputeInstanceID = m.GPUInstanceID, m.ComputeInstanceID
		}
	}
	return m
}

// migProfile is a profile's name from its size: 1g.10gb, or 1c.2g.20gb for one of two compute slices.
func migProfile(slices, compute uint32, mebibytes uint64) string {
	profile := fmt.Sprintf("%dg.%dgb", slices, int(math.Round(float64(mebibytes)/1024)))
	if compute != 0 && compute != slices {
		profile = fmt.Sprintf("%dc.%s", compute, profile)
	}
	return profile
}
