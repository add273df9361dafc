#!/bin/bash
# A container of a real Docker engine with a volume's folder bind-mounted, reading and writing while a snapshot and rollbacks happen.
. "$(dirname "$0")/../lib/harness.sh"

command -v dockerd >/dev/null && command -v docker >/dev/null && [ -x /bin/busybox ] || skip "no Docker engine or no busybox"
D=$WORK/docker
mkdir -p "$D"
export DOCKER_HOST=unix://$D/d.sock DOCKER_API_VERSION=1.41 DOCKER_CONFIG=$D/config

dockerd --data-root "$D/root" --exec-root "$D/exec" -H "unix://$D/d.sock" --iptables=false --bridge=none --pidfile "$D/d.pid" \
	--storage-driver "${DOCKER_STORAGE:-vfs}" >"$D/log" 2>&1 &
DOCKERD=$!
# Containers first, then the engine, then what it mounted.
at_exit 'docker ps -aq 2>/dev/null | xargs -r docker rm -f >/dev/null 2>&1; end_pid $DOCKERD TERM || end_pid $DOCKERD KILL
	grep -o " $D/[^ ]*" /proc/self/mounts | sort -r | xargs -r umount -l'
for i in $(seq 150); do
	docker version >/dev/null 2>&1 && break
	kill -0 $DOCKERD 2>/dev/null || break
	sleep 0.2
done
docker version >/dev/null 2>&1 || {
	tail -n 5 "$D/log" | sed 's/^/# /'
	skip "dockerd does not start here"
}

# The image: one static busybox.
mkdir -p "$WORK/image/bin" "$WORK/image/tmp" "$WORK/image/etc"
cp /bin/busybox "$WORK/image/bin/"
chroot "$WORK/image" /bin/busybox --install -s /bin
tar -C "$WORK/image" -c . | docker import - busy >/dev/null || fail "docker import"

harness_start
volume v
mkdir "$VOL/site"
echo first >"$VOL/site/page"
chown -R 1000:1000 "$VOL/site"

# A container that appends to a log for ever and answers what it sees of the page.
docker run -d --name writer --network none -v "$VOL:/data" busy sh -c '
	n=0; while :; do n=$((n+1)); echo "line $n" >>/data/log; sync -d /data/log 2>/dev/null || sync; sleep 0.02; done' >/dev/null ||
	fail "docker run"
seen() { docker exec writer cat "/data/$1" 2>&1; }
sleep 1
expect_eq "the container sees the volume" "$(seen site/page)" first
expect "the host sees what the container writes" grep -q '^line 1$' "$VOL/log"

lines=$(wc -l <"$VOL/log")
expect "snapshot while the container writes" "$VARVE" snapshot create v@s
snap_lines=$(wc -l <"$VOL/.snapshots/s/log")
expect "it holds every line synced before ($snap_lines >= $lines)" test "$snap_lines" -ge "$lines"
expect_eq "and none torn" "$(awk '$0 != "line " NR' "$VOL/.snapshots/s/log" | wc -l)" 0
expect_eq "the container browses it" "$(seen .snapshots/s/site/page)" first
expect_eq "where it does not show in ls" "$(docker exec writer ls -A /data | grep -c snapshots)" 0
expect_fail "and cannot write into it" docker exec writer sh -c 'echo x >/data/.snapshots/s/new'

docker exec writer sh -c 'echo second >/data/site/page; mkdir /data/more; rm -rf /data/site/none' || fail "docker exec"
expect_eq "the host sees the change" "$(cat "$VOL/site/page")" second
docker exec writer sh -c 'ls -R /data; cat /data/site/page; stat /data/absent' >/dev/null 2>&1

# Rollback while the container runs: through the same bind mount it sees the old state at once.
expect "rollback under the running container" "$VARVE" rollback v@s --live
expect_eq "the container reads the old page" "$(seen site/page)" first
expect_fail "what was made after the snapshot is gone" docker exec writer test -e /data/more
docker exec -u 1000:1000 writer sh -c 'echo third >/data/site/page' || fail "a write after the rollback"
expect_eq "it writes, as an ordinary user, and the host sees it" "$(cat "$VOL/site/page")" third
sleep 0.5
now=$(wc -l <"$VOL/log")
expect "its appends go on from the rolled-back log ($now > $snap_lines)" test "$now" -gt "$snap_lines"
expect_eq "the container is still running" "$(docker inspect -f '{{.State.Running}}' writer)" true

for i in $(seq 5); do
	"$VARVE" snapshot create "v@t$i" >>"$LOG" 2>&1 || fail "snapshot t$i"
	"$VARVE" rollback v@s --live >>"$LOG" 2>&1 || fail "rollback $i"
	[ "$(seen site/page)" = first ] || fail "page after rollback $i" "$(seen site/page)"
done
pass "five more snapshots and rollbacks under it"

# A clone goes into a second container beside the first.
expect "clone" "$VARVE" clone v@t1 c
expect_eq "a second container sees the clone" \
	"$(docker run --rm --network none -v "$MNT/c:/data" busy sh -c 'echo mine >/data/mine; cat /data/site/page' 2>&1)" third
expect_fail "what it wrote is not in the first" docker exec writer test -e /data/mine
expect_eq "copy-up of permissions: files keep their owners" "$(stat -c %u "$VOL/site/page")" 1000

# What docker cp writes comes in; what goes out, docker cp puts into a container.
docker stop -t 1 writer >/dev/null
contents() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum; find . -printf '%P %y %m %U %G\n' | sort); }
expect "import of docker cp's archive" bash -c "docker cp writer:/data - | '$VARVE' import --strip-components 1 cp"
expect_eq "it is what the container had" "$(contents "$MNT/cp")" "$(contents "$VOL")"
expect "import of docker cp's archive of a folder's content" bash -c "docker cp writer:/data/. - | '$VARVE' import cp2"
expect_eq "the same" "$(contents "$MNT/cp2" | md5sum)" "$(contents "$VOL" | md5sum)"
docker create --name reader --network none busy true >/dev/null
expect "docker cp reads an export" bash -c "'$VARVE' export v | docker cp - reader:/tmp"
expect_eq "with what is in it" "$(docker cp reader:/tmp/site/page - | tar -xOf -)" "$(cat "$VOL/site/page")"

docker rm -f writer reader >/dev/null
check_store
finish
