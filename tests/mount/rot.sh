#!/bin/bash
# Bits flip in packs and database under a mounted daemon: reads give what was written or EIO, the same daemon goes on, log, metrics and
# check name what is hit, and the same content written again is stored anew.
. "$(dirname "$0")/../lib/harness.sh"

harness_seed
harness_start
expect "two volumes" bash -c '"$0" volume create one && "$0" volume create two' "$VARVE"
python3 - "$MNT" "$SEED" <<'PY'
import os, random, sys
mnt, seed = sys.argv[1], int(sys.argv[2])
for n, volume in enumerate(("one", "two")):
    rnd = random.Random(seed + n)
    for folder in ("a", "b/c"):
        os.makedirs(f"{mnt}/{volume}/{folder}")
        for i in range(60):
            with open(f"{mnt}/{volume}/{folder}/f{i}", "wb") as f:
                f.write(rnd.randbytes(rnd.choice((200, 5000, 70000, 400000))))
PY
expect "snapshots of both" "$VARVE" snapshot create one two@s
snap=$(json_field name snapshot ls one)
(cd "$MNT" && find one two -type f -print0 | sort -z | xargs -0 sha256sum) >"$WORK/sums"
# A daemon that has nothing in memory yet
harness_stop
harness_mount
daemon=$(harness_daemon)
metric() { curl -s --unix-socket "$VARVE_API" http://varve/metrics | sed -n "s/^varve_$1 //p"; }

# Reads each file, or with a fourth argument the snapshots of both volumes: it is as it was, or EIO and named in the third.
cat >"$WORK/read.py" <<'PY'
import errno, hashlib, os, sys
root, sums, out = sys.argv[1:4]
prefix = sys.argv[4] if len(sys.argv) > 4 else None
eio, wrong = [], []
for line in open(sums):
    want, name = line.rstrip("\n").split("  ", 1)
    if prefix:
        volume, rest = name.split("/", 1)
        path = f"{root}/{volume}/.snapshots/{prefix.split(',')[volume == 'two']}/{rest}"
    else:
        path = f"{root}/{name}"
    try:
        if hashlib.sha256(open(path, "rb").read()).hexdigest() != want:
            wrong.append(name)
    except OSError as e:
        (eio if e.errno == errno.EIO else wrong).append(name if e.errno == errno.EIO else f"{name}: {e}")
open(out, "w").write("".join(f"{n}\n" for n in eio))
print(f"wrong: {wrong}" if wrong else "right or EIO")
PY

# Flips a bit at random in every so many bytes, where something lies.
cat >"$WORK/flip.py" <<'PY'
import random, sys
rnd, step = random.Random(int(sys.argv[1])), int(sys.argv[2])
for path in sys.argv[3:]:
    with open(path, "r+b") as f:
        size = f.seek(0, 2)
        for off in range(rnd.randrange(step), size, step):
            f.seek(off)
            byte = f.read(1)[0]
            if byte:
                f.seek(off)
                f.write(bytes([byte ^ 1 << rnd.randrange(8)]))
PY

python3 "$WORK/flip.py" "$SEED" 700000 "$STORE"/packs/*
drop_caches
expect_eq "with bits flipped in the packs every read is right or EIO" "$(python3 "$WORK/read.py" "$MNT" "$WORK/sums" "$WORK/eio")" "right or EIO"
hit=$(wc -l <"$WORK/eio")
expect "some files are hit, not all: $hit" test "$hit" -gt 0 -a "$hit" -lt 240
drop_caches
expect_eq "in the snapshots, too" "$(python3 "$WORK/read.py" "$MNT" "$WORK/sums" "$WORK/eio.snap" "$snap,s")" "right or EIO"
expect_eq "what is hit there is the same" "$(cat "$WORK/eio.snap")" "$(cat "$WORK/eio")"
expect_eq "the same daemon serves" "$(harness_daemon)" "$daemon"

unnamed() { # files hit that a text does not name in the way FORMAT says, %v a volume and %p a path in it
	local name want
	while read -r name; do
		want=${1//%v/${name%%/*}}
		want=${want//%p/${name#*/}}
		grep -qF -- "$want" "$2" || echo "$want"
	done <"$WORK/eio"
}
# Files of one content would share a chunk and a line; random ones do not.
expect_eq "the log names each file that is hit" "$(unnamed "damaged: %v:/%p near byte" "$LOG")" ""
expect "the log names the snapshots" grep -qE "has it in: (one, one@$snap|two, two@s)[.;]" "$LOG"
expect "the metrics count it: $(metric chunks_corrupt_total)" test "$(metric chunks_corrupt_total)" -ge "$hit"
expect_fail "varve check --data finds it" "$VARVE" check --data
"$VARVE" check --data >"$WORK/check" 2>&1
expect_eq "and names each file" "$(unnamed "%v: /%p lost" "$WORK/check")" ""
expect "and the snapshots" grep -qE "(one@$snap|two@s): /.* lost" "$WORK/check"

# The content of files that were hit comes again, from elsewhere.
python3 - "$MNT" "$SEED" "$WORK/eio" <<'PY'
import os, random, sys
mnt, seed, eio = sys.argv[1], int(sys.argv[2]), set(open(sys.argv[3]).read().split())
for n, volume in enumerate(("one", "two")):
    rnd = random.Random(seed + n)
    for folder in ("a", "b/c"):
        for i in range(60):
            data = rnd.randbytes(rnd.choice((200, 5000, 70000, 400000)))
            if f"{volume}/{folder}/f{i}" in eio:
                with open(f"{mnt}/{volume}/{folder}/f{i}", "wb") as f:
                    f.write(data)
                    f.flush()
                    os.fsync(f.fileno())
PY
drop_caches
expect_eq "after that every file is right" "$(python3 "$WORK/read.py" "$MNT" "$WORK/sums" "$WORK/eio.now"; cat "$WORK/eio.now")" "right or EIO"
expect_eq "the snapshots are as they were" "$(python3 "$WORK/read.py" "$MNT" "$WORK/sums" "$WORK/eio.now" "$snap,s"; cat "$WORK/eio.now")" \
	"right or EIO
$(cat "$WORK/eio")"
expect "the volumes go on" bash -c 'echo new >"$0/one/new" && sync -f "$0" && [ "$(cat "$0/one/new")" = new ]' "$MNT"

# The database, under the daemon: what it does not have in memory it must read. A new daemon has nothing.
harness_stop
harness_mount
daemon=$(harness_daemon)
cp "$STORE/meta.db" "$WORK/meta.db.good"
python3 "$WORK/flip.py" "$SEED" 9000 "$STORE/meta.db"
drop_caches
expect_eq "with bits flipped in the database every read is right or EIO" \
	"$(python3 "$WORK/read.py" "$MNT" "$WORK/sums" "$WORK/eio")" "right or EIO"
expect "some are hit: $(wc -l <"$WORK/eio")" test -s "$WORK/eio"
ls -R "$MNT/one" "$MNT/two" >/dev/null 2>&1
(echo more >"$MNT/one/more") 2>/dev/null
expect_eq "the same daemon serves" "$(harness_daemon)" "$daemon"
expect "the log says it" grep -q "meta.db: page .* does not match its checksum" "$LOG"
expect "the metrics count it: $(metric metadata_corrupt_total)" test "$(metric metadata_corrupt_total)" -gt 0
expect_fail "varve check finds it" "$VARVE" check
expect "and answers otherwise" "$VARVE" status
# Put right from a copy, all is there again: nothing wrong was made of it.
harness_kill
umount -l "$MNT" 2>/dev/null
cp "$WORK/meta.db.good" "$STORE/meta.db"
rm -f "$STORE/meta.db-wal" "$STORE/meta.db-shm"
harness_mount
drop_caches
expect_eq "with the database of before every file is right" \
	"$(python3 "$WORK/read.py" "$MNT" "$WORK/sums" "$WORK/eio"; cat "$WORK/eio")" "right or EIO"
harness_stop
finish
