#!/bin/bash
# Repositories in Ceph's radosgw: addressed both ways, in parts, interrupted, with a wrong key, without a bucket. `make check-s3` installs it.
. "$(dirname "$0")/../lib/harness.sh"
. "$HERE/tests/lib/radosgw.sh"
for tool in ceph-mon ceph-osd radosgw; do
	command -v $tool >/dev/null || skip "no $tool here (make check-s3 installs it)"
done
cd "$WORK" || exit 1
at_exit radosgw_stop
if ! radosgw_start "$WORK/ceph"; then
	tail -n 20 "$WORK/ceph/out"
	fail "radosgw: $RADOSGW_WHY"
	finish
fi
radosgw_bucket backups || fail 'a bucket can be made'
export VARVE_PASSPHRASE=secret AWS_ACCESS_KEY_ID=$RADOSGW_KEY AWS_SECRET_ACCESS_KEY=$RADOSGW_SECRET AWS_REGION=us-east-1
E="endpoint=http://127.0.0.1:$RADOSGW_PORT"
H="endpoint=http://localhost:$RADOSGW_PORT&style=virtual"

expect 'repo init' "$VARVE" -q repo init "s3://backups/one?$E"
expect 'random trees there and back' env ROUNDS=5 VARVE_TEST_REPO="s3://backups/RANDOM?$E" "$B/tests/unit/repo/test_push_pull"
expect 'interrupted at every ninth request' env STRIDE=9 VARVE_TEST_REPO="s3://backups/RANDOM?$E" "$B/tests/unit/repo/test_interruption"
expect 'addressed by the name of the host' "$VARVE" -q repo init "s3://backups/two?$H"
expect 'it is the same place' "$VARVE" repo info "s3://backups/two?$E"
expect 'trees that way, too' env ROUNDS=3 SEED=2 VARVE_TEST_REPO="s3://backups/RANDOM?$H" "$B/tests/unit/repo/test_push_pull"

harness_start
"$VARVE" volume create v >/dev/null
cp -a "$HERE/store" "$MNT/v/"
head -c 40000000 /dev/urandom >"$MNT/v/large"
"$VARVE" snapshot create v@one >/dev/null
expect 'push through the daemon, packs in parts' "$VARVE" push v@one "s3://backups/one?$E"
expect 'one file back' "$VARVE" restore "s3://backups/one?$E" v@one large "$WORK/large"
expect 'is that file' cmp "$MNT/v/large" "$WORK/large"
expect 'check' "$VARVE" repo check --data "s3://backups/one?$H"
rm "$MNT/v/large"
"$VARVE" snapshot create v@two >/dev/null
expect 'what changed' "$VARVE" push v@two "s3://backups/one?$E"
expect 'forget' "$VARVE" repo forget "s3://backups/one?$E" v@one
expect 'prune sets aside' "$VARVE" repo prune --grace 0 "s3://backups/one?$E"
out=$("$VARVE" --json repo prune --grace 0 "s3://backups/one?$E" | python3 -c 'import json, sys; print(json.load(sys.stdin)["deleted_bytes"] > 30000000)')
expect_eq 'prune gives back' "$out" True
expect 'and the rest is whole' "$VARVE" repo check --data "s3://backups/one?$E"
# More objects than one page of a listing has.
: >empty
expect 'listings of several pages' env KEYS=1100 python3 - "$E" <<'END'
import hashlib, os, subprocess, sys
port = sys.argv[1].rsplit(":", 1)[1]
user = os.environ["AWS_ACCESS_KEY_ID"] + ":" + os.environ["AWS_SECRET_ACCESS_KEY"]
urls = "\n".join(f'url = "http://127.0.0.1:{port}/backups/one/packs/00/{i:064x}"\nupload-file = "empty"' for i in range(int(os.environ["KEYS"])))
subprocess.run(["curl", "-sf", "-Z", "--parallel-max", "8", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", user, "-H", "x-amz-content-sha256: " + hashlib.sha256().hexdigest(), "-K", "-"], input=urls, text=True, check=True)
END
out=$("$VARVE" --json repo check "s3://backups/one?$E" | python3 -c 'import json, sys; print(json.load(sys.stdin)["packs"] > 1100)')
expect_eq 'are read to their end' "$out" True

out=$(env AWS_SECRET_ACCESS_KEY=wrong "$VARVE" repo ls "s3://backups/one?$E" 2>&1)
expect 'a wrong secret is one line that says so' grep -q 'HTTP 403' <<<"$out"
out=$(env AWS_ACCESS_KEY_ID=nobody "$VARVE" repo ls "s3://backups/one?$E" 2>&1)
expect 'so is an unknown key' grep -q 'HTTP 403' <<<"$out"
out=$("$VARVE" repo ls "s3://nobucket/one?$E" 2>&1)
expect 'no such bucket' grep -qi 'bucket' <<<"$out"
out=$("$VARVE" repo init "s3://nobucket/one?$H" 2>&1)
expect 'nor by its host' grep -qi 'bucket' <<<"$out"
radosgw_stop
out=$(timeout 60 "$VARVE" repo ls "s3://backups/one?$E&timeout=1" 2>&1)
expect_eq 'nobody there: one line' "$(grep -c '^varve' <<<"$out")" 1
harness_stop
finish
