#!/usr/bin/env bash
# Starts and stops a real Kubernetes control plane without images: Debian's etcd, and kube-apiserver and
# kube-scheduler built from their module (setup.sh). Nodes are objects that the test posts.
#
#   kubernetes.sh start STATE   prints the kubeconfig, STATE/kubeconfig; ready when the API answers
#   kubernetes.sh stop  STATE   ends all of it and removes STATE
#
# Everything listens on 127.0.0.1, on ports that were free a moment before.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
kubernetes=$("$here/setup.sh" --path)/kubernetes

fail() {
	echo "kubernetes.sh: $*" >&2
	exit 1
}

# free_port prints a TCP port that nothing listens on.
free_port() {
	local port
	for _ in $(seq 50); do
		port=$((20000 + RANDOM % 12000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo $port
			return
		fi
	done
	fail "no free port found"
}

certificates() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench-ca -keyout ca.key -out ca.crt
	openssl req -newkey rsa:2048 -nodes -subj /CN=kube-apiserver -keyout server.key -out server.csr
	printf 'subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc\n' >san
	openssl x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile san -out server.crt
	openssl genrsa -out service-account.key 2048
	openssl rsa -in service-account.key -pubout -out service-account.pub
}

# launch NAME COMMAND...: a process of its own, whose pid and words are kept.
launch() {
	local name=$1
	shift
	setsid "$@" >"$name.log" 2>&1 </dev/null &
	echo $! >"$name.pid"
}

start() {
	[ -x "$kubernetes/kube-apiserver" ] || fail "no kube-apiserver in $kubernetes: run setup.sh"
	mkdir -p "$state"
	cd "$state"
	umask 077
	certificates >openssl.log 2>&1
	echo 'tok,admin,admin,system:masters' >tokens
	local etcd peer api scheduler
	etcd=$(free_port) peer=$(free_port) api=$(free_port) scheduler=$(free_port)
	launch etcd etcd --data-dir="$state/etcd" --listen-client-urls="http://127.0.0.1:$etcd" --advertise-client-urls="http://127.0.0.1:$etcd" \
		--listen-peer-urls="http://127.0.0.1:$peer" --initial-advertise-peer-urls="http://127.0.0.1:$peer" --initial-cluster="default=http://127.0.0.1:$peer"
	launch apiserver "$kubernetes/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd" --bind-address=127.0.0.1 --secure-port="$api" \
		--tls-cert-file=server.crt --tls-private-key-file=server.key --token-auth-file=tokens --authorization-mode=RBAC \
		--service-cluster-ip-range=10.0.0.0/24 --endpoint-reconciler-type=none --disable-admission-plugins=ServiceAccount,TaintNodesByCondition \
		--service-account-key-file=service-account.pub --service-account-signing-key-file=service-account.key \
		--service-account-issuer=https://kubernetes.default.svc --cert-dir="$state"
	cat >kubeconfig <<-EOT
		apiVersion: v1
		kind: Config
		clusters:
		- {name: bench, cluster: {server: "https://127.0.0.1:$api", certificate-authority: "$state/ca.crt"}}
		users:
		- {name: admin, user: {token: tok}}
		contexts:
		- {name: bench, context: {cluster: bench, user: admin}}
		current-context: bench
	EOT
	for _ in $(seq 240); do
		if "$kubernetes/kubectl" --kubeconfig=kubeconfig get --raw=/readyz >/dev/null 2>&1; then
			launch scheduler "$kubernetes/kube-scheduler" --kubeconfig=kubeconfig --leader-elect=false --authentication-skip-lookup=true \
				--authentication-kubeconfig=kubeconfig --authorization-kubeconfig=kubeconfig --bind-address=127.0.0.1 --secure-port="$scheduler" --cert-dir="$state"
			echo "$state/kubeconfig"
			return
		fi
		kill -0 "$(cat apiserver.pid)" 2>/dev/null || { tail -n 5 apiserver.log >&2; fail "kube-apiserver ended"; }
		sleep 0.5
	done
	tail -n 5 apiserver.log >&2
	fail "kube-apiserver does not become ready"
}

stop() {
	local name pid
	for name in scheduler apiserver etcd; do
		pid=$(cat "$state/$name.pid" 2>/dev/null) || continue
		kill "$pid" 2>/dev/null || continue
		for _ in $(seq 100); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -9 "$pid" 2>/dev/null || true
	done
	rm -rf "$state"
}

command=${1:-}
state=${2:-}
[ -n "$state" ] || fail "usage: kubernetes.sh start|stop STATE"
case $command in
start) start ;;
stop) stop ;;
*) fail "usage: kubernetes.sh start|stop STATE" ;;
esac
