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

echo
echo "The same commands live, on a fake NVIDIA driver: its library answers from e2e/fakenvml/scenarios/eight-h100.scenario."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
e2e/fakenvml/build.sh "$folder"
export LD_LIBRARY_PATH=$folder FAKE_NVML_SCENARIO=$PWD/e2e/fakenvml/scenarios/eight-h100.scenario
show status
