#!/bin/bash
# Runs test suites and counts. Usage: check.sh quick | all | scripts FILE… | tsan | mount-asan | mount-tsan | valgrind. Called by make, which sets B, O and MAKE.
#
# A step's output is scanned for "ok - …" and "not ok - …" lines and for cmocka's totals; a step that prints neither counts as one
# test, by its exit status. The last line is "N passed, N failed"; the exit status says whether any failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
MAKE=${MAKE:-make}
O=${O:-build}
OUT=${O#"$PWD/"} # as the Makefile names what it makes
B=${B:-$OUT/out}
JOBS=$(nproc)
LOGS=$OUT/logs
mkdir -p "$LOGS"
TALLY=$LOGS/tally # a line for each step: passed, failed, and why it was skipped
: >"$TALLY"

# step NAME CMD…: status 0 when all of it passed.
step() {
	local name=$1 log ok bad cm_ok cm_bad rc why t0=$SECONDS
	shift
	log=$LOGS/$(printf '%s' "$name" | tr -c 'A-Za-z0-9._\n-' _).log
	"$@" >"$log" 2>&1 </dev/null
	rc=$?
	if [ $rc -eq 77 ]; then
		why="$name: $(sed -n 's/^skipped: //p' "$log" | tail -n 1)"
		echo "0 0 $why" >>"$TALLY"
		printf '  skip  %s\n' "$why"
		return 0
	fi
	ok=$(grep -c '^ok ' "$log")
	bad=$(grep -c '^not ok ' "$log")
	cm_ok=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	cm_bad=$(sed -nE 's/^\[  FAILED  \] .*: ([0-9]+) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	ok=$((ok + cm_ok)) bad=$((bad + cm_bad))
	# Failing without naming a failure is one failure; passing silently is one pass.
	[ $rc -eq 0 ] || [ $bad -gt 0 ] || bad=1
	[ $rc -ne 0 ] || [ $((ok + bad)) -gt 0 ] || ok=1
	echo "$ok $bad" >>"$TALLY"
	if [ $bad -eq 0 ]; then
		printf '  ok    %-34s %5d passed  %4d s\n' "$name" "$ok" $((SECONDS - t0))
		return 0
	fi
	printf '%s\n' "$(
		printf '  FAIL  %-34s %5d passed, %d failed  %d s; %s ends:\n' "$name" "$ok" "$bad" $((SECONDS - t0)) "$log"
		{ grep -A 6 '^not ok ' "$log" | head -n 60; echo ...; tail -n 25 "$log"; } | sed 's/^/        /'
	)"
	return 1
}

# The same beside others, as many at once as there are processors; `wait` is for the end of all of them.
beside() {
	while [ "$(jobs -pr | wc -l)" -ge "$JOBS" ]; do
		wait -n
	done
	step "$@" &
}

total() {
	local ok bad why passed=0 failed=0
	while read -r ok bad why; do
		passed=$((passed + ok)) failed=$((failed + bad))
		[ -z "$why" ] || echo "skipped: $why"
	done <"$TALLY"
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}

units() {
	local variant=$1 bin
	shift
	for bin in "$@"; do
		beside "unit${variant}/${bin#*/tests/unit/}" "$bin"
	done
}

unit_bins() { # unit_bins FOLDER MODULE-REGEX
	local src
	for src in tests/unit/*/test_*.c; do
		[[ $src =~ ^tests/unit/($2)/ ]] && printf '%s/%s\n' "$1" "${src%.c}"
	done
}

scripts() {
	local s
	for s in "$@"; do
		step "${s#tests/}" "$s"
	done
}

# Mounted tests keep out of each other's way, but not of what a benchmark would show: none of them depends on time.
scripts_beside() {
	local s
	for s in "$@"; do
		beside "${s#tests/}" "$s"
	done
	wait
}

# the quick run does the same work every time; the long one looks for what it missed
[ "${1:-}" = quick ] && SEED=${SEED:-1}
SEED=${SEED:-$(date +%s)}
export SEED
# faults VARIANT FOLDER OPTIONS…
faults() {
	local variant=$1 folder=$2
	shift 2
	beside "faults$variant ($*)" "$folder/tests/faults/faults" "$@"
}
# fuzz VARIANT FOLDER RUNS
fuzz() {
	local bin
	for bin in tests/fuzz/fuzz_*.c; do
		bin=${bin%.c}
		beside "fuzz$1/${bin##*/} ($3 runs, seed $SEED)" "$2/$bin" --runs "$3" --seed "$SEED"
	done
}
model() { beside "model${1} ($3 operations, seed $SEED)" "$2/tests/model/model" --ops "$3" --seed "$SEED"; }

# crash VARIANT FOLDER MOMENTS
crash() { beside "crash${1} ($3 moments, seed $SEED)" "$2/tests/crash/crash" --points "$3" --seed "$SEED"; }

build() { step "build" $MAKE --no-print-directory -j"$JOBS" O="$O" all test-bins || total; }

san=address,undefined
sanitized() {
	step "build with $san" $MAKE --no-print-directory -j"$JOBS" O="$O" SANITIZE=$san unit-bins "$OUT/out-address-undefined/tests/model/model" \
		"$OUT/out-address-undefined/tests/faults/faults" "$OUT/out-address-undefined/tests/crash/crash" fuzz-bins ||
		return
	local bins
	mapfile -t bins < <(unit_bins "$OUT/out-address-undefined" '.*')
	units "-asan" "${bins[@]}"
	model "-asan" "$OUT/out-address-undefined" "$1"
	faults "-asan" "$OUT/out-address-undefined" --stride "$2"
	crash "-asan" "$OUT/out-address-undefined" $(($1 / 200))
	fuzz "-asan" "$OUT/out-address-undefined" "$3"
	wait
}

tsan() {
	step "build with thread" $MAKE --no-print-directory -j"$JOBS" O="$O" SANITIZE=thread unit-bins || return
	local bins
	mapfile -t bins < <(unit_bins "$OUT/out-thread" 'base|chunk|journal|volume|maint|repo|fs|docker')
	# thread leaks: of tests whose processes end in the middle of something
	TSAN_OPTIONS=report_thread_leaks=0 units "-tsan" "${bins[@]}"
	wait
}

# UBSan and AddressSanitizer do not see uninitialised values. Without test_ring: it steps through its child's instructions with ptrace(2),
# and those would be valgrind's.
valgrind_units() {
	local bin
	local -a valgrind=(valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect --fair-sched=try --vgdb=no)
	step "valgrind" sh -c 'command -v valgrind >/dev/null || { echo "skipped: there is none"; exit 77; }'
	command -v valgrind >/dev/null || return
	beside "model-valgrind (2000 operations, seed $SEED)" "${valgrind[@]}" "$B/tests/model/model" --ops 2000 --seed "$SEED"
	for bin in "$@"; do
		[[ $bin == */test_ring ]] || beside "unit-valgrind/${bin#*/tests/unit/}" "${valgrind[@]}" "$bin"
	done
	wait
}

# The longest first, so that none is left to run alone at the end.
quick_scripts=(
	tests/mount/postgres.sh tests/docker/plugin.sh tests/mount/takeover.sh tests/docker/takeover.sh tests/mount/sqlite.sh
	tests/mount/full_disk.sh tests/mount/posix.sh tests/mount/archive.sh tests/mount/fio.sh tests/mount/kill.sh tests/mount/package.sh
	tests/mount/repo.sh tests/mount/send.sh tests/mount/repo_ssh.sh tests/mount/repo_s3.sh tests/mount/tar.sh tests/mount/git.sh tests/mount/cli.sh
	tests/mount/failing_disk.sh tests/mount/start_end.sh tests/mount/at_once.sh tests/mount/cli_offline.sh tests/mount/cli_output.sh
	tests/mount/rot.sh tests/mount/prompt.sh tests/mount/browse.sh tests/mount/rollback.sh tests/mount/clone.sh tests/mount/trash.sh tests/mount/gc.sh
	tests/docker/bind_mount.sh tests/docker/plugin_api.sh tests/docker/units.sh
)

# The quick mounted tests under daemons, commands and clients that are built with a sanitizer: harness.sh makes a failure of what one reports.
# Not what is about a package or units, which have no such build, nor what preloads a library of its own.
# mounted VARIANT FOLDER SANITIZER
mounted() {
	local s folder
	folder=$(realpath -m "$2")
	step "build with $3" $MAKE --no-print-directory -j"$JOBS" O="$O" SANITIZE="$3" all unit-bins "$2/tests/mount/posix" ||
		return
	for s in "${quick_scripts[@]}"; do
		case $s in
		*/package.sh | */units.sh | */failing_disk.sh) ;;
		*) beside "${s#tests/}$1" env LONG= B="$folder" VARVE="$folder/varve" VARVED="$folder/varved" "$s" ;;
		esac
	done
	wait
}
mounted_asan() { mounted -asan "$OUT/out-address-undefined" "$san"; }
mounted_tsan() { mounted -tsan "$OUT/out-thread" thread; }

case ${1:-} in
quick | all)
	step "include directions" tests/check_includes.sh
	build
	mapfile -t bins < <(unit_bins "$B" '.*')
	if [ "$1" = quick ]; then
		crash "" "$B" 1000
		model "" "$B" 20000
		units "" "${bins[@]}"
		scripts_beside "${quick_scripts[@]}"
		sanitized 20000 97 5000
	else
		export LONG=1
		model "" "$B" 1000000
		crash "" "$B" 10000
		units "" "${bins[@]}"
		# SQLite's allocations are most of it, and no processor is to be idle
		for part in $(seq "$JOBS"); do
			faults "" "$B" --part "$part/$JOBS"
		done
		wait
		scripts tests/mount/*.sh tests/docker/*.sh
		sanitized 100000 7 300000
		mounted_asan
		tsan
		mounted_tsan
		valgrind_units "${bins[@]}"
	fi
	;;
scripts)
	shift
	scripts "$@"
	;;
tsan) tsan ;;
mount-asan) mounted_asan ;;
mount-tsan) mounted_tsan ;;
valgrind)
	build
	mapfile -t bins < <(unit_bins "$B" '.*')
	valgrind_units "${bins[@]}"
	scripts tests/mount/valgrind.sh
	;;
*)
	echo "usage: $0 quick | all | scripts FILE… | tsan | mount-asan | mount-tsan | valgrind" >&2
	exit 2
	;;
esac
total
