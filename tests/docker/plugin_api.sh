#!/bin/bash
# The volume plugin over its socket, with no engine: requests repeated, at once, out of order, without bodies, with hostile names; volumes of
# type tmpfs; a daemon that is killed, and one that has not opened its store yet.
. "$(dirname "$0")/../lib/harness.sh"

P=$WORK/plugin.sock T=$WORK/tmpfs
VARVED_ARGS="--docker $P --tmpfs $T"
export VARVED_ARGS
plugin() { curl -s -m 30 --unix-socket "$P" -H 'Host:' -d "$2" "http://x/VolumeDriver.$1"; }
status() { plugin Get "{\"Name\":\"$1\"}" | jq -c ".Volume.Status$2"; }
harness_start
at_exit 'grep -o " $T/[^ ]*" /proc/self/mounts | xargs -r umount -l'

python3 "$(dirname "$0")/plugin_client.py" "$P" "$MNT" || FAILED=$((FAILED + 1))

# --- tmpfs ---
plugin Create '{"Name":"t","Opts":{"type":"tmpfs","size":"8m","uid":"1000","mode":"0711"}}' >/dev/null
expect_eq "type=tmpfs is a tmpfs" "$(stat -f -c %T "$T/t")" tmpfs
expect_eq "of its size, owner and mode" "$(df --output=size -k "$T/t" | tail -n 1 | tr -d ' ') $(stat -c '%u %a' "$T/t")" "8192 1000 711"
expect_eq "where the engine finds it" "$(plugin Mount '{"Name":"t","ID":"i"}' | jq -r .Mountpoint)" "$T/t"
expect_fail "it is as large as that" dd if=/dev/zero of="$T/t/big" bs=1M count=9
rm -f "$T/t/big"
mkdir "$T/t/sub"
echo one >"$T/t/sub/file" && ln "$T/t/sub/file" "$T/t/hard" && ln -s file "$T/t/sub/soft" && truncate -s 1M "$T/t/holes"
chown 7:8 "$T/t/hard" && chmod 4711 "$T/t/hard" && mkfifo "$T/t/pipe"
setfattr -n user.colour -v blue "$T/t/holes" 2>/dev/null
tree_list "$T/t" >"$WORK/before.list"
expect "nothing of it is on disk" test "$(ls -A "$MNT/t")" = ""
out=$("$VARVE" snapshot create t@a 2>&1) || fail "snapshot of a tmpfs" "$out"
expect "its snapshot says that it is no instant" grep -q 'one after the other' <<<"$out"
tree_list "$MNT/t/.snapshots/a" >"$WORK/snap.list"
expect "and has everything" diff "$WORK/before.list" "$WORK/snap.list"
rm -rf "$T/t/sub" && echo two >"$T/t/later"
expect_fail "a name that is taken is refused" "$VARVE" snapshot create t@a
exec 8<"$T/t/later"
out=$("$VARVE" rollback -y t@a 2>&1) && fail "rollback with a file open"
expect "a file that is open is in the way of a rollback, and named" grep -q "later (process $$" <<<"$out"
exec 8<&-
saved=$("$VARVE" -q rollback -y t@a)
tree_list "$T/t" >"$WORK/after.list"
expect "rollback brings everything back" diff "$WORK/before.list" "$WORK/after.list"
expect_eq "and keeps what was there" "$(cat "$MNT/t/.snapshots/${saved#t@}/later")" two
"$VARVE" volume set t size=16M >/dev/null && expect_eq "set size" "$(df --output=size -k "$T/t" | tail -n 1 | tr -d ' ')" 16384
expect_fail "set size below what it holds" "$VARVE" volume set t quota=1M
expect "a clone of its snapshot lies in the store" "$VARVE" clone t@a tclone
expect_eq "with its files" "$(cat "$MNT/tclone/sub/soft")" one
expect_eq "a clone of what is in memory is refused" "$("$VARVE" clone t tother 2>&1 | head -n 1)" \
	"varve clone: t is a tmpfs: only its snapshots can be cloned"

# --- the daemon dies while it copies ---
if [ "$(json_field possible status)" = true ]; then
	python3 -c 'import os, sys
os.mkdir(sys.argv[1])
for i in range(5000):
    open("%s/%d" % (sys.argv[1], i), "w").write(str(i))' "$T/t/many"
	"$VARVE" snapshot create t@cut >>"$LOG" 2>&1 &
	client=$!
	for i in $(seq 200); do [ -e "$MNT/t/many" ] && break; sleep 0.01; done
	harness_kill_daemon || fail "kill while it copies"
	wait $client && fail "a snapshot that lost its daemon"
	expect_eq "what copied for it does not go on" "$(pgrep -f -- "-T $T/t $MNT/t")" ""
	expect_fail "there is no such snapshot" "$VARVE" snapshot rm t@cut
	expect "it can be taken" "$VARVE" snapshot create t@cut
	expect "and is whole" diff -r "$T/t/many" "$MNT/t/.snapshots/cut/many"
	rm -r "$T/t/many"
fi

# --- the daemon goes and comes; the record and the tmpfs stay ---
plugin Create '{"Name":"v","Opts":null}' >/dev/null
plugin Mount '{"Name":"v","ID":"a"}' >/dev/null
plugin Mount '{"Name":"v","ID":"a"}' >/dev/null
sleep 0.3
if [ -n "$(harness_pid)" ]; then
	harness_kill
	umount -l "$MNT" 2>/dev/null
	harness_mount
fi
expect_eq "mount ids are still known after kill -9" "$(status v .mounts) $(status t .mounts)" "2 1"
expect_eq "a tmpfs outlives the daemon" "$(cat "$T/t/sub/file")" one
umount "$T/t"
harness_stop && harness_mount
expect_eq "after a start of the machine it is there, empty" "$(stat -f -c %T "$T/t") $(ls -A "$T/t")" "tmpfs "
out=$("$VARVE" volume rm -y v 2>&1) && fail "volume rm of a mounted volume"
expect "volume rm refuses while there are mount ids" grep -q 'mount id a' <<<"$out"
expect "and does it with --force" "$VARVE" volume rm -y --force v
exec 8>"$T/t/open"
expect "removal of a tmpfs with open files is refused" grep -q "open (process $$" <<<"$(plugin Remove '{"Name":"t"}')"
exec 8>&-
expect_eq "and done without" "$(plugin Remove '{"Name":"t"}') $(ls "$T")" '{"Err":""} '

# --- before the store is open ---
plugin Create '{"Name":"early","Opts":null}' >/dev/null
for i in $(seq 100); do grep -q early "$STORE/catalog.json" 2>/dev/null && break; sleep 0.1; done
harness_stop
# The store is somebody else's: the next daemon cannot open it, and stops. Until then it has answered from what it knew.
"$VARVED" --store "$STORE" --mount "$MNT" --api "$VARVE_API" $VARVED_ARGS --foreground >>"$LOG" 2>&1 &
early=$!
started $early
for i in $(seq 200); do
	answer=$(plugin Path '{"Name":"early"}') && break
	sleep 0.02
done
expect_eq "it knows its volumes from the first moment" "$(jq -r .Mountpoint <<<"$answer")" "$MNT/early"
for i in $(seq 200); do mountpoint -q "$MNT" && break; sleep 0.05; done
end_pid $early TERM
check_store
finish
