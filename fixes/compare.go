package fixes

import (
	"slices"
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
	s.compareDesktop()
	s.compareCounts()
	s.compareRequests()
	s.comparePackages()
	s.compareModules()
	s.compareSilence()
	s.compareDetect()
}

// outputs are commands and lines without which there is nothing to compare.
var outputs = lazy(`(?i)uname|lsmod|modinfo|dkms|mokutil|bootctl|lspci|\bdpkg|\brpm\b|apt-cache|/sys/module|/proc/driver|NVRM|nvidia-smi|docker info|docker context|docker\.sock|daemon\.json|no-cgroups|crw|uid=|\bgroups\b|libcuda|libnvidia|driver version|Security Options|docker ps|Runtimes|\bfile \S|pgrep|which |N/A +N/A|/dev/nvidia|ldconfig|device_ids|VISIBLE_DEVICES|\.env\b|ubuntu-drivers|MIG Mode|docker (?:container )?inspect|/proc/modules`)

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
	moduleInUse   = lazy(`^nvidia(?:_uvm|_modeset|_drm)? +\d{4,} +\d+|NVIDIA-SMI \d{3}\.|^GPU \d+: .*\(UUID: `)
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

// begins tells if one version begins with the other: people shorten them, and lines end in the middle of one.
func begins(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func sameKernel(a, b string) bool {
	return begins(archSuffix().ReplaceAllString(a, ""), archSuffix().ReplaceAllString(b, ""))
}

// hasKernel tells if one of the modules or headers is of a kernel.
func hasKernel(built []fact, kernel fact) bool {
	return slices.ContainsFunc(built, func(f fact) bool { return sameKernel(f.text, kernel.text) })
}

// compareKernels: a module for another kernel than the one that runs.
func (s *session) compareKernels() {
	kernel, known := s.runningKernel()
	if !known || strings.Contains(kernel.text, "microsoft") || strings.Contains(kernel.text, "linuxkit") || s.has(moduleInUse()) >= 0 {
		return
	}
	built := slices.Concat(s.facts(moduleBuilt()), s.facts(dkmsBuilt()), s.facts(kmodBuilt()), s.facts(linuxModules()))
	if len(built) > 0 {
		if !hasKernel(built, kernel) {
			s.tell("driver-dkms-not-built", 64, kernel.line, built[0].line)
		} else {
			s.refute("driver-dkms-not-built")
		}
		return
	}
	headers := s.facts(headersThere())
	gone := s.silent(lsmodNvidia())
	if len(headers) > 0 && !hasKernel(headers, kernel) && s.has(dkmsPackage()) >= 0 && (gone != nil || s.has(noModule()) >= 0) {
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
	rpmDriver      = lazy(`\bnvidia-driver-(?:cuda-)?(?:libs-)?` + driverRelease)
	hostSays       = lazy(`(?i)\b(?:host(?:.?s)?(?: \w+)? driver|Nvidia driver version)(?: version| \w+)?\W{1,3}(?:is |says )?` + driverRelease)
	cdiGrep        = lazy(`grep .*?` + driverRelease + `.*/cdi/`)
	cdiPath        = lazy(`/cdi/|\b(?:container|host)Path:`)
	elsewhere      = lazy(`/compat/|cuda-compat|/wsl/|stubs/|^rc `)
	onWSL          = lazy(`(?i)microsoft|\bWSL|/usr/lib/wsl`)
)

// loadedDriver are the versions of the kernel module, as the kernel or NVML tell them.
func (s *session) loadedDriver() []fact {
	all := slices.Concat(s.facts(nvrmLine()), s.printed(moduleFiles(), aDriver()), s.facts(smiLine()), s.printed(queryDriver(), aDriver()), s.facts(hostSays()))
	return slices.DeleteFunc(all, func(f fact) bool { return f.text == "" })
}

// compareVersions: libraries of another driver than the one that is loaded, on the host, in an image or in a CDI spec.
func (s *session) compareVersions() {
	loaded := s.loadedDriver()
	if len(loaded) == 0 { // on the disk, at least
		loaded = s.printed(modinfoCommand(), aDriver())
	}
	if len(loaded) == 0 {
		for _, f := range slices.Concat(s.facts(driverLibrary()), s.facts(driverPackages()), s.facts(rpmDriver())) {
			if !s.inside(f.line) && !s.inSpec(f.line) && !elsewhere().MatchString(s.lines[f.line]) {
				loaded = append(loaded, f)
			}
		}
	}
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
		switch {
		case f.text == "" || f.line == version.line || elsewhere().MatchString(s.lines[f.line]):
		case s.inSpec(f.line):
			spec = append(spec, f)
		case s.inside(f.line):
			image = append(image, f)
		default:
			host = append(host, f)
		}
	}
	for _, a := range s.asking(cdiGrep()) {
		if len(a.out) > 0 && s.lines[a.out[0]] != "0" {
			spec = append(spec, fact{a.line, cdiGrep().FindStringSubmatch(a.command)[1]})
		}
	}
	same := func(f fact) bool { return begins(f.text, version.text) }
	switch {
	case len(spec) > 0 && !slices.ContainsFunc(spec, same):
		s.tell("cdi-spec-stale", 62, spec[0].line, version.line)
	case len(spec) > 0:
		s.refute("cdi-spec-stale")
	}
	if i := slices.IndexFunc(image, func(f fact) bool { return !same(f) }); i >= 0 {
		s.tell("driver-libs-baked-into-image", 62, image[i].line, version.line)
		return
	}
	if len(host) > 0 && !slices.ContainsFunc(host, same) && s.has(moduleLoadedFromTable()) < 0 {
		s.tell("driver-library-version-mismatch", 58, host[0].line, version.line)
	}
}

// inSpec tells if a line is one of a CDI spec.
func (s *session) inSpec(line int) bool {
	return cdiPath().MatchString(s.lines[line]) || s.of[line] >= 0 && strings.Contains(s.commands[s.of[line]].command, "/cdi")
}

// moduleLoadedFromTable is nvidia-smi's own table: where it was printed, the libraries are of the module's version.
var moduleLoadedFromTable = lazy(`NVIDIA-SMI \d{3}\.`)

var (
	cudaServed  = lazy(`\bCUDA Version: ?(\d+\.\d+)`)
	cudaNeeded  = lazy(`\bCUDA_VERSION=(\d+\.\d+)`)
	cudaRequire = lazy(`\bcuda>=(\d+\.\d+)`)
	cudaPackage = lazy(`\bnvidia-cuda-runtime-cu\d+(?: +|==)(\d+\.\d+)`)
	builtWith   = lazy(`CUDA used to build PyTorch: ?(\d+\.\d+)`)
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
	needed := slices.Concat(s.facts(cudaNeeded()), s.facts(cudaRequire()), s.facts(cudaPackage()), s.facts(cudaRelease()), s.printed(torchCUDA(), aVersion()), s.facts(builtWith()))
	for _, f := range s.facts(cudaBuild()) {
		needed = append(needed, fact{f.line, f.text[:2] + "." + f.text[2:]})
	}
	for _, f := range needed {
		if f.text == "" || compareDotted(f.text, served.text) <= 0 {
			continue
		}
		no := s.has(seesNoGPU())
		if strings.Contains(s.lines[f.line], "cuda>=") || no >= 0 {
			weight := 54
			if loaded := s.loadedDriver(); len(loaded) > 0 && !MinorCompatible(f.text, loaded[0].text) {
				weight = 76 // no program of that CUDA runs at all
			}
			s.tell("cuda-driver-too-old", weight, f.line, served.line)
			return
		}
	}
}

var (
	notFoundModule = lazy(`(?i)Module nvidia not found`)
	fabricPackage  = lazy(`\b(?:nvidia-fabric-?manager|fabricmanager)(?:-\d+)?(?:\s+|-)` + driverRelease)
	hostDriver     = lazy(`^ii +nvidia-(?:driver|utils|headless)-\d+\S* +` + driverRelease)
	licenseLine    = lazy(`^license: ?(NVIDIA|Dual MIT/GPL)$`)
	openPackage    = lazy(`^(?:ii +)?nvidia-(?:driver|dkms|kernel)-\d+(?:-server)?-(open)\b`)
	beforeTuring   = lazy(`NVIDIA Corporation (G[PMKV]\d{3})|(?:GeForce )?(GTX 10\d0)|(Tesla [PMKV]\d+)`)
	sinceBlackwell = lazy(`NVIDIA Corporation GB\d{3}|\bRTX (?:PRO )?50\d0\b|\bB[23]00\b`)
	closedModule   = lazy(`NVRM version: NVIDIA UNIX x86_64 Kernel Module|^license: ?NVIDIA$`)
	openModule     = lazy(`NVRM version: NVIDIA UNIX Open Kernel Module`)
	migAsked       = lazy(`mig\.mode\.current,mig\.mode\.pending`)
	migModes       = lazy(`((?:Disabled, Enabled|Enabled, Disabled))`)
	blacklisted    = lazy(`^(?:blacklist nvidia|install nvidia /bin/(?:false|true))$`)
	migMode        = lazy(`^MIG Mode$`)
	migNone        = lazy(`^MIG Devices? ?: None$`)
	vendorNvidia   = lazy(`(?i)vendor ?: NVIDIA|NVIDIA Corporation`)
	driverAsked    = lazy(`(?:dpkg|rpm|apt|pacman)\b.*nvidia(?:-driver|\*?$)`)
)

// compareModules: the module's flavour and the GPU's generation, its package and the module, two packages of one driver.
func (s *session) compareModules() {
	if gone := s.has(notFoundModule()); gone >= 0 {
		if made := s.has(dkmsPackage()); made >= 0 && made != gone {
			s.tell("driver-dkms-not-built", 58, gone, made)
		}
	}
	if fabric, ok := firstOf(s.facts(fabricPackage())); ok {
		if driver, ok := firstOf(slices.Concat(s.facts(hostDriver()), s.facts(rpmDriver()), s.loadedDriver())); ok && driver.text != fabric.text {
			s.tell("fabric-manager-not-running", 58, fabric.line, driver.line)
		}
	}
	if flavour := s.has(closedModule()); flavour >= 0 && s.has(noDevices()) >= 0 {
		if card := s.has(sinceBlackwell()); card >= 0 {
			s.tell("open-kernel-module-required", 80, flavour, card)
		}
	}
	if flavour := s.has(openModule()); flavour >= 0 && s.has(noDevices()) >= 0 {
		if card := s.has(beforeTuring()); card >= 0 {
			s.tell("open-kernel-module-unsupported", 80, flavour, card)
		}
	}
	open := slices.Concat(s.facts(licenseLine()), s.facts(openPackage()))
	if len(open) > 0 && open[0].text != "NVIDIA" && s.has(noDevices()) >= 0 {
		if card := s.has(beforeTuring()); card >= 0 {
			s.tell("open-kernel-module-unsupported", 80, open[0].line, card)
		}
	}
	if pending := s.printed(migAsked(), migModes()); len(pending) > 0 {
		s.tell("mig-misconfigured", 62, pending[0].line)
	}
	if mode := s.has(migMode()); mode >= 0 && mode+1 < len(s.lines) && strings.HasSuffix(s.lines[mode+1], ": Enabled") {
		if none := s.has(migNone()); none > mode {
			s.tell("mig-misconfigured", 84, mode+1, none)
		}
	}
	if a := s.silent(lsmodNvidia()); a != nil {
		if off := s.has(blacklisted()); off >= 0 {
			s.tell("driver-module-not-loaded", 58, off, a.line)
		}
	}
	if a := s.silent(driverAsked()); a != nil && s.has(moduleInUse()) < 0 && s.has(onWSL()) < 0 {
		if card := s.has(vendorNvidia()); card >= 0 {
			s.tell("driver-not-installed", 56, a.line, card)
		}
	}
}

var noDevices = lazy(`No devices (?:were )?found`)
