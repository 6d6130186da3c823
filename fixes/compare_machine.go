package fixes

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	memoryCell     = lazy(`\b(\d+)MiB ?/ ?\d+MiB`)
	memoryAsked    = lazy(`query-gpu=\S*memory\.used`)
	memoryFigure   = lazy(`\b(\d+) MiB`)
	noneListed     = lazy(`No running processes found`)
	appsAsked      = lazy(`query-compute-apps`)
	containersAre  = lazy(`^(?:sudo )?docker (?:ps|container ls)(?: -q| -a| -aq| -qa)?(?: .*)?$`)
	psHeader       = lazy(`^CONTAINER ID +IMAGE`)
	processRow     = lazy(`^\|? *\d+ +N/A +N/A +(\d+) +[CG+]+ `)
	psAsked        = lazy(`^(?:sudo )?(?:ps|kill|ls)\b.*?\b(\d{2,})\b`)
	fuserRow       = lazy(`^/dev/nvidia\d+: +\S+ +(\d+) F`)
	containerAsked = lazy(`^(?:sudo )?docker (?:ps|container ls)\b.*grep`)
	exclusiveRow   = lazy(`^\d+, Exclusive_(?:Process|Thread)$|Compute Mode ?: Exclusive_`)
	pidRow         = lazy(`^(\d{2,}),`)
	onlyHeader     = lazy(`^(?:PID|UID|USER|CMD|COMMAND|STAT)\b|No such process|No such file`)
)

// compareMemory: memory of a GPU that is held, and nobody who holds it.
func (s *session) compareMemory() {
	if s.has(onWSL()) >= 0 {
		return
	}
	for _, row := range slices.Concat(s.facts(processRow()), s.printed(appsAsked(), pidRow())) {
		for _, a := range s.asking(psAsked()) {
			if m := psAsked().FindStringSubmatch(a.command); m[1] == row.text && len(a.out) == 1 && onlyHeader().MatchString(s.lines[a.out[0]]) {
				s.tell("orphaned-gpu-memory", 60, row.line, a.out[0])
				return
			}
		}
	}
	for _, holder := range s.facts(fuserRow()) {
		for _, a := range s.asking(containerAsked()) {
			if a.ended && len(a.out) == 0 {
				s.tell("orphaned-gpu-memory", 56, holder.line, a.line)
				return
			}
		}
	}
	if busy := s.has(exclusiveRow()); busy >= 0 {
		if held := s.printed(appsAsked(), pidRow()); len(held) > 0 {
			s.tell("compute-mode-exclusive", 44, busy, held[0].line)
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
	machineSaid  = lazy(`(?i)\buname -m\b[^.;]{0,30}?(?:is|says|prints|shows|gives|:|=|->) ?(x86_64|aarch64|arm64)\b`)
	infoMachine  = lazy(`^Architecture: ?(x86_64|aarch64|arm64|amd64)$`)
	elfMachine   = lazy(`\bELF (?:32|64)-bit [^,]*, (?:version 1 \(\w+\), )?(x86-64|ARM aarch64|Intel 80386)`)
	emulated     = lazy(`(?i)qemu|binfmt|rosetta|buildx`)
	imageAsked   = lazy(`docker (?:image )?inspect .*Arch|docker manifest`)
	imageShown   = lazy(`(?:^|/|: ?)(amd64|arm64|x86_64|aarch64)\W*$`)
)

var machineNames = map[string]string{"x86_64": "amd64", "amd64": "amd64", "x86-64": "amd64", "Intel 80386": "amd64", "aarch64": "arm64", "arm64": "arm64", "ARM aarch64": "arm64", "armv7l": "arm"}

// compareMachines: a program or an image of another architecture than the machine's.
func (s *session) compareMachines() {
	machine, known := firstOf(slices.Concat(s.printed(machineAsked(), machineShown()), s.facts(infoMachine()), s.facts(machineSaid())))
	if !known || s.has(emulated()) >= 0 {
		return
	}
	all := slices.Concat(s.facts(elfMachine()), s.printed(imageAsked(), imageShown()))
	other := func(f fact) bool { return machineNames[f.text] != machineNames[machine.text] }
	if i := slices.IndexFunc(all, other); i >= 0 && !slices.ContainsFunc(all, func(f fact) bool { return !other(f) }) {
		s.tell("arch-mismatch", 60, all[i].line, machine.line)
	}
}

var (
	secureBoot   = lazy(`(?i)Secure ?Boot:? (?:is )?enabled`)
	signerAsked  = lazy(`modinfo\b.*nvidia.*sig`)
	lspciNvidia  = lazy(`^(?:sudo )?lspci\b.*(?:10de|[Nn]vidia|NVIDIA)`)
	virtualSays  = lazy(`(?i)^(?:kvm|qemu|vmware|microsoft|xen|lxc|oracle|amazon)$|\bVirtio\b|Standard PC \(|VMware Virtual|VirtualBox|\bVMware SVGA|\bQXL\b|Cirrus Logic|Hypervisor vendor`)
	wantsNvidia  = lazy(`(?i)--gpus|could not select device driver|runtime name: nvidia|specified nvidia|\bnvidia-(?:smi|container|ctk)\b|CUDA (?:error|driver|not)|No CUDA|/dev/nvidia`)
	projectAsks  = lazy(`(?i)\bdocker[- ]compose\b.* (?:up|run|start)\b|devcontainer|^runtime: ?nvidia$|reservations:`)
	nobodyToAsk  = lazy(`(?i)could not select device driver|(?:unknown or invalid runtime name|Unknown runtime specified):? nvidia`)
	devGrep      = lazy(`\bls\b.*/dev\b.*(?:nvidia|nv)`)
	toolkitAsked = lazy(`(?:dpkg|rpm|apt|pacman|which|command -v|type|ls|whereis)\b.*nvidia-c(?:ontainer|tk)`)
	notInstalled = lazy(`^Installed: ?\(none\)|^package nvidia-container-toolkit is not installed|no packages found matching nvidia-container-toolkit`)
	smiAsked     = lazy(`(?:which|command -v|type -p|ls) .*nvidia-smi`)
	smiWorks     = lazy(`^GPU \d+: |NVIDIA-SMI \d{3}\.|^(?:NVIDIA|Tesla|Quadro) [\w -]+(?:, \d{3}\.\d.*)?$`)
	nodeThere    = lazy(`^(?:c[rwx-]{9}.*)?/dev/nvidia0\b`)
	moduleRow    = lazy(`^nvidia +\d{4,} +\d+`)
	nodesAsked   = lazy(`^(?:sudo )?ls\b.* /dev/nv(?:idia)?\*$`)
	aNode        = lazy(`/dev/nvidia\d`)
	uvmNode      = lazy(`/dev/nvidia-uvm\b`)
	uvmLoaded    = lazy(`^\d+ nvidia-uvm$|^nvidia_uvm +\d{4,}`)
	dockerdAsked = lazy(`^(?:sudo )?(?:pgrep|pidof|ps)\b.*dockerd`)
	sockGone     = lazy(`docker\.sock\W{0,3} ?No such file`)
)

// compareSilence: commands that printed nothing, where something should be.
func (s *session) compareSilence() {
	works := s.has(smiWorks())
	if works >= 0 && s.inside(works) {
		works = -1
	}
	if a := s.silent(lspciNvidia()); a != nil && works < 0 && s.has(onWSL()) < 0 && !a.inside && s.has(wantsNvidia()) >= 0 {
		vm, project := s.has(virtualSays()), s.has(projectAsks())
		switch {
		case vm < 0 && project >= 0 && s.has(nobodyToAsk()) >= 0:
			s.tell("runtime-required-on-cpu-host", 66, a.line, project)
		case vm >= 0:
			s.tell("virtualization-passthrough", 62, a.line, vm)
		default:
			s.tell("no-nvidia-gpu", 62, a.line)
		}
		return
	}
	if asked := s.asking(toolkitAsked()); len(asked) > 0 {
		for _, i := range asked[0].out {
			if notInstalled().MatchString(s.lines[i]) {
				s.tell("toolkit-not-installed", 50, i)
			}
		}
	}
	if a := s.silent(toolkitAsked()); a != nil && works >= 0 && s.has(toolkitThere()) < 0 {
		s.tell("toolkit-not-installed", 54, a.line, works)
	}
	if a := s.silent(lsmodNvidia()); a != nil && works < 0 && s.has(dkmsAddedOnly()) < 0 && s.has(moduleInUse()) < 0 {
		kernel, known := s.runningKernel()
		built := s.facts(dkmsBuilt())
		forIt := !known || len(built) == 0 || hasKernel(built, kernel)
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
	for _, a := range s.asking(nodesAsked()) {
		has := func(re *regexp.Regexp) bool {
			return slices.ContainsFunc(a.out, func(i int) bool { return re.MatchString(s.lines[i]) })
		}
		if made := s.has(uvmLoaded()); made >= 0 && !a.inside && has(aNode()) && !has(uvmNode()) && a.ended {
			s.tell("device-node-missing", 82, a.line, made)
		}
	}
	if a := s.silent(dockerdAsked()); a != nil && s.has(sockGone()) >= 0 {
		s.tell("docker-daemon-not-running", 58, s.has(sockGone()), a.line)
	}
}
