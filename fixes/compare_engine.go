package fixes

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	runtimesLine  = lazy(`^Runtimes: ?(.+)$`)
	runtimesAsked = lazy(`docker (?:system )?info\b.*(?i:runtime)`)
	runtimesShown = lazy(`^((?:\[?docker-desktop )?(?:\{.*runc.*\}|map\[.*runc.*\]|(?:[\w.]+ )*runc(?: [\w.]+)*))$`)
	daemonFile    = lazy(`daemon\.json`)
	nvidiaEntry   = lazy(`(nvidia-container-runtime|\bnvidia: ?\{|default-runtime: ?nvidia)`)
	countAsked    = lazy(`grep -c\S*\b.*nvidia.*daemon\.json|daemon\.json.*grep -c.*nvidia`)
	countedSome   = lazy(`^([1-9]\d*)$`)
	toolkitThere  = lazy(`^ii +nvidia-container-toolkit |^nvidia-container-toolkit(?:-base)?-\d|NVIDIA Container Toolkit CLI version|^cli-version: ?\d|^/usr/(?:local/)?bin/nvidia-c\S+$`)
	infoNvidia    = lazy(`docker (?:system )?info\b.*grep.*nvidia`)
	desktopEngine = lazy(`(?i)Docker Desktop|docker-desktop|desktop-linux`)
	snapEngine    = lazy(`/snap/|snap\.docker|^docker +\d\S+ +\d+ +\S+ +canonical`)
	restarted     = lazy(`(?i)(?:restart|reload)\w*\W{1,3}(?:the )?(?:docker|engine|daemon)|docker (?:restart|reload)|reboot`)
	rootlessSays  = lazy(`(?i)\brootless\b|/run/user/\d+`)
	someoneWorks  = lazy(`^GPU \d+: `)
	hasNvidia     = lazy(`\bnvidia\b`)
)

// knownRuntimes are the lists of runtimes that the engine printed.
func (s *session) knownRuntimes() []fact {
	return slices.Concat(s.printed(runtimesAsked(), runtimesLine()), s.printed(runtimesAsked(), runtimesShown()))
}

// readsAnotherFile tells if the engine is of a kind that does not read /etc/docker/daemon.json.
func (s *session) readsAnotherFile() bool {
	return s.has(desktopEngine()) >= 0 || s.has(rootlessSays()) >= 0 || s.has(snapEngine()) >= 0
}

// compareRuntimes: what daemon.json says, and what the engine knows.
func (s *session) compareRuntimes() {
	written := slices.Concat(s.printed(daemonFile(), nvidiaEntry()), s.printed(countAsked(), countedSome()))
	snap := s.has(snapEngine())
	if snap >= 0 && (len(written) > 0 || s.has(wroteConfig()) >= 0) && s.has(snapGone()) < 0 {
		s.tell("snap-docker", 60, snap)
		return
	}
	known := s.knownRuntimes()
	if a := s.silent(infoNvidia()); a != nil {
		known = append(known, fact{a.line, ""})
	}
	for _, f := range known {
		if hasNvidia().MatchString(f.text) {
			s.refute("docker-not-restarted")
			s.refute("runtime-not-registered")
			if a := s.silent(binaryAsked()); a != nil && !s.inside(a.line) {
				s.tell("runtime-binary-missing", 72, a.line, f.line)
			}
			return
		}
	}
	if s.readsAnotherFile() {
		return
	}
	switch {
	case len(written) > 0 && s.has(restarted()) < 0 && (len(known) > 0 || s.fileIsNewer()):
		s.tell("docker-not-restarted", 54, written[0].line)
	case len(written) == 0 && len(known) > 0:
		if there := s.has(toolkitThere()); there >= 0 && s.has(someoneWorks()) < 0 {
			s.tell("runtime-not-registered", 46, there, known[0].line)
		}
	}
}

var (
	daemonDated = lazy(`(?:ls|stat|date) .*daemon\.json`)
	engineDated = lazy(`ActiveEnterTimestamp|systemctl status docker|lstart`)
	isoDate     = lazy(`\b(20\d\d-\d\d-\d\d[ T]\d\d:\d\d)`)
	wordDate    = lazy(`\b((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} \d\d:\d\d:\d\d (?:[A-Z]{3,4} )?20\d\d)`)
	binaryAsked = lazy(`^(?:sudo )?(?:which|command -v|type|ls|whereis) .*nvidia-container-runtime\b`)
	snapGone    = lazy(`snap remove|removed the snap|snapshotter`)
	wroteConfig = lazy(`Wrote updated config`)
)

// fileIsNewer tells if daemon.json was written after the engine's start.
func (s *session) fileIsNewer() bool {
	file, known := firstOf(slices.Concat(s.printed(daemonDated(), isoDate()), s.printed(daemonDated(), wordDate())))
	start, too := firstOf(slices.Concat(s.printed(engineDated(), isoDate()), s.printed(engineDated(), wordDate())))
	if !known || !too {
		return false
	}
	written, began := dateIn(file.text), dateIn(start.text)
	return !began.IsZero() && written.After(began)
}

// dateIn is what ls, stat, systemctl and ps print, to the minute, zero where it is none of that.
func dateIn(text string) time.Time {
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "Jan _2 15:04:05 2006", "Jan _2 15:04:05 MST 2006", "Jan 2 15:04:05 2006", "Jan 2 15:04:05 MST 2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

var (
	desktopShown = lazy(`^Operating System: ?Docker Desktop|^Name: ?docker-desktop|\d-linuxkit\b|^desktop-linux$|^desktop-linux \*`)
	linuxHost    = lazy(`(?i)^(?:PRETTY_NAME=|Description: ?|Distributor ID: ?)\W?(?:Ubuntu|Debian|Fedora|Arch|Pop|Linux Mint|openSUSE|Manjaro|Rocky|Red Hat|CentOS|Alma|Zorin|Kubuntu|NixOS)|^Linux .*\d-(?:generic|amd64|arch|\d+\.fc\d|lowlatency|zen|pve)|^(?:c[rwx-]{9}.*)?/dev/nvidia0\b`)
	otherHost    = lazy(`(?i)windows|microsoft|\bWSL|darwin|macos|apple|PS C:`)
)

// compareDesktop: the engine of Docker Desktop on a machine that runs Linux itself.
func (s *session) compareDesktop() {
	desktop, host := s.has(desktopShown()), s.has(linuxHost())
	if host < 0 {
		if host = s.has(someoneWorks()); host >= 0 && s.inside(host) {
			host = -1
		}
	}
	if desktop >= 0 && host >= 0 && s.has(otherHost()) < 0 {
		s.tell("docker-desktop-linux-vm", 56, desktop, host)
	}
}

var (
	cdiListed  = lazy(`\bcdi list\b`)
	cdiDevice  = lazy(`^nvidia\.com/gpu=(\d+)$`)
	gpuListed  = lazy(`^GPU (\d+): .*UUID`)
	indexAsked = lazy(`nvidia-smi .*query-gpu=index\b`)
	indexRow   = lazy(`^(\d+)(?:, |$)`)
	countGPUs  = lazy(`nvidia-smi (?:-L|--list-gpus) *\| *wc -l`)
	aCount     = lazy(`^(\d{1,2})$`)
	wantedGPUs = lazy(`(?i)device_ids: ?\[ ?([\d, ]+) ?\]|NVIDIA_VISIBLE_DEVICES(?:=|: ?)([\d,]+)\b|device=([\d,]+)\b`)
	countAll   = lazy(`(?i)\bcount: ?(?:all|-1)|\bCount: ?-1\b`)
)

// gpus is how many GPUs nvidia-smi lists, on the host or in a container, and where; 0 where it was not asked.
func (s *session) gpus(inside bool) (n, line int) {
	line = -1
	for _, f := range s.facts(gpuListed()) {
		if s.inside(f.line) == inside {
			n, line = n+1, f.line
		}
	}
	if n > 0 {
		return n, line
	}
	for _, f := range s.printed(indexAsked(), indexRow()) {
		if s.inside(f.line) == inside {
			n, line = n+1, f.line
		}
	}
	if n > 0 {
		return n, line
	}
	for _, f := range s.printed(countGPUs(), aCount()) {
		if s.inside(f.line) == inside {
			n, _ = strconv.Atoi(f.text)
			return n, f.line
		}
	}
	return 0, -1
}

// compareCounts: GPUs that are asked for, or listed in a CDI spec, and those that are there.
func (s *session) compareCounts() {
	there, line := s.gpus(false)
	if listed := s.printed(cdiListed(), cdiDevice()); len(listed) > 0 && there > len(listed) {
		s.tell("cdi-spec-stale", 84, listed[len(listed)-1].line, line)
	}
	for i, text := range s.lines {
		m := wantedGPUs().FindStringSubmatch(text)
		if m == nil {
			continue
		}
		wanted := strings.FieldsFunc(m[1]+m[2]+m[3], func(r rune) bool { return r == ',' || r == ' ' })
		for _, index := range wanted {
			if n, err := strconv.Atoi(index); err == nil && there > 0 && n >= there {
				s.tell("visible-devices-bad-index", 60, i, line)
				return
			}
		}
		if all := s.has(countAll()); m[2] != "" && all >= 0 {
			if given, at := s.gpus(true); given > len(wanted) {
				s.tell("request-overrides-variable", 62, i, all, at)
				return
			}
		}
	}
}

var (
	envFile         = lazy(`(?:^|[ /])\.env\b`)
	envWhole        = lazy(`^(?:sudo )?cat \.env$`)
	envValue        = lazy(`^(?:export )?NVIDIA_VISIBLE_DEVICES=(\S*)$`)
	composeConfig   = lazy(`docker[- ]compose .*config`)
	composeValue    = lazy(`^-? ?NVIDIA_VISIBLE_DEVICES(?:: ?|=)(\S*)$`)
	printedInside   = lazy(`\b(?:exec|run)\b.*(?:printenv NVIDIA_VISIBLE_DEVICES|\$NVIDIA_VISIBLE_DEVICES|\benv\b)`)
	valueInside     = lazy(`^(?:NVIDIA_VISIBLE_DEVICES=)?(all|none|void|[\d,]+|GPU-\S+)$`)
	voidAsked       = lazy(`\b(?:exec|inspect)\b.*(?:env|Env|VISIBLE)`)
	voidValue       = lazy(`\bNVIDIA_VISIBLE_DEVICES(=(?:void|none)?)(?: |\]|$)`)
	runtimeIsNvidia = lazy(`^nvidia(?: \[|$)|^Runtime: ?nvidia\b|^runtime: ?nvidia$`)
	seesNothing     = lazy(`no compatible GPUs|No devices were found|no CUDA-capable|nvidia\S* ?:? (?:executable file not found|No such file|not found)|/dev/nvidia\S*: No such file|^False$|No CUDA GPUs`)
	requestsAsked   = lazy(`DeviceRequests`)
	inspectAsked    = lazy(`docker (?:container )?inspect\b`)
	runcOnly        = lazy(`^runc(?: |$)|\bRuntime: ?runc\b|^\[\] runc$`)
	noRequests      = lazy(`DeviceRequests: ?(?:null|\[\])|^(?:\[\]|null|<nil>)$|^(?:\[\] runc|runc \[\])|^runc \[.*=`)
	missingInside   = lazy(`nvidia\S* ?:? (?:executable file not found|No such file|not found)|/dev/nvidia\S*: No such file|^False$`)
)

// compareRequests: what a container was started with, and what is in it.
func (s *session) compareRequests() {
	written := s.printed(envFile(), envValue())
	if len(written) == 0 && len(s.asking(envWhole())) > 0 {
		s.refute("env-has-no-effect") // it says nothing of the variable
	}
	if len(written) > 0 {
		used, ok := firstOf(slices.Concat(s.printed(composeConfig(), composeValue()), s.printed(printedInside(), valueInside())))
		i := slices.IndexFunc(written, func(f fact) bool { return f.text != used.text })
		switch {
		case ok && i >= 0:
			s.tell("env-has-no-effect", 62, written[i].line, used.line)
		case ok:
			s.refute("env-has-no-effect")
		}
	}
	if void, ok := firstOf(s.printed(voidAsked(), voidValue())); ok {
		if runtime, blind := s.has(runtimeIsNvidia()), s.has(seesNothing()); runtime >= 0 && blind >= 0 && s.has(countAll()) < 0 {
			s.tell("visible-devices-void", 80, void.line, blind)
		}
	}
	runc, none, missing := -1, s.has(noRequests()), s.has(missingInside())
	for _, a := range s.asking(inspectAsked()) {
		for _, i := range a.out {
			if runcOnly().MatchString(s.lines[i]) || requestsAsked().MatchString(a.command) && (s.lines[i] == "[]" || s.lines[i] == "null" || s.lines[i] == "<nil>") {
				runc = i
			}
		}
	}
	if runc >= 0 && none >= 0 && missing >= 0 && s.inside(missing) {
		s.tell("gpu-not-requested", 88, runc, missing)
	}
}

var (
	legacyAsked  = lazy(`(?:dpkg|rpm|apt|cat|grep|ls|yum|dnf)\b.*nvidia-`)
	legacyShown  = lazy(`^ii +nvidia-docker2? |^nvidia-docker2?-\d|^deb .*nvidia\.github\.io/(?:nvidia-docker|nvidia-container-runtime)/`)
	ldconfigReal = lazy(`^ldconfig = @?/sbin/ldconfig\.real$`)
	ldconfigsAre = lazy(`^(?:sudo )?ls .*/sbin/ldconfig\*?$`)
	isReal       = lazy(`ldconfig\.real`)
)

// comparePackages: old packages that somebody looked for and found, a path that the toolkit has and the machine has not.
func (s *session) comparePackages() {
	for _, a := range s.asking(legacyAsked()) {
		for _, i := range a.out {
			if legacyShown().MatchString(s.lines[i]) {
				s.tell("legacy-nvidia-docker2", 30, i)
				break
			}
		}
	}
	real := s.has(ldconfigReal())
	for _, a := range s.asking(ldconfigsAre()) {
		if real >= 0 && a.ended && len(a.out) > 0 && !slices.ContainsFunc(a.out, func(i int) bool { return isReal().MatchString(s.lines[i]) }) {
			s.tell("ldconfig-missing", 60, real, a.out[0])
		}
	}
}

var (
	rootlessEngine = lazy(`^rootless$|name=rootless|rootless\W{1,3}(?:is )?(?:under|in|among) (?:the )?Security|Security Options\b.*\brootless\b|unix:///run/user/\d+/docker\.sock`)
	otherContext   = lazy(`^default \*`)
	noCgroupsOn    = lazy(`no-cgroups = true`)
	noCgroupsOff   = lazy(`no-cgroups = false`)
)

// compareCgroups: a rootless engine whose toolkit is told to set device cgroups.
func (s *session) compareCgroups() {
	rootless, off := s.has(rootlessEngine()), s.has(noCgroupsOff())
	if rootless >= 0 && off >= 0 && s.has(otherContext()) < 0 && s.has(noCgroupsOn()) < 0 {
		s.refute("rootful-no-cgroups")
		s.tell("rootless-no-cgroups", 70, rootless, off)
	}
}
