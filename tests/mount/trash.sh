#!/bin/bash
# Removed volumes: back with all they had, gone when they should be, and out of the way before a write finds the disk
# full.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
trash() { "$VARVE" -q volume ls --trash | tr '\n' ' '; }
field() { "$VARVE" --json volume ls --trash | jq -r ".trash[] | select(.name == \"$1\") | .$2"; }

volume v -o quota=50M
echo one >"$VOL/file" && ln "$VOL/file" "$VOL/link" && setfattr -n user.a -v b "$VOL/file"
head -c 3000000 /dev/urandom >"$VOL/big"
"$VARVE" -q snapshot create v@s >/dev/null
echo two >"$VOL/file"
tree_list "$VOL" >"$WORK/want"

# --- there and back ---
exec 8<"$VOL/file"
expect_fail "not while a file is open for writing" bash -c "exec 9>>'$VOL/file'; '$VARVE' volume rm v"
out=$("$VARVE" volume rm v 2>&1) && fail "not while one is open for reading"
# this shell, the one of $(…) and varve have it, in the order of their numbers, which begin anew at some time
expect "nor for reading, and it is said by whom" grep -q "files of v are open: .*/\(file\|link\) (process $$" <<<"$out"
python3 -c 'import mmap, sys, time
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
f.close()
print(flush=True)
time.sleep(1000)' "$VOL/big" >"$WORK/mapped" &
mapper=$!
for i in $(seq 100); do [ -s "$WORK/mapped" ] && break; sleep 0.1; done
exec 8<&-
out=$("$VARVE" volume rm v 2>&1) && fail "nor mapped"
expect "nor mapped" grep -q "files of v are open: /big (process $mapper" <<<"$out"
end_pid $mapper TERM
exec 8<"$VOL/.snapshots/s/file"
expect_fail "nor while one of a snapshot is" "$VARVE" volume rm v
exec 8<&-
expect "a folder that is open is not in the way; rm" bash -c "cd '$VOL' && exec 9<. && '$VARVE' volume rm v"
expect_fail "the mount does not show it" test -e "$MNT/v"
expect_eq "nor does ls" "$("$VARVE" -q volume ls)" ""
expect_eq "the trash does" "$(trash)" "v "
expect_fail "its snapshot is not to be found" "$VARVE" snapshot ls v
expect "its name is free" "$VARVE" volume create v
expect_fail "it cannot come back under a name that is taken" bash -c "'$VARVE' volume undelete v 2>'$WORK/err'"
expect "and the hint says how" grep -q "undelete v NEW" "$WORK/err"
expect "it comes back under another" "$VARVE" volume undelete v w
tree_list "$MNT/w" >"$WORK/got"
expect "with all that was in it" cmp "$WORK/want" "$WORK/got"
expect_eq "and its snapshot" "$(cat "$MNT/w/.snapshots/s/file")" one
expect_eq "and its quota" "$(json_field quota volume inspect w)" $((50 << 20))
expect_eq "and its attribute" "$(getfattr --only-values -n user.a "$MNT/w/file")" b
expect "it is a volume as any other" bash -c "echo three >'$MNT/w/file'"
expect_eq "a hard link sees it" "$(cat "$MNT/w/link")" three

# --- forced, while a program writes: what was written before is there ---
exec 9>"$MNT/w/log"
echo "written before" >&9
expect "rm --force under a writer" "$VARVE" volume rm -f w
expect_fail "the writer cannot go on" bash -c 'echo after >&9 && sync -d /proc/self/fd/9'
expect "and it comes back" "$VARVE" volume undelete w
expect_eq "with what was written before" "$(cat "$MNT/w/log")" "written before"
expect_fail "the old descriptor stays dead" bash -c 'echo again >&9 && sync -d /proc/self/fd/9'
exec 9>&-
expect "the file is nobody's now" bash -c "echo new >'$MNT/w/log' && '$VARVE' rollback w@s"

# --- what it holds, over a restart ---
"$VARVE" volume rm w >/dev/null 2>&1
harness_stop
harness_mount
expect_eq "in the trash after a restart" "$(trash)" "w "
for i in $(seq 100); do
	[ "$(field w held_bytes)" -ge 0 ] && break
	sleep 0.1
done
expect "the space it holds is shown" test "$(field w held_bytes)" -gt 2900000
expect_eq "df shows the same" "$(json_field trash_bytes df)" "$(field w held_bytes)"
expect "df says so" bash -c "'$VARVE' df | grep -q '1 removed volume'"

# --- gone for good ---
expect_fail "nothing of that name to purge" "$VARVE" volume purge none
expect "purge" "$VARVE" volume purge w
expect_eq "the trash is empty" "$(trash)" ""
"$VARVE" gc >/dev/null
expect "its space is free" test "$(json_field stored_bytes df)" -lt 100000
anonymous=$(printf 'a1%.0s' $(seq 32))
volume "$anonymous"
expect "an anonymous volume" "$VARVE" volume rm "$anonymous"
expect_eq "goes at once" "$(trash)" ""
expect "rm --purge" "$VARVE" volume rm --purge v
expect_eq "goes at once, too" "$(trash)" ""
expect_fail "no nonsense as days" "$VARVE" set trash-days=x
expect_fail "nor an unknown setting" "$VARVE" set trash=1
volume a && volume b
"$VARVE" volume rm a b >/dev/null 2>&1
expect "a shorter time" "$VARVE" set trash-days=0
for i in $(seq 100); do
	[ -z "$(trash)" ] && break
	sleep 0.1
done
expect_eq "ends what is there" "$(trash)" ""
expect_eq "the setting is kept" "$("$VARVE" set)" "trash-days=0"
"$VARVE" set trash-days=7
harness_stop

# --- a disk that is full ---
mkdir "$WORK/small"
mount -t tmpfs -o size=400M none "$WORK/small" || skip "no tmpfs"
at_exit "umount -l '$WORK/small'"
STORE=$WORK/small/store
export VARVE_STORE=$STORE
"$VARVE" init "$STORE" >>"$LOG" 2>&1
harness_mount
for v in old young; do
	volume $v
	head -c 60M /dev/urandom >"$VOL/data"
	sync "$VOL/data"
	"$VARVE" volume rm $v >/dev/null 2>&1
done
volume keep
# more than what is free and what packs have reserved, which is at most 16 MiB for each that is appended to
need=$(($(json_field host_free df) + (16 << 20)))
expect "a write that needs the room gets it" bash -c "head -c $need /dev/urandom >'$VOL/data' && sync -d '$VOL/data'"
expect "the oldest made way first" bash -c "[ '$(trash)' = '' ] || [ '$(trash)' = 'young ' ]"
expect_fail "and something had to" test "$(trash)" = "old young "
sum=$(sha256sum <"$VOL/data")
check_store
harness_mount
expect_eq "what was written is there" "$(sha256sum <"$VOL/data")" "$sum"
harness_stop
finish
