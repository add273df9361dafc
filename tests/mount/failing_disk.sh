#!/bin/bash
# The disk fails under a mounted daemon. A sync of journal, packs or database that fails is an fsync that fails, for as long as it does, and
# what it was for is written again before one succeeds; the daemon goes on, after a disk that stood still, too. A daemon that dies whenever it
# starts is given up after three times, with all that was fsynced.
. "$(dirname "$0")/../lib/harness.sh"

command -v cc >/dev/null || skip "no C compiler"
cc -shared -fPIC -O1 -o "$WORK/io_fault.so" "$HERE/tests/mount/io_fault.c" 2>"$WORK/cc.err" || skip "$(head -n 1 "$WORK/cc.err")"
! ldd "$VARVED" | grep -qE 'lib[at]san' || skip "a sanitizer's daemon does not load what comes before it"
ulimit -c 0
export IO_FAULT=$WORK/fault IO_FAULT_LOG=$WORK/io.log
VARVED_BIN=$VARVED
printf '#!/bin/sh\nLD_PRELOAD=%s exec "%s" "$@"\n' "$WORK/io_fault.so" "$VARVED_BIN" >"$WORK/varved"
chmod +x "$WORK/varved"
VARVED=$WORK/varved
harness_start
volume v
daemon=$(harness_daemon)
mkdir "$VOL/ledger"

cat >"$WORK/sync.py" <<'PY'
# Writes a file and fsyncs it, the same descriptor throughout, three times under an order to the disk, and then until it succeeds; prints how
# the fsyncs ended, repetitions once.
import errno, os, sys, time
path, control, size, order = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
data = os.urandom(size)
open(control + ".want", "wb").write(data)
os.write(fd, data)
with open(control + ".new", "w") as f:
    f.write(order + "\n")
os.rename(control + ".new", control)
out = []
def sync():
    try:
        os.fsync(fd)
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]
for i in range(3):
    out.append(sync())
os.unlink(control)
until = time.monotonic() + 30
while (ended := sync()) != "ok" and time.monotonic() < until:
    time.sleep(0.05)
print(*out, ended)
PY

# fails CLASS NAME SIZE: a file of so many bytes, whose fsync needs a sync of files named so
fails() {
	: >"$IO_FAULT_LOG"
	expect_eq "a failing sync of the $1 is a failing fsync, every time, until the disk works and it is done" \
		"$(python3 "$WORK/sync.py" "$VOL/ledger/$1" "$IO_FAULT" "$3" "sync $2")" "EIO EIO EIO ok"
	# the kernel takes what it could not write for clean: it has to be written again, or somewhere else
	expect "after the last failure something is written before the sync that counts" python3 - "$IO_FAULT_LOG" <<'PY'
import sys
did = [line.split()[0] for line in open(sys.argv[1])]
rest = did[len(did) - did[::-1].index("failed"):]
sys.exit("sync" not in rest[rest.index("write"):])
PY
	cp "$IO_FAULT.want" "$WORK/want.$1"
	expect "the file reads back" cmp "$VOL/ledger/$1" "$WORK/want.$1"
	expect_eq "the same daemon serves" "$(harness_daemon)" "$daemon"
}

fails journal journal. 3000
fails packs packs/ 3000000

# A disk that stands still while the ring is nearly full: the writes that the kernel wants done for many a SEEK_DATA have to wait.
cat >"$WORK/seek.py" <<'PY'
import os, sys, threading, time
folder, control = sys.argv[1:3]
with open(f"{folder}/seek", "wb") as f:
    f.write(os.urandom(90 << 20))
data = os.urandom(2 << 20)
together = threading.Barrier(16)
def work(i):
    fd = os.open(f"{folder}/seek{i}", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, data, 0)
    together.wait()
    assert os.lseek(fd, 0, os.SEEK_DATA) == 0
    os.close(fd)
threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(16)]
for t in threads:
    t.start()
time.sleep(2)
waited = any(t.is_alive() for t in threads)
os.unlink(control)
until = time.monotonic() + 60
for t in threads:
    t.join(max(0, until - time.monotonic()))
print("they waited," if waited else "nobody waited,", sum(t.is_alive() for t in threads), "for ever", flush=True)
os._exit(0)
PY
echo "wait packs/" >"$IO_FAULT"
expect_eq "whoever waited for a disk that stood still goes on" "$(python3 "$WORK/seek.py" "$VOL" "$IO_FAULT")" "they waited, 0 for ever"
rm -f "$VOL"/seek*

# A snapshot is durable by a commit, so by the database.
echo before >"$VOL/before"
echo "sync meta.db-wal" >"$IO_FAULT"
expect_fail "a snapshot of which the database cannot be synced" "$VARVE" snapshot create v@fails
echo after >"$VOL/after"
expect "an fsync needs no database" python3 -c 'import os,sys; os.fsync(os.open(sys.argv[1], os.O_RDWR))' "$VOL/after"
rm "$IO_FAULT"
"$VARVE" snapshot rm v@fails >/dev/null 2>&1
expect "a snapshot when the disk works again" "$VARVE" snapshot create v@works
expect_eq "the same daemon serves" "$(harness_daemon)" "$daemon"

harness_kill
umount -l "$MNT" 2>/dev/null
harness_mount || exit 1
for class in journal packs; do
	expect "what was fsynced at last is there after a crash: $class" cmp "$VOL/ledger/$class" "$WORK/want.$class"
done
expect_eq "and in the snapshot" "$(cat "$VOL/.snapshots/works/before")" before
expect_eq "an fsync beside a failing database held" "$(cat "$VOL/after")" after
check_store "after failed syncs"

# --- a daemon that dies whenever it takes over
harness_mount || exit 1
supervisor=$(harness_pid)
echo synced >"$VOL/synced" && sync "$VOL/synced"
: >"$LOG"
echo "die journal.0" >"$IO_FAULT"
kill -KILL "$(harness_daemon)"
timeout 60 tail --pid="$supervisor" -f /dev/null
expect_fail "after that there is no supervisor" kill -0 "$supervisor"
expect_fail "and no mount" mountpoint -q "$MNT"
expect_eq "it tried three times" "$(grep -c 'died: Aborted before it was ready' "$LOG")" 3
expect "the ring is kept, the log says where" bash -c 'ls "$1"/ring-* && grep -q "is kept in" "$2"' - "$STORE" "$LOG"
rm -f "$PIDFILE" "$IO_FAULT"
harness_mount || exit 1
expect_eq "what was fsynced is there" "$(cat "$VOL/synced")" synced
expect "and what was before" cmp "$VOL/ledger/packs" "$WORK/want.packs"
check_store "after three deaths"

# --- a daemon that dies whenever it ends
# ends_badly ORDER COMMAND…: the exit status of a varved under the order, ended by the command, and the number of its daemons that died
ends_badly() {
	: >"$LOG"
	"$VARVED" --foreground --store "$STORE" --mount "$MNT" --api "$VARVE_API" --log stderr >>"$LOG" 2>&1 </dev/null &
	supervisor=$!
	started $supervisor
	until grep -q 'is mounted on' "$LOG" || ! kill -0 $supervisor 2>/dev/null; do sleep 0.05; done
	echo acknowledged >"$VOL/$1"
	exec 7>>"$VOL/held-open"
	echo "$2" >"$IO_FAULT"
	"${@:3}"
	exec 7>&-
	timeout 60 tail --pid=$supervisor -f /dev/null
	wait $supervisor
	echo "status $?, deaths $(grep -c ' died: Aborted' "$LOG")" >"$WORK/ended"
	rm -f "$IO_FAULT"
}
stop() { kill -TERM "$supervisor" && sleep 1; }
rings() { find "$STORE" -name 'ring-*' | wc -l; }
before=$(rings)
ends_badly stopped 'die-close store/lock' stop
expect_eq "closing the store is tried three times, and then given up" "$(<"$WORK/ended")" "status 1, deaths 3"
expect_eq "in one line" "$(grep -c 'giving up: 3 daemons in a row died as they closed the store' "$LOG")" 1
ends_badly unmounted 'die-close store/lock' umount -l "$MNT"
expect_eq "so it is after somebody else's umount" "$(<"$WORK/ended")" "status 1, deaths 3"
expect_eq "no ring is kept, as the store has everything" "$(rings)" "$before"
ends_badly fenced 'die-sync mnt/v/held-open' stop
expect_eq "when the mount cannot be written out, the store is closed without" "$(<"$WORK/ended")" "status 1, deaths 3"
expect "which the log says" grep -q 'ends without having been written out' "$LOG"
expect_eq "no ring is kept then either" "$(rings)" "$before"
ends_badly lost 'die-sync store/meta.db-wal' stop
expect "when nothing can be put into the store, it is given up too" grep -q 'status 1,' "$WORK/ended"
expect_eq "the ring is kept" "$(rings)" $((before + 1))
harness_mount || exit 1
expect_eq "what was acknowledged is there" "$(cat "$VOL/stopped" "$VOL/unmounted" "$VOL/fenced" | tr '\n' ' ')" \
	"acknowledged acknowledged acknowledged "
check_store "after ends that failed" last
finish
