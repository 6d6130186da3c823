#!/usr/bin/env bash
# Starts and stops Docker engines for tests: each on its own socket, with its own data, containerd, daemon.json
# and CDI folder, so that several stand side by side and none touches an engine of the machine. Needs root, and
# what setup.sh laid.
#
#   engine.sh start 20.10|newest STATE [--nvidia] [DOCKERD-OPTION...]   prints the endpoint, unix://STATE/docker.sock
#   engine.sh stop  STATE                                               ends all of it and removes STATE's data
#   engine.sh image STATE                                               makes busybox:latest, without a registry
#
# STATE is a folder with a short path: a socket's may have 107 letters. In it:
#   daemon.json   what the engine is started with; one that is there already is used as it stands
#   cdi/          the folder of CDI specifications that the newest engine and the nvidia runtime read
#   toolkit.toml  the nvidia runtime's configuration (--nvidia)
#   docker.sock, dockerd.log, containerd.log, data/, exec/
# --nvidia registers NVIDIA's runtime and puts the toolkit on the engine's PATH, where the hook is looked for. DRIVER_ROOT in
# the environment is the folder that the toolkit takes for the driver's root: libraries below usr/lib, device nodes in dev.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bench=$("$here/setup.sh" --path)

fail() {
	echo "engine.sh: $*" >&2
	exit 1
}

docker() { command "$bench/cli/docker" -H "unix://$state/docker.sock" "$@"; }

# Configuration of a fresh STATE. The file name of the specification folders is the newest engine's only: 20.10
# refuses what it does not know.
configure() {
	local name=$1 nvidia=$2 lines=()
	if [ -n "$nvidia" ]; then
		lines+=('"runtimes": {"nvidia": {"path": "'"$bench"'/toolkit/nvidia-container-runtime"}}')
		[ -e "$state/toolkit.toml" ] || cat >"$state/toolkit.toml" <<-EOT
			[nvidia-container-runtime]
			runtimes = ["$runc"]
			[nvidia-container-runtime.modes.cdi]
			spec-dirs = ["$state/cdi"]
			[nvidia-container-runtime-hook]
			path = "$bench/toolkit/nvidia-container-runtime-hook"
			[nvidia-ctk]
			path = "$bench/toolkit/nvidia-ctk"
			[nvidia-container-cli]
			root = "${DRIVER_ROOT:-/}"
		EOT
	fi
	[ "$name" = 20.10 ] || lines+=('"cdi-spec-dirs": ["'"$state"'/cdi"]')
	[ -e "$state/daemon.json" ] || {
		local IFS=,
		echo "{${lines[*]:-}}" >"$state/daemon.json"
	}
}

# A machine may keep a capability back from root (seen: SYS_RESOURCE). A privileged container asks for all of them
# and would not start: "unable to apply caps: operation not permitted". There the real runc is called by a script
# that takes that one out.
provide_runc() {
	local bounding
	bounding=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)
	[ $((16#$bounding >> 24 & 1)) = 0 ] || return 0
	mkdir -p "$state/bin"
	cat >"$state/bin/runc" <<-EOT
		#!/bin/sh
		previous=
		for argument; do
			if [ "\$previous" = --bundle ]; then sed -i 's/"CAP_SYS_RESOURCE",//g' "\$argument/config.json"; fi
			previous=\$argument
		done
		exec $runc "\$@"
	EOT
	chmod 755 "$state/bin/runc"
	runc=$state/bin/runc path=$state/bin:$path
}

# An overlay cannot lie on an overlay, which is what a container's root folder is.
storage_driver() { if [ "$(stat -f -c %T "$1")" = overlayfs ]; then echo vfs; else echo overlay2; fi; }

start() {
	local name=$1 dockerd nvidia=
	path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	shift
	case $name in
	20.10)
		dockerd=/usr/sbin/dockerd runc=/usr/sbin/runc
		[ -x $dockerd ] || fail "there is no $dockerd: run e2e/setup.sh as root on Debian 12"
		case $($dockerd --version) in *" 20.10."*) ;; *) fail "this system's engine is not 20.10: $($dockerd --version)" ;; esac
		;;
	newest)
		dockerd=$bench/newest/dockerd runc=$bench/newest/runc
		[ -x "$dockerd" ] && [ -x "$runc" ] || fail "the newest engine is not built: run e2e/setup.sh"
		path=$bench/newest:$path
		;;
	*) fail "engine $name is neither 20.10 nor newest" ;;
	esac
	[ "$(id -u)" = 0 ] || fail "an engine needs root"
	mkdir -p "$state/cdi" "$state/exec"
	state=$(cd "$state" && pwd)
	[ ${#state} -le 70 ] || fail "the path $state is too long for a socket"
	[ ! -e "$state/docker.sock" ] || fail "an engine was started in $state already"
	if [ "${1:-}" = --nvidia ]; then
		nvidia=yes path=$bench/toolkit:$path
		shift
	fi
	provide_runc
	configure "$name" "$nvidia"

	cat >"$state/containerd.toml" <<-EOT
		version = 2
		root = "$state/containerd"
		state = "$state/exec/containerd"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		address = "$state/containerd.sock"
	EOT
	export PATH=$path NVIDIA_CTK_CONFIG_FILE_PATH=$state/toolkit.toml
	export DOCKER_RAMDISK=yes # no pivot_root: this root folder may be a ramdisk
	[ "$(stat -f -c %T /)" = rootfs ] || unset DOCKER_RAMDISK
	setsid containerd --config "$state/containerd.toml" </dev/null >"$state/containerd.log" 2>&1 9>&- &
	echo $! >"$state/containerd.pid"
	setsid "$dockerd" --host "unix://$state/docker.sock" --data-root "$state/data" --exec-root "$state/exec/docker" \
		--pidfile "$state/docker.pid" --config-file "$state/daemon.json" --containerd "$state/containerd.sock" \
		--storage-driver "$(storage_driver "$state")" --bridge=none --iptables=false --ip6tables=false \
		"$@" </dev/null >"$state/dockerd.log" 2>&1 9>&- &
	local dockerd_pid=$! waited
	echo $dockerd_pid >"$state/dockerd.pid"
	for ((waited = 0; waited < 600; waited++)); do
		if [ -S "$state/docker.sock" ] && docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
			echo "unix://$state/docker.sock"
			return
		fi
		kill -0 $dockerd_pid 2>/dev/null || break
		sleep 0.1
	done
	tail -n 15 "$state/dockerd.log" >&2
	stop
	fail "engine $name did not start; its log is $state/dockerd.log"
}

# is_ours PID: the process runs and was started for this STATE; a number may have gone to another since.
is_ours() { grep -qaF "$state/" "/proc/$1/cmdline" 2>/dev/null; }

end() { # end PIDFILE: asks the process to end, waits, and makes it end
	local pid waited
	pid=$(cat "$1" 2>/dev/null) || return 0
	if is_ours "$pid"; then
		kill "$pid" 2>/dev/null || true
		for ((waited = 0; waited < 300; waited++)); do
			is_ours "$pid" || break
			sleep 0.1
		done
		if is_ours "$pid"; then kill -9 "$pid" 2>/dev/null || true; fi
	fi
	rm -f "$1"
}

stop() {
	local pid at
	[ -d "$state" ] || return 0
	state=$(cd "$state" && pwd)
	if is_ours "$(cat "$state/dockerd.pid" 2>/dev/null || echo 0)"; then kill -CONT "$(cat "$state/dockerd.pid")"; fi # a script may have stopped it
	if [ -S "$state/docker.sock" ]; then
		# So that the engine does not wait for containers that know no SIGTERM, and leaves no bridge on the machine:
		# there are addresses for thirty, and then no engine here can make a network.
		ask() { timeout 20 "$bench/cli/docker" -H "unix://$state/docker.sock" "$@" 2>/dev/null; }
		ask ps -aq | xargs -r timeout 30 "$bench/cli/docker" -H "unix://$state/docker.sock" rm -f >/dev/null 2>&1 || true
		ask network prune -f >/dev/null || true
	fi
	end "$state/docker.pid" # dockerd's own: a script may have had it restarted
	end "$state/dockerd.pid"
	# A script may have started the engine again by its own command line.
	for pid in $(grep -lzxF "unix://$state/docker.sock" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
		if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
			echo "$pid" >"$state/dockerd.pid"
			end "$state/dockerd.pid"
		fi
	done
	for pid in $(grep -lzF "$state/containerd.sock" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
		if grep -qa '^[^ ]*containerd-shim' "/proc/$pid/cmdline" 2>/dev/null; then
			pkill -9 -P "$pid" 2>/dev/null || true # what is left of its container
			kill -9 "$pid" 2>/dev/null || true
		fi
	done
	end "$state/containerd.pid"
	for at in $(cut -d' ' -f2 /proc/self/mounts | grep -F "$state/" | sort -r); do umount -l "$at" 2>/dev/null || true; done
	rm -rf "$state/bin" "$state/data" "$state/exec" "$state/containerd" "$state"/*.sock "$state/docker.pid"
}

image() {
	local root busybox
	busybox=$(command -v busybox) || fail "there is no busybox: run e2e/setup.sh as root on Debian"
	root=$(mktemp -d)
	mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/root"
	cp "$busybox" "$root/bin/busybox"
	for name in $("$busybox" --list); do [ -e "$root/bin/$name" ] || ln -s busybox "$root/bin/$name"; done
	echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
	tar -C "$root" -c . | docker import -c 'CMD ["sh"]' - busybox:latest >&2
	rm -rf "$root"
}

case "${1:-} $#" in
"start "[3-9] | "start "[1-9][0-9])
	state=$3 name=$2
	shift 3
	start "$name" "$@"
	;;
"stop 2") state=$2 && stop ;;
"image 2") state=$(cd "$2" && pwd) && image ;;
*)
	sed -n '2,19s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
