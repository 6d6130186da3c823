package fixes

import (
	"slices"
	"strings"
)

var (
	packagesAsked  = lazy(`^(?:sudo )?(?:dpkg|dpkg-query|apt|apt-get|rpm|dnf|yum|pacman|zypper)\b.*nvidia`)
	packageRow     = lazy(`^(?:ii +)?((?:lib)?(?:nvidia|xserver-xorg-video-nvidia|linux-(?:modules|objects)-nvidia|kmod-nvidia|akmod-nvidia|cuda-drivers)[\w.+-]*)`)
	toolkitPackage = lazy(`^(?:libnvidia-container|nvidia-container-(?:toolkit|runtime)|nvidia-docker)`)
	noDriverHere   = lazy(`/proc/driver/nvidia\S*\W{0,3} ?No such file|/dev/nvidia\S*\W{0,3} ?No such file|nvidia-smi: (?:command )?not found`)
	recommended    = lazy(`^driver ?: nvidia-driver-\d+|^nvidia-driver-\d+\S*,? ?\(kernel modules provided`)
	modulesAsked   = lazy(`(?:\blsmod\b|/proc/modules).*nvidia|nvidia.*/proc/modules`)
	offBySomebody  = lazy(`(?:^|\.conf:)(?:blacklist nvidia(?:[_-]\w+)?|install nvidia /bin/(?:false|true))$`)

	anyInspect    = lazy(`docker (?:container )?inspect\b.*(?:DeviceRequests|HostConfig)`)
	nullRequests  = lazy(`DeviceRequests: ?(?:null|\[\])|^(?:req\w*|requests?|gpus?): ?(?:null|\[\])|^(?:runc )?(?:null|<no value>)$|^runc \[\]$`)
	runtimeIsRunc = lazy(`(?:^|: ?)runc\b`)
	tooLittle     = lazy(`(?i)driver version is insufficient for CUDA runtime|cudaGetDeviceCount returned 35\b|cudaErrorInsufficientDriver`)
	saysNo        = lazy(`(?:^|[ (,\[])False\b|(?i)no CUDA-capable device|no gpu|doesn.?t see|does not see|/dev/nvidia\S*: No such|nvidia-smi\S* ?:? ?(?:executable file |command )?not found`)
	otherRuntime  = lazy(`(?:^|: ?)nvidia\b`)

	runtimeKeys = lazy(`(?:jq|grep -\w*o)\b.*daemon\.json`)
	keyNvidia   = lazy(`^(nvidia)$`)

	envGrep     = lazy(`^\.env[\w.]*:(?:\d+:)?(?:export )?NVIDIA_VISIBLE_DEVICES=(\S*)$`)
	runtimeLine = lazy(`^runtime: ?nvidia$`)
	asksBesides = lazy(`^(?:gpus:|- ?driver: nvidia|devices:)`)
)

// compareDetect: further outputs that tell why a GPU is not found.
func (s *session) compareDetect() {
	s.compareDriverPackages()
	s.compareInspect()
	s.compareKeys()
	s.compareEnv()
}

// compareDriverPackages: a machine that has the toolkit's packages and none of the driver, or a module that somebody shut out.
func (s *session) compareDriverPackages() {
	if s.has(moduleInUse()) >= 0 || s.has(onWSL()) >= 0 {
		return
	}
	gone := s.silent(modulesAsked())
	if gone != nil && !s.inside(gone.line) {
		if off := s.has(offBySomebody()); off >= 0 {
			s.tell("driver-module-not-loaded", 66, off, gone.line)
			return
		}
		if there := s.has(driverPackage()); there >= 0 && strings.Contains(s.commands[s.of[gone.line]].command, "/proc/modules") {
			if kernel, known := s.runningKernel(); known && hasKernel(s.facts(dkmsBuilt()), kernel) {
				s.tell("driver-module-not-loaded", 56, gone.line, there)
			}
		}
	}
	missing := s.has(noDriverHere())
	if missing >= 0 && s.inside(missing) {
		missing = -1
	}
	if missing < 0 && gone == nil && s.has(recommended()) < 0 {
		return
	}
	for _, a := range s.asking(packagesAsked()) {
		row, driver := -1, false
		for _, i := range a.out {
			if m := packageRow().FindStringSubmatch(s.lines[i]); m != nil {
				driver = driver || !toolkitPackage().MatchString(m[1])
				row = i
			}
		}
		if row >= 0 && !driver && !s.inside(row) {
			s.refute("driver-module-not-loaded")
			s.refute("driver-dkms-not-built")
			s.tell("driver-not-installed", 68, row, missing)
		}
	}
}

// compareInspect: a container that was started without asking for a GPU.
func (s *session) compareInspect() {
	for _, a := range s.asking(anyInspect()) {
		none, runc := -1, strings.Contains(a.command, "DeviceRequests") && !strings.Contains(a.command, "Runtime")
		for _, i := range a.out {
			if nullRequests().MatchString(s.lines[i]) {
				none = i
			}
			if runtimeIsRunc().MatchString(s.lines[i]) {
				runc = true
			}
			if otherRuntime().MatchString(s.lines[i]) {
				return
			}
		}
		if none < 0 || !runc {
			continue
		}
		if low := s.has(tooLittle()); low >= 0 {
			s.tell("gpu-not-requested", 90, none, low)
		} else if no := s.has(saysNo()); no >= 0 {
			s.tell("gpu-not-requested", 72, none, no)
		}
	}
}

// compareKeys: the runtimes' names in daemon.json, and those that the engine knows.
func (s *session) compareKeys() {
	written := s.printed(runtimeKeys(), keyNvidia())
	known := s.knownRuntimes()
	if len(written) == 0 || len(known) == 0 || s.has(restarted()) >= 0 || s.readsAnotherFile() ||
		slices.ContainsFunc(known, func(f fact) bool { return hasNvidia().MatchString(f.text) }) {
		return
	}
	s.tell("docker-not-restarted", 54, written[0].line, known[0].line)
}

// compareEnv: a variable that compose takes from its file as it stands there, and that grants nothing.
func (s *session) compareEnv() {
	used, ok := firstOf(s.printed(composeConfig(), composeValue()))
	if !ok {
		return
	}
	all := slices.Concat(s.facts(envGrep()), s.printed(envFile(), envValue()))
	if len(all) == 0 || slices.ContainsFunc(all, func(f fact) bool { return f.text != used.text }) {
		return
	}
	s.refute("env-has-no-effect")
	if runtime := s.has(runtimeLine()); (used.text == "void" || used.text == "none") && runtime >= 0 && s.has(asksBesides()) < 0 {
		s.tell("visible-devices-void", 62, all[0].line, used.line)
	}
}
