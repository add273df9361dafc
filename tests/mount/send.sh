#!/bin/bash
# A snapshot through a pipe to another store: whole, then by what changed; back again; everything that can be wrong with a stream is one line.
. "$(dirname "$0")/../lib/harness.sh"
harness_start
cd "$WORK" || exit 1

# The second store, under its own daemon.
STORE2=$WORK/store2 MNT2=$WORK/mnt2 API2=$WORK/api2.sock
second() { VARVE_STORE=$STORE2 VARVE_MOUNT=$MNT2 VARVE_API=$API2 "$VARVE" "$@"; }
"$VARVE" init "$STORE2" >>"$LOG" 2>&1 || fail 'varve init of the second store'
mkdir "$MNT2"
"$VARVED" --store "$STORE2" --mount "$MNT2" --api "$API2" --pidfile "$WORK/second.pid" --log stderr >>"$LOG" 2>&1 || fail 'a second varved starts'
at_exit 'end_pid "$(cat "$WORK/second.pid")" TERM; umount -l "$MNT2" 2>/dev/null'

listing() {
	(cd "$1" && { find . ! -type d -printf '%p %y %m %U %G %n %s %T@ %l\n'; find . -type d -printf '%p %y %m %U %G %n %T@\n'; } | sort)
	(cd "$1" && find . -print0 | sort -z | xargs -0 getfattr -dh -m - 2>/dev/null)
}
contents() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum); }
same_tree() { diff <(listing "$1") <(listing "$2") && diff <(contents "$1") <(contents "$2"); }
# one line and its hint, nothing else, and status 1
says() {
	local what=$1 pattern=$2 out rc
	shift 2
	out=$("$@" 2>&1 >/dev/null </dev/null)
	rc=$?
	if [ $rc -ne 1 ] || [ "$(printf '%s\n' "$out" | grep -c '^varve')" -ne 1 ] || [[ ! $out =~ $pattern ]]; then
		fail "$what" "status $rc, said: $out" "expected: $pattern"
	else
		pass "$what"
	fi
}

volume v
cp -a "$HERE/store" "$VOL/store"
head -c 3000000 /dev/urandom >"$VOL/random"
seq 1 400000 >"$VOL/text"
truncate -s 10M "$VOL/sparse" && printf x | dd of="$VOL/sparse" seek=5000000 bs=1 conv=notrunc status=none
ln "$VOL/text" "$VOL/linked"
ln -s text "$VOL/symbolic"
mkfifo "$VOL/fifo"
setfattr -n user.note -v 'a value' "$VOL/text"
chown 1234:4321 "$VOL/random" && chmod 4755 "$VOL/random"
"$VARVE" -q snapshot create v@one >/dev/null

set -o pipefail
expect 'send | receive' bash -c "'$VARVE' -q send v@one | tee one | VARVE_API='$API2' '$VARVE' -q receive"
expect 'the volume is there' same_tree "$VOL/.snapshots/one" "$MNT2/v"
expect 'and its snapshot' same_tree "$VOL/.snapshots/one" "$MNT2/v/.snapshots/one"
echo mine >"$MNT2/v/mine"

sed -i 's/^200000$/two hundred thousand/' "$VOL/text"
printf y | dd of="$VOL/random" seek=1000000 bs=1 conv=notrunc status=none
rm "$VOL/store/README.md"
mv "$VOL/store/base" "$VOL/moved"
setfattr -x user.note "$VOL/linked"
"$VARVE" -q snapshot create v@two >/dev/null
expect 'what changed goes into a file' "$VARVE" -q send v@two --from one -o change
expect_eq 'that only its owner may read' "$(stat -c %a change)" 600
expect 'and is small' [ "$(stat -c %s change)" -lt 100000 ]
second --json receive <change >out.json || fail 'receive of what changed'
expect_eq 'the answer says what it was' "$(jq -c '[.volume,.snapshot,.incremental,.made]' out.json)" '["v","two",true,false]'
expect_eq 'all of the stream' "$(jq .bytes out.json)" "$(stat -c %s change)"
expect 'the snapshot is the same' same_tree "$VOL/.snapshots/two" "$MNT2/v/.snapshots/two"
expect_eq 'what the volume shows is as it was' "$(cat "$MNT2/v/mine")" mine
expect 'until it is rolled back' second -q rollback -y v@two
expect 'to what came' same_tree "$VOL/.snapshots/two" "$MNT2/v"

# Back to where it came from.
echo there >"$MNT2/v/there"
second -q snapshot create v@three >/dev/null
expect 'back, by what changed there' bash -c "VARVE_API='$API2' '$VARVE' -q send v@three --from v@two | '$VARVE' -q receive"
expect 'is the same' same_tree "$MNT2/v/.snapshots/three" "$VOL/.snapshots/three"

# Refusals.
says 'received twice' "snapshot 'v@two' already" second receive -i change
says 'over a volume that is there' "volume 'v' already" second receive v -i one
second -q receive w -i one >/dev/null || fail 'receive into a new volume'
second -q receive w -i change >/dev/null || fail 'what changed, into the new volume'
expect 'a new volume gets what changed as well' same_tree "$VOL/.snapshots/two" "$MNT2/w/.snapshots/two"
second -q volume create other >/dev/null
says 'without what it begins from' 'starts from v@one.*send it whole' second receive other -i change
head -c 2000 one >cut && says 'cut short' 'ends too early' second receive x -i cut
head -c -1 one >cut && says 'without its last byte' 'ends too early' second receive x -i cut
: >empty && says 'nothing' 'is empty' second receive x -i empty
cp one flipped && printf '\377\377' | dd of=flipped seek=1500000 bs=1 conv=notrunc status=none
says 'damaged' 'damaged' second receive x -i flipped
says 'no stream at all' 'no stream of varve send' second receive x -i "$VOL/text"
says 'a snapshot that is not there' "has no snapshot 'four'" "$VARVE" send v@four
says 'from one that is not there' "has no snapshot 'four'" "$VARVE" send v@two --from four
says 'from another volume' "not of 'w'" "$VARVE" send v@two --from w@one
says 'a full disk' 'No space left' bash -c "'$VARVE' send v@one >/dev/full"
says 'a sender that fails' 'is empty' bash -c "'$VARVE' send v@four 2>/dev/null | VARVE_API='$API2' '$VARVE' receive x"
says 'long after it was refused the reason is told' "volume 'v' already" bash -c "{ cat one; head -c 40000000 /dev/zero; } | VARVE_API='$API2' '$VARVE' receive v"
expect_eq 'a terminal is no place for it' "$(script -qec "'$VARVE' send v@one" /dev/null | tr -d '\r' | head -n 1)" \
	"varve send: the stream is nothing for a terminal"
expect_eq 'nothing of all that is left' "$(second -q volume ls | tr '\n' ' ')" 'other v w '

# Who goes away takes what he began along.
mkfifo half
second receive x <half >/dev/null 2>&1 &
receiver=$!
exec 5>half
head -c 1000000 one >&5
expect_eq 'half a stream does not show' "$(second -q volume ls | tr '\n' ' ')" 'other v w '
kill $receiver
wait $receiver 2>/dev/null
exec 5>&-
expect_eq 'nor what is left of it' "$(second -q volume ls | tr '\n' ' ')" 'other v w '
VARVE_API=$API2 timeout 20 "$VARVE" receive x <half >/dev/null 2>&1 &
receiver=$!
exec 5>half
head -c 1000000 one >&5
sleep 0.2
kill -KILL "$(pgrep -P "$(cat "$WORK/second.pid")" -o)"
wait $receiver
expect_eq 'a daemon that dies ends it with status 1, though its input stalls' $? 1
exec 5>&-
expect_eq 'and the next one has nothing of it' "$(second -q volume ls | tr '\n' ' ')" 'other v w '
expect 'and takes it from the beginning' second -q receive x -i one
expect 'whole' same_tree "$VOL/.snapshots/one" "$MNT2/x"
expect 'both stores are clean' "$VARVE" check
expect 'the second one too' second check
check_store
finish
