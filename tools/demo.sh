#!/bin/bash
# The main job on real input, told as the commands that a user would type: a PostgreSQL on a volume is snapshotted under load,
# destroyed, rolled back and cloned. Everything lives in one temporary folder and goes with it. Fails at the first step that does not hold.
set -eu -o pipefail
HERE=$(cd "$(dirname "$0")/.." && pwd)
VARVE=${VARVE:-$HERE/build/out/varve}
VARVED=${VARVED:-$HERE/build/out/varved}
PG=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ "$(id -u)" = 0 ] || { echo "demo: run as root (it mounts a filesystem)" >&2; exit 1; }

D=$(mktemp -d "${TMPDIR:-/var/tmp}/varve-demo.XXXXXX")
chmod 0755 "$D"
mkdir "$D/bin" "$D/run"
ln -s "$VARVE" "$D/bin/varve"
ln -s "$VARVED" "$D/bin/varved"
chown postgres: "$D/run"
PATH=$D/bin:$PG:$PATH
bench=
cd "$D"

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
chapter() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
shown() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; }
# The words of a command as they would be typed, quoted only where that is needed.
typed() {
	local w out=
	for w; do
		[[ $w =~ ^[A-Za-z0-9_./@:=+-]+$ ]] || w="'${w//\'/\'\\\'\'}'"
		out+="${out:+ }$w"
	done
	printf '%s' "$out"
}
# Shows a command as it would be typed, and runs it.
run() { shown "$(typed "$@")" && "$@"; }
die() { printf '\ndemo: %s\n' "$*" >&2; exit 1; }
# As user postgres. setpriv becomes the command, so that a background job's pid is the program's own.
pg() { HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
pgrun() { shown "runuser -u postgres -- $(typed "$@")" && (pg "$@"); }
sql() { (pg psql -h "$D/run" -p "$1" -XAtqc "$2" postgres); }

clean_up() {
	local rc=$? dir
	trap - EXIT
	trap : INT TERM # a second one must not cut this short
	set +e
	[ -z "$bench" ] || kill "$bench" 2>/dev/null
	for dir in mnt/shop/data mnt/shop-test/data; do
		[ ! -f "$D/$dir/postmaster.pid" ] || (pg pg_ctl -D "$D/$dir" -m immediate -s stop) >/dev/null 2>&1
	done
	cd /
	if [ -f "$D/varved.pid" ]; then
		local pid
		pid=$(cat "$D/varved.pid")
		kill -TERM "$pid" 2>/dev/null
		for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
		kill -KILL "$pid" 2>/dev/null
	fi
	umount -l "$D/mnt" 2>/dev/null
	if [ $rc -ne 0 ]; then
		echo "demo: FAILED (status $rc)" >&2
		tail -n 20 "$D"/*.log "$D"/run/*.log >&2
	fi
	rm -rf --one-file-system "$D"
	exit $rc
}
trap clean_up EXIT
trap 'exit 130' INT TERM

sums() {
	sql "$1" "select 'rows ' || (select count(*) from pgbench_accounts) || ', sums: accounts ' || (select sum(abalance) from pgbench_accounts)
		|| ', branches ' || (select sum(bbalance) from pgbench_branches) || ', tellers ' || (select sum(tbalance) from pgbench_tellers)
		|| ', history ' || (select coalesce(sum(delta), 0) from pgbench_history)"
}
# The server on port $1 holds all rows, pgbench's four sums are one, and every index and page checks.
prove() {
	local line a b c d rows
	line=$(sums "$1") || die "the tables are not there"
	echo "$line"
	read -r rows a b c d < <(sed -E 's/[^0-9-]+/ /g' <<<"$line")
	[ "$rows" = 500000 ] || die "rows are missing: $rows of 500000"
	[ "$a" = "$b" ] && [ "$b" = "$c" ] && [ "$c" = "$d" ] || die "the sums differ"
	pgrun pg_amcheck -h "$D/run" -p "$1" --install-missing --heapallindexed -d postgres || die "pg_amcheck found damage"
	echo "pg_amcheck: every table and index is sound; the sums agree"
}
start() { # start DATADIR PORT
	pgrun pg_ctl -D "$1" -o "-p $2 -k $D/run -c listen_addresses=" -l "$D/run/pg-$2.log" -w -s start
}

chapter "A store, mounted"
run export VARVE_STORE="$D/store" VARVE_MOUNT="$D/mnt" VARVE_API="$D/api.sock"
run varve init "$D/store"
mkdir "$D/mnt"
# no plugin on this machine's engine
export VARVE_DOCKER=none
run varved --store "$D/store" --mount "$D/mnt" --api "$D/api.sock" --pidfile "$D/varved.pid" 2>varved.log

chapter "A volume with a PostgreSQL on it, and pgbench at work"
run varve volume create shop
run install -d -o postgres -m 0700 mnt/shop/data
pgrun initdb -D "$D/mnt/shop/data" -A trust | sed '/^$/,$d'
start "$D/mnt/shop/data" 15432
pgrun pgbench -h "$D/run" -p 15432 -i -q -s 5 postgres 2>pgbench-init.log
shown "runuser -u postgres -- pgbench -h $D/run -p 15432 -c 4 -j 2 -T 600 -n postgres &"
pg pgbench -h "$D/run" -p 15432 -c 4 -j 2 -T 600 -n postgres >pgbench.log 2>&1 &
bench=$!
sleep 4
before=$(sql 15432 'select count(*) from pgbench_history')
echo "$before transactions so far, and going on"

chapter "A snapshot under that load"
shown "varve --json snapshot create shop@before-lunch"
json=$(varve --json snapshot create shop@before-lunch)
echo "$json"
fence=$(jq -r 'first(.. | objects | .fence_us // empty)' <<<"$json")
cut=$(jq -r 'first(.. | objects | .cut_us // empty)' <<<"$json")
[ -n "$fence" ] && [ -n "$cut" ] || die "no times in the reply"
printf 'fence (dirty data brought in): %s us; cut (writers held back): %s us\n' "$fence" "$cut"
kill -0 $bench || die "pgbench did not survive the snapshot"
sleep 1
run varve snapshot ls shop

chapter "The disaster"
kill $bench
wait $bench 2>/dev/null || true
bench=
pgrun psql -h "$D/run" -p 15432 -c "drop table pgbench_accounts, pgbench_tellers, pgbench_branches, pgbench_history"
[ -z "$(sql 15432 "select 1 from pg_class where relname like 'pgbench_%'")" ] || die "the tables are still there"
pgrun pg_ctl -D "$D/mnt/shop/data" -m fast -w -s stop

chapter "Rolled back"
run varve --yes rollback shop@before-lunch
# The server was running in the snapshot, so its pid file is in it; that pid may be anyone's by now.
run rm -f mnt/shop/data/postmaster.pid
start "$D/mnt/shop/data" 15432
prove 15432
after=$(sql 15432 'select count(*) from pgbench_history')
[ "$after" -ge "$before" ] || die "transactions committed before the snapshot are missing: $after of $before"
echo "$after transactions are in it: every one that was committed before the snapshot was asked for ($before), and some during it"

chapter "A clone, with a second server beside the first"
run varve clone shop shop-test
# The clone has the running server's pid file in it.
run rm -f mnt/shop-test/data/postmaster.pid
start "$D/mnt/shop-test/data" 15433
prove 15433
pgrun psql -h "$D/run" -p 15433 -c "truncate pgbench_history"
echo "rows of history: $(sql 15433 'select count(*) from pgbench_history') in the clone, $(sql 15432 'select count(*) from pgbench_history') in the original"
[ "$(sql 15432 'select count(*) from pgbench_history')" = "$after" ] || die "the clone's change shows in the original"

chapter "Status"
run varve volume ls
run varve status
run varve df

chapter "Cleaned up"
for dir in shop-test shop; do
	pgrun pg_ctl -D "$D/mnt/$dir/data" -m fast -w -s stop
done
run kill "$(cat varved.pid)"
for _ in $(seq 300); do [ -e "/proc/$(cat varved.pid 2>/dev/null || echo none)" ] || break; sleep 0.1; done
! mountpoint -q mnt || die "the mount is still there"
run varve check
printf '\n%sThe demo holds: snapshot, rollback and clone of a running PostgreSQL.%s\n' "$bold" "$plain"
