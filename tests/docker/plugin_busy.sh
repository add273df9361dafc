#!/bin/bash
# What the volume plugin only tells (Get, List, Path, Capabilities) it tells within a second, and truly, whatever else goes on: 200 volumes, heavy
# writing, jobs, changes of volumes by the engine and by the command line, daemons that are killed, replaced, or end in order.
#
# The script runs under a process that holds the plugin's socket, as systemd does.
if [ -z "${PLUGIN_SOCKET:-}" ]; then
	PLUGIN_SOCKET=$(mktemp -u "${TMPDIR:-/var/tmp}/varve-plugin.XXXXXX") exec python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(os.environ["PLUGIN_SOCKET"])
s.listen(4096)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.execv(sys.argv[1], sys.argv[1:])' "$0" "$@"
fi
. "$(dirname "$0")/../lib/harness.sh"
at_exit 'rm -f "$PLUGIN_SOCKET"'
# What else the machine is doing is not what is measured.
renice -n -10 -p $$ >/dev/null 2>&1
FOLDER=$(dirname "$0")
SECONDS_BUSY=$([ -n "$LONG" ] && echo 60 || echo 15)
VOLUMES=200

# A service manager: starts it as long as it is wanted, and passes the socket on.
start_daemon() {
	local i
	mkdir -p "$MNT"
	: >"$WORK/wanted"
	(
		trap - EXIT
		while [ -e "$WORK/wanted" ]; do
			LISTEN_FDS=1 "$BASH" -c 'LISTEN_PID=$$ exec "$@"' - "$VARVED" --store "$STORE" --mount "$MNT" --api "$VARVE_API" \
				--docker "$PLUGIN_SOCKET" --tmpfs "$WORK/tmpfs" --pidfile "$PIDFILE" --foreground --log stderr
		done
	) >>"$LOG" 2>&1 </dev/null &
	MANAGER=$!
	wait_mounted
}
wait_mounted() {
	local i
	for i in $(seq 600); do
		mountpoint -q "$MNT" && [ -s "$PIDFILE" ] && return 0
		sleep 0.05
	done
	fail "varved starts" "$(tail -n 5 "$LOG")"
	exit 1
}
stop_daemon() {
	rm -f "$WORK/wanted"
	harness_stop
	wait "$MANAGER"
}
at_exit 'rm -f "$WORK/wanted"'
plugin() { curl -s -m 60 --unix-socket "$PLUGIN_SOCKET" -H 'Host:' -d "$2" "http://x/VolumeDriver.$1"; }
# forever CMD…: in the background, until stop_load
LOAD=()
forever() {
	(
		trap - EXIT
		while [ ! -e "$WORK/stop" ]; do "$@"; done
	) >/dev/null 2>&1 3>&- &
	LOAD+=($!)
}
stop_load() {
	: >"$WORK/stop"
	wait "${LOAD[@]}"
	LOAD=()
	rm -f "$WORK/stop"
}
at_exit ': >"$WORK/stop"'

"$VARVE" init "$STORE" >>"$LOG" 2>&1 || skip "no store can be made"
[ -c /dev/fuse ] && [ "$(id -u)" = 0 ] || skip "needs root and /dev/fuse"
start_daemon
names=$(seq -f 'v%g' "$VOLUMES")
for n in $names; do
	[ "$(plugin Create "{\"Name\":\"$n\",\"Opts\":null}")" = '{"Err":""}' ] || fail "Create $n"
done
"$VARVE" snapshot create v1@base >>"$LOG" 2>&1

coproc PACE { exec "$FOLDER/plugin_pace.py" "$PLUGIN_SOCKET" "$MNT" $names >"$WORK/pace.out" 2>&1 3>&-; }
phase() { echo "$1" >&"${PACE[1]}"; }
sleep 2
phase "quiet"

# --- load ---
big_files() { dd if=/dev/urandom of="$MNT/v$1/big" bs=1M count=96 conv=notrunc,fsync; }
small_files() { rm -rf "$MNT/v$1/tree" && cp -a "$HERE/store" "$MNT/v$1/tree"; }
syncs() { dd if=/dev/zero of="$MNT/v$1/log" bs=4k count=200 oflag=dsync; }
engine() { # an engine's part: a volume comes, is mounted twice, and goes
	plugin Create "{\"Name\":\"e$1\",\"Opts\":{\"from\":\"v1@base\"}}"
	plugin Mount "{\"Name\":\"e$1\",\"ID\":\"$1\"}"
	plugin Mount "{\"Name\":\"v$1\",\"ID\":\"$1\"}"
	plugin Unmount "{\"Name\":\"v$1\",\"ID\":\"$1\"}"
	plugin Remove "{\"Name\":\"e$1\"}"
	sleep 0.2
}
jobs_of_all_kinds() { "$VARVE" gc; "$VARVE" check --data; }
lineage() { # of depth 20, which is flattened
	local i last=v2
	for i in $(seq 20); do
		"$VARVE" clone "$last" "d$i"
		last=d$i
		echo "$i" >"$MNT/d$i/$i"
	done
	sleep 1
	"$VARVE" volume rm -y --force $(seq -f 'd%g' 20)
}
snapshots() { "$VARVE" snapshot create v3@s v4@s v5@s && "$VARVE" rollback -y --live v6@s; "$VARVE" snapshot rm v3@s v4@s v5@s; }
"$VARVE" snapshot create v6@s >>"$LOG" 2>&1
write() {
	forever big_files 2
	forever big_files 3
	forever small_files 4
	forever small_files 6
	forever syncs 5
}
write
for i in 11 12 13 14; do forever engine $i; done
forever jobs_of_all_kinds
forever lineage
forever snapshots
sleep "$SECONDS_BUSY"
phase "busy"

# --- the daemon is killed under it ---
if [ "$(json_field possible status)" = true ]; then
	end=$((SECONDS + SECONDS_BUSY))
	kills=0
	while [ $SECONDS -lt $end ]; do
		sleep 1.$RANDOM
		harness_kill_daemon && kills=$((kills + 1))
	done
	expect "$kills kills" test "$kills" -gt 3
	phase "busy, and killed"
	stop_load
	write
	forever jobs_of_all_kinds
	forever lineage
	forever snapshots
	forever engine 11
	sleep 2
	for i in 1 2 3; do expect "an upgrade under load ($i)" "$VARVE" upgrade "$VARVED"; done
	sleep 1
	phase "busy, and upgraded"
fi

# --- it ends in order, and the service manager starts it again; what would open the store itself meanwhile is not there ---
stop_load
write
forever engine 11
sleep 3
kill -TERM "$(harness_pid)"
while kill -0 "$(harness_pid)" 2>/dev/null; do sleep 0.1; done
wait_mounted
sleep 1
phase "busy, and restarted"
stop_load
exec {PACE[1]}>&-
wait $PACE_PID
rc=$?
cat "$WORK/pace.out"
[ $rc -eq 0 ] || FAILED=$((FAILED + 1))
stop_daemon
expect "varve check finds nothing wrong" "$VARVE" check --data "$STORE"
finish
