package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// DriverSource reads the loaded kernel driver from /proc/driver/nvidia.
var DriverSource = Source{Name: "driver", Local: true, Read: readDriver}

func readDriver(_ context.Context, m Machine) (Patch, error) {
	version, err := m.Root.ReadFile("/proc/driver/nvidia/version")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("/proc/driver/nvidia: %w", ErrAbsent)
	}
	if err != nil {
		return nil, err
	}
	module, flavor := parseDriverVersion(string(version))
	params, _ := m.Root.ReadFile("/proc/driver/nvidia/params")
	gpus, err := readProcGPUs(m.Root)
	return func(s *Snapshot) {
		if s.Driver == nil {
			s.Driver = &Driver{}
		}
		d := s.Driver
		d.ModuleVersion, d.ModuleFlavor, d.Params, d.GPUs = module, flavor, keyValues(string(params)), gpus
		if d.Version == "" {
			d.Version = module
		}
	}, err
}

func readProcGPUs(root Root) ([]ProcGPU, error) {
	var gpus []ProcGPU
	entries, err := root.ReadDir("/proc/driver/nvidia/gpus")
	errs := []error{unread(err)}
	for _, entry := range entries {
		information, err := root.ReadFile("/proc/driver/nvidia/gpus/" + entry.Name() + "/information")
		if err != nil {
			errs = append(errs, unread(err))
			continue
		}
		gpus = append(gpus, parseGPUInformation(entry.Name(), string(information)))
	}
	return gpus, errors.Join(errs...)
}

// namedGPUs are the GPUs of the loaded driver by their names alone, which is all that /proc tells of them.
// As NVML does, it counts them in the order of their addresses, without those that the driver is to leave alone.
func namedGPUs(known []ProcGPU) []GPU {
	var gpus []GPU
	for _, p := range slices.SortedFunc(slices.Values(known), func(a, b ProcGPU) int { return strings.Compare(a.BusID, b.BusID) }) {
		if p.Excluded == nil || !*p.Excluded {
			gpus = append(gpus, GPU{Index: len(gpus), UUID: p.UUID, Name: p.Model, PCIBusID: p.BusID, Minor: p.Minor})
		}
	}
	return gpus
}

// parseDriverVersion reads the first line of /proc/driver/nvidia/version:
//
//	NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023
//	NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@…)
func parseDriverVersion(text string) (version, flavor string) {
	line, _, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(line, "NVRM version:") {
		return "", ""
	}
	flavor = "proprietary"
	if strings.Contains(line, "Open Kernel Module") {
		flavor = "open"
	}
	for _, field := range strings.Fields(line) {
		if major, rest, ok := strings.Cut(field, "."); ok && len(major) == 3 && isDigits(major) && rest != "" && isDigits(strings.ReplaceAll(rest, ".", "")) {
			return field, flavor
		}
	}
	return "", flavor
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// keyValues reads "Key: value" lines.
func keyValues(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	if len(values) == 0 {
		return nil
	}
	return values
}

func parseGPUInformation(busID, text string) ProcGPU {
	values := keyValues(text)
	gpu := ProcGPU{BusID: busID, Model: values["Model"], UUID: values["GPU UUID"], Firmware: values["GPU Firmware"]}
	if strings.Contains(gpu.UUID, "?") { // the driver's way to say that it does not know yet
		gpu.UUID = ""
	}
	if minor, err := strconv.Atoi(values["Device Minor"]); err == nil {
		gpu.Minor = &minor
	}
	if excluded, ok := values["GPU Excluded"]; ok {
		gpu.Excluded = ptr(excluded == "Yes")
	}
	return gpu
}
