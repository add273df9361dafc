#!/bin/bash
# Space that comes back, and long work beside short: varve gc, a check while the volume is used, both as jobs that can be cancelled.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
cd "$WORK" || exit 1
expect "a volume" "$VARVE" volume create v

api() { curl -s --unix-socket "$VARVE_API" "${@:3}" -X "$1" "http://varve$2"; }
field() { python3 -c 'import json,sys; d=json.load(sys.stdin)
for k in sys.argv[1].split("."): d=d[k]
print(d)' "$1"; }
packs_kib() { du -sk "$STORE/packs" | cut -f 1; }

# Small files of which every other one goes: half of the packs is dead, and hardly a block of it is whole.
python3 - "$MNT/v" <<'EOP'
import os, sys
for i in range(2000):
    with open(f"{sys.argv[1]}/f{i}", "wb") as f:
        f.write(os.urandom(3000))
EOP
expect "a snapshot, which has all of them stored" "$VARVE" snapshot create v@s
expect "a snapshot removed" "$VARVE" snapshot rm v@s
(cd "$MNT/v" && sha256sum f*[02468]) >sums
rm "$MNT"/v/f*[13579]
before=$(packs_kib)
out=$("$VARVE" gc)
expect "varve gc says what it freed: $out" grep -q '^Freed [1-9]' <<<"$out"
expect_eq "a second one has nothing to do" "$("$VARVE" --bytes gc 2>/dev/null)" "Freed 0"
after=$(packs_kib)
expect "the packs take less of the disk: $before and $after KiB" test "$after" -lt $((before * 7 / 10))
expect "what was kept is as it was" bash -c 'cd "$1" && sha256sum --quiet -c "$2"' - "$MNT/v" "$WORK/sums"
expect "gc as JSON" bash -c '"$1" --json gc | grep -q freed_bytes' - "$VARVE"
expect "the store is clean" "$VARVE" check --data

# A check, and the volume in use at the same time
head -c 64M /dev/urandom >"$MNT/v/big"
sync -f "$MNT"
job=$(api POST /v1/check -d '{"data":true}' | field job.id)
for i in $(seq 50); do
	echo "$i" >"$MNT/v/during$i"
done
expect "a second check is refused while one runs, or started when it is done" bash -c \
	'curl -s --unix-socket "$1" -X POST http://varve/v1/check -d "{}" | grep -qE "EBUSY|\"job\""' - "$VARVE_API"
api DELETE "/v1/jobs/$job" >/dev/null
until [ "$(api GET "/v1/jobs/$job" | field state)" != running ]; do sleep 0.05; done
expect "a cancelled check ends, cancelled or done" bash -c 'grep -qE "ECANCELED|done" <<<"$1"' - "$(api GET "/v1/jobs/$job")"
expect_eq "a job that there is not" "$(api DELETE /v1/jobs/4711 | field error.code)" ENOENT

# The daemon ends while a check runs
"$VARVE" check --data >/dev/null 2>&1 &
check=$!
until api GET /v1/status >/dev/null; do sleep 0.05; done
harness_stop
wait $check
harness_mount
expect "everything is there after that" bash -c 'cd "$1" && sha256sum --quiet -c "$2"' - "$MNT/v" "$WORK/sums"
expect_eq "what was written during a check, too" "$(cat "$MNT/v/during50")" 50
harness_stop
finish
