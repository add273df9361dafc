#!/bin/bash
# Daemon and command line under valgrind: no invalid access, no decision on an uninitialised value, nothing lost at a clean exit.
# For the daemon other scripts do the work; what valgrind writes is a failure of theirs (harness.sh).
. "$(dirname "$0")/../lib/harness.sh"

command -v valgrind >/dev/null || skip "no valgrind"
${CC:-gcc} -shared -fPIC -o "$WORK/shim.so" "$HERE/tests/mount/valgrind_shim.c" || skip "no compiler"

# fuse-compatible: stat(2) is no system call for which valgrind lets other threads run, but of a daemon's own mount it waits for one of them.
# fair-sched: valgrind runs one thread at a time, and one that is busy may not keep the others from their turn.
for program in "$VARVE" "$VARVED"; do
	cat >"$WORK/${program##*/}" <<-SH
		#!/bin/sh
		export LD_PRELOAD=$WORK/shim.so
		exec valgrind -q --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \\
			--sim-hints=fuse-compatible --fair-sched=try --vgdb=no --log-file="\$REPORTS/valgrind.%p" "$program" "\$@"
	SH
	chmod +x "$WORK/${program##*/}"
done

for s in ${SCRIPTS:-mount/browse mount/rollback mount/clone}; do
	env LONG= VARVED="$WORK/varved" "$HERE/tests/$s.sh" 2>&1 | sed -uE "s!^(not )?ok - !&$s: !"
	[ "${PIPESTATUS[0]}" -eq 0 ] || FAILED=$((FAILED + 1))
done

# Each command once, with a daemon and without.
VARVE=$WORK/varve VARVED=$WORK/varved
export VARVE_PASSPHRASE=secret VARVE_REPOS=$WORK/repos
R=$WORK/backup
runs() { expect "varve $*" "$VARVE" "$@"; }
harness_start
cd "$WORK" || exit 1
runs volume create a -o quota=1G
cp -a "$HERE/store/base" "$MNT/a/"
runs snapshot create a@one
rm "$MNT/a/base/io.c"
runs snapshot create a@two
for c in status df "volume ls" "volume inspect a" "snapshot ls" "diff a@one a@two" "clone a@one b" "rollback -y a@one" "volume set a compression=none" \
	"volume rename b c" "snapshot hold a@two" "snapshot release a@two" "snapshot rm a@two" "export a -o a.tar" "check --data" gc "volume rm c" \
	"volume undelete c" "volume rm --purge c" "repo init $R" "push a@one $R" "repo ls $R" "pull $R a@one d" "restore $R a@one /base/err.c err.c" \
	"repo check --data $R" "repo forget $R a@one" "repo prune $R" "--json status" set version; do
	runs $c
done
expect "varve import" sh -c '"$1" import e <a.tar' - "$VARVE"
expect_fail "varve, of what is not there" "$VARVE" snapshot create none@x
harness_stop
runs check --data "$STORE"
runs --store "$STORE" export a -o "$WORK/b.tar"
runs init "$WORK/other"
finish
