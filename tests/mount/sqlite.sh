#!/bin/bash
# SQLite in both journal modes, snapshotted while it writes; every snapshot is a sound database.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
volume v
rows=$([ -n "$LONG" ] && echo 5000 || echo 1500)

for mode in delete wal; do
	db=$VOL/$mode.db
	sqlite3 "$db" "pragma journal_mode=$mode; create table t(id integer primary key, pad blob); create table n(total);
		insert into n values(0);" >/dev/null
	python3 - "$db" "$rows" <<'PY' &
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
c.execute("pragma synchronous=full")
for i in range(int(sys.argv[2])):
    c.execute("begin immediate")
    c.execute("insert into t(pad) values(?)", (os.urandom(300),))
    c.execute("update n set total = total + 1")
    c.execute("commit")
PY
	writer=$!
	started $writer
	n=0
	while kill -0 $writer 2>/dev/null && [ $n -lt 20 ]; do
		"$VARVE" snapshot create "v@$mode$n" >>"$LOG" 2>&1 || fail "snapshot $mode$n"
		n=$((n + 1))
		sleep 0.1
	done
	wait $writer
	expect_eq "$mode: the writer has finished well" $? 0
	expect_eq "$mode: all rows are there" "$(sqlite3 "$db" 'select total = (select count(*) from t) and total = '"$rows"' from n')" 1
	expect_eq "$mode: integrity_check" "$(sqlite3 "$db" 'pragma integrity_check')" ok
	bad=0
	for ((i = 0; i < n; i++)); do
		"$VARVE" clone "v@$mode$i" "c$mode$i" >>"$LOG" 2>&1
		got=$(sqlite3 "$MNT/c$mode$i/$mode.db" "pragma integrity_check; select total = (select count(*) from t) from n" 2>&1 | tr '\n' ' ')
		[ "$got" = "ok 1 " ] || { bad=$((bad + 1)) && say "$mode$i: $got"; }
	done
	expect_eq "$mode: each of $n snapshots opens with its journal and is whole" $bad 0
done

last=$((n - 1))
sqlite3 "$VOL/wal.db" "drop table t; vacuum;"
expect "rollback of a destroyed database" "$VARVE" rollback "v@wal$last"
expect_eq "the rows are back" "$(sqlite3 "$VOL/wal.db" 'select total = (select count(*) from t) from n')" 1
check_store
finish
