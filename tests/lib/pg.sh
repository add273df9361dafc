# Sourced after harness.sh: PostgreSQL servers on volumes, run as user postgres, reached over sockets in $WORK only.

PG_BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
PG_PORT=${PG_PORT:-15432}

pg_require() {
	[ -x "${PG_BIN:-}/initdb" ] && id postgres >/dev/null 2>&1 || skip "no PostgreSQL"
	PG_SOCKETS=$WORK/sockets
	mkdir -p "$PG_SOCKETS" && chown postgres: "$PG_SOCKETS"
}

# Becomes the command, as user postgres. With "&" the job's pid is the program's own, which runuser or a subshell would hide.
exec_postgres() { cd / && HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
as_postgres() { (exec_postgres "$@"); }

pg_init() { # pg_init DATADIR
	mkdir -p "$1" && chown postgres: "$1" && chmod 0700 "$1" &&
		as_postgres "$PG_BIN/initdb" -D "$1" -A trust -E UTF8 --locale=C >"$WORK/initdb.log" 2>&1
}

# pg_start DATADIR PORT: status 0 once it answers, crash recovery included.
pg_start() {
	local log=$WORK/pg-$2.log
	touch "$log" && chown postgres: "$log"
	# A server that was snapshotted while running leaves its pid file, whose pid may be anybody's by now.
	rm -f "$1/postmaster.pid"
	as_postgres "$PG_BIN/pg_ctl" -D "$1" -w -t 120 -l "$log" -s -o "-p $2 -k $PG_SOCKETS -h '' -c max_connections=40 \
		-c shared_buffers=64MB -c max_wal_size=512MB ${PG_OPTIONS:-}" start >>"$WORK/pg_ctl.log" 2>&1 || {
		tail -n 15 "$log"
		return 1
	}
	at_exit "as_postgres '$PG_BIN/pg_ctl' -D '$1' -m immediate -s stop >/dev/null 2>&1"
}

pg_stop() { as_postgres "$PG_BIN/pg_ctl" -D "$1" -m "${2:-fast}" -w -t 120 -s stop; }

pg_sql() { as_postgres "$PG_BIN/psql" -h "$PG_SOCKETS" -p "$1" -d "${3:-postgres}" -XAtqc "$2"; }

pgbench_fill() { as_postgres "$PG_BIN/pgbench" -h "$PG_SOCKETS" -p "$1" -i -q -s "$2" postgres; }

# What TPC-B keeps: the four sums are one, and the history has one row for each transaction it has counted.
pgbench_sums() {
	pg_sql "$1" "select (select coalesce(sum(abalance), 0) from pgbench_accounts) || ' ' || (select coalesce(sum(bbalance), 0) from pgbench_branches)
		|| ' ' || (select coalesce(sum(tbalance), 0) from pgbench_tellers) || ' ' || (select coalesce(sum(delta), 0) from pgbench_history)"
}

pg_sound() { # pg_sound PORT: amcheck of every relation, and the sums
	local a b c d
	as_postgres "$PG_BIN/pg_amcheck" -h "$PG_SOCKETS" -p "$1" --install-missing --heapallindexed -d postgres || return 1
	read -r a b c d < <(pgbench_sums "$1")
	[ -n "$a" ] && [ "$a" = "$b" ] && [ "$b" = "$c" ] && [ "$c" = "$d" ] || {
		echo "sums: accounts $a, branches $b, tellers $c, history $d"
		return 1
	}
}
