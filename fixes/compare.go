package fixes

import (
	"slices"
	"strconv"
	"strings"
)

// compare looks for two outputs in a text that a person wrote which together tell a cause. A machine that is well shows the
// same outputs, so that each conclusion needs both sides, and says nothing where one of them is cut off.
func (w *window) compare() {
	if !outputs().Match(w.buf) {
		return
	}
	s := w.session()
	s.compareKernels()
	s.compareVersions()
	s.compareCUDA()
	s.compareOwners()
	s.compareRuntimes()
	s.compareMemory()
	s.compareMachines()
	s.compareCgroups()
	s.compareSilence()
}

// outputs are commands and lines without which there is nothing to compare.
var outputs = lazy(`(?i)uname|lsmod|modinfo|dkms|mokutil|bootctl|lspci|\bdpkg|\brpm\b|apt-cache|/sys/module|/proc/driver|NVRM|nvidia-smi|docker info|docker context|docker\.sock|daemon\.json|no-cgroups|crw|uid=|\bgroups\b|libcuda|docker ps|Runtimes|\bfile \S|pgrep|which `)

const (
	kernelVersion = `(\d+\.\d+\.\d+[-.][\w.+-]*\w)`
	driverRelease = `\b(\d{3}\.\d{2,3}(?:\.\d{2,3})?)\b`
)

var (
	unameCommand  = lazy(`\buname\b`)
	aKernel       = lazy(`\b` + kernelVersion)
	kernelLine    = lazy(`(?i)Kernel(?: Version)?: ?(?:Linux )?` + kernelVersion)
	kernelSaid    = lazy(`(?i)\buname -\w{1,3}\b\W{0,4}(?:is |says? |gives |shows |prints |returns |reports |output |: ?|= ?|-> ?){0,2}(?:Linux )?` + kernelVersion)
	moduleBuilt   = lazy(`(?i)/lib/modules/` + kernelVersion + `/\S*nvidia\S*\.ko`)
	dkmsBuilt     = lazy(`(?i)\bnvidia[\w-]*(?:/|, ?)[\d.]+, ` + kernelVersion + `, \w+: ?(?:installed|built)`)
	kmodBuilt     = lazy(`\bkmod-nvidia-(?:open-)?(\d\S*?\.(?:x86_64|aarch64))-\d{3}\.`)
	linuxModules  = lazy(`\blinux-(?:modules|objects)-nvidia-\d+\S*?-(\d+\.\d+\.\d+-\d+-\w+)\b`)
	headersThere  = lazy(`\b(?:linux-headers-|kernel-(?:default-)?devel-)(\d+\.\d+\.\d+[-.][\w.+-]*\w)`)
	dkmsAddedOnly = lazy(`(?i)\bnvidia[\w-]*/[\d.]+: ?added`)
	moduleInUse  = lazy(`^nvidia(?:_uvm|_modeset|_drm)? +\d{4,} +\d+|NVIDIA-SMI \d{3}\.|^GPU \d+: .*\(UUID: `)
	noModule      = lazy(`(?i)couldn.?t communicate with the NVIDIA driver|/dev/nvidia\S*: No such file|Module nvidia not found`)
	lsmodNvidia   = lazy(`\blsmod\b.*nvidia`)
	dkmsPackage   = lazy(`(?i)\b(?:nvidia-(?:kernel-)?(?:open-)?dkms|nvidia-dkms|kmod-nvidia|akmod-nvidia)`)
	driverPackage = lazy(`^ii +nvidia-(?:driver|dkms|kernel-dkms|headless)\S*|\bnvidia[\w-]*/[\d.]+, \S+, \w+: ?installed|^(?:akmod-nvidia|kmod-nvidia|nvidia-driver|xorg-x11-drv-nvidia)\S*-\d{3}\.`)
	archSuffix    = lazy(`\.(?:x86_64|aarch64|amd64|arm64)$`)
)

// firstOf is the group of an expression that took something.
func firstOf(all []fact) (fact, bool) {
	for _, f := range all {
		if f.text != "" {
			return f, true
		}
	}
	return fact{line: -1}, false
}

// runningKernel is what uname or docker info say.
func (s *session) runningKernel() (fact, bool) {
	if f, ok := firstOf(s.printed(unameCommand(), aKernel())); ok {
		return f, true
	}
	if f, ok := firstOf(s.facts(kernelSaid())); ok {
		return f, true
	}
	return firstOf(s.facts(kernelLine()))
}

func sameKernel(a, b string) bool {
	return archSuffix().ReplaceAllString(a, "") == archSuffix().ReplaceAllString(b, "")
}

// compareKernels: a module for another kernel than the one that runs.
func (s *session) compareKernels() {
	kernel, known := s.runningKernel()
	if !known || strings.Contains(kernel.text, "microsoft") || strings.Contains(kernel.text, "linuxkit") || s.has(moduleInUse()) >= 0 {
		return
	}
	built := slices.Concat(s.facts(moduleBuilt()), s.facts(dkmsBuilt()), s.facts(kmodBuilt()), s.facts(linuxModules()))
	built = slices.DeleteFunc(built, func(f fact) bool { return f.line == kernel.line && f.text == kernel.text })
	is := func(f fact) bool { return sameKernel(f.text, kernel.text) }
	if len(built) > 0 {
		if !slices.ContainsFunc(built, is) {
			s.tell("driver-dkms-not-built", 64, kernel.line, built[0].line)
		}
		return
	}
	headers := s.facts(headersThere())
	gone := s.silent(lsmodNvidia())
	if len(headers) > 0 && !slices.ContainsFunc(headers, is) && s.has(dkmsPackage()) >= 0 && (gone != nil || s.has(noModule()) >= 0) {
		s.tell("driver-dkms-not-built", 58, kernel.line, headers[0].line)
	}
}

var (
	nvrmLine       = lazy(`(?i)NVRM version: .{0,60}?` + driverRelease)
	smiLine        = lazy(`(?i)\bDriver Version: ?` + driverRelease)
	aDriver        = lazy(driverRelease)
	moduleFiles    = lazy(`/sys/module/nvidia/version|/proc/driver/nvidia/version`)
	queryDriver    = lazy(`nvidia-smi\b.*query-gpu=\S*driver_version`)
	modinfoCommand = lazy(`^(?:sudo )?modinfo\b.*\bnvidia\b`)
	driverLibrary  = lazy(`lib(?:cuda|nvidia-ml|nvidia-ptxjitcompiler|nvcuvid|nvidia-encode|nvidia-glcore)\.so\.` + driverRelease)
	driverPackages = lazy(`^(?:ii +)?(?:libnvidia-(?:compute|gl|decode|encode|cfg1)|nvidia-utils|nvidia-compute-utils)(?:-\d+)?\S* +` + driverRelease)
	upgradedTo     = lazy(`\b(?:libnvidia-compute|nvidia-utils)-\d+\S* \([^,)]*, ?` + driverRelease)
	rpmDriver      = lazy(`\bnvidia-driver-(?:cuda-)?libs-` + driverRelease)
	cdiPath        = lazy(`/cdi/|\b(?:container|host)Path:`)
	elsewhere      = lazy(`/compat/|cuda-compat|/wsl/|stubs/|^rc `)
	onWSL          = lazy(`(?i)microsoft|\bWSL|/usr/lib/wsl`)
)

// loadedDriver are the versions of the kernel module, as the kernel or NVML tell them.
func (s *session) loadedDriver() []fact {
	all := slices.Concat(s.facts(nvrmLine()), s.printed(moduleFiles(), aDriver()), s.facts(smiLine()), s.printed(queryDriver(), aDriver()))
	return slices.DeleteFunc(all, func(f fact) bool { return f.text == "" })
}

// compareVersions: libraries of another driver than the one that is loaded, on the host, in an image or in a CDI spec.
func (s *session) compareVersions() {
	loaded := s.loadedDriver()
	if len(loaded) == 0 || s.has(onWSL()) >= 0 {
		return
	}
	for _, f := range loaded[1:] {
		if f.text != loaded[0].text {
			return // two machines, or before and after
		}
	}
	version := loaded[0]
	var host, image, spec []fact
	libraries := slices.Concat(s.facts(driverLibrary()), s.facts(driverPackages()), s.facts(rpmDriver()), s.facts(upgradedTo()), s.printed(modinfoCommand(), aDriver()))
	for _, f := range libraries {
		command := ""
		if s.of[f.line] >= 0 {
			command = s.commands[s.of[f.line]].command
		}
		switch {
		case f.text == "" || f.line == version.line || elsewhere().MatchString(s.lines[f.line]):
		case cdiPath().MatchString(s.lines[f.line]) || strings.Contains(command, "/cdi"):
			spec = append(spec, f)
		case insideCommand().MatchString(command):
			image = append(image, f)
		default:
			host = append(host, f)
		}
	}
	same := func(f fact) bool { return f.text == version.text }
	if len(spec) > 0 && !slices.ContainsFunc(spec, same) {
		s.tell("cdi-spec-stale", 62, spec[0].line, version.line)
	}
	if i := slices.IndexFunc(image, func(f fact) bool { return !same(f) }); i >= 0 {
		s.tell("driver-libs-baked-into-image", 62, image[i].line, version.line)
		return
	}
	if len(host) > 0 && !slices.ContainsFunc(host, same) && s.has(moduleLoadedFromTable()) < 0 {
		s.tell("driver-library-version-mismatch", 58, host[0].line, version.line)
	}
}

// moduleLoadedFromTable is nvidia-smi's own table: where it was printed, the libraries are of the module's version.
var moduleLoadedFromTable = lazy(`NVIDIA-SMI \d{3}\.`)

var (
	cudaServed  = lazy(`\bCUDA Version: ?(\d+\.\d+)`)
	cudaNeeded  = lazy(`\bCUDA_VERSION=(\d+\.\d+)`)
	cudaRequire = lazy(`\bcuda>=(\d+\.\d+)`)
	cudaPackage = lazy(`\bnvidia-cuda-runtime-cu\d+(?: +|==)(\d+\.\d+)`)
	cudaBuild   = lazy(`\+cu(\d{3})\b`)
	cudaRelease = lazy(`\bCuda compilation tools, release (\d+\.\d+)`)
	torchCUDA   = lazy(`torch\.version\.cuda`)
	aVersion    = lazy(`^\W*(\d{2}\.\d)\b`)
	seesNoGPU   = lazy(`(?:^|[ (,\[])False\b|CpuDevice\(id=0\)|TFRT_CPU_0|^\[\]$|insufficient for CUDA runtime`)
)

// compareCUDA: a program that is built with a newer CUDA than the driver serves, and finds no GPU.
func (s *session) compareCUDA() {
	served, known := firstOf(s.facts(cudaServed()))
	if !known {
		if loaded := s.loadedDriver(); len(loaded) > 0 {
			served = fact{loaded[0].line, CUDAOfDriver(loaded[0].text)}
			known = served.text != ""
		}
	}
	if !known {
		return
	}
	needed := slices.Concat(s.facts(cudaNeeded()), s.facts(cudaRequire()), s.facts(cudaPackage()), s.facts(cudaRelease()), s.printed(torchCUDA(), aVersion()))
	for _, f := range s.facts(cudaBuild()) {
		needed = append(needed, fact{f.line, f.text[:2] + "." + f.text[2:]})
	}
	for _, f := range needed {
		if f.text == "" || compareDotted(f.text, served.text) <= 0 {
			continue
		}
		no := s.has(seesNoGPU())
		if strings.Contains(s.lines[f.line], "cuda>=") || no >= 0 {
			s.tell("cuda-driver-too-old", 54, f.line, served.line)
			return
		}
	}
}

var (
	deviceNode  = lazy(`^c([rwx-]{9}) \d+ (\S+) (\S+) .*?(/?[\w/]*(?:nvidia\d+|nvidiactl|nvidia-uvm|renderD\d+|card\d+))\b`)
	socketNode  = lazy(`^s([rwx-]{9})[.]?(?: \d+)? (\S+) (\S+).*?(docker\.sock)?$`)
	idLine      = lazy(`\buid=(\d+)(?:\(([\w.-]+)\))? gid=(\d+)(?:\(([\w.-]+)\))?(?: groups=(\S+))?`)
	groupsAsked = lazy(`(?:^|[ ;&])(?:groups|id -n?G|id -Gn)\b`)
	whoAsked    = lazy(`(?:^|[ ;&])(?:whoami|id -un|id -u -n)\b`)
	wordsOnly   = lazy(`^(?:[\w.-]+ ?: ?)?([a-zA-Z_][\w.-]*(?: [a-zA-Z_][\w.-]*){0,20})$`)
	nameInside  = lazy(`([\w.-]+)`)
	dockerGroup = lazy(`^docker:x?:\d*:(\S*)$`)
	fileMode    = lazy(`^DeviceFileMode: ?(\d+)$`)
	fileGroup   = lazy(`^DeviceFileGID: ?(\d+)$`)
)

// member is who a session says that somebody is.
type member struct {
	line    int
	name    string
	uid     string
	groups  []string // names and numbers
	unknown bool     // of groups
}

func (u member) isRoot() bool { return u.uid == "0" || u.name == "root" }

func (u member) in(group string) bool {
	if slices.Contains(u.groups, group) {
		return true
	}
	return group == "44" && slices.Contains(u.groups, "video") || group == "video" && slices.Contains(u.groups, "44")
}

// users are those of id, groups and whoami.
func (s *session) users() []member {
	var all []member
	for i, text := range s.lines {
		m := idLine().FindStringSubmatch(text)
		if m == nil {
			continue
		}
		u := member{line: i, uid: m[1], name: m[2], groups: []string{m[3]}}
		if m[4] != "" {
			u.groups = append(u.groups, m[4])
		}
		for _, name := range nameInside().FindAllString(m[5], -1) {
			u.groups = append(u.groups, name)
		}
		all = append(all, u)
	}
	if len(all) > 0 {
		return all
	}
	who, named := firstOf(s.printed(whoAsked(), wordsOnly()))
	if groups, ok := firstOf(s.printed(groupsAsked(), wordsOnly())); ok {
		return []member{{line: groups.line, name: who.text, groups: strings.Fields(groups.text)}}
	}
	if named && !strings.Contains(who.text, " ") {
		return []member{{line: who.line, name: who.text, unknown: true}}
	}
	return nil
}

// compareOwners: a device or the engine's socket, and a user who is in none of the groups that may open it.
func (s *session) compareOwners() {
	users := s.users()
	if len(users) != 1 || users[0].isRoot() {
		return
	}
	u := users[0]
	shut, open := -1, false
	for i, text := range s.lines {
		if m := deviceNode().FindStringSubmatch(text); m != nil {
			switch {
			case m[1][6:8] == "rw" || m[2] == u.name || u.in(m[3]) && m[1][3:5] == "rw":
				open = open || strings.Contains(m[4], "dri") || strings.Contains(m[4], "render") || strings.Contains(m[4], "card")
			case u.unknown && m[1][3:5] == "rw":
			case shut < 0:
				shut = i
			}
		}
	}
	if shut >= 0 && !open {
		s.tell("device-permission-denied", 58, shut, u.line)
		return
	}
	if mode, ok := firstOf(s.facts(fileMode())); ok && !u.unknown {
		if group, ok := firstOf(s.facts(fileGroup())); ok && mode.text == "432" && !u.in(group.text) {
			s.tell("device-permission-denied", 58, mode.line, u.line)
			return
		}
	}
	for i, text := range s.lines {
		m := socketNode().FindStringSubmatch(text)
		if m == nil || m[4] == "" && (s.of[i] < 0 || !strings.Contains(s.commands[s.of[i]].command, "docker.sock")) {
			continue
		}
		if m[1][6:8] != "rw" && m[2] != u.name && !(u.unknown || u.in(m[3])) {
			s.tell("docker-socket-permission", 58, i, u.line)
			return
		}
	}
	if listed, ok := firstOf(s.facts(dockerGroup())); ok && !u.unknown && u.name != "" && slices.Contains(strings.Split(listed.text, ","), u.name) && !u.in("docker") {
		s.tell("docker-socket-permission", 58, listed.line, u.line)
	}
}

var (
	runtimesLine  = lazy(`^Runtimes: ?(.+)$`)
	runtimesAsked = lazy(`docker (?:system )?info\b.*(?i:runtime)`)
	runtimesShown = lazy(`^((?:\[?docker-desktop )?(?:\{.*runc.*\}|map\[.*runc.*\]|(?:[\w.]+ )*runc(?: [\w.]+)*))$`)
	daemonFile    = lazy(`daemon\.json`)
	nvidiaEntry   = lazy(`(nvidia-container-runtime|\bnvidia: ?\{|default-runtime: ?nvidia)`)
	countAsked    = lazy(`grep -c\S*\b.*nvidia.*daemon\.json|daemon\.json.*grep -c.*nvidia`)
	countedSome   = lazy(`^([1-9]\d*)$`)
	toolkitThere  = lazy(`^ii +nvidia-container-toolkit |^nvidia-container-toolkit(?:-base)?-\d|NVIDIA Container Toolkit CLI version|^cli-version: ?\d|^/usr/(?:local/)?bin/nvidia-c\S+$`)
	desktopEngine = lazy(`(?i)Docker Desktop|docker-desktop|desktop-linux`)
	snapEngine    = lazy(`/snap/|snap\.docker|^docker +\d\S+ +\d+ +\S+ +canonical`)
	restarted     = lazy(`(?i)(?:restart|reload)\w*\W{1,3}(?:the )?(?:docker|engine|daemon)|docker (?:restart|reload)|reboot`)
	rootlessSays  = lazy(`(?i)\brootless\b|/run/user/\d+`)
	fileAbsent    = lazy(`daemon\.json\W{0,3} ?No such file`)
	someoneWorks  = lazy(`^GPU \d+: `)
	hasNvidia     = lazy(`\bnvidia\b`)
)

// compareRuntimes: what daemon.json says, and what the engine knows.
func (s *session) compareRuntimes() {
	known := slices.Concat(s.printed(runtimesAsked(), runtimesLine()), s.printed(runtimesAsked(), runtimesShown()))
	if len(known) == 0 {
		return
	}
	for _, f := range known {
		if hasNvidia().MatchString(f.text) {
			return
		}
	}
	if s.has(desktopEngine()) >= 0 || s.has(rootlessSays()) >= 0 {
		return
	}
	written := slices.Concat(s.printed(daemonFile(), nvidiaEntry()), s.printed(countAsked(), countedSome()))
	snap := s.has(snapEngine())
	switch {
	case snap >= 0 && (len(written) > 0 || s.has(wroteConfig()) >= 0):
		s.tell("snap-docker", 60, snap, known[0].line)
	case snap >= 0:
	case len(written) > 0 && s.has(restarted()) < 0:
		s.tell("docker-not-restarted", 54, written[0].line, known[0].line)
	case len(written) == 0:
		if there := s.has(toolkitThere()); there >= 0 && s.has(someoneWorks()) < 0 {
			s.tell("runtime-not-registered", 46, there, known[0].line)
		}
	}
}

var wroteConfig = lazy(`Wrote updated config`)

var (
	memoryCell    = lazy(`\b(\d+)MiB ?/ ?\d+MiB`)
	memoryAsked   = lazy(`query-gpu=\S*memory\.used`)
	memoryFigure  = lazy(`\b(\d+) MiB`)
	noneListed    = lazy(`No running processes found`)
	appsAsked     = lazy(`query-compute-apps`)
	containersAre = lazy(`^(?:sudo )?docker (?:ps|container ls)(?: -q| -a| -aq| -qa)?(?: .*)?$`)
	psHeader      = lazy(`^CONTAINER ID +IMAGE`)
	processRow    = lazy(`^\|? *\d+ +N/A +N/A +(\d+) +[CG+]+ `)
	psAsked       = lazy(`^(?:sudo )?(?:ps|kill|ls)\b.*?\b(\d{2,})\b`)
	onlyHeader    = lazy(`^(?:PID|UID|USER)\b|No such process|No such file`)
)

// compareMemory: memory of a GPU that is held, and nobody who holds it.
func (s *session) compareMemory() {
	if s.has(onWSL()) >= 0 {
		return
	}
	for _, row := range s.facts(processRow()) {
		for _, a := range s.asking(psAsked()) {
			if m := psAsked().FindStringSubmatch(a.command); m[1] == row.text && len(a.out) == 1 && onlyHeader().MatchString(s.lines[a.out[0]]) {
				s.tell("orphaned-gpu-memory", 60, row.line, a.out[0])
				return
			}
		}
	}
	empty := -1
	for _, a := range s.asking(containersAre()) {
		if a.ended && len(a.out) == 0 || len(a.out) == 1 && psHeader().MatchString(s.lines[a.out[0]]) {
			empty = a.line
		}
	}
	nobody := s.has(noneListed())
	for _, a := range s.asking(appsAsked()) {
		if a.ended && len(a.out) == 0 || len(a.out) == 1 && strings.HasPrefix(s.lines[a.out[0]], "pid") && a.ended {
			nobody = a.line
		}
	}
	if empty < 0 || nobody < 0 || s.inside(nobody) {
		return
	}
	for _, f := range slices.Concat(s.facts(memoryCell()), s.printed(memoryAsked(), memoryFigure())) {
		if used, err := strconv.Atoi(f.text); err == nil && used >= 1500 {
			s.tell("orphaned-gpu-memory", 60, f.line, nobody, empty)
			return
		}
	}
}

var (
	machineAsked = lazy(`(?:^|[ ;&])(?:uname -m|uname -a|arch|dpkg --print-architecture)\b|docker info.*Architecture`)
	machineShown = lazy(`(?:^|[ ])(x86_64|aarch64|arm64|amd64|armv7l)\b`)
	infoMachine  = lazy(`^Architecture: ?(x86_64|aarch64|arm64|amd64)$`)
	elfMachine   = lazy(`\bELF (?:32|64)-bit [^,]*, (?:version 1 \(\w+\), )?(x86-64|ARM aarch64|Intel 80386)`)
	emulated     = lazy(`(?i)qemu|binfmt|rosetta|buildx`)
	imageAsked   = lazy(`docker (?:image )?inspect .*Arch|docker manifest`)
	imageShown   = lazy(`(?:^|/|: ?)(amd64|arm64|x86_64|aarch64)\W*$`)
)

var machineNames = map[string]string{"x86_64": "amd64", "amd64": "amd64", "x86-64": "amd64", "Intel 80386": "amd64", "aarch64": "arm64", "arm64": "arm64", "ARM aarch64": "arm64", "armv7l": "arm"}

// compareMachines: a program or an image of another architecture than the machine's.
func (s *session) compareMachines() {
	machine, known := firstOf(slices.Concat(s.printed(machineAsked(), machineShown()), s.facts(infoMachine())))
	if !known || s.has(emulated()) >= 0 {
		return
	}
	all := slices.Concat(s.facts(elfMachine()), s.printed(imageAsked(), imageShown()))
	other := func(f fact) bool { return f.line != machine.line && machineNames[f.text] != machineNames[machine.text] }
	if i := slices.IndexFunc(all, other); i >= 0 && !slices.ContainsFunc(all, func(f fact) bool { return !other(f) }) {
		s.tell("arch-mismatch", 60, all[i].line, machine.line)
	}
}

var (
	rootlessEngine = lazy(`^rootless$|name=rootless|unix:///run/user/\d+/docker\.sock`)
	otherContext   = lazy(`^default \*`)
	noCgroupsOn    = lazy(`no-cgroups = true`)
	noCgroupsOff   = lazy(`no-cgroups = false`)
)

// compareCgroups: a rootless engine whose toolkit is told to set device cgroups.
func (s *session) compareCgroups() {
	rootless, off := s.has(rootlessEngine()), s.has(noCgroupsOff())
	if rootless >= 0 && off >= 0 && s.has(otherContext()) < 0 && s.has(noCgroupsOn()) < 0 {
		s.tell("rootless-no-cgroups", 54, rootless, off)
	}
}

var (
	secureBoot   = lazy(`(?i)Secure ?Boot:? (?:is )?enabled`)
	signerAsked  = lazy(`modinfo\b.*nvidia.*sig`)
	lspciNvidia  = lazy(`^(?:sudo )?lspci\b.*(?:10de|[Nn]vidia|NVIDIA)`)
	virtualSays  = lazy(`(?i)^(?:kvm|qemu|vmware|microsoft|xen|lxc|oracle|amazon)$|\bVirtio\b|\bVMware SVGA|\bQXL\b|Cirrus Logic|Hypervisor vendor`)
	devGrep      = lazy(`\bls\b.*/dev\b.*(?:nvidia|nv)`)
	toolkitAsked = lazy(`(?:dpkg|rpm|apt|pacman|which|command -v|type|ls|whereis)\b.*nvidia-c(?:ontainer|tk)`)
	smiAsked     = lazy(`(?:which|command -v|type -p|ls) .*nvidia-smi`)
	smiWorks     = lazy(`^GPU \d+: |NVIDIA-SMI \d{3}\.|^(?:NVIDIA|Tesla|Quadro) [\w -]+(?:, \d{3}\.\d.*)?$`)
	nodeThere    = lazy(`^(?:c[rwx-]{9}.*)?/dev/nvidia0\b`)
	moduleRow    = lazy(`^nvidia +\d{4,} +\d+`)
	dockerdAsked = lazy(`^(?:sudo )?(?:pgrep|pidof|ps)\b.*dockerd`)
	sockGone     = lazy(`docker\.sock\W{0,3} ?No such file`)
)

// compareSilence: commands that printed nothing, where something should be.
func (s *session) compareSilence() {
	works := s.has(smiWorks())
	if works >= 0 && s.inside(works) {
		works = -1
	}
	if a := s.silent(lspciNvidia()); a != nil && works < 0 && s.has(onWSL()) < 0 && !s.inside(a.line) {
		if vm := s.has(virtualSays()); vm >= 0 {
			s.tell("virtualization-passthrough", 62, a.line, vm)
		} else {
			s.tell("no-nvidia-gpu", 62, a.line)
		}
		return
	}
	if a := s.silent(toolkitAsked()); a != nil && works >= 0 && s.has(toolkitThere()) < 0 {
		s.tell("toolkit-not-installed", 54, a.line, works)
	}
	if a := s.silent(lsmodNvidia()); a != nil && works < 0 && s.has(dkmsAddedOnly()) < 0 && s.has(moduleInUse()) < 0 {
		kernel, known := s.runningKernel()
		built := s.facts(dkmsBuilt())
		forIt := !known || len(built) == 0 || slices.ContainsFunc(built, func(f fact) bool { return sameKernel(f.text, kernel.text) })
		sealed, there := s.has(secureBoot()), s.has(driverPackage())
		switch {
		case sealed >= 0 && (there >= 0 || s.silent(signerAsked()) != nil):
			s.tell("secure-boot-blocks-module", 58, sealed, a.line)
		case there >= 0 && forIt && len(s.facts(headersThere())) == 0:
			s.tell("driver-module-not-loaded", 52, a.line, there)
		}
	}
	if a := s.silent(devGrep()); a != nil && s.inside(a.line) && works >= 0 {
		s.tell("gpu-not-requested", 56, a.line, works)
	}
	if a := s.silent(smiAsked()); a != nil {
		in := s.inside(a.line)
		if node := s.has(nodeThere()); in && node >= 0 && s.inside(node) {
			s.tell("driver-capabilities-missing", 58, a.line, node)
		} else if row := s.has(moduleRow()); !in && row >= 0 && !s.inside(row) {
			s.tell("driver-tools-missing", 58, a.line, row)
		}
	}
	if a := s.silent(dockerdAsked()); a != nil && s.has(sockGone()) >= 0 {
		s.tell("docker-daemon-not-running", 58, s.has(sockGone()), a.line)
	}
}
