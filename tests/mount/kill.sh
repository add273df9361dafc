#!/bin/bash
# kill -9 of varved under a mixed load, then a restart with no help: everything fsynced is there, and the store is sound.
. "$(dirname "$0")/../lib/harness.sh"

rounds=$([ -n "$LONG" ] && echo 20 || echo 3)
harness_start
volume v
mkdir -p "$VOL/synced" "$VOL/noise"

# Each line of a ledger is written after the fsync that it reports returned; it is kept outside the mount.
cat >"$WORK/synced.py" <<'PY'
import hashlib, os, random, sys
vol, ledger, seed = sys.argv[1], open(sys.argv[2], "a"), int(sys.argv[3])
rnd = random.Random(seed)
d = os.open(vol, os.O_RDONLY)
contents = {}
def note(what):
    ledger.write(what + "\n")
    ledger.flush()
i = 0
while True:
    i += 1
    name = f"f{seed}-{rnd.randrange(60)}"
    kind = rnd.randrange(4)
    if kind == 0:                       # replaced by rename, as editors and databases do
        data = rnd.randbytes(rnd.randrange(200000))
        note(f"trying {name} {hashlib.sha256(data).hexdigest()}")
        fd = os.open(f"{vol}/{name}.tmp", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
        os.write(fd, data)
        os.fsync(fd)
        os.close(fd)
        os.rename(f"{vol}/{name}.tmp", f"{vol}/{name}")
        os.fsync(d)
        contents[name] = bytearray(data)
    elif kind == 1 and name in contents:  # removed, the folder synced
        note(f"trying {name} absent")
        os.unlink(f"{vol}/{name}")
        os.fsync(d)
        del contents[name]
        note(f"done {name} absent")
        continue
    else:                               # overwritten or appended in place, as a log or a table file is
        old = contents.setdefault(name, bytearray())
        off = rnd.randrange(len(old) + 1) // 4096 * 4096 if kind == 2 else len(old)
        piece = rnd.randbytes(rnd.choice([100, 4096, 16384, 70000, 300000]))
        new = bytearray(old)
        new[off:off + len(piece)] = piece
        note(f"trying {name} {hashlib.sha256(new).hexdigest()} partly")
        fd = os.open(f"{vol}/{name}", os.O_CREAT | os.O_WRONLY, 0o644)
        os.pwrite(fd, piece, off)
        os.fdatasync(fd)
        os.close(fd)
        contents[name] = new
    note(f"done {name} {hashlib.sha256(contents[name]).hexdigest()}")
PY
# What the ledger promises: each name's last finished state, or one that was being made when the daemon died.
cat >"$WORK/verify.py" <<'PY'
import hashlib, os, sys
vol, ledger = sys.argv[1:]
done, trying = {}, {}
for line in open(ledger):
    if not line.endswith("\n"):
        continue
    verb, name, state, *partly = line.split()
    if verb == "done":
        done[name] = state
        trying.pop(name, None)
    else:
        trying[name] = (state, bool(partly))
bad = 0
for name in sorted(set(done) | set(trying)):
    try:
        got = hashlib.sha256(open(f"{vol}/{name}", "rb").read()).hexdigest()
    except FileNotFoundError:
        got = "absent"
    may = {done.get(name, "absent")}
    if name in trying:
        may.add(trying[name][0])
        if trying[name][1]:             # an unfinished write in place may be there in part
            continue
    if got not in may:
        bad += 1
        print(f"{name}: {got[:12]}, expected one of {[m[:12] for m in may]}")
print(f"{len(done)} names checked, {bad} wrong")
sys.exit(bad != 0 or not done)
PY

for round in $(seq "$rounds"); do
	pids=()
	python3 "$WORK/synced.py" "$VOL/synced" "$WORK/ledger-a$round" "${round}1" >/dev/null 2>&1 &
	pids+=($!)
	python3 "$WORK/synced.py" "$VOL/synced" "$WORK/ledger-b$round" "${round}2" >/dev/null 2>&1 &
	pids+=($!)
	( # unsynced noise: creations, removals, renames, large writes, snapshots, a clone
		exec >/dev/null 2>&1
		i=0
		while :; do
			i=$((i + 1))
			head -c $((RANDOM * 20)) /dev/urandom >"$VOL/noise/n$i" || exit
			mv "$VOL/noise/n$i" "$VOL/noise/m$((i % 50))"
			rm -f "$VOL/noise/m$((RANDOM % 50))"
			[ $((i % 40)) -ne 7 ] || "$VARVE" snapshot create "v@k$round-$i"
			[ $((i % 90)) -ne 80 ] || "$VARVE" clone v "ck$round-$i"
		done
	) &
	pids+=($!)
	for p in "${pids[@]}"; do started "$p"; done
	disown -a # so that the shell does not report each as killed
	for l in a b; do
		until grep -qs '^done' "$WORK/ledger-$l$round" || ! kill -0 "${pids[0]}" 2>/dev/null; do sleep 0.05; done
	done
	sleep "$((1 + round % 3)).$((RANDOM % 10))"
	harness_kill
	for p in "${pids[@]}"; do end_pid "$p" KILL; done
	harness_mount || exit 1
	expect "round $round: the store opens and mounts over the dead mount" test -d "$VOL/synced"
	for l in a b; do
		expect "round $round: what was fsynced is there ($l)" python3 "$WORK/verify.py" "$VOL/synced" "$WORK/ledger-$l$round"
	done
	expect "round $round: it can be written" bash -c 'echo x >"$1/noise/after" && sync "$1/noise/after"' - "$VOL"
	check_store "after kill $round"
	harness_mount || exit 1
	for l in a b; do
		expect "round $round: and still there after a clean stop ($l)" python3 "$WORK/verify.py" "$VOL/synced" "$WORK/ledger-$l$round"
	done
done
finish
