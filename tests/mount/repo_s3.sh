#!/bin/bash
# Repositories in S3-compatible storage: npm's s3rver on loopback, addressed both ways, in parts, and through a proxy that loses things.
. "$(dirname "$0")/../lib/harness.sh"
command -v npm >/dev/null || skip 'no npm here'
CACHE=${O:-$HERE/build}/s3rver
if [ ! -e "$CACHE/node_modules/s3rver/bin/s3rver.js" ]; then
	mkdir -p "$CACHE" && (cd "$CACHE" && npm install --no-audit --no-fund --ignore-scripts s3rver@3.7.1 >npm.log 2>&1) ||
		skip "s3rver cannot be installed: $(tail -n 1 "$CACHE/npm.log")"
fi
cd "$WORK" || exit 1
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
PORT=$(free_port) PROXY=$(free_port)
node "$CACHE/node_modules/s3rver/bin/s3rver.js" -d "$WORK/s3" -a 127.0.0.1 -p "$PORT" --silent --configure-bucket backups \
	--configure-bucket backups.localhost >s3.log 2>&1 &
at_exit "kill $!"
export VARVE_PASSPHRASE=secret AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=S3RVER AWS_REGION=us-east-1
python3 "$HERE/tests/lib/fault_proxy.py" "$PROXY" "$PORT" 6 &
at_exit "kill $!"
SIGNED=$(free_port)
python3 "$HERE/tests/lib/fault_proxy.py" "$SIGNED" "$PORT" 0 &
at_exit "kill $!"
for _ in $(seq 100); do
	curl -s -o /dev/null "http://127.0.0.1:$PORT/" && curl -s -o /dev/null "http://127.0.0.1:$PROXY/" &&
		curl -s -o /dev/null "http://127.0.0.1:$SIGNED/" && break
	sleep 0.1
done
E="endpoint=http://127.0.0.1:$PORT"

expect 'repo init' "$VARVE" -q repo init "s3://backups/one?$E"
expect 'random trees there and back' env VARVE_TEST_REPO="s3://backups/RANDOM?$E" "$B/tests/unit/repo/test_push_pull"
expect 'interrupted at every request' env VARVE_TEST_REPO="s3://backups/RANDOM?$E" "$B/tests/unit/repo/test_interruption"
export ROUNDS=5
expect 'the same through a proxy that loses things' env SEED=3 \
	VARVE_TEST_REPO="s3://backups/RANDOM?endpoint=http://127.0.0.1:$PROXY&timeout=2" "$B/tests/unit/repo/test_push_pull"
expect 'addressed by the name of the host' "$VARVE" -q repo init "s3://backups/two?endpoint=http://localhost:$PORT&style=virtual"
expect 'it is where that name leads' "$VARVE" repo info "s3://backups.localhost/two?$E"

harness_start
"$VARVE" volume create v >/dev/null
cp -a "$HERE/store" "$MNT/v/"
head -c 30000000 /dev/urandom >"$MNT/v/large"
"$VARVE" snapshot create v@one >/dev/null
expect 'push through the daemon, packs in parts' "$VARVE" push v@one "s3://backups/one?$E"
expect 'one file back' "$VARVE" restore "s3://backups/one?$E" v@one large "$WORK/large"
expect 'is that file' cmp "$MNT/v/large" "$WORK/large"
expect 'check' "$VARVE" repo check --data "s3://backups/one?$E"
expect 'check through the proxy' "$VARVE" repo check --data "s3://backups/one?endpoint=http://127.0.0.1:$PROXY&timeout=2"
mkdir -p home/.aws && printf '[default]\naws_access_key_id = S3RVER\naws_secret_access_key = S3RVER\n' >home/.aws/credentials
expect 'credentials from the file' env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY HOME="$WORK/home" "$VARVE" repo ls "s3://backups/one?$E"
expect 'signatures are right' "$VARVE" repo ls "s3://backups/one?endpoint=http://127.0.0.1:$SIGNED"
out=$(env AWS_SECRET_ACCESS_KEY=wrong "$VARVE" repo ls "s3://backups/one?endpoint=http://127.0.0.1:$SIGNED" 2>&1)
expect 'a wrong secret is one line that says so' grep -q 'HTTP 403' <<<"$out"
out=$(env -u AWS_ACCESS_KEY_ID HOME=/nonexistent "$VARVE" repo ls "s3://backups/one?$E" 2>&1)
expect 'no key at all' grep -q 'AWS_ACCESS_KEY_ID' <<<"$out"
out=$("$VARVE" repo ls "s3://nobucket/one?$E" 2>&1)
expect 'no such bucket' grep -qi 'bucket' <<<"$out"
harness_stop
finish
