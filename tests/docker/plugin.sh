#!/bin/bash
# The volume plugin under a real Docker engine: options, what inspect shows, containers that share a volume, docker cp, copy-up, names that
# the engine does not check, removal, restarts of the engine, and clones that it has never heard of.
. "$(dirname "$0")/../lib/docker.sh"

VARVED_ARGS="--docker $VARVE_DOCKER" harness_start
docker_first_start
docker_busybox

# --- create, list, inspect ---
expect_eq "docker volume create with options" \
	"$(docker volume create -d varve -o quota=10M -o compression=zstd:3 -o uid=999 -o gid=998 -o mode=0750 -o quota-inodes=1000 db 2>&1)" db
expect_eq "they hold" "$(stat -c '%u:%g %a' "$MNT/db")" "999:998 750"
expect_eq "docker volume ls" "$(docker volume ls -q -f driver=varve)" db
expect_eq "creating it again changes nothing" "$(docker volume create -d varve db)" db
out=$(docker volume create -d varve -o qota=1G x 2>&1) && fail "an unknown option is refused"
expect "an unknown option is refused with the list of known ones" grep -q "unknown volume option 'qota'.*quota=10G.*size=64M" <<<"$out"
out=$(docker volume create -d varve -o quota=lots x 2>&1) && fail "a bad value is refused"
expect "and so is a malformed value" grep -q "'lots' is not a size.*known options" <<<"$out"
for name in ../x a/b .x ü "$(printf 'n%.0s' $(seq 260))" -x 'a b' '%2e%2e'; do
	out=$(docker volume create -d varve -- "$name" 2>&1) && fail "the name '${name:0:20}' is refused" "$out"
done
expect_eq "names that Docker does not check are refused" "$(ls "$MNT")" db

run_busy -v db:/vol -- sh -c 'head -c 200000 /bin/busybox >/vol/f' || fail "a container writes"
"$VARVE" snapshot create db@one >>"$LOG" 2>&1
status() { docker volume inspect -f "{{json .Status}}" "$1" | jq -c "$2"; }
expect_eq "inspect: size, quota, snapshots" "$(status db '[.logical_bytes, .quota, .quota_inodes, .snapshots, .newest_snapshot]')" \
	'[200000,10485760,1000,1,"one"]'
for i in $(seq 100); do
	[ "$(status db .sizes_as_of)" = null ] || break
	sleep 0.1
done
expect "and, counted in the background, what it takes alone and with others" test "$(status db '.unique_bytes + .shared_bytes >= 0')" = true
expect "CreatedAt is a time" test "$(date -d "$(docker volume inspect -f '{{.CreatedAt}}' db)" +%s)" -gt 1600000000
expect_eq "the mountpoint is on the host" "$(docker volume inspect -f '{{.Mountpoint}}' db)" "$MNT/db"
expect_fail "over its quota of files" run_busy -v db:/vol -- sh -c 'seq 1000 | xargs -n 100 sh -c '"'"'cd /vol && touch "$@"'"'"' -'
rm -f "$MNT"/db/[0-9]*

# --- a clone that the engine has never heard of; from= ---
"$VARVE" clone db@one copy >>"$LOG" 2>&1
expect_eq "a clone made by varve is there at once" "$(run_busy -v copy:/vol -- stat -c %s /vol/f)" 200000
expect_eq "and is still varve's" "$(docker volume inspect -f '{{.Driver}}' copy)" varve
docker volume create -d varve -o from=db@one third >/dev/null || fail "from="
expect_eq "from=VOL@SNAP" "$(stat -c %s "$MNT/third/f")" 200000
expect_eq "its lineage" "$(status third .lineage.origin)" '"db@one"'
expect_eq "--mount, which fails safely" \
	"$(run_busy --mount type=volume,volume-driver=varve,source=third,target=/vol -- stat -c %s /vol/f)" 200000

# --- copy-up ---
run_busy -v fresh:/plain -- true >/dev/null # the local driver's: no driver was named
expect_eq "without a driver's name it is Docker's own" "$(docker volume inspect -f '{{.Driver}}' fresh)" local
docker volume create -d varve up >/dev/null
docker volume create -d varve upro >/dev/null
docker volume create -d varve upno >/dev/null
expect_eq "the image's files are there" "$(run_busy -v up:/data -- cat /data/sub/hard)" one
tree_list "$WORK/image/data" >"$WORK/image.list"
tree_list "$MNT/up" >"$WORK/up.list"
expect "with owners, modes, times, hard links and content" diff "$WORK/image.list" "$WORK/up.list"
expect_eq "hard links are one file" "$(stat -c %i "$MNT/up/file")" "$(stat -c %i "$MNT/up/sub/hard")"
expect_eq "and xattrs" "$(getfattr --only-values -n user.colour "$MNT/up/file" 2>/dev/null)" blue
capabilities() { getfattr --only-values -e hex -n security.capability "$1" 2>/dev/null | xxd -p; }
expect_eq "and capabilities" "$(capabilities "$MNT/up/sub/big")" "$(capabilities "$WORK/image/data/sub/big")"
expect "which are some" test -n "$(capabilities "$MNT/up/sub/big")"
acls() { (cd "$1" && find . ! -type l | LC_ALL=C sort | getfacl -np -); }
expect_eq "and ACLs, default ones too" "$(acls "$MNT/up")" "$(acls "$WORK/image/data")"
expect "which say something" grep -q '^default:user:7:rwx$' <(acls "$MNT/up")
expect_eq "the root folder too" "$(stat -c '%u:%g %a' "$MNT/up")" "77:88 2770"
run_busy -v upro:/data:ro -- true
expect "into a read-only mount as well" test -e "$MNT/upro/sub/soft"
run_busy -v upno:/data:nocopy -- true
expect_eq "but not with nocopy" "$(ls -A "$MNT/upno")" ""
"$VARVE" snapshot create up@s >>"$LOG" 2>&1
expect_eq ".snapshots does not show" "$(run_busy -v up:/data -- ls -A /data | tr '\n' ' ')" "file pipe sub "
expect_eq "but resolves" "$(run_busy -v up:/data -- cat /data/.snapshots/s/file)" one
expect_eq "no mount is left" "$(uses up) $(uses upro) $(uses db)" "0 0 0"

# --- containers that share it, docker cp ---
docker run -d --name one --network none -v db:/vol -v db:/again busy sleep 1000 >/dev/null
docker run -d --name two --network none -v db:/vol:ro busy sleep 1000 >/dev/null
expect_eq "each mount is counted, twice in one container too" "$(uses db)" 3
docker exec one sh -c 'echo shared >/again/s' && expect_eq "they share it" "$(docker exec two cat /vol/s)" shared
echo copied >"$WORK/c"
for i in 1 2 3; do docker cp "$WORK/c" one:/vol/c || fail "docker cp"; done
docker cp one:/vol/c "$WORK/back" && expect_eq "docker cp, in and out" "$(cat "$WORK/back")" copied
expect_eq "does not lose a mount" "$(uses db)" 3
out=$("$VARVE" volume rm -y db 2>&1) && fail "varve volume rm of a mounted volume"
expect "varve volume rm refuses and says whose it is" grep -q "mounted by container $(docker inspect -f '{{printf "%.12s" .Id}}' one)" <<<"$out"
expect_fail "varve volume rename refuses too" "$VARVE" volume rename db other
docker rm -f two >/dev/null
expect_eq "one container less" "$(uses db)" 2
expect_fail "Docker refuses to remove what a container has" docker volume rm db
docker rm -f one >/dev/null
expect_eq "and both gone" "$(uses db)" 0

# --- removal ---
run_busy --mount type=volume,volume-driver=varve,target=/vol -- sh -c 'echo x >/vol/x' || fail "an anonymous volume"
expect_eq "an anonymous volume goes with its container" "$("$VARVE" -q volume ls | grep -cE '^[0-9a-f]{64}$')" 0
expect_eq "and not into the trash" "$("$VARVE" -q volume ls --trash 2>/dev/null | grep -cE '^[0-9a-f]{64}$')" 0
exec 9>"$MNT/third/open"
out=$(docker volume rm third 2>&1) && fail "removal with a file open"
expect "a file that the host has open is in the way, and is named" grep -q "/open (process $$" <<<"$out"
exec 9<"$MNT/third/f"
out=$(docker volume rm third 2>&1) && fail "removal with a file open for reading"
expect "for reading too" grep -q "/f (process $$" <<<"$out"
exec 9>&-
plugin VolumeDriver.Mount '{"Name":"third","ID":"leaked"}' >/dev/null
expect_eq "an id that leaked is not in the way" "$(docker volume rm third 2>&1)" third
expect_fail "it is gone" test -e "$MNT/third"

# --- restarts of the engine ---
restart() { # restart TERM|KILL [options]: what a container writes into db goes on or stops with it
	docker_end "$1"
	docker_start "${@:2}" || fail "dockerd starts again"
}
docker run -d --name writer --restart always --network none -v db:/vol busy sh -c 'while :; do date >>/vol/log; sleep 0.1; done' >/dev/null
restart TERM
expect_eq "after a restart of dockerd the volume is varve's" "$(docker volume inspect -f '{{.Driver}}' db)" varve
for i in $(seq 100); do [ "$(docker inspect -f '{{.State.Running}}' writer)" = true ] && break; sleep 0.1; done
expect_eq "its container has it again, once" "$(uses db)" 1
restart KILL
for i in $(seq 100); do [ "$(docker inspect -f '{{.State.Running}}' writer)" = true ] && break; sleep 0.1; done
expect "after kill -9 it has it at least once" test "$(uses db)" -ge 1
docker rm -f writer >/dev/null

restart TERM --live-restore
docker run -d --name writer --network none -v db:/vol busy sh -c 'while :; do date >>/vol/log; sleep 0.1; done' >/dev/null
for signal in TERM KILL; do
	had=$(uses db)
	docker_end $signal
	before=$(stat -c %s "$MNT/db/log")
	sleep 0.5
	expect "live-restore: the container writes on without dockerd ($signal)" test "$(stat -c %s "$MNT/db/log")" -gt "$before"
	expect_eq "and has its mount" "$(uses db)" "$had"
	docker_start --live-restore || fail "dockerd starts again"
	expect_eq "the container is still known" "$(docker inspect -f '{{.State.Running}}' writer)" true
done
left=$(uses db)
docker rm -f writer >/dev/null
expect_eq "its end unmounts under the id that it began with" "$(uses db)" $((left - 1))
expect_eq "with leaks or without, Docker can remove it" "$(docker volume rm db 2>&1)" db
expect_eq "and nothing of it is left in the record" "$(jq -c '[.uses[].volume] | length' "$STORE/uses.json")" 0

# --- the daemon dies under a running container, and the supervisor starts the next one ---
if [ "$(json_field possible status)" = true ]; then
	docker run -d --name writer --network none -v copy:/vol busy sh -c 'while :; do date >>/vol/log || exit 1; sleep 0.1; done' >/dev/null
	for i in 1 2 3; do
		harness_kill_daemon
		expect_eq "kill -9 of the daemon: Docker finds its volume ($i)" "$(docker volume inspect -f '{{.Driver}}' copy)" varve
	done
	expect_eq "the container goes on" "$(docker inspect -f '{{.State.Running}}' writer)" true
	expect_eq "and its mount is still counted" "$(uses copy)" 1
	docker rm -f writer >/dev/null
	expect_eq "until it ends" "$(uses copy)" 0
fi

# --- varved is started again while Docker runs ---
harness_stop && VARVED_ARGS="--docker $VARVE_DOCKER" harness_mount
expect_eq "after a restart of varved its volumes are there" "$(docker volume ls -q -f driver=varve | tr '\n' ' ')" "copy up upno upro "
expect_eq "and work" "$(run_busy -v up:/data -- cat /data/file)" one
check_store
finish
