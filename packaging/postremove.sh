#!/bin/sh
set -e
case "$1" in remove | purge | 0)
	if [ -d /run/docker-gpu ] && [ ! -L /run/docker-gpu ]; then rm -rf /run/docker-gpu; fi
	;;
esac
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
