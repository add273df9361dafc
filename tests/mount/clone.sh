#!/bin/bash
# A clone is a volume of its own that begins as a snapshot, or as a volume is now, and copies nothing.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
volume base
mkdir -p "$VOL/a/b"
head -c 8000000 /dev/urandom >"$VOL/a/b/big"
for i in $(seq 100); do echo "$i" >"$VOL/a/f$i"; done
"$VARVE" snapshot create base@s >>"$LOG" 2>&1
tree_list "$VOL" >"$WORK/base"

before=$(du -s --block-size=1 "$STORE" | cut -f1)
expect "clone of a snapshot" "$VARVE" clone base@s c1
tree_list "$MNT/c1" >"$WORK/c1"
expect "it equals its origin" cmp "$WORK/base" "$WORK/c1"
sync -f "$MNT"
expect "a clone of 8 MB takes less than 1 MB" test $(($(du -s --block-size=1 "$STORE" | cut -f1) - before)) -lt 1000000

echo changed >"$MNT/c1/a/f1"
rm "$MNT/c1/a/f2"
dd if=/dev/urandom of="$MNT/c1/a/b/big" bs=4096 seek=7 count=1 conv=notrunc status=none
tree_list "$VOL" >"$WORK/base2"
expect "changing the clone leaves the origin alone" cmp "$WORK/base" "$WORK/base2"
rm -rf "$VOL/a/b"
expect "changing the origin leaves the clone alone" test -f "$MNT/c1/a/b/big"
expect_fail "a removed file does not shine through" test -e "$MNT/c1/a/f2"

echo live >"$VOL/live"
expect "clone of a volume as it is now" "$VARVE" clone base c2
expect_eq "it has what was just written" "$(cat "$MNT/c2/live")" live
expect_fail "and lacks what was removed" test -e "$MNT/c2/a/b"
expect_fail "a clone onto an existing name" "$VARVE" clone base@s c1
expect_fail "a clone of nothing" "$VARVE" clone nothing@s c9

# Deeper than flattening begins, each changed at each step.
prev=c1
for i in $(seq 24); do
	echo "$i" >"$MNT/$prev/step$i"
	rm -f "$MNT/$prev/a/f$((i + 10))"
	"$VARVE" clone "$prev" "deep$i" >>"$LOG" 2>&1
	prev=deep$i
done
expect_eq "a chain of 24 clones has each step's file" "$(ls "$MNT/$prev" | grep -c ^step)" 24
expect_eq "and lacks each step's removed one" "$(ls "$MNT/$prev/a" | grep -c '^f')" 75
cmp -s "$MNT/c1/a/b/big" "$MNT/$prev/a/b/big"
expect_eq "and shares the content" $? 0

expect "the origin can be removed" "$VARVE" volume rm --force base
expect_fail "and is gone" test -e "$MNT/base"
expect "the clones live on" bash -c 'cmp "$1/c1/a/b/big" "$1/deep24/a/b/big" && [ "$(cat "$1/c2/live")" = live ]' - "$MNT"
expect "a clone's own snapshot and rollback" bash -c '
	"$1" snapshot create c2@x && echo later >"$2/c2/live" && "$1" rollback c2@x && [ "$(cat "$2/c2/live")" = live ]' - "$VARVE" "$MNT"

tree_list "$MNT/deep24" >"$WORK/deep"
check_store "after clones"
harness_mount
tree_list "$MNT/deep24" >"$WORK/deep2"
expect "the chain is the same after a restart" cmp "$WORK/deep" "$WORK/deep2"
finish
