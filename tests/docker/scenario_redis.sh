#!/bin/bash
# The example redis: a cache on a tmpfs volume that survives a planned restart of the machine, and a queue with an append-only file that is killed.
DOCKER_NETWORK=1
. "$(dirname "$0")/../lib/docker.sh"
. "$(dirname "$0")/../lib/images.sh"

VARVED_ARGS="--docker $VARVE_DOCKER" harness_start
docker_first_start
images_load
at_exit 'umount -l /run/varve/tmpfs/cache 2>/dev/null'
redis() { in_service redis "$1" redis-cli "${@:2}" </dev/null; }

expect "docker-compose up" compose redis up -d
expect "both answer" until_ok eval '[ "$(redis cache ping)" = PONG ] && [ "$(redis queue ping)" = PONG ]'

# --- the cache ---
expect_eq "its volume is a tmpfs" "$(in_service redis cache stat -f -c %T /data)" tmpfs
redis cache eval 'for i = 1, 20000 do redis.call("set", "key" .. i, string.rep("v", 100)) end return 1' 0 >/dev/null
expect_eq "it saves into it" "$(redis cache save)" OK
expect_eq "nothing of that is in the store" "$(ls -A "$MNT/cache")" ""
expect "varve snapshot create before the restart" "$VARVE" snapshot create cache@planned
compose redis stop >/dev/null
# What a start of the machine leaves of it.
umount /run/varve/tmpfs/cache
harness_stop && VARVED_ARGS="--docker $VARVE_DOCKER" harness_mount
expect_eq "after the restart it is empty" "$(stat -f -c %T /run/varve/tmpfs/cache)$(ls -A /run/varve/tmpfs/cache)" tmpfs
expect "varve rollback" "$VARVE" rollback -y cache@planned
compose redis up -d >/dev/null
expect "it answers" until_ok eval '[ "$(redis cache ping)" = PONG ]'
expect_eq "and has everything" "$(redis cache dbsize) $(redis cache get key777 | wc -c)" "20000 101"

# --- the queue ---
for round in 1 2 3; do
	redis queue get n >/dev/null
	# What the client has been told is noted before the next is sent.
	docker exec -i redis_queue_1 sh -c 'while n=$(redis-cli incr n 2>/dev/null) && [ "$n" -gt 0 ] 2>/dev/null; do echo "$n"; done' >"$WORK/acked" 2>/dev/null &
	client=$!
	until_ok eval '[ "$(wc -l <"$WORK/acked")" -gt 100 ]'
	docker kill -s KILL redis_queue_1 >/dev/null
	wait $client
	acked=$(tail -n 1 "$WORK/acked")
	docker start redis_queue_1 >/dev/null
	until_ok eval '[ "$(redis queue ping)" = PONG ]'
	n=$(redis queue get n)
	expect "killed and recovered: $acked was acknowledged, $n is there" test "$n" -ge "$acked" -a "$n" -le $((acked + 1))
done
compose redis down -v >/dev/null
expect_eq "down -v removes both" "$(ls "$MNT" /run/varve/tmpfs)" "$(printf '%s:\n\n%s:' /run/varve/tmpfs "$MNT")"
check_store
finish
