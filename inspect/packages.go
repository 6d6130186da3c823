package inspect

import (
	"path"
	"strings"
)

// readPackages lists the installed packages of driver and toolkit, from dpkg's, apk's or pacman's own
// files; nil where none of them is there (rpm keeps a database that only rpm reads).
func readPackages(root Root) []Package {
	if data, err := root.ReadFile("/var/lib/dpkg/status"); err == nil {
		return dpkgPackages(string(data))
	}
	if data, err := root.ReadFile("/lib/apk/db/installed"); err == nil {
		return apkPackages(string(data))
	}
	if entries, err := root.ReadDir("/var/lib/pacman/local"); err == nil {
		packages := []Package{}
		for _, entry := range entries { // NAME-VERSION-RELEASE
			name, version := entry.Name(), ""
			for range 2 {
				if at := strings.LastIndexByte(name, '-'); at > 0 {
					name, version = name[:at], name[at+1:]+"-"+version
				}
			}
			if concernsGPU(name) {
				packages = append(packages, Package{Name: name, Version: strings.TrimSuffix(version, "-")})
			}
		}
		return packages
	}
	return nil
}

// concernsGPU: all that NVIDIA and the distributions call the driver's and the toolkit's packages.
func concernsGPU(name string) bool {
	for _, prefix := range []string{"nvidia-", "libnvidia-", "libcuda", "xserver-xorg-video-nvidia", "linux-modules-nvidia", "linux-objects-nvidia", "cuda-drivers", "cuda-compat"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "nvidia"
}

func dpkgPackages(status string) []Package {
	packages := []Package{}
	var p Package
	installed := false
	keep := func() {
		if installed && concernsGPU(p.Name) {
			packages = append(packages, p)
		}
		p, installed = Package{}, false
	}
	for line := range strings.Lines(status) {
		line = strings.TrimRight(line, "\n")
		switch key, value, _ := strings.Cut(line, ": "); {
		case line == "":
			keep()
		case key == "Package":
			p.Name = value
		case key == "Version":
			p.Version = value
		case key == "Status":
			installed = strings.HasSuffix(value, " ok installed")
		}
	}
	keep()
	return packages
}

func apkPackages(installed string) []Package {
	packages := []Package{}
	var p Package
	for line := range strings.Lines(installed + "\n\n") {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "":
			if concernsGPU(path.Base(p.Name)) && p.Name != "" {
				packages = append(packages, p)
			}
			p = Package{}
		case strings.HasPrefix(line, "P:"):
			p.Name = line[2:]
		case strings.HasPrefix(line, "V:"):
			p.Version = line[2:]
		}
	}
	return packages
}
