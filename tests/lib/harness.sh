# Sourced by every mounted test: a store in a temporary folder, its mount, and assertions.
#
#   harness_start            makes the store and mounts it: $WORK (scratch), $STORE, $MNT
#   harness_stop             SIGTERM to the daemon: everything flushed, cleanly unmounted
#   harness_mount            starts the daemon again
#   harness_kill             kill -9 of supervisor and daemon: nothing in memory survives
#   harness_kill_daemon      kill -9 of the daemon alone; returns once the next one serves
#   expect 'what' cmd…       the command succeeds           expect_fail 'what' cmd…   it fails
#   expect_eq 'what' A B     two strings are equal          fail 'what'               an outright failure
#   skip 'why'               ends the script: this machine cannot run it
#   finish                   the script's last line
#
# Each assertion prints "ok - what" or "not ok - what"; tests/lib/check.sh counts these lines. A script goes on after a failure.
# Only what this script started is ended, by pid, also when it is interrupted.

set -u
# On a terminal varve asks before it removes something; here nobody is there to answer.
exec </dev/null
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# A script may be anywhere when it runs a program.
B=$(realpath -m "${B:-$HERE/build/out}")
VARVE=${VARVE:-$B/varve}
VARVED=${VARVED:-$B/varved}
LONG=${LONG:-}

WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/varve-test.XXXXXX") || exit 1
chmod 0755 "$WORK"
STORE=$WORK/store
MNT=$WORK/mnt
export VARVE_STORE=$STORE VARVE_MOUNT=$MNT VARVE_API=$WORK/api.sock
# No plugin on this machine's engine; a test of it says so.
export VARVE_DOCKER=${VARVE_DOCKER:-none}
PIDFILE=$WORK/varved.pid
LOG=$WORK/varved.log
# Where a build with sanitizers writes what it finds, whichever process finds it; whoever it runs as may write there.
export REPORTS=$WORK/reports
mkdir -m 1777 "$REPORTS"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:log_path=$REPORTS/asan${ASAN_OPTIONS:+:$ASAN_OPTIONS}
# thread leaks: of tests whose processes end in the middle of something
TSAN_OPTIONS=suppressions=$HERE/tests/lib/tsan.supp:print_suppressions=0:report_thread_leaks=0${TSAN_OPTIONS:+:$TSAN_OPTIONS}
export TSAN_OPTIONS=second_deadlock_stack=1:log_path=$REPORTS/tsan:$TSAN_OPTIONS
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$REPORTS/ubsan${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
FAILED=0
HARNESS_PIDS=()
HARNESS_CLEANUPS=()

say() { printf '# %s\n' "$*"; }
pass() { printf 'ok - %s\n' "$1"; }
fail() {
	printf 'not ok - %s\n' "$1"
	[ $# -lt 2 ] || printf '#   %s\n' "${@:2}"
	FAILED=$((FAILED + 1))
}
skip() {
	printf 'skipped: %s\n' "$1"
	exit 77
}

expect() {
	local what=$1 out rc
	shift
	out=$("$@" 2>&1)
	rc=$?
	if [ $rc -eq 0 ]; then
		pass "$what"
	else
		fail "$what" "status $rc of: $*" "$(printf '%s' "$out" | tail -n 20 | sed '2,$s/^/#   /')"
	fi
	return $rc
}

expect_fail() {
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		fail "$what" "succeeded: $*" "$(printf '%s' "$out" | tail -n 5 | sed '2,$s/^/#   /')"
		return 1
	fi
	pass "$what"
}

expect_eq() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "got:      $2" "expected: $3"
		return 1
	fi
}

# Later clean-ups run first.
at_exit() { HARNESS_CLEANUPS+=("$1"); }

# Remembers a background process, to be ended with the script.
started() { HARNESS_PIDS+=("$1"); }

# Ends a process that this script started and waits for it.
end_pid() {
	local pid=$1 sig=${2:-TERM} i
	kill "-$sig" "$pid" 2>/dev/null || return 0
	for i in $(seq 600); do
		kill -0 "$pid" 2>/dev/null || return 0
		case $(ps -o stat= -p "$pid" 2>/dev/null) in
		Z*l*) ;; # the first thread has ended, others still hold what the process has open
		Z*) # a child of this shell stays a zombie until it is waited for
			wait "$pid" 2>/dev/null
			return 0
			;;
		esac
		sleep 0.1
	done
	return 1
}

harness_pid() { cat "$PIDFILE" 2>/dev/null; }

harness_mount() {
	mkdir -p "$MNT" 2>/dev/null
	if ! "$VARVED" --store "$STORE" --mount "$MNT" --api "$VARVE_API" --pidfile "$PIDFILE" --log stderr \
		${VARVED_ARGS:-} >>"$LOG" 2>&1 </dev/null; then
		fail "varved starts" "$(tail -n 20 "$LOG" | sed '2,$s/^/#   /')"
		return 1
	fi
	mountpoint -q "$MNT" || { fail "the mount is there when varved has returned"; return 1; }
}

harness_start() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -c /dev/fuse ] || skip "no /dev/fuse"
	"$VARVE" init "$STORE" >>"$LOG" 2>&1 || {
		fail "varve init" "$(tail -n 5 "$LOG")"
		exit 1
	}
	harness_mount || exit 1
}

harness_stop() {
	local pid
	pid=$(harness_pid)
	[ -n "$pid" ] || return 0
	if ! end_pid "$pid" TERM; then
		fail "varved ends on SIGTERM within 60 s"
		harness_kill
		return 1
	fi
	if mountpoint -q "$MNT"; then
		fail "the mount is gone after SIGTERM"
		umount -l "$MNT"
		return 1
	fi
	rm -f "$PIDFILE"
}

# The daemon proper, the supervisor's child.
harness_daemon() { pgrep -P "$(harness_pid)" -o; }

harness_kill() {
	local pid pids
	pid=$(harness_pid)
	# Both at once: the daemon would end in order when its supervisor does, and the supervisor start another.
	[ -z "$pid" ] || pids="$pid $(pgrep -P "$pid" -d ' ')"
	kill -KILL ${pids:-} 2>/dev/null
	for pid in ${pids:-}; do
		end_pid "$pid" KILL
	done
	rm -f "$PIDFILE"
}

harness_kill_daemon() {
	local pid
	pid=$(harness_daemon) || return 1
	kill -KILL "$pid" || return 1
	[ "$(json_field pid status 2>/dev/null)" != "$pid" ]
}

# The start of each report is enough to see where; KEEP=1 keeps them whole.
harness_reports() {
	local report
	for report in "$REPORTS"/*; do
		[ -s "$report" ] && fail "no sanitizer finds anything" "$(head -n 60 "$report" | sed '2,$s/^/#   /')"
	done
}

harness_exit() {
	local rc=$? i pid
	trap - EXIT
	# timeout(1) sends its signal twice; the second must not cut this short.
	trap : INT TERM
	for ((i = ${#HARNESS_CLEANUPS[@]} - 1; i >= 0; i--)); do
		eval "${HARNESS_CLEANUPS[i]}"
	done
	for pid in "${HARNESS_PIDS[@]}"; do
		# Once waited for, its number may have become that of anybody's process.
		[ "$(ps -o ppid= -p "$pid")" -eq $$ ] 2>/dev/null || continue
		end_pid "$pid" TERM || end_pid "$pid" KILL
	done
	cd / || true
	pid=$(harness_pid)
	if [ -n "$pid" ]; then
		end_pid "$pid" TERM || harness_kill
	fi
	umount -l "$MNT" 2>/dev/null
	harness_reports
	if [ "$FAILED" -gt 0 ] && [ -s "$LOG" ]; then
		echo "# the daemon's log ends:"
		tail -n 20 "$LOG" | sed 's/^/#   /'
	fi
	if [ -n "${KEEP:-}" ]; then
		echo "# kept: $WORK"
	else
		rm -rf --one-file-system "$WORK"
	fi
	[ $rc -ne 0 ] || [ "$FAILED" -eq 0 ] || rc=1
	exit $rc
}
trap harness_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

finish() { exit $((FAILED > 0)); }

# A volume and the path of its directory in $VOL.
volume() {
	"$VARVE" volume create "$@" >>"$LOG" 2>&1 || {
		fail "varve volume create $*" "$(tail -n 3 "$LOG")"
		exit 1
	}
	VOL=$MNT/$1
}

# The value of the first field FIELD anywhere in a command's JSON.
json_field() {
	local field=$1
	shift
	"$VARVE" --json "$@" | jq -r --arg f "$field" 'first(.. | objects | select(has($f)) | .[$f])'
}

# Stops the daemon, lets `varve check` recount everything, and (unless told "last") mounts again.
check_store() {
	harness_stop || return 1
	expect "varve check finds nothing wrong${1:+ ($1)}" "$VARVE" check --data "$STORE"
}

# One line per entry of a tree: type, mode, owner, links, size, link target, name, and the content's hash. Compares two trees exactly.
tree_list() {
	(cd "$1" && find . -mindepth 1 \( -type d -printf '%y %m %U:%G - - %P\n' -o -printf '%y %m %U:%G %n %s %l %P %T@\n' \) | LC_ALL=C sort)
	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}

# The kernel's caches, so that a read comes from the daemon.
drop_caches() { echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true; }

# A seed for random data, printed so that a failure can be replayed with SEED=N.
harness_seed() {
	SEED=${SEED:-$RANDOM$RANDOM}
	say "SEED=$SEED"
}
