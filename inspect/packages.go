package inspect

import (
	"context"
	"path"
	"slices"
	"strings"
)

// mostPackages bounds the list: a machine with every driver branch's packages has some dozens.
const mostPackages = 256

// readPackages lists the installed packages of NVIDIA's driver and toolkit, by the package
// manager's own files; rpm's are a database, so there rpm itself is asked. nil is not known.
func readPackages(ctx context.Context, m Machine) []Package {
	if data, err := m.Root.ReadFile("/var/lib/dpkg/status"); err == nil {
		return paragraphs(string(data), "Package: ", "Version: ", "Status: install ok installed")
	}
	if data, err := m.Root.ReadFile("/lib/apk/db/installed"); err == nil {
		return paragraphs(string(data), "P:", "V:", "")
	}
	if entries, err := m.Root.ReadDir("/var/lib/pacman/local"); err == nil {
		packages := []Package{}
		for _, entry := range entries { // name-version-release
			fields := strings.Split(entry.Name(), "-")
			if n := len(fields); n > 2 && concernsGPU(strings.Join(fields[:n-2], "-")) {
				packages = append(packages, Package{strings.Join(fields[:n-2], "-"), strings.Join(fields[n-2:], "-")})
			}
		}
		return packages
	}
	if m.Run != nil && (m.Root == "/" || m.Root == "") && (m.Root.Exists("/var/lib/rpm") || m.Root.Exists("/usr/lib/sysimage/rpm")) {
		if out, err := m.Run(ctx, "rpm", "-qa", "--queryformat", `%{NAME} %{VERSION}-%{RELEASE}\n`); err == nil {
			packages := []Package{}
			for line := range strings.Lines(string(out)) {
				if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok && concernsGPU(name) && len(packages) < mostPackages {
					packages = append(packages, Package{name, version})
				}
			}
			return packages
		}
	}
	return nil
}

// concernsGPU: all that NVIDIA and the distributions call the driver's and the toolkit's packages.
func concernsGPU(name string) bool {
	for _, prefix := range []string{"nvidia-", "libnvidia-", "libcuda", "xserver-xorg-video-nvidia", "linux-modules-nvidia", "linux-objects-nvidia",
		"linux-signatures-nvidia", "kmod-nvidia", "akmod-nvidia", "xorg-x11-drv-nvidia", "cuda-drivers", "cuda-compat"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "nvidia"
}

// paragraphs reads a list of packages as dpkg and apk keep it: lines of a package, then an empty one. needed is a
// line that a package must have to count.
func paragraphs(data, nameKey, versionKey, needed string) []Package {
	packages := []Package{}
	var p Package
	counts := needed == ""
	end := func() {
		if p.Name != "" && p.Version != "" && counts && concernsGPU(p.Name) && len(packages) < mostPackages {
			packages = append(packages, p)
		}
		p, counts = Package{}, needed == ""
	}
	for line := range strings.Lines(data) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
			end()
		case p.Name == "" && strings.HasPrefix(line, nameKey):
			p.Name = strings.TrimSpace(line[len(nameKey):])
		case p.Version == "" && strings.HasPrefix(line, versionKey):
			p.Version = strings.TrimSpace(line[len(versionKey):])
		case line == needed:
			counts = true
		}
	}
	end()
	return packages
}

// packagedToolkit is the toolkit's version by its package, without the distribution's revision.
func packagedToolkit(packages []Package) string {
	for _, name := range []string{"nvidia-container-toolkit-base", "nvidia-container-toolkit"} {
		if at := slices.IndexFunc(packages, func(p Package) bool { return p.Name == name }); at >= 0 {
			version, _, _ := strings.Cut(packages[at].Version, "-")
			if _, rest, epoch := strings.Cut(version, ":"); epoch {
				version = rest
			}
			return version
		}
	}
	return ""
}

// isPackaged tells if a file lies where packages put programs.
func isPackaged(file string) bool { return path.Dir(file) == "/usr/bin" }
