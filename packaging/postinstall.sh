#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemd-tmpfiles --create docker-gpu.conf || true
	systemctl daemon-reload || true
elif [ ! -e /run/docker-gpu ]; then
	mkdir -m 1777 /run/docker-gpu && chmod 1777 /run/docker-gpu
fi
