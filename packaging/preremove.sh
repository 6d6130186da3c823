#!/bin/sh
set -e
# Debian says remove or upgrade, rpm how many versions stay.
case "$1" in remove | 0)
	if [ -d /run/systemd/system ]; then systemctl disable --now docker-gpu-exporter.service || true; fi
	;;
esac
