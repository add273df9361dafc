#!/bin/bash
# After a rollback nothing stale is ever read through a fresh open, stat or listing, and nothing dirty from before it arrives.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
volume v
cd "$WORK" || exit 1

mkdir -p "$VOL/keep/deep" "$VOL/emptied"
for i in $(seq 200); do echo "content $i" >"$VOL/keep/file$i"; done
head -c 5000000 /dev/urandom >"$VOL/keep/deep/big"
echo gone >"$VOL/emptied/was-here"
echo small >"$VOL/resized"
tree_list "$VOL" >"$WORK/before"
root_ino=$(stat -c %i "$VOL")
dir_ino=$(stat -c %i "$VOL/keep")
"$VARVE" snapshot create v@good >>"$LOG" 2>&1

change_everything() {
	rm -rf "$VOL/keep/file1"*
	echo changed >"$VOL/keep/file20"
	dd if=/dev/urandom of="$VOL/keep/deep/big" bs=1M seek=1 count=2 conv=notrunc status=none
	rm -rf "$VOL/emptied"
	head -c 100000 /dev/zero >>"$VOL/resized"
	chmod 0700 "$VOL/keep"
	mkdir "$VOL/new" && echo x >"$VOL/new/x"
	mv "$VOL/keep/file2" "$VOL/new/file2"
	# Cached positives and negatives, listings and attributes.
	tree_list "$VOL" >/dev/null
	stat "$VOL/keep/file1" "$VOL/emptied" "$VOL/emptied/was-here" >/dev/null 2>&1
}

change_everything
expect "rollback with no file open for writing" "$VARVE" rollback v@good
tree_list "$VOL" >"$WORK/after"
expect "the volume is as it was, cached names and absences included" cmp "$WORK/before" "$WORK/after"
drop_caches
tree_list "$VOL" >"$WORK/after-cold"
expect "and when read cold" cmp "$WORK/before" "$WORK/after-cold"
expect_eq "the volume's folder is the same inode" "$(stat -c %i "$VOL")" "$root_ino"
expect_eq "a folder is the same inode" "$(stat -c %i "$VOL/keep")" "$dir_ino"
pre=$(ls "$VOL/.snapshots" | grep ^pre- | tail -n 1)
expect "the state before it is kept as an automatic snapshot" test -n "$pre"
expect "with what had been done" grep -qx changed "$VOL/.snapshots/$pre/keep/file20"

# A file that is open for writing makes a plain rollback refuse, and name who.
change_everything
exec 8>>"$VOL/keep/file20"
out=$("$VARVE" rollback v@good 2>&1)
expect_eq "rollback refuses while a file is open for writing" $? 1
expect "and names the process" bash -c '[[ $1 == *$2* ]]' - "$out" "$$"
expect_eq "nothing has happened" "$(cat "$VOL/keep/file20")" changed

# With --live: dirty pages, a mapping and an open descriptor, none of which may reach the files that came back.
python3 - "$VOL" "$WORK/ready" "$WORK/go" "$WORK/result" <<'PY' &
import errno, mmap, os, sys, time
vol, ready, go, result = sys.argv[1:]
fd = os.open(vol + "/keep/deep/big", os.O_RDWR)
m = mmap.mmap(fd, 5000000 // 4096 * 4096)
w = os.open(vol + "/resized", os.O_RDWR)
m[0:8] = b"old map!"
os.pwrite(w, b"old write before", 0)
cwd = os.open(vol + "/keep", os.O_RDONLY)
os.fchdir(cwd)
open(ready, "w").close()
while not os.path.exists(go):
    # Dirty all the time, while the rollback happens too.
    m[8192:8200] = b"dirty..."
    try:
        os.pwrite(w, b"x" * 300000, 0)
    except OSError:
        pass
    time.sleep(0.001)
notes = []
try:
    for i in range(64):
        os.pwrite(w, b"late write" * 1000, i * 10000)
    os.fsync(w)
    notes.append("late write succeeded")
except OSError as e:
    notes.append("late write: " + errno.errorcode[e.errno])
m[16384:16392] = b"late map"
try:
    m.flush()
    notes.append("late msync succeeded")
except OSError as e:
    notes.append("late msync: " + errno.errorcode[e.errno])
notes.append("cwd has file1: " + str(os.path.exists("file1")))
open(result, "w").write("\n".join(notes) + "\n")
PY
writer=$!
started $writer
while [ ! -e "$WORK/ready" ] && kill -0 $writer 2>/dev/null; do sleep 0.05; done
expect "rollback --live while files are open, mapped and dirty" "$VARVE" rollback v@good --live
tree_list "$VOL" >"$WORK/after-live"
expect "nothing stale right after it" cmp "$WORK/before" "$WORK/after-live"
touch "$WORK/go"
wait $writer
sync
sed 's/^/# /' "$WORK/result"
expect "writing through the old descriptor is ESTALE" grep -qE '^late write: (ESTALE|EIO)$' "$WORK/result"
expect "a working directory goes on in the rolled-back folder" grep -qx 'cwd has file1: True' "$WORK/result"
exec 8>&-
tree_list "$VOL" >"$WORK/after-late"
expect "nothing dirty from before reaches the files" cmp "$WORK/before" "$WORK/after-late"
drop_caches
tree_list "$VOL" >"$WORK/after-late"
expect "nor when read cold" cmp "$WORK/before" "$WORK/after-late"
expect "the volume is writable" bash -c 'echo y >"$1/writable" && [ "$(cat "$1/writable")" = y ] && rm "$1/writable"' - "$VOL"

# Later snapshots stay, back and forth.
echo third >"$VOL/third"
"$VARVE" snapshot create v@later >>"$LOG" 2>&1
expect "back" "$VARVE" rollback v@good
expect_fail "without the later file" test -e "$VOL/third"
expect "and forth" "$VARVE" rollback v@later
expect_eq "with it" "$(cat "$VOL/third")" third
for i in $(seq 20); do
	echo "$i" >"$VOL/round"
	"$VARVE" snapshot create "v@r$i" >>"$LOG" 2>&1
	"$VARVE" rollback v@good >>"$LOG" 2>&1
done
tree_list "$VOL" >"$WORK/after-many"
expect "twenty rollbacks later it is still as it was" cmp "$WORK/before" "$WORK/after-many"
expect "and forth to one of them" "$VARVE" rollback v@r13
expect_eq "which has its content" "$(cat "$VOL/round")" 13
expect "diff names what changed" bash -c '"$1" diff v@good v@r13 | grep -q round' - "$VARVE"

check_store "after rollbacks"
harness_mount
expect_eq "after a restart it is there" "$(cat "$VOL/round")" 13
finish
