#!/bin/bash
# A container with its volume moves from one Docker engine to a second one, which has a mount namespace, a /run, a varved and a store of its
# own: everything is sent while it runs, then it is stopped and what changed since is sent. And it moves back, by what changed there.
. "$(dirname "$0")/../lib/docker.sh"
. "$(dirname "$0")/../lib/pg.sh"

pg_require
chmod 0777 "$PG_SOCKETS"
scale=$([ -n "$LONG" ] && echo 20 || echo 4)

# The image is a bare root; programs come from the machine's /usr, read-only.
I=$WORK/image
mkdir -p "$I"/{usr,etc,tmp,proc,sys,dev,var,data,sockets}
chmod 1777 "$I/tmp"
for d in bin sbin lib lib64; do
	[ ! -L "/$d" ] || ln -s "usr/$d" "$I/$d"
done
cp /etc/passwd /etc/group "$I/etc/"
tar -C "$I" -cf "$WORK/image.tar" .

# --- engine one ---
VARVED_ARGS="--docker $VARVE_DOCKER" harness_start
docker_first_start
docker import "$WORK/image.tar" bare >/dev/null || fail "docker import"
# `docker varve` is varve.
mkdir -p "$DOCKER_CONFIG/cli-plugins" && ln -s "$VARVE" "$DOCKER_CONFIG/cli-plugins/docker-varve"

# --- engine two ---
D2=$WORK/two
mkdir -p "$D2/mnt"
unshare --mount --propagation private sleep infinity &
HOLDER=$!
started $HOLDER
until [ "$(readlink "/proc/$HOLDER/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.05; done
# In the background the command alone, not the function: else $! would be a shell's pid, which ends and leaves the daemon running.
in_two=(nsenter --mount="/proc/$HOLDER/ns/mnt" -- env VARVE_STORE="$D2/store" VARVE_MOUNT="$D2/mnt" VARVE_API="$D2/api.sock"
	DOCKER_HOST="unix://$D2/d.sock")
two() { "${in_two[@]}" "$@"; }
two_exit() {
	two docker ps -aq 2>/dev/null | xargs -r -n 99 nsenter --mount="/proc/$HOLDER/ns/mnt" -- docker -H "unix://$D2/d.sock" rm -f >/dev/null 2>&1
	[ -z "${DOCKERD2:-}" ] || end_pid "$DOCKERD2" TERM
	[ -z "${CONTAINERD2:-}" ] || end_pid "$CONTAINERD2" TERM
	[ ! -s "$D2/varved.pid" ] || end_pid "$(cat "$D2/varved.pid")" TERM
}
at_exit two_exit
two mount -t tmpfs -o mode=0755 run /run || fail "a /run of its own"
two "$VARVE" init "$D2/store" >>"$LOG" 2>&1 || fail "varve init"
two "$VARVED" --store "$D2/store" --mount "$D2/mnt" --api "$D2/api.sock" --docker "$VARVE_DOCKER" --pidfile "$D2/varved.pid" --log stderr \
	>>"$LOG" 2>&1 || fail "a second varved"
"${in_two[@]}" containerd --root "$D2/containerd" --state /run/containerd --address /run/containerd/containerd.sock >>"$D2/containerd.log" 2>&1 &
CONTAINERD2=$!
for i in $(seq 100); do two test -S /run/containerd/containerd.sock && break; sleep 0.1; done
"${in_two[@]}" dockerd --containerd /run/containerd/containerd.sock --data-root "$D2/root" --exec-root "$D2/exec" -H "unix://$D2/d.sock" --pidfile "$D2/d.pid" \
	--storage-driver "${DOCKER_STORAGE:-overlay2}" --iptables=false --bridge=none >>"$D2/log" 2>&1 &
DOCKERD2=$!
for i in $(seq 300); do two docker version >/dev/null 2>&1 && break; kill -0 $DOCKERD2 2>/dev/null || break; sleep 0.1; done
two docker version >/dev/null 2>&1 || skip "a second dockerd does not start here: $(tail -n 1 "$D2/log")"
two docker import "$WORK/image.tar" bare >/dev/null || fail "docker import"
expect_eq "neither engine sees the other's volumes" "$(docker volume ls -q | wc -l) $(two docker volume ls -q | wc -l)" "0 0"

# --- a database on a volume of engine one ---
server() { # server CMD…: the container, on the engine that CMD leads to
	"$@" docker run -d --name server --network none --stop-signal INT -v /usr:/usr:ro -v "$PG_SOCKETS:/sockets" -u postgres \
		--mount type=volume,src=db,dst=/data,volume-driver=varve bare "$PG_BIN/postgres" -D /data/pg -p "$PG_PORT" -k /sockets -h '' \
		-c shared_buffers=32MB -c max_connections=20
}
answers() {
	local i
	for i in $(seq 300); do
		pg_sql "$PG_PORT" "select 1" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}
load() { as_postgres "$PG_BIN/pgbench" -h "$PG_SOCKETS" -p "$PG_PORT" -c 2 -t "$1" -n postgres >"$WORK/pgbench.log" 2>&1; }
totals() { echo "$(pgbench_sums "$PG_PORT") $(pg_sql "$PG_PORT" 'select count(*) from pgbench_history')"; }
us() { echo $((${EPOCHREALTIME/./})); }
ms_since() { echo $((($(us) - $1) / 1000)); }
human() { numfmt --to=iec "$1"; }

docker volume create -d varve db >/dev/null || fail "docker volume create"
mkdir "$MNT/db/pg" && chown postgres: "$MNT/db/pg" && chmod 0700 "$MNT/db/pg"
expect "initdb in a container" docker run --rm --network none -v /usr:/usr:ro -u postgres -v db:/data bare "$PG_BIN/initdb" -D /data/pg -A trust -E UTF8 \
	--locale=C || exit 1
expect "a server on engine one" server env || exit 1
expect "it answers" answers || exit 1
expect "pgbench fills its tables" pgbench_fill "$PG_PORT" "$scale" || exit 1

# --- everything, while it works ---
load 2000 &
bench=$!
expect "a snapshot under load" docker varve snapshot create db@first
t=$(us)
docker varve -q send db@first | tee "$WORK/first" | two "$VARVE" -q receive
expect_eq "sent whole by docker varve send, received by the second store" "${PIPESTATUS[*]}" "0 0 0"
whole_ms=$(ms_since "$t")
wait $bench
expect_eq "the database had no error meanwhile" $? 0
load 500

# --- stop, the difference, start over there ---
expected=$(totals)
down=$(us)
expect "docker stop" docker stop server
"$VARVE" -q snapshot create db@last >/dev/null || fail "a snapshot of the stopped database"
t=$(us)
"$VARVE" -q send db@last --from first | tee "$WORK/last" | two "$VARVE" -q receive
expect_eq "what changed is sent and received" "${PIPESTATUS[*]}" "0 0 0"
difference_ms=$(ms_since "$t")
expect "varve rollback to it, over there" two "$VARVE" -q rollback -y db@last
expect "the same container on engine two" server two
expect "answers" answers
say "sent whole: $(human "$(stat -c %s "$WORK/first")") in $whole_ms ms, under load; the difference: $(human "$(stat -c %s "$WORK/last")") in" \
	"$difference_ms ms; from docker stop to an answer over there: $(ms_since "$down") ms"
expect_eq "everything is there" "$(totals)" "$expected"
expect "and sound" pg_sound "$PG_PORT"
expect "the difference is smaller than the whole" [ "$(stat -c %s "$WORK/last")" -lt $(($(stat -c %s "$WORK/first") / 2)) ]
expect_eq "engine two has the volume" "$(two docker volume inspect -f '{{.Driver}}' db)" varve

# --- and back, with what was done there ---
load 200
expected=$(totals)
two docker stop server >/dev/null || fail "docker stop on engine two"
two "$VARVE" -q snapshot create db@there >/dev/null || fail "a snapshot over there"
docker rm server >/dev/null
two "$VARVE" -q send db@there --from last | tee "$WORK/back" | "$VARVE" -q receive
expect_eq "back by what changed there" "${PIPESTATUS[*]}" "0 0 0"
expect "which is little" [ "$(stat -c %s "$WORK/back")" -lt $(($(stat -c %s "$WORK/first") / 2)) ]
say "back: $(human "$(stat -c %s "$WORK/back")")"
expect "varve rollback on engine one" docker varve -q rollback -y db@there
expect "the container on engine one again" server env
expect "answers" answers
expect_eq "with everything" "$(totals)" "$expected"
expect "and sound" pg_sound "$PG_PORT"
docker rm -f server >/dev/null
two docker rm -f server >/dev/null
expect "the second store is clean" two "$VARVE" check
check_store
finish
