#!/bin/bash
# PostgreSQL under pgbench while snapshots are taken; clones of them start beside it, recover, and are sound; a rollback brings
# dropped tables back; kill -9 of the server loses nothing committed.
. "$(dirname "$0")/../lib/harness.sh"
. "$(dirname "$0")/../lib/pg.sh"

pg_require
snapshots=$([ -n "$LONG" ] && echo 100 || echo 10)
clones=$([ -n "$LONG" ] && echo 10 || echo 2)
scale=$([ -n "$LONG" ] && echo 10 || echo 2)
harness_start
volume pg
DATA=$VOL/data
expect "initdb" pg_init "$DATA" || exit 1
expect "the server starts" pg_start "$DATA" "$PG_PORT" || exit 1
expect "pgbench fills its tables" pgbench_fill "$PG_PORT" "$scale" || exit 1

exec_postgres "$PG_BIN/pgbench" -h "$PG_SOCKETS" -p "$PG_PORT" -c 4 -j 2 -T 3600 -n postgres >"$WORK/pgbench.log" 2>&1 &
bench=$!
started $bench
sleep 1

committed() { pg_sql "$PG_PORT" 'select count(*) from pgbench_history'; }
declare -a at_least
worst_cut=0 bad=0
for ((i = 0; i < snapshots; i++)); do
	at_least[i]=$(committed)
	cut=$(json_field cut_us snapshot create "pg@s$i" 2>>"$LOG")
	[[ $cut =~ ^[0-9]+$ ]] || { bad=$((bad + 1)) && continue; }
	[ "$cut" -le $worst_cut ] || worst_cut=$cut
	sleep 0.2
done
expect_eq "$snapshots snapshots under pgbench" $bad 0
say "longest cut: $worst_cut us; $(committed) transactions so far"
expect "pgbench is still running" kill -0 $bench

for ((k = 0; k < clones; k++)); do
	i=$((k * (snapshots - 1) / (clones - 1)))
	port=$((PG_PORT + 1 + k))
	expect "clone of snapshot $i" "$VARVE" clone "pg@s$i" "clone$k" || continue
	expect "a server on it recovers and starts" pg_start "$MNT/clone$k/data" $port || continue
	expect "amcheck and the sums agree on clone $k" pg_sound $port
	n=$(pg_sql $port 'select count(*) from pgbench_history')
	expect "everything committed before snapshot $i is in it ($n >= ${at_least[i]})" test "${n:-0}" -ge "${at_least[i]}"
	expect "the clone can be written" pg_sql $port "create table mine as select generate_series(1, 1000) as n"
	pg_stop "$MNT/clone$k/data"
done

end_pid $bench TERM
expect "the live server is sound" pg_sound "$PG_PORT"

# kill -9 of every process of the server: what was committed is there after recovery.
before=$(committed)
as_postgres "$PG_BIN/pg_ctl" -D "$DATA" -m immediate -w -s stop
expect "it recovers from an immediate stop" pg_start "$DATA" "$PG_PORT"
expect_eq "with everything that was committed" "$(committed)" "$before"

expect "snapshot before the disaster" "$VARVE" snapshot create pg@good
sums=$(pgbench_sums "$PG_PORT")
expect "the disaster" pg_sql "$PG_PORT" "drop table pgbench_accounts, pgbench_history"
pg_sql "$PG_PORT" checkpoint
pg_stop "$DATA"
expect "rollback" "$VARVE" rollback pg@good
expect "the server starts on what was rolled back" pg_start "$DATA" "$PG_PORT"
expect_eq "the dropped tables are back" "$(pgbench_sums "$PG_PORT" 2>&1)" "$sums"
expect "and sound" pg_sound "$PG_PORT"
pg_stop "$DATA"
check_store
finish
