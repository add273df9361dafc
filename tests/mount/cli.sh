#!/bin/bash
# The command line against a running daemon: names, refusals, what they say, JSON everywhere, exit codes.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
cd "$WORK" || exit 1

# refused CODE PATTERN CMD…: the exit code, and a message that says why.
refused() {
	local code=$1 pattern=$2 out rc
	shift 2
	out=$("$VARVE" "$@" 2>&1)
	rc=$?
	if [ $rc -ne "$code" ]; then
		fail "varve $* exits with $code" "it was $rc: $out"
	elif ! grep -qiE -- "$pattern" <<<"$out"; then
		fail "varve $* says /$pattern/" "$out"
	else
		pass "varve $*: $(head -n 1 <<<"$out")"
	fi
}
ok() { expect "varve $*" "$VARVE" "$@"; }

# Names
ok volume create shop
ok volume create "$(printf 'n%.0s' $(seq 128))"
refused 1 'already' volume create shop
for bad in '' . .. a/b a@b '@' "$(printf 'x%.0s' $(seq 129))"; do
	"$VARVE" volume create "$bad" >/dev/null 2>"$WORK/err"
	rc=$?
	expect "volume create '${bad:0:20}' is refused with a reason" test $rc -ne 0 -a -s "$WORK/err"
done
expect_eq "nothing was made by it" "$(ls "$MNT" | wc -l)" 2
refused 1 'shop' volume inspect shpo
refused 1 'shop' snapshot create shopp@x
refused 2 'volume' volum ls
refused 2 '.' volume
refused 2 '.' rollback
refused 2 '.' --no-such-option status
refused 1 '.' rollback shop@never

# Snapshots
echo 1 >"$MNT/shop/file"
ok snapshot create shop@one
refused 1 'already' snapshot create shop@one
ok snapshot create shop
expect "a snapshot without a name is named after the time" bash -c 'ls "$1/shop/.snapshots" | grep -qxE "[0-9]{8}T[0-9]{6}Z"' - "$MNT"
ok snapshot hold shop@one
refused 1 'h[eo]ld' snapshot rm shop@one
refused 1 'h[eo]ld' volume rm shop
expect "the refused volume is untouched" test -f "$MNT/shop/.snapshots/one/file"
ok snapshot release shop@one
ok clone shop@one copy
ok snapshot rm shop@one
expect_eq "a clone outlives its snapshot" "$(cat "$MNT/copy/file")" 1
echo 2 >"$MNT/copy/file"
ok snapshot create copy@a
echo 3 >"$MNT/copy/added"
rm "$MNT/copy/file"
ok snapshot create copy@b
expect_eq "diff of two snapshots" "$("$VARVE" diff copy@a copy@b | grep -cE '^(\+ .*added|- .*file)')" 2
expect_eq "diff of a snapshot with itself" "$("$VARVE" diff copy@a copy@a)" ""

# Volumes
ok volume rename copy renamed
expect_fail "the old name is gone from the mount" test -e "$MNT/copy"
expect_eq "the new one has the content" "$(cat "$MNT/renamed/added")" 3
expect "with its snapshots" test -d "$MNT/renamed/.snapshots/a"
ok volume create owned -o uid=4321 -o gid=8765 -o mode=0750
expect_eq "options uid, gid and mode" "$(stat -c '%u:%g %a' "$MNT/owned")" "4321:8765 750"
expect_fail "an unknown option is refused" "$VARVE" volume create x -o nonsense=1
expect_fail "a bad value is refused" "$VARVE" volume create x -o quota=much
ok volume create small -o quota=8M
expect_fail "a quota holds" dd if=/dev/urandom of="$MNT/small/big" bs=1M count=64 conv=fsync
expect "and deleting always works" rm -f "$MNT/small/big"
ok volume set small quota=64M
expect "a larger quota is used at once" dd if=/dev/urandom of="$MNT/small/big" bs=1M count=32 conv=fsync
ok volume create plain -o compression=none
head -c 8000000 /dev/zero | tr '\0' a >"$MNT/plain/a"
expect "content without compression reads back" bash -c '[ "$(tr -d a <"$1" | wc -c)" = 0 ]' - "$MNT/plain/a"
exec 7>"$MNT/plain/open"
expect_fail "a volume with a file open for writing is not removed" "$VARVE" volume rm plain
exec 7>&-
ok volume rm plain small
expect_fail "they are gone" ls "$MNT/plain" "$MNT/small"

# JSON
for cmd in "status" "df" "volume ls" "volume inspect shop" "snapshot ls" "snapshot ls renamed" "diff renamed@a renamed@b" "version"; do
	expect "varve --json $cmd is JSON" bash -c '"$1" --json $2 | jq -e . >/dev/null' - "$VARVE" "$cmd"
done
expect "an error is JSON too" bash -c '! "$1" --json volume inspect none >"$2/o" 2>"$2/e"; cat "$2/o" "$2/e" | jq -e ".. | .message? // empty" >/dev/null' - \
	"$VARVE" "$WORK"
expect_eq "status names the store" "$(json_field store status)" "$STORE"
for cmd in init status df volume "volume create" "volume ls" "volume inspect" "volume rm" "volume rename" "volume set" "snapshot create" \
	"snapshot ls" "snapshot rm" "snapshot hold" "snapshot release" diff rollback clone check; do
	"$VARVE" $cmd --help >"$WORK/help" 2>&1 && [ -s "$WORK/help" ] || fail "varve $cmd --help"
done
pass "--help for each command"

# The HTTP interface
api() { curl -s --unix-socket "$VARVE_API" "http://varve$1"; }
expect "GET /v1/volumes" bash -c '[[ $1 == *shop* ]]' - "$(api /v1/volumes)"
expect "/metrics is Prometheus text" grep -qE '^# (HELP|TYPE) varve_' <(api /metrics)
expect_eq "the socket is the owner's alone" "$(stat -c %a "$VARVE_API")" 600

# The daemon
ok check "$STORE"
refused 1 "$(harness_pid)" --api "$WORK/none.sock" check "$STORE"
out=$("$VARVED" --store "$STORE" --mount "$WORK" --api "$WORK/other.sock" 2>&1)
expect "a second daemon on the store is refused, naming the first's pid" bash -c '[ "$1" -ne 0 ] && [[ $2 == *$3* ]]' - $? "$out" "$(harness_pid)"
expect "the first goes on" test -d "$MNT/shop"
expect_fail "init of a store that is there" "$VARVE" init "$STORE"
expect_fail "init inside its own mount" "$VARVE" init "$MNT/shop/store"
mkdir "$WORK/full" && touch "$WORK/full/something"
expect_fail "init in a folder with something in it" "$VARVE" init "$WORK/full"
harness_stop
refused 1 'varved|running|daemon|socket' status
out=$("$VARVED" --store "$WORK/none" --mount "$MNT" --api "$VARVE_API" 2>&1)
expect "no store: it says to run varve init" bash -c '[ "$1" -ne 0 ] && [[ $2 == *"varve init"* ]]' - $? "$out"

# Under a service manager: in the foreground, and ready when it says so.
python3 - "$WORK/notify" "$VARVED" --foreground --store "$STORE" --mount "$MNT" --api "$VARVE_API" --pidfile "$PIDFILE" --log stderr \
	>>"$LOG" 2>&1 <<'PY'
import os, signal, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(60)
p = subprocess.Popen(sys.argv[2:], env=dict(os.environ, NOTIFY_SOCKET=sys.argv[1]))
try:
    while b"READY=1" not in s.recv(4096).split(b"\n"):
        pass
    mount = sys.argv[sys.argv.index("--mount") + 1]
    assert os.path.ismount(mount) and os.path.isdir(mount + "/shop")
    assert p.poll() is None
finally:
    p.send_signal(signal.SIGTERM)
    status = p.wait(60)
assert status == 0, status
assert not os.path.ismount(mount)
PY
expect_eq "--foreground tells READY=1 once mounted, and ends with status 0 on SIGTERM" $? 0
rm -f "$PIDFILE"
expect "varve check" "$VARVE" check --data "$STORE"
finish
