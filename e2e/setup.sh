#!/usr/bin/env bash
# Lays the bench: Debian's packages (as root), and what Debian does not have or has too old, built from the Go
# module proxy into a cache outside the checkout. Safe to run again: what is there is left alone.
#
#   e2e/setup.sh            install and build; prints the bench's folder on standard output, the rest on stderr
#   e2e/setup.sh --path     print the bench's folder, do nothing
#
# What cannot be had is no failure here: it is written to FOLDER/missing, a line each, and the scenarios that
# need it are counted as not run, with that line as the reason.
set -euo pipefail

readonly dockerd_version=v2.0.0-beta.24 # the module of engine 29.9; the API is 1.56
readonly engine_release=29.9.3
readonly runc_version=v1.3.6
readonly cli_version=v29.9.3
readonly compose_version=v5.6.0
readonly buildx_version=v0.38.2
readonly toolkit_version=v1.20.1
readonly kubernetes_version=v1.35.4
readonly packages=(ca-certificates openssh-client docker.io iptables busybox-static docker-compose docker-registry prometheus tmux time rpm
	hyperfine etcd-server openssl pkg-config libseccomp-dev gcc libc6-dev sudo)

cache=${DOCKER_GPU_BENCH:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/docker-gpu-bench}
bench=$cache/1-$(go env GOARCH)
if [ "${1:-}" = --path ]; then
	echo "$bench"
	exit
fi
mkdir -p "$bench"
bench=$(cd "$bench" && pwd)

# One run at a time: a second waits, and then finds everything there.
exec 9>"$bench/lock"
flock 9

say() { echo "bench: $*" >&2; }

: >"$bench/missing.new"
missing() {
	say "$*"
	echo "$*" >>"$bench/missing.new"
}

# --- Debian's packages -------------------------------------------------------------------------------------

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# No service starts by the installation: the tests start their own engines on their own sockets.
install_packages() {
	local wanted=() name policy=/usr/sbin/policy-rc.d laid=
	for name in "$@"; do is_installed "$name" || wanted+=("$name"); done
	[ ${#wanted[@]} -gt 0 ] || return 0
	say "apt-get install ${wanted[*]}"
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		laid=yes
	fi
	local code=0
	DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" install -y --no-install-recommends "${wanted[@]}" >&2 || code=$?
	if [ -n "$laid" ]; then rm -f $policy; fi
	return $code
}

apt_options=(-q -o DPkg::Lock::Timeout=300)

# nvtop is in the component contrib. The machine's own package sources stay as they are: the same mirrors are
# asked with contrib added, in a list of our own.
install_nvtop() {
	is_installed nvtop && return 0
	local lists=$bench/apt
	mkdir -p "$lists/lists/partial"
	apt-get indextargets --format 'deb [trusted=no] $(REPO_URI) $(RELEASE) main contrib' \
		'Created-By: Packages' 'Component: main' 'Origin: Debian' | sed 's/\[trusted=no\] //' | sort -u >"$lists/contrib.list"
	[ -s "$lists/contrib.list" ] || return 1
	local apt_options=("${apt_options[@]}" -o "Dir::Etc::sourcelist=$lists/contrib.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$lists/lists")
	apt-get "${apt_options[@]}" update >&2 && install_packages nvtop
}

if [ ! -e /etc/debian_version ]; then
	missing "not Debian: docker.io, containerd, busybox-static, prometheus, docker-compose and nvtop are not installed by this script"
elif [ "$(id -u)" != 0 ]; then
	missing "not root: Debian's packages are not installed, and engines cannot be started"
else
	wants=
	for name in "${packages[@]}"; do is_installed "$name" || wants=yes; done
	if [ -n "$wants" ]; then
		apt-get "${apt_options[@]}" update >&2 || say "apt-get update failed; going on with the lists that are there"
		install_packages "${packages[@]}" || missing "apt-get install failed for some of: ${packages[*]}"
	fi
	install_nvtop || missing "nvtop is not installed: no mirror gives the component contrib"
fi

# --- Built from the module proxy ---------------------------------------------------------------------------

export GOFLAGS=-trimpath GOWORK=off
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# build NAME VERSION FUNCTION: FUNCTION leaves its programs in the folder that it is given, which becomes
# NAME-VERSION only once it is whole.
build() {
	local name=$1 version=$2 recipe=$3 to
	to=$bench/$name-$version
	[ -d "$to" ] && return 0
	say "building $name $version"
	rm -rf "$to.new" && mkdir -p "$to.new" "$work/$name"
	if (cd "$work/$name" && set -e && "$recipe" "$to.new") >"$bench/$name.log" 2>&1; then
		mv "$to.new" "$to"
	else
		tail -n 5 "$bench/$name.log" >&2
		missing "$name $version does not build here, see $bench/$name.log"
		rm -rf "$to.new"
	fi
}

build_docker() {
	local dir
	dir=$(go mod download -json "github.com/docker/cli@$cli_version+incompatible" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	# The CLI has no go.mod: its requirements stand in vendor.mod.
	sed "s|^module .*|module bench|" "$dir/vendor.mod" >go.mod
	cp "$dir/vendor.sum" go.sum
	go mod edit -require="github.com/docker/cli@$cli_version+incompatible"
	# Not every proxy serves 2.1.3; the pre-release just before it is compiled the same way.
	go mod edit -replace=github.com/moby/swarmkit/v2@v2.1.3=github.com/moby/swarmkit/v2@v2.1.3-0.20260828175525-ad0357aedfca
	go get github.com/fvbommel/sortorder@v1.2.1 github.com/moby/moby/api@v1.56.1 github.com/moby/moby/client@v0.6.2
	CGO_ENABLED=0 go build -mod=mod -gcflags='github.com/docker/cli/...=-lang=go1.26' -o "$1/docker" \
		-ldflags "-s -w -X github.com/docker/cli/cli/version.Version=${cli_version#v}" github.com/docker/cli/cmd/docker
}

build_compose() {
	go mod init bench
	go get "github.com/docker/compose/v5/cmd@$compose_version"
	CGO_ENABLED=0 go build -mod=mod -ldflags "-s -w -X github.com/docker/compose/v5/internal.Version=$compose_version" \
		-o "$1/docker-compose" github.com/docker/compose/v5/cmd
}

build_runc() { # needs cgo; seccomp, because test containers should run as users' containers do
	GOBIN=$1 CGO_ENABLED=1 go install -tags seccomp -ldflags "-s -w -X main.version=${runc_version#v}" \
		"github.com/opencontainers/runc@$runc_version"
}

build_toolkit() {
	local at=github.com/NVIDIA/nvidia-container-toolkit
	GOBIN=$1 CGO_CFLAGS=-Wno-deprecated-declarations go install \
		-ldflags "-s -w -extldflags=-Wl,-z,lazy -X $at/internal/info.version=${toolkit_version#v}" \
		"$at/cmd/nvidia-ctk@$toolkit_version" "$at/cmd/nvidia-container-runtime@$toolkit_version" \
		"$at/cmd/nvidia-container-runtime-hook@$toolkit_version" "$at/cmd/nvidia-cdi-hook@$toolkit_version"
}

build_dockerd() {
	GOBIN=$1 CGO_ENABLED=0 go install -ldflags "-s -w -X github.com/moby/moby/v2/dockerversion.Version=$engine_release" \
		"github.com/moby/moby/v2/cmd/dockerd@$dockerd_version"
}

build_buildx() { # only as something to measure start-up against
	go mod init bench
	go get "github.com/docker/buildx/cmd/buildx@$buildx_version"
	CGO_ENABLED=0 go build -mod=mod -ldflags "-s -w -X github.com/docker/buildx/version.Version=$buildx_version" \
		-o "$1/docker-buildx" github.com/docker/buildx/cmd/buildx
}

# Its staging modules are replaced by folders of its own repository: here by what was published of them.
build_kubernetes() {
	local dir module staging=v0.${kubernetes_version#v1.} at=k8s.io/component-base/version
	go mod init bench
	go mod edit -require="k8s.io/kubernetes@$kubernetes_version"
	dir=$(go mod download -json "k8s.io/kubernetes@$kubernetes_version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	for module in $(sed -n 's#^\t\(k8s.io/[a-z-]*\) => ./staging/.*#\1#p' "$dir/go.mod" | sort -u); do
		go mod edit -replace="$module=$module@$staging"
	done
	go get k8s.io/kubernetes/cmd/{kube-apiserver,kube-scheduler,kubectl}"@$kubernetes_version"
	CGO_ENABLED=0 go build -mod=mod -o "$1/" -ldflags "-s -w -X $at.gitVersion=$kubernetes_version -X $at.gitMajor=1 -X $at.gitMinor=$(cut -d. -f2 <<<"$kubernetes_version")" \
		k8s.io/kubernetes/cmd/{kube-apiserver,kube-scheduler,kubectl}
}

build compose "$compose_version" build_compose # `make bench` needs it as well
if [ "$(id -u)" = 0 ]; then # without root no engine starts, and so no scenario
	build docker "$cli_version" build_docker
	build runc "$runc_version" build_runc
	build toolkit "$toolkit_version" build_toolkit
	build dockerd "$dockerd_version" build_dockerd
	build kubernetes "$kubernetes_version" build_kubernetes
fi
if [ "${1:-}" = --with-buildx ]; then build buildx "$buildx_version" build_buildx; fi

# --- One folder of names without versions ------------------------------------------------------------------

link() { # link FOLDER PROGRAM...: names in FOLDER for programs that were built
	local to=$bench/$1 from
	shift
	mkdir -p "$to"
	for from in "$@"; do
		if [ -e "$from" ]; then ln -sfn "$from" "$to/$(basename "$from")"; fi
	done
}
link cli "$bench/docker-$cli_version/docker"
link toolkit "$bench/toolkit-$toolkit_version"/*
link kubernetes "$bench/kubernetes-$kubernetes_version"/*
link newest "$bench/dockerd-$dockerd_version/dockerd" "$bench/runc-$runc_version/runc"
link cli-plugins "$bench/compose-$compose_version/docker-compose" "$bench/buildx-$buildx_version/docker-buildx"

mv "$bench/missing.new" "$bench/missing"
say "ready in $bench"
echo "$bench"
