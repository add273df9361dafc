#!/bin/bash
# PostgreSQL in a container of a real Docker engine, under pgbench, while the daemon is killed with -9 every two seconds: no client sees
# an error. Then an upgrade under the same load, and a container that fills its memory cgroup with dirty pages.
. "$(dirname "$0")/../lib/docker.sh"
. "$(dirname "$0")/../lib/pg.sh"

pg_require
seconds=$([ -n "$LONG" ] && echo 120 || echo 8)
docker_first_start

# The image is a bare root; programs come from the machine's /usr, read-only.
I=$WORK/image
mkdir -p "$I"/{usr,etc,tmp,proc,sys,dev,var,data,sockets}
chmod 1777 "$I/tmp"
for d in bin sbin lib lib64; do
	[ ! -L "/$d" ] || ln -s "usr/$d" "$I/$d"
done
cp /etc/passwd /etc/group "$I/etc/"
tar -C "$I" -c . | docker import - bare >/dev/null || fail "docker import"
bare() { docker run --network none -v /usr:/usr:ro "$@"; }

harness_start
[ "$(json_field possible status)" = true ] || skip "this kernel cannot hand a mount over (6.9)"
volume pg
mkdir "$VOL/data" && chown postgres: "$VOL/data" && chmod 0700 "$VOL/data"
chmod 0777 "$PG_SOCKETS"
expect "initdb in a container" bare --rm -u postgres -v "$VOL/data:/data" bare "$PG_BIN/initdb" -D /data -A trust -E UTF8 --locale=C || exit 1
# A statement that waits for more than the checkpointer's patience would be no error of ours, so no timeouts are set.
bare -d --name server -u postgres -v "$VOL/data:/data" -v "$PG_SOCKETS:/sockets" bare "$PG_BIN/postgres" -D /data -p "$PG_PORT" -k /sockets \
	-h '' -c shared_buffers=64MB -c max_wal_size=256MB -c checkpoint_timeout=30s -c max_connections=40 >/dev/null || fail "docker run"
for i in $(seq 300); do
	pg_sql "$PG_PORT" "select 1" >/dev/null 2>&1 && break
	sleep 0.1
done
expect "pgbench fills its tables" pgbench_fill "$PG_PORT" 2 || exit 1

complaints() { docker logs server 2>&1 | grep -cE 'PANIC|FATAL|ERROR|could not'; }
before=$(complaints) # of being asked before it was ready
# One error would end pgbench with a status.
exec_postgres "$PG_BIN/pgbench" -h "$PG_SOCKETS" -p "$PG_PORT" -c 4 -j 2 -T $((seconds + 4)) -n postgres >"$WORK/pgbench.log" 2>&1 &
bench=$!
started $bench
kills=0
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
	sleep 2
	harness_kill_daemon && kills=$((kills + 1)) || fail "kill $kills" "$(tail -n 3 "$LOG")"
done
wait $bench
expect_eq "no client of a PostgreSQL in a container sees an error in $seconds s with $kills kills" $? 0
expect_eq "none at all" "$(grep -ciE 'error|abort|fatal' "$WORK/pgbench.log")" 0
say "$(grep -E 'transactions actually|^tps|latency average' "$WORK/pgbench.log" | tr '\n' ' ')"
expect_eq "the server has never restarted" "$(docker inspect -f '{{.State.Running}} {{.RestartCount}}' server)" "true 0"
expect_eq "nor complained" "$(complaints)" "$before"
expect "the database is sound" pg_sound "$PG_PORT"

# An upgrade in place, under load: a program that cannot serve changes nothing, one that can takes over, supervisor and all.
exec_postgres "$PG_BIN/pgbench" -h "$PG_SOCKETS" -p "$PG_PORT" -c 4 -j 2 -T 5 -n postgres >"$WORK/pgbench2.log" 2>&1 &
bench=$!
started $bench
printf '#!/bin/sh\nexit 1\n' >"$WORK/broken" && chmod +x "$WORK/broken"
expect_fail "an upgrade to a program that cannot serve is refused" "$VARVE" upgrade "$WORK/broken"
version=$(json_field version status)
newer=${version%.*}.9
sed "s/${version//./\\.}/$newer/g" "$VARVED" >"$WORK/varved-$newer" && chmod +x "$WORK/varved-$newer"
supervisor=$(harness_pid)
expect "an upgrade to another version" "$VARVE" upgrade "$WORK/varved-$newer"
expect_eq "which serves now" "$(json_field version status)" "$newer"
expect_eq "under the same supervisor's process" "$(json_field supervisor status)" "$supervisor"
expect_eq "that runs the new program" "$(readlink "/proc/$supervisor/exe")" "$WORK/varved-$newer"
harness_kill_daemon || fail "kill after the upgrade"
expect_eq "as does the daemon that it starts" "$(json_field version status)" "$newer"
wait $bench
expect_eq "no client sees an error during upgrades" $? 0
expect "the database is sound after it" pg_sound "$PG_PORT"

# Memory: a container may fill its cgroup with dirty pages of the mount, the daemon may die meanwhile, and nothing waits for ever.
volume mem
megabytes=$([ -n "$LONG" ] && echo 400 || echo 100)
bare -d --name filler --memory 64m -v "$VOL:/data" bare /bin/sh -c '
	for i in 1 2 3; do dd if=/dev/zero of=/data/f$i bs=1M count='"$megabytes"' status=none || exit 1; done; sync; echo written' >/dev/null || fail "docker run"
for i in 1 2 3; do
	sleep 0.5
	harness_kill_daemon || fail "kill under memory pressure" "$(tail -n 3 "$LOG")"
done
expect "a container in 64 MiB writes 3 times $megabytes MiB to the end" timeout 120 docker wait filler
expect_eq "without an error" "$(docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' filler) $(docker logs filler 2>&1)" "0 false written"
expect_eq "all of it is there" "$(cat "$VOL"/f? | tr -d '\0' | wc -c) $(stat -c %s "$VOL/f3")" "0 $((megabytes * 1048576))"
# Where that may be set at all: a machine that is a container itself may forbid it.
want=$(sh -c 'echo -900 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj' 2>/dev/null)
expect_eq "supervisor and daemon are the last to go when memory is short" \
	"$(cat /proc/"$(harness_pid)"/oom_score_adj) $(cat /proc/"$(harness_daemon)"/oom_score_adj)" "$want $want"

docker stop server >/dev/null
docker rm -f server filler >/dev/null
check_store
finish
