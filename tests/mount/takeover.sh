#!/bin/bash
# The daemon is killed with -9 under programs that use the mount: they notice a pause, and nothing else.
. "$(dirname "$0")/../lib/harness.sh"

rounds=$([ -n "$LONG" ] && echo 100 || echo 6)
harness_start
harness_seed
[ "$(json_field possible status)" = true ] || skip "this kernel cannot hand a mount over (6.9)"
expect "status says that the mount outlives the daemon" grep -q '^Takeover *possible' <("$VARVE" status)
volume v

# --- what a program holds: open files, a working directory, locks, a file without a name, a mapping
cat >"$WORK/holder.py" <<'PY'
import errno, fcntl, mmap, os, sys, time
vol, ready, go = sys.argv[1:]
os.makedirs(vol + "/cwd/deep")
os.chdir(vol + "/cwd/deep")
fd = os.open("open", os.O_CREAT | os.O_RDWR, 0o644)
os.write(fd, b"before ")
gone = os.open("unlinked", os.O_CREAT | os.O_RDWR, 0o644)
os.write(gone, b"x" * 300000)
os.unlink("unlinked")
m = os.open("mapped", os.O_CREAT | os.O_RDWR, 0o644)
os.ftruncate(m, 8192)
mapping = mmap.mmap(m, 8192)
mapping[:5] = b"first"
fl = os.open("flocked", os.O_CREAT | os.O_RDWR, 0o644)
fcntl.flock(fl, fcntl.LOCK_EX)
po = os.open("posix", os.O_CREAT | os.O_RDWR, 0o644)
fcntl.lockf(po, fcntl.LOCK_EX, 10)
def locked(path, how):
    pid = os.fork()
    if pid == 0:
        f = os.open(path, os.O_RDWR)
        try:
            how(f)
            os._exit(1)
        except OSError as e:
            os._exit(0 if e.errno in (errno.EAGAIN, errno.EACCES) else 2)
    return os.waitpid(pid, 0)[1] == 0
open(ready, "w").close()
for n in range(1, int(go) + 1):
    while not os.path.exists(f"{ready}.{n}"):
        time.sleep(0.01)
    os.write(fd, f"{n} ".encode())
    os.pwrite(gone, f"{n}".encode(), 300000 * n)
    mapping[4096:4097] = bytes([64 + n])
    assert os.pread(gone, 300000, 0) == b"x" * 300000, "an unlinked file lost its content"
    assert os.fstat(gone).st_nlink == 0
    assert os.getcwd() == vol + "/cwd/deep" and os.path.exists("open"), "working directory"
    assert locked("flocked", lambda f: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)), "flock"
    assert locked("posix", lambda f: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10)), "posix lock"
    open(f"{ready}.{n}.seen", "w").close()
os.fsync(fd)
mapping.flush()
assert os.pread(fd, 1000, 0) == b"before " + b"".join(b"%d " % i for i in range(1, int(go) + 1))
PY
python3 "$WORK/holder.py" "$VOL" "$WORK/holder" 5 >"$WORK/holder.log" 2>&1 &
holder=$!
started $holder
until [ -e "$WORK/holder" ] || ! kill -0 $holder 2>/dev/null; do sleep 0.05; done
for n in 1 2 3 4 5; do
	harness_kill_daemon || fail "kill $n" "$(tail -n 3 "$LOG")"
	touch "$WORK/holder.$n"
	until [ -e "$WORK/holder.$n.seen" ] || ! kill -0 $holder 2>/dev/null; do sleep 0.02; done
done
wait $holder
expect_eq "open files, a working directory, locks, a mapping and an unlinked file survive five kills" "$? $(cat "$WORK/holder.log")" "0 "
drop_caches
expect_eq "what was written between the kills is there" "$(cat "$VOL/cwd/deep/open")" "before 1 2 3 4 5 "
expect_eq "through the mapping too" "$(head -c 5 "$VOL/cwd/deep/mapped")$(tail -c 4096 "$VOL/cwd/deep/mapped" | head -c 1)" firstE
expect_eq "as many take-overs as kills" "$(json_field count status)" 5
expect_eq "no file counts as open for writing any more" "$("$VARVE" --json volume inspect v | jq '.. | .open_writers? // empty' | head -n 1)" 0
expect "so a plain rollback is possible" bash -c '"$1" snapshot create v@quiet && "$1" rollback v@quiet' - "$VARVE"

# --- written, never fsynced, closed: all of it is there after each of many kills
python3 - "$VOL/unsynced" "$WORK/round" "$rounds" "$SEED" >"$WORK/unsynced.log" 2>&1 <<'PY' &
import hashlib, json, os, random, sys, time
vol, mark, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rnd = random.Random(seed)
os.makedirs(vol)
state = {}
for n in range(1, rounds + 1):
    for i in range(40):
        name = f"f{rnd.randrange(300)}"
        kind = rnd.randrange(6)
        path = f"{vol}/{name}"
        if kind == 0 and name in state:
            os.unlink(path)
            del state[name]
        elif kind == 1 and name in state:
            to = f"f{rnd.randrange(300)}"
            os.rename(path, f"{vol}/{to}")
            state[to] = state.pop(name)
        elif kind == 2 and name in state and state[name]:
            data = bytearray(state[name])
            off = rnd.randrange(len(data))
            piece = rnd.randbytes(rnd.randrange(1, 30000))
            data[off:off + len(piece)] = piece
            with open(path, "r+b") as f:
                f.seek(off)
                f.write(piece)
            state[name] = bytes(data)
        elif kind == 3 and name in state:
            size = rnd.randrange(100000)
            os.truncate(path, size)
            state[name] = state[name][:size].ljust(size, b"\0")
        else:
            state[name] = rnd.randbytes(rnd.choice([0, 10, 5000, 70000, 400000]))
            with open(path, "wb") as f:
                f.write(state[name])
    open(f"{mark}.{n}.written", "w").close()
    while not os.path.exists(f"{mark}.{n}.killed"):
        time.sleep(0.005)
    assert sorted(os.listdir(vol)) == sorted(state), f"round {n}: names"
    for name, data in state.items():
        got = open(f"{vol}/{name}", "rb").read()
        assert got == data, f"round {n}: {name} differs: {len(got)} bytes, expected {len(data)}"
PY
writer=$!
started $writer
for n in $(seq "$rounds"); do
	until [ -e "$WORK/round.$n.written" ] || ! kill -0 $writer 2>/dev/null; do sleep 0.01; done
	harness_kill_daemon || fail "kill $n" "$(tail -n 3 "$LOG")"
	drop_caches
	touch "$WORK/round.$n.killed"
done
wait $writer
expect_eq "files written without fsync and closed read back after each of $rounds kills" "$? $(cat "$WORK/unsynced.log")" "0 "

# --- requests that change names are under way when the daemon dies: each is carried out once
cat >"$WORK/names.py" <<'PY'
import os, sys
base, stop = sys.argv[1], sys.argv[2]
os.makedirs(base)
n = 0
while not os.path.exists(stop):
    n += 1
    p = f"{base}/{n}"
    os.mkdir(p)
    fd = os.open(p + "/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(fd, b"%d" % n)
    os.close(fd)
    os.link(p + "/new", p + "/second")
    os.rename(p + "/new", p + "/moved")
    os.symlink("moved", p + "/link")
    os.setxattr(p + "/moved", "user.n", b"%d" % n, os.XATTR_CREATE)
    os.mkfifo(p + "/fifo")
    assert os.stat(p + "/moved").st_nlink == 2 and open(p + "/link").read() == str(n)
    assert sorted(os.listdir(p)) == ["fifo", "link", "moved", "second"]
    if n % 2:
        os.removexattr(p + "/moved", "user.n")
        for name in "link", "moved", "second", "fifo":
            os.unlink(f"{p}/{name}")
        os.rmdir(p)
have = sorted(os.listdir(base), key=int)
assert have == [str(i) for i in range(2, n + 1, 2)], "names left over or lost"
print(n)
PY
pids=()
for i in 1 2 3; do
	python3 "$WORK/names.py" "$VOL/names$i" "$WORK/stop-names" >"$WORK/names$i.log" 2>&1 &
	pids+=($!)
	started $!
done
for n in $(seq $((rounds * 2))); do
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	harness_kill_daemon || fail "kill $n" "$(tail -n 3 "$LOG")"
done
touch "$WORK/stop-names"
for i in 1 2 3; do
	wait "${pids[i - 1]}"
	expect_eq "no call failed, none was carried out twice ($i)" "$? $(grep -vE '^[0-9]+$' "$WORK/names$i.log")" "0 "
done
say "$(cat "$WORK"/names?.log | tr '\n' ' ')rounds of names under $((rounds * 2)) kills"

# --- snapshots, clones, rollbacks, removals and the collection while the daemon dies: done or not done, and told to the kernel
mkdir "$VOL/state"
echo 0 >"$VOL/state/number"
"$VARVE" snapshot create v@base >>"$LOG" 2>&1
"$VARVE" volume create busy >>"$LOG" 2>&1
# Dirty pages and an open file in each fence; a folder whose lock is held when the kernel is told of a rollback, where a name may be gone.
python3 - "$MNT" "$WORK/stop-busy" >"$WORK/busy.log" 2>&1 <<'PY' &
import errno, os, sys
mnt, stop = sys.argv[1:]
big = os.open(mnt + "/busy/big", os.O_CREAT | os.O_RDWR, 0o644)
n = 0
while not os.path.exists(stop):
    n += 1
    os.pwrite(big, b"%07d." % n * 8192, n % 64 * 65536)
    if os.pread(big, 8, n % 64 * 65536) != b"%07d." % n:
        sys.exit("busy/big reads something else")
    try:
        p = f"{mnt}/v/state/new{n}"
        os.symlink("x" * 1000, p)
        os.rename(p, p + "-renamed")
        os.listdir(mnt + "/v/state")
        os.unlink(p + "-renamed")
    except OSError as e:
        if e.errno not in (errno.ESTALE, errno.ENOENT):
            raise
for i in range(max(1, n - 63), n + 1):
    if os.pread(big, 65536, i % 64 * 65536) != b"%07d." % i * 8192:
        sys.exit(f"block {i % 64} of busy/big is not what was written last")
print(n)
PY
busy=$!
started $busy
commands=(
	'snapshot create v@%n' 'clone v c%n' 'rollback v@base --live' 'snapshot rm v@%p' 'gc' 'volume rm --yes c%p' 'volume rename c%n r%n'
	'volume create w%n' 'clone v@base d%n' 'snapshot create v busy w%n' 'snapshot create busy@%n'
)
"$VARVE" export --help >/dev/null 2>&1 && commands+=('export v@base')
"$VARVE" --json volume ls >/dev/null
for n in $(seq $(((rounds + 9) / 10))); do
	for c in "${commands[@]}"; do
		words=${c//%n/$n}
		words=${words//%p/$((n - 1))}
		"$VARVE" $words >"$WORK/answer" 2>&1 </dev/null &
		client=$!
		sleep "0.00$((RANDOM % 10))"
		harness_kill_daemon || fail "kill during varve $words" "$(tail -n 3 "$LOG")"
		if ! timeout 60 tail --pid=$client -f /dev/null; then
			fail "a client hangs: varve $words"
			kill -KILL $client
		fi
		wait $client 2>/dev/null
	done
	# What the mount shows is what the store has, although the kernel remembers names for a day.
	seen=$(ls "$MNT" | sort | tr '\n' ' ')
	there=$("$VARVE" volume ls -q | sort | tr '\n' ' ')
	[ "$seen" = "$there" ] || fail "round $n: the volumes that are seen are those that are" "seen:  $seen" "there: $there"
	for old in c$n r$n w$n d$n c$((n - 1)); do
		if "$VARVE" volume inspect $old >/dev/null 2>&1; then
			[ -d "$MNT/$old" ] || fail "round $n: $old is there and is not seen"
		else
			[ ! -e "$MNT/$old" ] || fail "round $n: $old is not there and is seen"
		fi
	done
	[ "$(cat "$VOL/state/number")" = 0 ] || fail "round $n: number" "$(cat "$VOL/state/number")"
done
touch "$WORK/stop-busy"
wait $busy
expect_eq "who wrote meanwhile has seen no error, and reads what it wrote" "$? $(grep -vE '^[0-9]+$' "$WORK/busy.log")" "0 "
expect "it went on serving" test -d "$VOL/state"
say "after it: $(ls "$MNT" | wc -l) volumes, $(ls "$VOL/.snapshots" | wc -l) snapshots, $(json_field count status) take-overs"
check_store "after kills during its commands"
harness_mount || exit 1

# --- the supervisor dies: the daemon ends in order
echo kept >"$VOL/kept"
daemon=$(harness_daemon)
kill -KILL "$(harness_pid)"
timeout 60 tail --pid="$daemon" -f /dev/null
expect_fail "without its supervisor the daemon unmounts" mountpoint -q "$MNT"
rm -f "$PIDFILE"
harness_mount || exit 1
expect_eq "and has written everything out" "$(cat "$VOL/kept")" kept

# --- a ring that cannot be replayed is set aside, after three tries
exec 7>>"$VOL/open-at-the-end"
echo synced >"$VOL/synced" && sync "$VOL/synced"
supervisor=$(harness_pid)
daemon=$(harness_daemon)
kill -STOP "$supervisor"
kill -KILL "$daemon"
python3 - "$supervisor" <<'PY'
import glob, os, sys
for fd in glob.glob(f"/proc/{sys.argv[1]}/fd/*"):
    if "memfd:varve-ring" in os.readlink(fd):
        with open(fd, "r+b", buffering=0) as f:
            f.write(b"damaged!")
PY
kill -CONT "$supervisor"
timeout 60 tail --pid="$supervisor" -f /dev/null
expect_fail "with a damaged ring there is no mount" mountpoint -q "$MNT"
expect_fail "who had files open gets an error" python3 -c 'import os; os.write(7, b"x"); os.fsync(7)'
exec 7>&-
expect_eq "the daemon tried three times" "$(grep -c 'before it was ready' "$LOG")" 3
expect "the ring is kept for inspection" bash -c 'ls "$1"/ring-* && grep -q "is kept in" "$2"' - "$STORE" "$LOG"
rm -f "$PIDFILE"
harness_mount || exit 1
expect_eq "the next start goes on from what was synced" "$(cat "$VOL/synced")" synced
check_store "after a ring was set aside"

# --- without take-over, as on kernels before 6.9
VARVED_ARGS=--no-takeover harness_mount || exit 1
expect "status says that the mount ends with the daemon" grep -q '^Takeover *not possible' <("$VARVE" status)
exec 7>>"$VOL/open"
echo acknowledged >"$VOL/acknowledged"
old=$(harness_daemon)
kill -KILL "$old"
until [ "$(json_field pid status 2>/dev/null)" -gt 0 ] 2>/dev/null; do sleep 0.05; done
expect_fail "an open file is gone with the old mount" python3 -c 'import os; os.write(7, b"x"); os.fsync(7)'
exec 7>&-
expect_eq "the new mount has everything that was acknowledged" "$(cat "$VOL/acknowledged")" acknowledged
check_store "without take-over"
finish
