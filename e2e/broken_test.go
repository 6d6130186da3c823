//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/docker-gpu/docker-gpu/e2e/fakenvml"
)

// Commands of the scenarios that bring a machine into a broken state and ask diagnose for the cause.
func init() {
	maps.Copy(commands, map[string]func(*testscript.TestScript, bool, []string){
		"gpumachine": gpuMachineCommand,
		"gpu":        gpuCommand,
		"diagnosed":  diagnosedCommand,
		"explained":  explainedCommand,
		"breaks":     breaksCommand,
		"audited":    auditedCommand,
		"restart":    restartCommand,
	})
}

// gpuMachineCommand: "gpumachine FOLDER" makes FOLDER a machine in order: one GPU on the bus, driver 570.86.15
// loaded, its nodes and libraries there. The toolkit and the CDI folders are the engine's own. A folder that is there already is made anew.
func gpuMachineCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gpumachine FOLDER")
	}
	root := ts.MkAbs(args[0])
	ts.Check(os.RemoveAll(root))
	machineCommand(ts, false, args)
	write := func(name, text string) {
		ts.Check(os.MkdirAll(filepath.Dir(root+name), 0o755))
		ts.Check(os.WriteFile(root+name, []byte(text), 0o644))
	}
	link := func(name, target string) {
		ts.Check(os.MkdirAll(filepath.Dir(root+name), 0o755))
		ts.Check(os.Symlink(target, root+name))
	}
	const pci = "/sys/bus/pci/devices/0000:01:00.0"
	write(pci+"/vendor", "0x10de\n")
	write(pci+"/device", "0x2820\n")
	write(pci+"/class", "0x030000\n")
	write("/sys/bus/pci/drivers/nvidia/new_id", "")
	link(pci+"/driver", "../../drivers/nvidia")
	write("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (builder@host)\n")
	write("/proc/driver/nvidia/params", "ModifyDeviceFiles: 1\n")
	write("/proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA GeForce RTX 4070 Laptop GPU\nDevice Minor: \t 0\n")
	write("/proc/modules", "nvidia_uvm 1 0 - Live 0x0\nnvidia 1 1 nvidia_uvm, Live 0x0\n")
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	ts.Check(err)
	write("/lib/modules/"+strings.TrimSpace(string(kernel))+"/modules.dep", "updates/dkms/nvidia.ko:\n")
	for name, minor := range map[string]string{"nvidia0": "0", "nvidiactl": "255", "nvidia-uvm": "254"} {
		mknodCommand(ts, false, []string{filepath.Join(args[0], "dev", name), "195", minor})
	}
	mknodCommand(ts, false, []string{filepath.Join(args[0], "dev", "null"), "1", "3"})
	for _, name := range []string{"libcuda.so", "libnvidia-ml.so"} {
		write("/usr/lib/x86_64-linux-gnu/"+name+".570.86.15", "")
		link("/usr/lib/x86_64-linux-gnu/"+name+".1", name+".570.86.15")
	}
	write("/var/log/kern.log", "")
	gpuCommand(ts, false, []string{"rtx-laptop"})
}

// gpuCommand: "gpu NAME [LINE...]" is nvml with a scenario of fakenvml/scenarios and lines of the script's own
// behind it; "gpu none" lets programs see no library.
func gpuCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: gpu NAME [LINE...]")
	}
	if args[0] == "none" {
		ts.Setenv("LD_LIBRARY_PATH", "")
		return
	}
	text, err := os.ReadFile(fakenvml.Scenario(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("gpu.scenario"), []byte(string(text)+"\n"+strings.Join(args[1:], "\n")+"\n"), 0o644))
	nvmlCommand(ts, false, []string{"gpu.scenario"})
}

// breaksCommand: "breaks FILE COMMAND..." runs a command that has to fail, and keeps what it said in FILE.
func breaksCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: breaks FILE COMMAND...")
	}
	if err := ts.Exec(args[1], args[2:]...); err == nil {
		ts.Fatalf("%s was meant to fail", strings.Join(args[1:], " "))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile("stdout")+ts.ReadFile("stderr")), 0o644))
}

type answer struct {
	Findings []struct {
		ID       string   `json:"id"`
		Severity string   `json:"severity"`
		Folded   []string `json:"folded"`
	} `json:"findings"`
	Unexamined []string `json:"unexamined"`
}

func ask(ts *testscript.TestScript, argv ...string) (answer, string) {
	cmd := exec.Command(filepath.Join(filepath.Dir(plugin), "docker-gpu"), argv...)
	cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{"HOME", "PATH", "DOCKER_HOST", "DOCKER_GPU_ROOT", "LD_LIBRARY_PATH", fakenvml.ScenarioVariable} {
		cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var a answer
	if jsonErr := json.Unmarshal(out, &a); jsonErr != nil {
		ts.Fatalf("%s: %v: %s%s", strings.Join(argv, " "), err, out, stderr.String())
	}
	return a, string(out)
}

// diagnosedCommand: "diagnosed ID... [-- ARG...]" asks for the diagnosis of the machine, which has to name exactly
// these ids; "diagnosed none" asks that there is nothing at all. ID/OTHER asks that OTHER is folded under ID.
func diagnosedCommand(ts *testscript.TestScript, neg bool, args []string) {
	argv := []string{"diagnose", "--format", "json"}
	if at := slices.Index(args, "--"); at >= 0 {
		args, argv = args[:at], append(argv, args[at+1:]...)
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: diagnosed ID... [-- ARG...]")
	}
	want := []string{}
	a, out := ask(ts, argv...)
	got := []string{}
	for _, f := range a.Findings {
		got = append(got, f.ID)
	}
	for _, arg := range args {
		id, folded, _ := strings.Cut(arg, "/")
		if id == "none" {
			continue
		}
		want = append(want, id)
		for _, f := range a.Findings {
			if f.ID == id && folded != "" && !slices.Contains(f.Folded, folded) {
				ts.Fatalf("%s does not hold %s: %v", id, folded, f.Folded)
			}
		}
	}
	if !slices.Equal(got, want) {
		ts.Fatalf("diagnose names %v, and should name %v\n%s", got, want, out)
	}
	ts.Logf("diagnosed %v", got)
}

// auditedCommand: "audited ID... [-- ARG...]" asks that the audit names exactly these ids, in any order, beside
// informations; "audited none" that it names none.
func auditedCommand(ts *testscript.TestScript, neg bool, args []string) {
	argv := []string{"audit", "--format", "json"}
	if at := slices.Index(args, "--"); at >= 0 {
		args, argv = args[:at], append(argv, args[at+1:]...)
	}
	a, out := ask(ts, argv...)
	got := []string{}
	for _, f := range a.Findings {
		if f.Severity != "info" && !slices.Contains(got, f.ID) {
			got = append(got, f.ID)
		}
	}
	want := slices.DeleteFunc(slices.Clone(args), func(id string) bool { return id == "none" })
	slices.Sort(got)
	slices.Sort(want)
	if neg || !slices.Equal(got, want) {
		ts.Fatalf("audit names %v, and should name %v\n%s", got, want, out)
	}
}

// restartCommand: "restart" ends the engine as a service manager would and starts it again with the same
// arguments and environment.
func restartCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: restart")
	}
	state := ts.Getenv("STATE")
	data, err := os.ReadFile(filepath.Join(state, "dockerd.pid"))
	ts.Check(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	ts.Check(err)
	list := func(name string) []string {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		ts.Check(err)
		return strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	}
	argv, environ := list("cmdline"), list("environ")
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
	for end := time.Now().Add(time.Minute); exists(fmt.Sprintf("/proc/%d/exe", pid)); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("the engine does not end")
		}
	}
	_ = os.Remove(filepath.Join(state, "docker.pid"))
	log, err := os.OpenFile(filepath.Join(state, "dockerd.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = environ, log, log, &syscall.SysProcAttr{Setsid: true}
	ts.Check(cmd.Start())
	go func() { _ = cmd.Wait() }()
	ts.Check(os.WriteFile(filepath.Join(state, "dockerd.pid"), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644))
	awaitCommand(ts, false, []string{"^[0-9]", "docker", "version", "--format", "{{.Server.Version}}"})
}

// explainedCommand: "explained FILE ID" asks explain for the cause of what a command said.
func explainedCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: explained FILE ID")
	}
	a, out := ask(ts, "explain", "--format", "json", args[0])
	got := "nothing"
	if len(a.Findings) > 0 {
		got = a.Findings[0].ID
	}
	if got != args[1] {
		ts.Fatalf("explain names %s, and should name %s:\n%s\n%s", got, args[1], ts.ReadFile(args[0]), out)
	}
	ts.Logf("explained %s: %s", args[1], fmt.Sprintf("%.200s", strings.TrimSpace(ts.ReadFile(args[0]))))
}
