#!/bin/bash
# A store on a small filesystem that fills up to its last block under load: writes and fsyncs say ENOSPC, what was fsynced stays, and removing
# files, snapshots and volumes works and gives the space back.
. "$(dirname "$0")/../lib/harness.sh"

DISK=$WORK/disk
mkdir "$DISK"
truncate -s 320M "$WORK/disk.img"
mkfs.ext4 -q -m 0 "$WORK/disk.img" || skip "no mkfs.ext4"
mount -o loop "$WORK/disk.img" "$DISK" 2>"$WORK/mount.err" || skip "no loop mount: $(cat "$WORK/mount.err")"
at_exit 'umount "$DISK" 2>/dev/null || umount -l "$DISK"'
STORE=$DISK/store
export VARVE_STORE=$STORE
harness_start
volume other
volume v

# Writes files of random bytes until it is refused; each fsynced one goes into the ledger. Prints how it ended.
cat >"$WORK/fill.py" <<'PY'
import errno, hashlib, os, sys
vol, ledger, prefix, size = sys.argv[1], open(sys.argv[2], "a"), sys.argv[3], int(sys.argv[4])
for i in range(100000):
    data = os.urandom(size)
    name = f"{prefix}{i}"
    try:
        fd = os.open(f"{vol}/{name}", os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            off = 0
            while off < len(data):
                off += os.write(fd, data[off:off + 262144])
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as e:
        print(errno.errorcode[e.errno])
        break
    ledger.write(f"{name} {hashlib.sha256(data).hexdigest()}\n")
    ledger.flush()
PY
verify() { # verify FOLDER LEDGER: every fsynced file that is still there reads back
	local name sum
	while read -r name sum; do
		[ -e "$1/$name" ] || { echo "$name is missing"; return 1; }
		[ "$(sha256sum <"$1/$name" | cut -d' ' -f1)" = "$sum" ] || { echo "$name differs"; return 1; }
	done <"$2"
}
free_kb() { df --output=avail -k "$DISK" | tail -n 1 | tr -d ' '; }
fill_disk() { # to the last block, from outside the store
	dd if=/dev/zero of="$DISK/$1" bs=1M 2>/dev/null
	dd if=/dev/zero of="$DISK/$1.rest" bs=1k 2>/dev/null
	sync -f "$DISK"
}

other=$MNT/other
expect_eq "a filler of the other volume is not refused" "" "$(timeout 60 python3 - "$other" <<'PY'
import os, sys
for i in range(20):
    open(f"{sys.argv[1]}/o{i}", "wb").write(os.urandom(1 << 20))
os.sync()
PY
)"
expect "a snapshot" "$VARVE" snapshot create other@s

python3 "$WORK/fill.py" "$VOL" "$WORK/ledger1" a 3000000 >"$WORK/end1" &
first=$!
python3 "$WORK/fill.py" "$VOL" "$WORK/ledger2" b 40000 >"$WORK/end2" &
second=$!
wait $first $second
expect_eq "a stream of large files ends with ENOSPC" "$(cat "$WORK/end1")" ENOSPC
expect_eq "a stream of small files ends with ENOSPC" "$(cat "$WORK/end2")" ENOSPC
say "$(wc -l <"$WORK/ledger1") large and $(wc -l <"$WORK/ledger2") small files were fsynced, $(free_kb) KiB are left"

fill_disk junk
expect_eq "not a block is left" "$(free_kb)" 0
expect_fail "a write of 1 MiB is refused" dd if=/dev/urandom of="$VOL/more" bs=1M count=1 conv=fsync
expect "what was fsynced is there (large)" verify "$VOL" "$WORK/ledger1"
expect "what was fsynced is there (small)" verify "$VOL" "$WORK/ledger2"
expect "the daemon answers" "$VARVE" status

# Renaming and removing need no room that is not there.
head -n 5 "$WORK/ledger1" >"$WORK/kept"
sed -n '6,$p' "$WORK/ledger1" | cut -d' ' -f1 >"$WORK/gone"
expect "files are removed" sh -c "cd '$VOL' && xargs rm -f <'$WORK/gone' && rm -f more && sync"
expect "a snapshot is removed" "$VARVE" snapshot rm other@s
expect "a volume is removed" "$VARVE" volume rm other
"$VARVE" gc >/dev/null 2>&1
for _ in $(seq 300); do
	[ "$(free_kb)" -gt 60000 ] && break
	sleep 0.1
done
expect "the space came back ($(free_kb) KiB)" [ "$(free_kb)" -gt 60000 ]
expect "what is left is as it was" verify "$VOL" "$WORK/kept"
expect "the store is sound" "$VARVE" check --data
expect "new files fit again" dd if=/dev/urandom of="$VOL/new" bs=1M count=4 conv=fsync

# Full again, and then the daemon dies.
fill_disk junk2
dd if=/dev/urandom of="$VOL/refused" bs=1M count=1 conv=fsync 2>/dev/null
harness_kill
rm -f "$DISK"/junk2*
harness_mount
expect "after a kill on a full disk: what was fsynced" verify "$VOL" "$WORK/kept"
expect "and the store is sound" "$VARVE" check --data
harness_stop
finish
