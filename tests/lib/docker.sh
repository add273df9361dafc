# Sourced first, in place of harness.sh, by tests with a Docker engine: the script runs again in mount and network namespaces of its
# own, with an empty /run, so that the plugin's socket is where Docker looks for it and nothing of the machine's own is touched.
#
#   docker_start [dockerd's options…]   an engine of its own; DOCKER_HOST points there; DOCKER_NETWORK=1 gives it a bridge
#   docker_end TERM|KILL                ends it; containers stay when it was started with --live-restore
#   docker_busybox                      the image `busy`: one static busybox, with files under /data of every kind
#   plugin PATH JSON                    one request to the plugin, as dockerd sends it; its answer
#   uses VOLUME                         how often an engine has the volume mounted, as varve counts

if [ -z "${VARVE_TEST_PRIVATE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
	exec 6</proc/self/ns/net # the machine's network, for images.sh
	VARVE_TEST_PRIVATE=1 exec unshare --mount --net --propagation private -- "$0" "$@"
fi
mount -t tmpfs -o mode=0755 run /run && ip link set lo up || { echo "skipped: no namespaces"; exit 77; }
export VARVE_DOCKER=/run/docker/plugins/varve.sock
. "$(dirname "${BASH_SOURCE[0]}")/harness.sh"

command -v dockerd >/dev/null && command -v docker >/dev/null && [ -x /bin/busybox ] || skip "no Docker engine or no busybox"
D=$WORK/docker
mkdir -p "$D"
export DOCKER_HOST=unix://$D/d.sock DOCKER_API_VERSION=1.41 DOCKER_CONFIG=$D/config
DOCKERD=

# As on a machine with systemd: containerd is a service of its own, so that containers outlive a dockerd that is killed.
docker_containerd() {
	local i
	containerd --root "$D/containerd" --state /run/containerd --address /run/containerd/containerd.sock >>"$D/containerd.log" 2>&1 </dev/null &
	CONTAINERD=$!
	for i in $(seq 100); do
		[ -S /run/containerd/containerd.sock ] && return 0
		sleep 0.1
	done
	return 1
}

docker_start() {
	local i
	local -a network=(--iptables=false --bridge=none)
	[ -z "${DOCKER_NETWORK:-}" ] || network=()
	[ -n "${CONTAINERD:-}" ] || docker_containerd || return 1
	dockerd --containerd /run/containerd/containerd.sock --data-root "$D/root" --exec-root "$D/exec" -H "$DOCKER_HOST" --pidfile "$D/d.pid" \
		--storage-driver "${DOCKER_STORAGE:-overlay2}" "${network[@]}" "$@" >>"$D/log" 2>&1 </dev/null &
	DOCKERD=$!
	for i in $(seq 300); do
		docker version >/dev/null 2>&1 && return 0
		kill -0 "$DOCKERD" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 "$D/log" | sed 's/^/# /'
	return 1
}

docker_end() {
	[ -n "$DOCKERD" ] || return 0
	end_pid "$DOCKERD" "$1" 2>/dev/null
	# A zombie until it is waited for.
	wait "$DOCKERD" 2>/dev/null
	DOCKERD=
	rm -f "$D/d.pid"
}

# Containers first, then the engine and what it started, then what it mounted.
docker_exit() {
	docker ps -aq 2>/dev/null | xargs -r docker rm -f >/dev/null 2>&1
	docker_end TERM
	[ -z "${CONTAINERD:-}" ] || end_pid "$CONTAINERD" TERM
	grep -o " $D/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l
}
at_exit docker_exit

docker_first_start() {
	docker_start "$@" || skip "dockerd does not start here"
}

docker_busybox() {
	local i=$WORK/image
	mkdir -p "$i"/{bin,tmp,etc,data/sub,plain}
	cp /bin/busybox "$i/bin/"
	chroot "$i" /bin/busybox --install -s /bin
	# What a first use of a volume at /data must copy.
	echo one >"$i/data/file"
	echo run >"$i/data/sub/tool"
	ln "$i/data/file" "$i/data/sub/hard"
	ln -s ../file "$i/data/sub/soft"
	head -c 300000 /dev/urandom >"$i/data/sub/big"
	chown -h 1234:2345 "$i/data/file" "$i/data/sub/soft"
	chmod 0640 "$i/data/file"
	chmod 4755 "$i/data/sub/tool"
	setfattr -n user.colour -v blue "$i/data/file"
	setfacl -m u:1000:rw "$i/data/file"
	mkdir "$i/data/sub/shared" && setfacl -d -m u:7:rwx "$i/data/sub/shared"
	setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 "$i/data/sub/big" # cap_net_bind_service+ep
	mkfifo "$i/data/pipe"
	chown 77:88 "$i/data"
	chmod 2770 "$i/data"
	tar --xattrs --xattrs-include='*' -C "$i" -c . | docker import - busy >/dev/null || fail "docker import"
}

plugin() { curl -s -m 30 --unix-socket "$VARVE_DOCKER" -H 'Host:' -H 'Accept: application/vnd.docker.plugins.v1.2+json' -d "$2" "http://x/$1"; }

uses() { "$VARVE" --json volume inspect "$1" | jq -r '.. | objects | select(has("mounts")) | .mounts'; }

# run_busy ARGS… -- CMD…: a container of `busy` that is gone after.
run_busy() {
	local -a args=()
	while [ "$1" != -- ]; do args+=("$1"); shift; done
	shift
	docker run --rm --network none "${args[@]}" busy "$@" 2>&1
}
