#!/usr/bin/env bash
# The demo: docker gpu on an example machine of eight GPUs, and live on the fake driver.
set -euo pipefail
cd "$(dirname "$0")/.."
gpu=${1:-bin/docker-gpu}

show() {
	echo
	echo "\$ docker gpu $*"
	"$gpu" "$@"
}

echo "An example machine of eight GPUs, from examples/snapshots/eight-gpus.json:"
show status --from examples/snapshots/eight-gpus.json
