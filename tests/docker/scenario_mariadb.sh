#!/bin/bash
# The example mariadb: load, snapshot, DROP DATABASE, stop, roll back, start; then export, import under another name, start. And the
# example copy: a developer's copy of that database.
DOCKER_NETWORK=1
. "$(dirname "$0")/../lib/docker.sh"
. "$(dirname "$0")/../lib/images.sh"

VARVED_ARGS="--docker $VARVE_DOCKER" harness_start
docker_first_start
images_load

in_db() { in_service "$1" "${3:-db}" mariadb -uroot -pexample -N -e "$2" </dev/null; }
checksums() { in_db "$1" 'CHECKSUM TABLE shop.items, shop.orders' "${2:-db}" | tr -s '\t\n' ' '; }
sound() { in_db "$1" 'CHECK TABLE shop.items, shop.orders EXTENDED' | grep -cE 'status[[:space:]]+OK'; }

expect "docker-compose up" compose mariadb up -d db
expect "the database answers" until_ok in_db mariadb 'USE shop'
in_db mariadb 'USE shop; CREATE TABLE shop.items (id INT PRIMARY KEY, name CHAR(32), KEY(name)) SELECT seq AS id, md5(seq) AS name FROM seq_1_to_50000;
	CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, item INT, at TIMESTAMP) SELECT seq % 500 + 1 AS item FROM seq_1_to_20000' ||
	fail "loading"
want=$(checksums mariadb)
# Writers go on while the snapshot is taken: what it has beyond `want` is theirs.
in_db mariadb 'CREATE TABLE shop.log (n INT PRIMARY KEY)'
(for n in $(seq 1 100000); do echo "INSERT INTO shop.log VALUES ($n);"; done | in_service mariadb db mariadb -uroot -pexample >/dev/null 2>&1) &
writer=$!
until_ok eval '[ "$(in_db mariadb "SELECT COUNT(*) FROM shop.log")" -gt 50 ]'
acked=$(in_db mariadb 'SELECT MAX(n) FROM shop.log')
expect "varve snapshot create, under load" "$VARVE" snapshot create shop-db@before
in_db mariadb 'DROP DATABASE shop' && pass "DROP DATABASE"
wait $writer
expect_fail "it is gone" in_db mariadb 'USE shop'
expect "docker-compose stop" compose mariadb stop db
expect "varve rollback" "$VARVE" rollback -y shop-db@before
expect "docker-compose start" compose mariadb start db
expect "it answers again" until_ok in_db mariadb 'USE shop'
expect_eq "everything is as it was" "$(checksums mariadb)" "$want"
expect_eq "and sound" "$(sound mariadb)" 2
got=$(in_db mariadb 'SELECT CONCAT(COUNT(*) = MAX(n), " ", MAX(n)) FROM shop.log')
expect "with every row that was acknowledged before the snapshot ($got of $acked)" test "${got#1 }" -ge "$acked"

expect "varve export" eval '"$VARVE" export shop-db@before >"$WORK/shop.tar"'
expect "varve import under another name" eval 'cat "$WORK/shop.tar" | "$VARVE" import shop-db-copy'
expect "a container starts on it" compose mariadb -f "$HERE/docker/examples/mariadb/copy.yml" up -d copy
expect "and answers" until_ok in_db mariadb 'USE shop' copy
expect_eq "with the same data" "$(checksums mariadb copy)" "$want"
docker rm -f mariadb_copy_1 >/dev/null

# --- the example copy ---
expect "a nightly snapshot" "$VARVE" snapshot create shop-db@nightly
before=$(checksums mariadb)
t0=$EPOCHREALTIME
expect "the copy is made with its volume: docker-compose up --no-start" compose copy up --no-start
t1=$EPOCHREALTIME
expect "and started apart" compose copy start
expect "it answers" until_ok in_db copy 'USE shop'
t2=$EPOCHREALTIME
say "clone, container and network made: $(bc <<<"$t1 - $t0") s; started until it answers: $(bc <<<"$t2 - $t1") s"
t0=$EPOCHREALTIME
docker volume create -d varve -o from=shop-db@nightly timed >/dev/null
say "the clone alone, as docker volume create: $(bc <<<"$EPOCHREALTIME - $t0") s"
expect_eq "the copy comes from the snapshot" "$(docker volume inspect -f '{{.Status.lineage.origin}}' shop-db-dev)" shop-db@nightly
expect_eq "and has its data" "$(checksums copy)" "$before"
in_db copy 'DROP TABLE shop.items; DELETE FROM shop.orders'
expect_eq "what is done to it is not done to production" "$(checksums mariadb)" "$before"
expect "docker-compose down -v throws it away" compose copy down -v
expect_fail "all of it" test -e "$MNT/shop-db-dev"
expect_eq "production is untouched" "$(checksums mariadb) $(sound mariadb)" "$before 2"
compose mariadb down >/dev/null
check_store
finish
