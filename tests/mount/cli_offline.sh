#!/bin/bash
# What the command line does without a daemon: init, check, help, and what it says of everything else. `check` reads the store only.
. "$(dirname "$0")/../lib/harness.sh"

cd "$WORK" || exit 1
# says WHAT CODE REGEX CMD…: the exit status, and what is on stderr.
says() {
	local what=$1 code=$2 pattern=$3 rc
	shift 3
	"$VARVE" "$@" >out 2>err
	rc=$?
	if [ $rc -ne "$code" ]; then
		fail "$what" "status $rc, not $code, of: varve $*" "$(<err)"
	elif [[ ! $(<err) =~ $pattern ]]; then
		fail "$what" "said: $(<err)" "expected: $pattern"
	else
		pass "$what"
	fi
}

# No store, no daemon
says "without a store it says to make one" 1 'varved is not running.*varve init' status
says "the same as JSON" 1 '^\{"error":\{"code":"ENOTCONN","message":"varved is not running' --json status
expect_eq "with nothing on stdout" "$(<out)" ""
says "check of no store" 1 '.' check

# init
says "init" 0 'varved --store' init
says "init by --store, new folders on the way" 0 '' --store "$WORK/a/b/store" -q init
expect_eq "its result" "$(<out)" "Made a store in $WORK/a/b/store"
says "init as JSON" 0 '' --json init "$WORK/json"
expect_eq "its result as JSON" "$(jq -r .store out)" "$WORK/json"
says "init of a store that is there" 1 '.' init
says "with a store it says how to start the daemon" 1 "varved --store $STORE --mount $MNT" volume ls
printf '' >"$WORK/dead.sock"
says "a socket that nobody listens on" 1 'not running' --api "$WORK/dead.sock" status
expect "a user without the right to speak to the daemon is told so" bash -c '
	mkdir -m 0700 "$1/closed" && cd / || exit 1
	out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$2" --api "$1/closed/api.sock" status 2>&1)
	[ $? -eq 1 ] && [[ $out == *permission* ]]' - "$WORK" "$VARVE"

# Words and options
says "no command" 2 'Usage: varve COMMAND'
says "a mistyped command" 2 "did you mean 'varve snapshot'" snapshto ls
says "a mistyped subcommand" 2 "did you mean 'varve volume rename'" volume renmae a b
says "another tool's word" 2 "did you mean 'varve volume ls'" volume list
says "a mistyped option" 2 "did you mean '--live'" rollback db@a --lvie
says "too few words" 2 'Usage: varve clone VOL' clone a
says "too many words" 2 "'c' is one word too many" volume rename a b c
says "a volume where a snapshot is needed" 1 'varve snapshot ls db' rollback db
says "an option that is no KEY=VALUE" 2 'KEY=VALUE' volume create db -o quota
says "a usage error as JSON" 2 '^\{"error":\{"code":"EINVAL"' volume --json
for name in '' . .. a/b a@b 'a b' -- "$(printf 'x%.0s' $(seq 129))"; do
	[ "$name" = -- ] && name=.hidden
	says "the name '${name:0:20}' is refused before a daemon is asked" 1 'name (cannot be empty|has at most)|cannot be a volume name' volume create "$name"
done

# Help
for cmd in '' volume 'volume create' snapshot 'snapshot rm' diff; do
	expect_eq "help and --help are one (varve $cmd)" "$("$VARVE" help $cmd | sha256sum)" "$("$VARVE" $cmd --help | sha256sum)"
done
expect_eq "version" "$("$VARVE" --version)" "varve $("$VARVE" version --json | jq -r .version)"
# As they are installed: a page that stands for another names it from above man1/.
mkdir -p man/man1 man/man8 && cp "$HERE"/tools/man/*.1 man/man1/ && cp "$HERE"/tools/man/*.8 man/man8/
for page in man/man?/*; do
	expect_eq "$(basename "$page") renders without a warning" "$(cd man && LC_ALL=C.UTF-8 man --warnings -l "${page#man/}" 2>&1 >/dev/null)" ""
done

# check, on a store that a daemon was killed over: its journal is still to be replayed
harness_mount || exit 1
volume v
head -c 3000000 /dev/urandom >"$VOL/file"
sync "$VOL/file"
harness_kill
umount -l "$MNT" 2>/dev/null
# The lock names who holds the store now, and -shm is rebuilt by whoever opens the database: all else is content.
content() { (cd "$STORE" && find . -type f -size +0 ! -name lock ! -name '*-shm' -exec sha256sum {} + | sort -k 2); }
before=$(content)
says "check without a daemon" 0 'without a daemon' check --data
expect_eq "finds the store clean" "$(<out)" "The store is clean"
expect_eq "and leaves every byte of it as it was" "$(content)" "$before"
says "as JSON" 0 '' --json check
expect_eq "with what it counted" "$(jq -r '.result.errors' out)" 0

# While a daemon serves one store, another can be checked.
harness_mount || exit 1
says "check through the daemon" 0 'Checked' check
says "check of another store beside it" 0 'without a daemon' check "$WORK/json"
says "the daemon's store, but its socket is not known" 1 "$(harness_pid)" --api "$WORK/none.sock" check
says "check is told where the daemon is" 1 '--api' --api "$WORK/none.sock" check
harness_stop
finish
