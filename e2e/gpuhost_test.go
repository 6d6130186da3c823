//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func init() { commands["gpuhost"] = gpuhostCommand }

// gpuhostCommand: "gpuhost [-open] SCENARIO" makes this machine one with the GPUs of a scenario of the fake driver, as far as
// that goes without one: $WORK/root has them on its PCI bus, the driver in /proc, device nodes and libraries. docker
// gpu reads it in place of /, the fake NVML library answers to whoever loads it, and NVIDIA's toolkit takes it for the
// driver's root folder, from which it generates CDI specifications by itself (DRIVER_ROOT: see engine.sh). Without a
// driver nobody can open NVIDIA's device nodes; with -open they are such as /dev/null is, which anybody can.
func gpuhostCommand(ts *testscript.TestScript, neg bool, args []string) {
	open := len(args) == 2 && args[0] == "-open"
	if open {
		args = args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gpuhost [-open] SCENARIO")
	}
	nvmlCommand(ts, false, args)
	machineCommand(ts, false, []string{"root"})
	root := ts.MkAbs("root")
	driver, gpus := readScenario(ts.ReadFile("nvml.scenario"))
	write := func(name, text string) {
		file := filepath.Join(root, name)
		ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
		ts.Check(os.WriteFile(file, []byte(text), 0o755))
	}
	link := func(target, name string) {
		file := filepath.Join(root, name)
		ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
		ts.Check(os.Symlink(target, file))
	}
	node := func(name string, major, minor uint32) {
		file := filepath.Join(root, "dev", name)
		ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
		if open {
			major, minor = 1, 3
		}
		ts.Check(syscall.Mknod(file, syscall.S_IFCHR|0o666, int(unix.Mkdev(major, minor))))
		ts.Check(os.Chmod(file, 0o666))
		if !open {
			link("../"+name, fmt.Sprintf("dev/char/%d:%d", major, minor))
		}
	}
	library, err := os.ReadFile(ts.Getenv("NVML_LIBRARY"))
	ts.Check(err)
	const folder = "usr/lib/x86_64-linux-gnu/"
	for name, data := range map[string]string{"libnvidia-ml": string(library), "libcuda": ""} {
		write(folder+name+".so."+driver, data)
		link(name+".so."+driver, folder+name+".so.1")
	}
	link(ts.MkAbs("nvml.scenario"), folder+"fakenvml.scenario")
	write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  "+driver+"  Release Build  (bench)\nGCC version:  gcc version 12.2.0\n")
	write("proc/modules", "nvidia_uvm 4956160 0 - Live 0x0000000000000000\nnvidia 11534336 1 nvidia_uvm, Live 0x0000000000000000\n")
	node("nvidiactl", 195, 255)
	node("nvidia-uvm", 510, 0)
	node("nvidia-uvm-tools", 510, 1)
	for i, pci := range gpus {
		at := "sys/bus/pci/devices/" + pci
		write(at+"/vendor", "0x10de\n")
		write(at+"/device", "0x2330\n")
		write(at+"/class", "0x030200\n")
		link("../../../../bus/pci/drivers/nvidia", at+"/driver")
		write("proc/driver/nvidia/gpus/"+pci+"/information", fmt.Sprintf("Model: \t\t NVIDIA GPU\nBus Location: \t %s\nDevice Minor: \t %d\n", pci, i))
		node("nvidia"+strconv.Itoa(i), 195, uint32(i))
	}
	ts.Setenv("DRIVER_ROOT", root)
}

// readScenario takes from a scenario of the fake driver its version and where on the PCI bus its GPUs are.
func readScenario(text string) (driver string, gpus []string) {
	at := -1
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "driver":
			driver = fields[1]
		case "gpu":
			at, _ = strconv.Atoi(fields[1])
			for len(gpus) <= at {
				gpus = append(gpus, fmt.Sprintf("0000:%02x:00.0", len(gpus)+1)) // what the library makes up
			}
		case "pci":
			if at >= 0 {
				gpus[at] = strings.ToLower(strings.TrimPrefix(fields[1], "0000")) // eight digits of domain to four
			}
		}
	}
	return driver, gpus
}
