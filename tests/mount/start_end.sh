#!/bin/bash
# Starting while something else still has the store: a varved that was killed or is ending, an offline command. And offline commands
# while a varved starts, ends or has just died. What a supervisor must not forget or lose over an upgrade, or when it can start nothing.
. "$(dirname "$0")/../lib/harness.sh"

OUT=$WORK/out
# another OPTION…: starts a second varved and waits for it; its status is in $rc, what it said in $OUT, how long it took in $ms
another() {
	local t=$(date +%s%N)
	"$VARVED" --store "$STORE" --mount "$MNT" --api "$VARVE_API" --log stderr --pidfile "$PIDFILE" "$@" >"$OUT" 2>&1 </dev/null
	rc=$?
	ms=$((($(date +%s%N) - t) / 1000000))
}
until_said() { # TEXT [FILE]
	local i
	for i in $(seq 200); do
		grep -qs -- "$1" "${2:-$OUT}" && return
		sleep 0.05
	done
	return 1
}
gone() { timeout 60 tail --pid="$1" -f /dev/null; }

# Should a second one serve where it must not.
at_exit '[ ! -s "$WORK/other.pid" ] || end_pid "$(cat "$WORK/other.pid")" TERM'
harness_start
volume v
echo one >"$VOL/one" && sync "$VOL/one"
supervisor=$(harness_pid)

# --- a varved that serves is said at once
another
expect_eq "a second varved is refused" "$rc" 1
expect_eq "in one line that says by whom" "$(<"$OUT")" \
	"varved: error: the store $STORE is in use by process $supervisor (varved) (use the running varved, or stop it first)"
expect "within about a second (it took $ms ms)" test "$ms" -lt 4000
another --api "$WORK/other.sock" --mount "$WORK/other" --pidfile "$WORK/other.pid"
expect_eq "also with a socket and a mount of its own" "$rc $(grep -c "in use by process $supervisor (varved)" "$OUT")" "1 1"
expect "the first one serves on" "$VARVE" status

# --- killed, and started again at that instant
for round in 1 2; do
	head -c 60000000 /dev/urandom >"$VOL/large"
	kill -KILL "$supervisor" "$(harness_daemon)"
	another
	expect_eq "a start right after kill -9 ($round)" "$rc $(grep -c error "$OUT")" "0 0"
	supervisor=$(harness_pid)
done
expect_eq "it has the store" "$(cat "$VOL/one")" one

# --- the supervisor alone is killed: the daemon writes everything out first
echo two >"$VOL/two"
kill -KILL "$supervisor"
another
expect_eq "a start right after kill -9 of the supervisor" "$rc $(cat "$VOL/two")" "0 two"
expect "it answers" "$VARVE" status

# --- stopped, and started again while that is under way
# stop_halfway: its daemon stands still in its end until it gets SIGCONT
stop_halfway() {
	supervisor=$(harness_pid)
	daemon=$(harness_daemon)
	kill -STOP "$daemon"
	kill -TERM "$supervisor"
	sleep 0.1
}
stop_halfway
another --wait 1
expect_eq "an end that takes longer than --wait" "$rc $(grep -cE 'error: .* in use by process [0-9]+ \(varved\) \(wait until' "$OUT")" "1 1"
another --wait 20 &
starting=$!
started $starting
expect "a start during an end waits, and says for whom" until_said 'in use by process .* (varved): waiting up to 20 s'
kill -CONT "$daemon"
wait $starting
gone "$supervisor"
expect "and then serves" "$VARVE" status
expect_eq "everything" "$(cat "$VOL/one" "$VOL/two" | tr '\n' ' ')" "one two "

# --- an offline command during an end
stop_halfway
"$VARVE" check >"$WORK/check.out" 2>&1 &
checking=$!
started $checking
sleep 1.5
kill -CONT "$daemon"
wait $checking
expect_eq "a check begun during an end is done without a daemon" "$? $(grep -c 'without a daemon' "$WORK/check.out") $(tail -n 1 "$WORK/check.out")" "0 1 The store is clean"
gone "$supervisor"

# --- a start while an offline command has the store
harness_mount || exit 1
head -c 3000000 /dev/urandom >"$VOL/large"
harness_stop
mkfifo "$WORK/fifo"
"$VARVE" export v >"$WORK/fifo" 2>"$WORK/export.out" &
exporting=$!
started $exporting
exec 8<"$WORK/fifo"
until_said 'without a daemon' "$WORK/export.out"
another --wait 1
expect_eq "a start beside an offline command that takes longer than --wait" \
	"$rc $(grep -c "in use by process $exporting (varve) (wait until that has ended)" "$OUT")" "1 1"
timeout -s INT 1 "$VARVED" --store "$STORE" --mount "$MNT" --api "$VARVE_API" --log stderr --pidfile "$WORK/broken-off.pid" \
	>"$WORK/broken-off" 2>&1 </dev/null
expect "a start that is broken off meanwhile waits no more" until_said 'when the start was broken off' "$WORK/broken-off"
unshare --pid --fork --kill-child "$VARVED" --foreground --store "$STORE" --mount "$MNT" --api "$VARVE_API" --log stderr \
	>"$WORK/first" 2>&1 </dev/null &
starting=$!
started $starting
until_said 'waiting up to' "$WORK/first"
kill -TERM "$(pgrep -P $starting)"
timeout 5 tail --pid=$starting -f /dev/null
expect_eq "one that is the first process of a container can be stopped meanwhile" $? 0
"$VARVE" check >"$WORK/check.out" 2>&1 &
checking=$!
started $checking
another --wait 20 &
starting=$!
started $starting
expect "it waits, and says for whom" until_said "in use by process $exporting (varve): waiting up to 20 s for it"
expect "so does another offline command" until_said "in use by process $exporting (varve): waiting for it" "$WORK/check.out"
cat <&8 >"$WORK/v.tar"
exec 8<&-
wait $exporting
expect_eq "the command does its work" "$? $(tar -tf "$WORK/v.tar" | grep -c large)" "0 1"
wait $starting
expect "the daemon serves then" "$VARVE" status
wait $checking
expect_eq "and the other command is done, with or without it" "$? $(tail -n 1 "$WORK/check.out")" "0 The store is clean"

# --- nobody comes between the death of a daemon and the next one, which has what was not synced
supervisor=$(harness_pid)
echo unsynced >"$VOL/unsynced"
kill -STOP "$supervisor"
kill -KILL "$(harness_daemon)"
expect_fail "an offline command that does not find the daemon's socket" "$VARVE" --api "$WORK/none.sock" import w -i "$WORK/v.tar"
expect "is told where to look" grep -q -- '--api' <("$VARVE" --api "$WORK/none.sock" check 2>&1)
another --api "$WORK/other.sock" --mount "$WORK/other" --pidfile "$WORK/other.pid"
expect_eq "another varved is refused too" "$rc" 1
"$VARVE" check >"$WORK/check.out" 2>&1 &
checking=$!
started $checking
sleep 0.5
kill -CONT "$supervisor"
wait $checking
expect_eq "a command that finds it waits for the next daemon" "$? $(grep -c 'without a daemon' "$WORK/check.out")" "0 0"
expect_eq "nothing is lost" "$(cat "$VOL/unsynced")" unsynced

# --- a socket that belongs to something else
harness_stop
# listen SECONDS: somebody else's program
listen() {
	python3 - "$VARVE_API" "$1" <<'PY' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(99)
time.sleep(float(sys.argv[2]))
PY
	listener=$!
	started $listener
	disown $listener
	until [ -S "$VARVE_API" ]; do sleep 0.02; done
}
# A daemon that breaks an import off, and dies again over the question why.
python3 - "$VARVE_API" "$STORE" <<'PY' &
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(9)
dying = 1
while True:
    c = s.accept()[0]
    while (asked := c.recv(65536)):
        if asked.startswith(b"PUT"):
            break
        if asked.startswith(b"GET /v1/jobs") and dying:
            dying -= 1
            break
        answer = json.dumps({"store": sys.argv[2], "jobs": []}).encode()
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    c.close()
PY
dying=$!
started $dying
disown $dying
until [ -S "$VARVE_API" ]; do sleep 0.02; done
"$VARVE" import w -i "$WORK/v.tar" >"$OUT" 2>&1
expect_eq "an import that is broken off, by a daemon that then dies, says so" "$? $(grep -c '^varve import: varved' "$OUT")" "1 1"
end_pid $dying KILL
rm "$VARVE_API"
listen 60
another
expect_eq "another program's socket is not taken" "$rc $(grep -c "another program (process $listener) listens on $VARVE_API" "$OUT")" "1 1"
end_pid $listener KILL
rm "$VARVE_API"
listen 0.5
another
expect_eq "unless that ends just then" "$rc" 0

# --- many at once
harness_stop
pids=()
for n in 1 2 3 4; do
	"$VARVED" --store "$STORE" --mount "$MNT" --api "$VARVE_API" --log stderr --pidfile "$PIDFILE" --wait 2 >"$WORK/many.$n" 2>&1 </dev/null &
	pids+=($!)
	started $!
done
serving=0
for n in 1 2 3 4; do
	wait "${pids[n - 1]}" && serving=$((serving + 1))
done
expect_eq "of four that are started at once, one serves" "$serving" 1
expect "on the socket" "$VARVE" status

# --- an upgrade that is refused, one whose program vanishes, and a stop in the middle of one
# program NAME COMMAND: does that, and is then varved
program() {
	printf '#!/bin/sh\n%s\nexec "%s" "$@"\n' "$2" "$VARVED" >"$WORK/$1"
	chmod +x "$WORK/$1"
}
supervisor=$(harness_pid)
program future 'export VARVED_DAEMON="1000 1 2 3"'
expect_fail "a program that does not understand what it is handed over does not take over" "$VARVE" upgrade "$WORK/future"
expect_eq "the pidfile stays" "$(harness_pid)" "$supervisor"
program vanishing 'rm -f "$0"'
expect "an upgrade to a program that is gone at once" "$VARVE" upgrade "$WORK/vanishing"
for i in $(seq 100); do
	grep -qs 'cannot be executed' "$WORK"/many.? && break
	sleep 0.05
done
# the daemon's helpers would keep the store and the mount from ending
expect_eq "leaves no descriptor of the supervisor to what is executed later" \
	"$(for f in "/proc/$supervisor/fd"/*; do
		case $(readlink "$f") in
		*memfd* | */fuse | "$STORE"/*) grep -q '^flags:.*[2367]......$' "/proc/$supervisor/fdinfo/${f##*/}" || readlink "$f" ;;
		esac
	done)" ""
kill -STOP "$supervisor"
"$VARVE" upgrade "$VARVED" >"$OUT" 2>&1 &
upgrading=$!
started $upgrading
sleep 0.5
kill -KILL "$(pgrep -P "$supervisor" -o)"
kill -CONT "$supervisor"
expect "a daemon that dies before it has handed over has done so all the same" timeout 20 tail --pid=$upgrading -f /dev/null
wait $upgrading
expect_eq "and the upgrade is done" "$? $(grep -c 'serves in place' "$OUT")" "0 1"
program slow '[ -z "$VARVED_DAEMON" ] || sleep 1'
"$VARVE" upgrade "$WORK/slow" >"$OUT" 2>&1 &
upgrading=$!
started $upgrading
sleep 0.5
kill -TERM "$supervisor"
expect "a stop in the middle of an upgrade is not forgotten" timeout 20 tail --pid="$supervisor" -f /dev/null
wait $upgrading
expect_fail "nothing is mounted then" mountpoint -q "$MNT"

# --- nothing can be started for a while: it waits
harness_mount || exit 1
supervisor=$(harness_pid)
echo kept >"$VOL/kept"
prlimit --pid "$supervisor" --nofile=3:
kill -KILL "$(harness_daemon)"
expect "a supervisor that has no descriptors left says so" until_said 'starting the daemon: Too many open files' "$LOG"
prlimit --pid "$supervisor" --nofile=1024:
expect_eq "and starts the daemon when it has" "$(cat "$VOL/kept")" kept
check_store "at the end" last
finish
