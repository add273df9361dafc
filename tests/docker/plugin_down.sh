#!/bin/bash
# The plugin is away for longer than Docker asks again (1, 2, 4 and 8 s): what Docker is asked for meanwhile fails, nothing is lost or left
# over, and all works once it is back.
. "$(dirname "$0")/../lib/docker.sh"

VARVED_ARGS="--docker $VARVE_DOCKER" harness_start
docker_first_start
docker_busybox

docker volume create -d varve shop >/dev/null
docker volume create -d varve other >/dev/null
echo kept >"$MNT/shop/file"
docker run -d --name one --network none -v shop:/vol busy sleep 1000 >/dev/null
expect_eq "a container has the volume" "$(uses shop)" 1
harness_stop

# All at once, since each is tried for 15 s.
docker run --rm --network none --mount type=volume,volume-driver=varve,source=other,target=/vol busy true >"$WORK/run" 2>&1 &
run=$!
docker volume create -d varve new >"$WORK/create" 2>&1 &
create=$!
docker stop -t 1 one >"$WORK/stop" 2>&1 &
stop=$!
docker volume ls -q >"$WORK/ls" 2>&1 &
ls=$!
wait $run && fail "a container with a volume of a plugin that is away"
expect "a container with a volume of a plugin that is away does not start" grep -qi 'varve' "$WORK/run"
wait $create && fail "nor is a volume created"
expect "nor is a volume created" grep -qi 'varve' "$WORK/create"
expect "a container that runs can be stopped" wait $stop
expect "docker volume ls still answers" wait $ls

VARVED_ARGS="--docker $VARVE_DOCKER" harness_mount
expect_eq "back again, it has its volumes, and Docker no local ones" "$(docker volume ls --format '{{.Driver}} {{.Name}}' | sort | tr '\n' ' ')" \
	"varve other varve shop "
expect_eq "the unmount is lost" "$(uses shop)" 1
docker start one >/dev/null || fail "docker start"
expect_eq "the container starts again with its files" "$(docker exec one cat /vol/file)" kept
docker rm -f one >/dev/null
expect_eq "what is left over is a count" "$(uses shop)" 1
out=$("$VARVE" volume rm -y shop 2>&1) && fail "varve volume rm while an id is known"
expect "which varve volume rm tells, and that nobody has it" grep -q "though in no process" <<<"$out"
expect_eq "and which is not in Docker's way" "$(docker volume rm shop)" shop
expect_eq "nothing of it is left" "$(jq -c '.uses' "$STORE/uses.json")" '[]'
expect_eq "a container with the other volume starts" "$(run_busy --mount type=volume,volume-driver=varve,source=other,target=/vol -- echo up)" up
check_store
finish
