// Command packaging makes what a package of docker gpu holds beside the program: man pages and completions from the
// commands themselves, the licences of all modules in the build, and the file that tells nfpm what goes where.
//
//	go run ./packaging -out dist/stage -version 1.2.3 -arch amd64,arm64
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/plugin"
)

func main() {
	out := flag.String("out", "dist/stage", "folder to write to")
	version := flag.String("version", "dev", "version as git describe tells it")
	archs := flag.String("arch", "amd64", "architectures, with a binary OUT/docker-gpu-ARCH each")
	flag.Parse()
	if err := lay(*out, *version, strings.Split(*archs, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func lay(out, version string, archs []string) error {
	docker, err := plugin.Commands(version)
	if err != nil {
		return err
	}
	for _, folder := range []string{"man", "completions"} {
		if err := os.RemoveAll(filepath.Join(out, folder)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(out, folder), 0o755); err != nil {
			return err
		}
	}
	for _, cmd := range plugin.Documented(docker.Commands()[0]) {
		if err := writeManPage(filepath.Join(out, "man"), cmd); err != nil {
			return err
		}
	}
	for shell, name := range map[string]string{"bash": "docker-gpu", "zsh": "_docker-gpu", "fish": "docker-gpu.fish"} {
		var script bytes.Buffer
		if err := plugin.WriteCompletion(&script, shell); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, "completions", name), script.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if err := writeLicences(filepath.Join(out, "licences.txt"), archs); err != nil {
		return err
	}
	for _, arch := range archs {
		if err := os.WriteFile(filepath.Join(out, "nfpm-"+arch+".yaml"), []byte(nfpm(out, packageVersion(version), arch)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// links of a page lead to other pages, which a man page names by their section.
var link = regexp.MustCompile("\\[`([^`]+)`\\]\\(([^)]+)\\.md\\)")

var section = regexp.MustCompile(`(?m)^## .*$`)

func writeManPage(folder string, cmd *cobra.Command) error {
	name := plugin.PageName(cmd)
	page := link.ReplaceAllString(plugin.CommandPage(cmd), "$2(1)")
	_, body, _ := strings.Cut(page, "\n")
	body = section.ReplaceAllStringFunc(body, func(title string) string { return strings.ToUpper(title[1:]) })
	text := fmt.Sprintf("%% %s 1\n# NAME\n%s - %s\n\n# SYNOPSIS\n%s", strings.ToUpper(name), name, cmd.Short, strings.TrimPrefix(strings.TrimSpace(body), cmd.Short+"."))
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression) // without a name and a time in it
	if err != nil {
		return err
	}
	if _, err := w.Write(md2man.Render([]byte(text))); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name+".1.gz"), packed.Bytes(), 0o644)
}

var (
	released = regexp.MustCompile(`^v([0-9]+\.[0-9]+\.[0-9]+)$`)
	since    = regexp.MustCompile(`^v([0-9]+\.[0-9]+\.[0-9]+)-([0-9]+)-g([0-9a-f]+)(-dirty)?$`)
	word     = regexp.MustCompile(`[^0-9A-Za-z]+`)
)

// packageVersion is a version by whose order deb and rpm update: a release, what came since one, or a state before any.
func packageVersion(described string) string {
	if m := released.FindStringSubmatch(described); m != nil {
		return m[1]
	}
	if m := since.FindStringSubmatch(described); m != nil {
		return fmt.Sprintf("%s+%s.g%s%s", m[1], m[2], m[3], strings.ReplaceAll(m[4], "-", "."))
	}
	day := ""
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		day = time.Unix(seconds, 0).UTC().Format("20060102150405") + "."
	}
	return "0.0.0~" + day + word.ReplaceAllString(described, ".")
}

// module is what go list tells of one.
type module struct {
	Path, Version, Dir string
	Main               bool
	Replace            *module
}

// writeLicences gathers the licence texts of every module that is part of a build. One without any is an error: it
// could not be passed on.
func writeLicences(file string, archs []string) error {
	modules := map[string]module{}
	for _, arch := range archs {
		for _, cgo := range []string{"0", "1"} {
			cmd := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/docker-gpu")
			cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED="+cgo)
			cmd.Stderr = os.Stderr
			list, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("go list for %s: %w", arch, err)
			}
			for dec := json.NewDecoder(bytes.NewReader(list)); ; {
				var p struct{ Module *module }
				if err := dec.Decode(&p); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					return err
				}
				if p.Module == nil || p.Module.Main {
					continue
				}
				m := *p.Module
				if m.Replace != nil {
					m = *m.Replace
				}
				modules[m.Path] = m
			}
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	modules["go"] = module{Path: "the Go standard library", Dir: strings.TrimSpace(string(root))}
	var paths []string
	for path := range modules {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	var text bytes.Buffer
	text.WriteString("docker-gpu contains the modules below. These are their licences.\n")
	for _, path := range paths {
		m := modules[path]
		files, err := licencesOf(m)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "\n%s\n%s %s\n", strings.Repeat("=", 80), m.Path, m.Version)
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "%s\n%s:\n\n%s\n", strings.Repeat("-", 80), filepath.Base(f), strings.TrimRight(string(data), "\n"))
		}
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

func licencesOf(m module) ([]string, error) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path, err)
	}
	var files []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		for _, start := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE"} {
			if strings.HasPrefix(name, start) && e.Type().IsRegular() {
				files = append(files, filepath.Join(m.Dir, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s %s has no licence file", m.Path, m.Version)
	}
	return files, nil
}

// nfpm tells what goes where: the plugin into the folder of docker's own packages, so that `docker gpu` works for all.
func nfpm(out, version, arch string) string {
	return strings.NewReplacer("OUT", out, "VERSION", version, "ARCH", arch).Replace(`name: docker-gpu
arch: ARCH
platform: linux
version: "VERSION"
version_schema: none
section: admin
priority: optional
maintainer: docker gpu <docker-gpu@users.noreply.github.com>
description: |
  Docker CLI plugin for GPUs in containers
  Tells whether containers can use the GPU, which ones do, why not, and how to
  mend it.
homepage: https://github.com/docker-gpu/docker-gpu
license: Apache-2.0
suggests:
  - docker-ce-cli
contents:
  - src: OUT/docker-gpu-ARCH
    dst: /usr/libexec/docker/cli-plugins/docker-gpu
    file_info: {mode: 0755}
  - src: /usr/libexec/docker/cli-plugins/docker-gpu
    dst: /usr/bin/docker-gpu
    type: symlink
  - src: OUT/man/*.1.gz
    dst: /usr/share/man/man1/
    file_info: {mode: 0644}
  - src: OUT/completions/docker-gpu
    dst: /usr/share/bash-completion/completions/docker-gpu
    file_info: {mode: 0644}
  - src: OUT/completions/_docker-gpu
    dst: /usr/share/zsh/site-functions/_docker-gpu
    file_info: {mode: 0644}
  - src: OUT/completions/docker-gpu.fish
    dst: /usr/share/fish/vendor_completions.d/docker-gpu.fish
    file_info: {mode: 0644}
  - src: examples/monitoring/docker-gpu-exporter.service
    dst: /usr/lib/systemd/system/docker-gpu-exporter.service
    file_info: {mode: 0644}
  - src: packaging/tmpfiles.conf
    dst: /usr/lib/tmpfiles.d/docker-gpu.conf
    file_info: {mode: 0644}
  - src: LICENSE
    dst: /usr/share/doc/docker-gpu/copyright
    file_info: {mode: 0644}
  - src: OUT/licences.txt
    dst: /usr/share/doc/docker-gpu/licences.txt
  - dst: /usr/share/doc/docker-gpu # rpm leaves a folder behind that no package owns
    type: dir
    packager: rpm
    file_info: {mode: 0644}
scripts:
  postinstall: packaging/postinstall.sh
  preremove: packaging/preremove.sh
  postremove: packaging/postremove.sh
deb:
  compression: xz
rpm:
  compression: xz
  buildhost: docker-gpu
`)
}
