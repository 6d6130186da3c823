#!/bin/sh
# Puts the static plugin into the image that a dev container is made of. `make feature` laid it beside this script, one
# for each architecture: nothing is fetched while the image is built.
set -eu
cd "$(dirname "$0")"

case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
*)
	echo "docker gpu: there is no build for $(uname -m): amd64 and arm64 only" >&2
	exit 1
	;;
esac
binary=bin/docker-gpu-linux-$arch
if [ ! -f "$binary" ]; then
	echo "docker gpu: $binary is missing: run 'make feature' where docker gpu's source is, then build the dev container again" >&2
	exit 1
fi

mkdir -p /usr/local/bin
cp "$binary" /usr/local/bin/docker-gpu
chmod 755 /usr/local/bin/docker-gpu
if [ "${VARIANT:-plugin}" = plugin ]; then
	mkdir -p /usr/local/lib/docker/cli-plugins
	ln -sf /usr/local/bin/docker-gpu /usr/local/lib/docker/cli-plugins/docker-gpu
fi
/usr/local/bin/docker-gpu version
