/* Every SQL statement of the engine, SQL(NAME, text): sql.h makes the enum of it and sql.c the table. No include guard. One section
 * a file that uses them. */

/* --- db.c --- */
/* Of a connection. The WAL is synced and checkpointed by meta_sync_wal and meta_checkpoint; a transaction stays in memory until COMMIT. */
SQL(PRAGMAS, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_spill=OFF; PRAGMA temp_store=MEMORY;"
	     "PRAGMA cache_size=-65536; PRAGMA mmap_size=0; PRAGMA foreign_keys=OFF; PRAGMA journal_size_limit=67108864;"
	     "PRAGMA trusted_schema=OFF")
SQL(PRAGMAS_CREATE, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
SQL(PRAGMAS_READER, "PRAGMA query_only=ON; PRAGMA cache_size=-16384")
SQL(INTEGRITY, "PRAGMA integrity_check(1)")
SQL(BEGIN, "BEGIN IMMEDIATE")
SQL(BEGIN_READ, "BEGIN")
SQL(COMMIT, "COMMIT")
SQL(ROLLBACK, "ROLLBACK")
SQL(SAVEPOINT, "SAVEPOINT op")
SQL(RELEASE, "RELEASE op")
SQL(ROLLBACK_TO, "ROLLBACK TO op")
SQL(COUNTER_ALL, "SELECT name, value FROM counter")
SQL(SETTING_GET, "SELECT value FROM setting WHERE key=?1")
SQL(SETTING_PUT, "INSERT OR REPLACE INTO setting VALUES(?1,?2)")

/* --- row.c: whole rows; parameters in column order, see schema.c --- */
SQL(INODE_PUT, "INSERT OR REPLACE INTO inode VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)")
/* An UPDATE that sets `since` would rewrite the history index, so it is a condition; see row_update. */
SQL(INODE_UPDATE, "UPDATE inode SET mode=?5, uid=?6, gid=?7, nlink=?8, rdev=?9, size=?10, alloc=?11, atime=?12, mtime=?13,"
		  " ctime=?14, btime=?15, inherit=?16, parent=?17, flags=?18"
		  " WHERE branch=?1 AND ino=?2 AND until=?3 AND since=?4")
SQL(INODE_DELETE, "DELETE FROM inode WHERE branch=?1 AND ino=?2 AND until=?3")
SQL(DIRENT_PUT, "INSERT OR REPLACE INTO dirent VALUES(?1,?2,?3,?4,?5,?6,?7,?8)")
SQL(DIRENT_UPDATE, "UPDATE dirent SET ino=?7, type=?8"
		   " WHERE branch=?1 AND parent=?2 AND hash=?3 AND name=?4 AND until=?5 AND since=?6")
SQL(DIRENT_DELETE, "DELETE FROM dirent WHERE branch=?1 AND parent=?2 AND hash=?3 AND name=?4 AND until=?5")
SQL(XATTR_PUT, "INSERT OR REPLACE INTO xattr VALUES(?1,?2,?3,?4,?5,?6)")
SQL(XATTR_UPDATE, "UPDATE xattr SET value=?6 WHERE branch=?1 AND ino=?2 AND name=?3 AND until=?4 AND since=?5")
SQL(XATTR_DELETE, "DELETE FROM xattr WHERE branch=?1 AND ino=?2 AND name=?3 AND until=?4")
SQL(EXTENT_PUT, "INSERT OR REPLACE INTO extent VALUES(?1,?2,?3,?4,?5,?6,?7,?8)")
SQL(EXTENT_UPDATE, "UPDATE extent SET len=?6, chunk=?7, choff=?8 WHERE branch=?1 AND ino=?2 AND off=?3 AND until=?4 AND since=?5")
SQL(EXTENT_DELETE, "DELETE FROM extent WHERE branch=?1 AND ino=?2 AND off=?3 AND until=?4")
SQL(CHUNK_PUT, "INSERT INTO chunk VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")
SQL(CHUNK_UPDATE, "UPDATE chunk SET pack=?2, off=?3, stored_len=?4, raw_len=?5, codec=?6, indexed=?7, hash_lo=?8, hash_hi=?9,"
		  " refs=?10 WHERE id=?1")
SQL(CHUNK_DELETE, "DELETE FROM chunk WHERE id=?1")
SQL(CHUNK_SIZES, "SELECT refs, raw_len, stored_len, pack FROM chunk WHERE id=?1")
SQL(PACK_ADD, "INSERT INTO pack VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET chunks=chunks+?2, bytes=bytes+?3")
SQL(PACK_DROP_EMPTY, "DELETE FROM pack WHERE id=?1 AND chunks=0")
SQL(CHUNK_SET_REFS, "UPDATE chunk SET refs=?2 WHERE id=?1")
SQL(FREE_PUT, "INSERT OR REPLACE INTO free VALUES(?1,?2,?3,?4)")
SQL(FREE_UPDATE, "UPDATE free SET len=?3, epoch_seq=?4 WHERE pack=?1 AND off=?2")
SQL(FREE_DELETE, "DELETE FROM free WHERE pack=?1 AND off=?2")
SQL(BRANCH_PUT, "INSERT OR REPLACE INTO branch VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")
SQL(BRANCH_UPDATE, "UPDATE branch SET parent=?2, fork_epoch=?3, ino_base=?4, origin_branch=?5, origin_epoch=?6, bytes=?7,"
		   " inodes=?8, head=?9 WHERE id=?1")
SQL(BRANCH_DELETE, "DELETE FROM branch WHERE id=?1")
/* Upserts by id: a name that another row has must be an error, never that row's silent end. */
SQL(VOLUME_PUT, "INSERT INTO volume VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) ON CONFLICT(id) DO UPDATE SET name=?2,"
		" branch=?3, root_ino=?4, number=?5, head_number=?6, created=?7, quota_bytes=?8, quota_inodes=?9,"
		" compression=?10, flags=?11, options=?12")
SQL(VOLUME_UPDATE, "UPDATE volume SET name=?2, branch=?3, root_ino=?4, number=?5, head_number=?6, created=?7, quota_bytes=?8,"
		   " quota_inodes=?9, compression=?10, flags=?11, options=?12 WHERE id=?1")
SQL(VOLUME_DELETE, "DELETE FROM volume WHERE id=?1")
SQL(SNAPSHOT_PUT, "INSERT INTO snapshot VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11) ON CONFLICT(id) DO UPDATE SET volume=?2,"
		  " name=?3, branch=?4, epoch=?5, created=?6, bytes=?7, inodes=?8, root_ino=?9, number=?10, flags=?11")
SQL(SNAPSHOT_UPDATE, "UPDATE snapshot SET volume=?2, name=?3, branch=?4, epoch=?5, created=?6, bytes=?7, inodes=?8,"
		     " root_ino=?9, number=?10, flags=?11 WHERE id=?1")
SQL(SNAPSHOT_DELETE, "DELETE FROM snapshot WHERE id=?1")
SQL(SNAPSHOT_BRANCH, "SELECT branch FROM snapshot WHERE id=?1")
SQL(NUMBER_PUT, "INSERT OR REPLACE INTO number VALUES(?1,?2,?3,?4,?5)")
SQL(NUMBER_UPDATE, "UPDATE number SET kind=?2, volume=?3, branch=?4, epoch=?5 WHERE number=?1")
SQL(NUMBER_DELETE, "DELETE FROM number WHERE number=?1")
SQL(REAP_PUT, "INSERT OR REPLACE INTO reap VALUES(?1,?2,?3,?4,?5)")
SQL(REAP_UPDATE, "UPDATE reap SET branch=?2, p=?3, v=?4, n=?5 WHERE id=?1")
SQL(REAP_DELETE, "DELETE FROM reap WHERE id=?1")
SQL(PURGE_PUT, "INSERT OR REPLACE INTO purge VALUES(?1,?2,?3,?4,?5)")
SQL(PURGE_UPDATE, "UPDATE purge SET branch=?2, ino=?3, epoch=?4, off=?5 WHERE id=?1")
SQL(PURGE_DELETE, "DELETE FROM purge WHERE id=?1")
SQL(COUNTER_PUT, "INSERT OR REPLACE INTO counter VALUES(?1,?2)")

/* --- branch.c --- */
SQL(BRANCH_ALL, "SELECT id, parent, fork_epoch, ino_base, origin_branch, origin_epoch, bytes, inodes, head FROM branch ORDER BY id")
SQL(BRANCH_SET_TOTALS, "UPDATE branch SET bytes=?2, inodes=?3 WHERE id=?1")
SQL(BRANCH_VIEW_BELOW, "SELECT max(coalesce((SELECT max(epoch) FROM snapshot WHERE branch=?1 AND epoch<?2), 0),"
		       " coalesce((SELECT max(fork_epoch) FROM branch WHERE parent=?1 AND fork_epoch<?2), 0))")
SQL(BRANCH_VIEW_ABOVE, "SELECT min(coalesce((SELECT min(epoch) FROM snapshot WHERE branch=?1 AND epoch>?2), ?3),"
		       " coalesce((SELECT min(fork_epoch) FROM branch WHERE parent=?1 AND fork_epoch>?2), ?3))")
SQL(BRANCH_VIEW_AT, "SELECT EXISTS(SELECT 1 FROM snapshot WHERE branch=?1 AND epoch=?2)"
		    " OR EXISTS(SELECT 1 FROM branch WHERE parent=?1 AND fork_epoch=?2)")
SQL(BRANCH_HAS_ROWS, "SELECT EXISTS(SELECT 1 FROM inode WHERE branch=?1) OR EXISTS(SELECT 1 FROM dirent WHERE branch=?1)"
		     " OR EXISTS(SELECT 1 FROM xattr WHERE branch=?1) OR EXISTS(SELECT 1 FROM extent WHERE branch=?1)")

/* --- catalog.c --- */
SQL(VOLUME_BY_NAME, "SELECT * FROM volume WHERE name=?1")
SQL(VOLUME_BY_ID, "SELECT * FROM volume WHERE id=?1")
SQL(VOLUME_NEXT, "SELECT * FROM volume WHERE name>?1 ORDER BY name LIMIT 1")
SQL(SNAPSHOT_BY_NAME, "SELECT * FROM snapshot WHERE volume=?1 AND name=?2")
SQL(SNAPSHOT_BY_ID, "SELECT * FROM snapshot WHERE id=?1")
SQL(SNAPSHOT_NEXT, "SELECT * FROM snapshot WHERE volume=?1 AND (created,id)>(?2,?3) AND substr(name,1,1)<>'@' ORDER BY created, id LIMIT 1")
SQL(SNAPSHOT_NEXT_ANY, "SELECT * FROM snapshot WHERE volume=?1 AND (created,id)>(?2,?3) ORDER BY created, id LIMIT 1")
SQL(SNAPSHOT_COUNT, "SELECT count(*) FROM snapshot WHERE volume=?1 AND substr(name,1,1)<>'@'")
SQL(SNAPSHOT_NEWEST, "SELECT * FROM snapshot WHERE volume=?1 AND substr(name,1,1)<>'@' ORDER BY created DESC, id DESC LIMIT 1")
/* What begins with a name and is that name, or goes on with '-' (the character before '.') or one before that */
SQL(SNAPSHOT_NAMED, "SELECT count(*) FROM snapshot WHERE volume=?1 AND name>=?2 AND name<?2||'.'")
SQL(SNAPSHOT_OF_VIEW, "SELECT * FROM snapshot INDEXED BY snapshot_view WHERE branch=?1 AND epoch=?2 AND substr(name,1,1)<>'@' ORDER BY id LIMIT 1")
/* Automatic and not held: flags 1 and not 2 */
SQL(SNAPSHOT_SURPLUS, "SELECT * FROM snapshot WHERE volume=?1 AND flags&3=1 AND substr(name,1,1)<>'@' AND ?2<(SELECT count(*) FROM snapshot"
		      " WHERE volume=?1 AND flags&3=1 AND substr(name,1,1)<>'@') ORDER BY created, id LIMIT 1")
SQL(SNAPSHOT_CLONES, "SELECT count(*) FROM branch WHERE parent=?1 AND fork_epoch=?2")
SQL(NUMBER_GET, "SELECT * FROM number WHERE number=?1")
SQL(NUMBER_NEXT, "SELECT * FROM number WHERE number>?1 ORDER BY number LIMIT 1")

/* --- chunk_table.c --- */
SQL(CHUNK_GET, "SELECT * FROM chunk WHERE id=?1")
SQL(CHUNK_FIND, "SELECT * FROM chunk INDEXED BY chunk_hash WHERE hash_lo=?1 AND indexed=1 AND hash_hi=?2 AND raw_len=?3"
		" ORDER BY id LIMIT 1 OFFSET ?4")
SQL(CHUNK_DEAD, "SELECT * FROM chunk INDEXED BY chunk_dead WHERE refs=0 AND id<?1 ORDER BY id LIMIT 1")
SQL(CHUNK_BY_PACK, "SELECT * FROM chunk INDEXED BY chunk_pack WHERE pack=?1 AND off>?2 ORDER BY off LIMIT ?3")
SQL(CHUNK_SCAN, "SELECT * FROM chunk WHERE id>?1 ORDER BY id LIMIT ?2")
SQL(FREE_NEXT, "SELECT * FROM free WHERE (pack,off)>(?1,?2) ORDER BY pack, off LIMIT 1")
SQL(PACK_USAGE, "SELECT chunks, bytes FROM pack WHERE id=?1")
SQL(PACK_BEFORE, "SELECT off+stored_len FROM chunk INDEXED BY chunk_pack WHERE pack=?1 AND off<?2 ORDER BY off DESC LIMIT 1")
SQL(PACK_AFTER, "SELECT off FROM chunk INDEXED BY chunk_pack WHERE pack=?1 AND off>=?2 ORDER BY off LIMIT 1")

/* --- inode.c; the shape of GET and WALK statements is told in version.h --- */
#define INODE_COLS                                                                                                    \
	"ino, NULL, until, since, mode, uid, gid, nlink, rdev, size, alloc, atime, mtime, ctime, btime, inherit, parent, flags"
SQL(INODE_GET, "SELECT " INODE_COLS " FROM inode WHERE branch=?1 AND ino=?3 AND until>?2 ORDER BY until LIMIT 1")
SQL(INODE_WALK, "SELECT " INODE_COLS " FROM inode WHERE branch=?1 AND (ino,until)>(?3,?5) ORDER BY ino, until")
#undef INODE_COLS
SQL(ORPHAN_ONCE, "SELECT ino FROM inode WHERE branch=?1 AND ino>?2 AND nlink=0 AND mode<>0 ORDER BY ino LIMIT 1")

/* --- dirent.c --- */
#define DIRENT_COLS "hash, name, until, since, ino, type"
SQL(DIRENT_GET, "SELECT " DIRENT_COLS " FROM dirent WHERE branch=?1 AND parent=?3 AND hash=?4 AND name=?5 AND until>?2"
		" ORDER BY until LIMIT 1")
SQL(DIRENT_WALK, "SELECT " DIRENT_COLS " FROM dirent WHERE branch=?1 AND parent=?2 AND (hash,name,until)>(?3,?4,?5)"
		 " ORDER BY hash, name, until")
SQL(DIRENT_BY_INO, "SELECT " DIRENT_COLS ", parent FROM dirent INDEXED BY dirent_ino WHERE branch=?1 AND ino=?3 AND until>?2"
		   " AND since<=?2")
#undef DIRENT_COLS

/* --- xattr.c --- */
#define XATTR_COLS "0, name, until, since, value IS NOT NULL"
SQL(XATTR_GET, "SELECT " XATTR_COLS ", value FROM xattr WHERE branch=?1 AND ino=?3 AND name=?5 AND until>?2 ORDER BY until LIMIT 1")
SQL(XATTR_WALK, "SELECT " XATTR_COLS " FROM xattr WHERE branch=?1 AND ino=?2 AND (name,until)>(?4,?5) ORDER BY name, until")
#undef XATTR_COLS

/* --- extent_scan.c, and what is built on it --- */
#define EXTENT_COLS "off, NULL, until, since, chunk, len, choff"
SQL(EXTENT_GET, "SELECT " EXTENT_COLS " FROM extent WHERE branch=?1 AND ino=?3 AND off=?4 AND until>?2 ORDER BY until LIMIT 1")
SQL(EXTENT_WALK, "SELECT " EXTENT_COLS " FROM extent WHERE branch=?1 AND ino=?2 AND (off,until)>(?3,?5) ORDER BY off, until")
SQL(EXTENT_BACK, "SELECT " EXTENT_COLS " FROM extent WHERE branch=?1 AND ino=?2 AND off<?3 AND off>=?4 ORDER BY off DESC, until DESC")
#undef EXTENT_COLS

/* --- purge.c --- */
SQL(PURGE_FIRST, "SELECT id, branch, ino, epoch, off FROM purge ORDER BY id LIMIT 1")

/* --- reap.c; rows of a branch by `until`, and those of one `until` by `since` --- */
SQL(REAP_FIRST, "SELECT id, branch, p, v, n FROM reap ORDER BY id LIMIT 1")
SQL(REAP_BRANCH_BUSY, "SELECT EXISTS(SELECT 1 FROM reap WHERE branch=?1) OR EXISTS(SELECT 1 FROM purge WHERE branch=?1)")
#define NEXT_UNTIL(table) "SELECT until FROM " #table " INDEXED BY " #table "_history WHERE branch=?1 AND until>?2 ORDER BY until LIMIT 1"
#define OF_UNTIL(table) " FROM " #table " INDEXED BY " #table "_history WHERE branch=?1 AND until=?2 AND since>?3 AND since<=?4 LIMIT 1"
SQL(REAP_INODE_UNTIL, NEXT_UNTIL(inode))
SQL(REAP_DIRENT_UNTIL, NEXT_UNTIL(dirent))
SQL(REAP_XATTR_UNTIL, NEXT_UNTIL(xattr))
SQL(REAP_EXTENT_UNTIL, NEXT_UNTIL(extent))
SQL(REAP_INODE, "SELECT ino" OF_UNTIL(inode))
SQL(REAP_DIRENT, "SELECT parent, hash, name" OF_UNTIL(dirent))
SQL(REAP_XATTR, "SELECT ino, name" OF_UNTIL(xattr))
SQL(REAP_EXTENT, "SELECT ino, off, chunk" OF_UNTIL(extent))
#undef NEXT_UNTIL
#undef OF_UNTIL

/* --- flatten.c --- */
SQL(FLATTEN_HIDDEN_SINCE, "SELECT since FROM inode WHERE branch=?1 AND ino=?2 AND (mode=0 OR inherit<=?3) ORDER BY until LIMIT 1")

/* --- extent_unique.c --- */
SQL(EXTENT_REFS, "SELECT ino, off, until, since, chunk FROM extent WHERE branch=?1 AND (ino,off,until)>(?2,?3,?4)"
		 " ORDER BY ino, off, until LIMIT ?5")
SQL(EXTENT_UNIQUE, "SELECT coalesce(sum(len), 0) FROM extent INDEXED BY extent_history WHERE branch=?1 AND until>?2 AND until<=?3"
		   " AND since>?4 AND since<=?5 AND chunk<>0")

SQL(EXTENT_HELD, "SELECT e.ino, e.off, e.until, coalesce(1.0*c.stored_len/c.refs, 0) FROM extent e LEFT JOIN chunk c ON c.id=e.chunk"
		 " WHERE e.branch=?1 AND (e.ino,e.off,e.until)>(?2,?3,?4) ORDER BY e.ino, e.off, e.until LIMIT ?5")

/* --- audit.c; each gives findings as text, but for the sums --- */
SQL(AUDIT_REFS, "SELECT printf('chunk %d has %d references, but %d extents refer to it', c.id, c.refs, coalesce(e.n, 0)) FROM chunk c"
		" LEFT JOIN (SELECT chunk, count(*) AS n FROM extent WHERE chunk<>0 GROUP BY chunk) e ON e.chunk=c.id"
		" WHERE c.refs<>coalesce(e.n, 0)")
SQL(AUDIT_EXTENT, "SELECT printf('branch %d, inode %d: the extent at %d does not fit chunk %d', e.branch, e.ino, e.off, e.chunk)"
		  " FROM extent e LEFT JOIN chunk c ON c.id=e.chunk WHERE e.chunk<>0 AND"
		  " (c.id IS NULL OR e.off<0 OR e.len<=0 OR e.choff<0 OR e.choff+e.len>c.raw_len)")
/* ?1 in those that have it: the current epoch */
#define FOREVER "9223372036854775807"
#define HEAD_EPOCH "9223372036854775806"
#define AUDIT_VERSIONS(table, object, key)                                                                             \
	"SELECT printf('branch %d, inode %d: versions of " #table " rows overlap before %d', branch, " object ", until) FROM" \
	" (SELECT branch, " object ", until, since, lag(until, 1, 0) OVER (PARTITION BY branch, " key " ORDER BY until) AS before" \
	" FROM " #table ") WHERE since<before OR since>=until OR since<1 OR since>?1 OR (until>?1 AND until<" FOREVER ")"
SQL(AUDIT_INODE_VERSIONS, AUDIT_VERSIONS(inode, "ino", "ino"))
SQL(AUDIT_DIRENT_VERSIONS, AUDIT_VERSIONS(dirent, "parent", "parent, hash, name"))
SQL(AUDIT_XATTR_VERSIONS, AUDIT_VERSIONS(xattr, "ino", "ino, name"))
SQL(AUDIT_EXTENT_VERSIONS, AUDIT_VERSIONS(extent, "ino", "ino, off"))
#undef AUDIT_VERSIONS
/* A closed row is there for a view, or a task removes it. */
#define AUDIT_UNSEEN(table, object)                                                                                    \
	"SELECT printf('branch %d, inode %d: no snapshot shows a version of " #table " rows that ended at %d, and nothing is to remove it'," \
	" t.branch, " object ", t.until) FROM " #table " t WHERE t.until<" FOREVER " AND NOT EXISTS(SELECT 1 FROM snapshot s" \
	" WHERE s.branch=t.branch AND s.epoch>=t.since AND s.epoch<t.until) AND NOT EXISTS(SELECT 1 FROM branch b WHERE b.parent=t.branch" \
	" AND b.fork_epoch>=t.since AND b.fork_epoch<t.until) AND NOT EXISTS(SELECT 1 FROM reap r WHERE r.branch=t.branch" \
	" AND t.since>r.p AND t.since<=r.v AND t.until<=r.n) LIMIT 100"
SQL(AUDIT_INODE_UNSEEN, AUDIT_UNSEEN(inode, "t.ino"))
SQL(AUDIT_DIRENT_UNSEEN, AUDIT_UNSEEN(dirent, "t.parent"))
SQL(AUDIT_XATTR_UNSEEN, AUDIT_UNSEEN(xattr, "t.ino"))
SQL(AUDIT_EXTENT_UNSEEN, AUDIT_UNSEEN(extent, "t.ino"))
#undef AUDIT_UNSEEN
/* Live rows of an inode are of one that lives; of what was made on the head's own branch, since that is where its row is then. */
#define AUDIT_LIVING(table, value, what, where)                                                                        \
	"SELECT DISTINCT printf('branch %d, inode %d: it has " what "', t.branch, t.ino) FROM " #table " t JOIN branch b ON b.id=t.branch" \
	" JOIN volume v ON v.branch=b.id AND (v.flags&8)=0 LEFT JOIN inode i ON i.branch=t.branch AND i.ino=t.ino AND i.until=" FOREVER \
	" WHERE b.head=1 AND t.until=" FOREVER " AND t.since>b.origin_epoch AND t." value                                     \
	" AND NOT EXISTS(SELECT 1 FROM purge p WHERE p.branch=t.branch AND p.ino=t.ino) AND " where
SQL(AUDIT_EXTENT_LIVING, AUDIT_LIVING(extent, "chunk<>0", "extents, but it does not exist", "coalesce(i.mode, 0)=0"))
SQL(AUDIT_XATTR_LIVING, AUDIT_LIVING(xattr, "value IS NOT NULL AND substr(t.name, 1, 1)<>x'01'",
				     "extended attributes, but its row says none, or does not exist", "coalesce(i.flags&1, 0)=0"))
#undef AUDIT_LIVING
SQL(AUDIT_ROWS, "SELECT printf('branch %d has rows, but does not exist', x.branch) FROM (SELECT DISTINCT branch FROM inode UNION"
		" SELECT DISTINCT branch FROM dirent UNION SELECT DISTINCT branch FROM xattr UNION SELECT DISTINCT branch FROM extent UNION"
		" SELECT branch FROM purge UNION SELECT branch FROM reap) x"
		" WHERE NOT EXISTS(SELECT 1 FROM branch b WHERE b.id=x.branch)")
SQL(AUDIT_BRANCH, "SELECT printf('branch %d: its parent %d, at %d, is not what it began from', b.id, b.parent, b.fork_epoch) FROM branch b"
		  " WHERE b.parent<>0 AND (b.fork_epoch<1 OR b.fork_epoch>=?1 OR b.origin_branch<>b.parent OR b.origin_epoch<>b.fork_epoch"
		  " OR NOT EXISTS(SELECT 1 FROM branch p WHERE p.id=b.parent) OR EXISTS(SELECT 1 FROM inode i WHERE i.branch=b.parent"
		  " AND i.ino>b.ino_base AND i.since<=b.fork_epoch))")
SQL(AUDIT_TASK, "SELECT printf('the task %d, to remove rows of branch %d, has bounds that cannot be', id, branch) FROM reap"
		" WHERE p<0 OR v<=p OR n<1 OR (v<" FOREVER " AND (v>=?1 OR n<=v)) UNION ALL"
		" SELECT printf('the task %d, to remove rows of inode %d, has bounds that cannot be', id, ino) FROM purge"
		" WHERE epoch<1 OR epoch>?1 OR off<0")
SQL(AUDIT_CHUNK, "SELECT printf('chunk %d: its lengths or its codec cannot be', id) FROM chunk WHERE raw_len<=0 OR stored_len<=0"
		 " OR stored_len>raw_len OR codec NOT IN (0, 1) OR (codec=0 AND stored_len<>raw_len) OR indexed NOT IN (0, 1) OR pack<=0 OR off<=0")
SQL(AUDIT_NUMBER, "SELECT printf('volume %s: its node id numbers %d and %d are not its own', v.name, v.number, v.head_number) FROM volume v"
		  " WHERE NOT EXISTS(SELECT 1 FROM number n WHERE n.number=v.number AND n.kind=1 AND n.volume=v.id)"
		  " OR NOT EXISTS(SELECT 1 FROM number n WHERE n.number=v.head_number AND n.kind=2 AND n.volume=v.id AND n.branch=v.branch"
		  " AND n.epoch=" HEAD_EPOCH ") UNION ALL"
		  " SELECT printf('snapshot %s: its node id number %d is not its own', s.name, s.number) FROM snapshot s WHERE s.number<>0"
		  " AND NOT EXISTS(SELECT 1 FROM number n WHERE n.number=s.number AND n.kind=3 AND n.volume=s.volume AND n.branch=s.branch"
		  " AND n.epoch=s.epoch) UNION ALL"
		  " SELECT printf('the node id number %d is of nothing that there is', n.number) FROM number n WHERE n.kind NOT IN (1, 2, 3)"
		  " OR NOT EXISTS(SELECT 1 FROM volume v WHERE v.id=n.volume)"
		  " OR (n.kind=3 AND NOT EXISTS(SELECT 1 FROM snapshot s WHERE s.number=n.number))")
/* The highest that are in use, in the order of enum counter */
SQL(AUDIT_MAXIMA, "SELECT (SELECT max(ino) FROM inode), (SELECT max(id) FROM chunk),"
		  " (SELECT max(pack) FROM (SELECT max(pack) AS pack FROM chunk UNION ALL SELECT max(pack) FROM free)),"
		  " (SELECT max(number) FROM number), (SELECT max(id) FROM (SELECT max(id) AS id FROM branch UNION ALL SELECT max(id) FROM volume"
		  " UNION ALL SELECT max(id) FROM snapshot UNION ALL SELECT max(id) FROM reap UNION ALL SELECT max(id) FROM purge))")
SQL(AUDIT_PACK_ENDS, "SELECT pack, max(off+stored_len) FROM chunk GROUP BY pack")
/* ?1: the length of a record's header */
SQL(AUDIT_SPACE, "SELECT printf('pack %d: the record at %d overlaps the one before it', pack, start) FROM"
		 " (SELECT pack, start, max(finish) OVER (PARTITION BY pack ORDER BY start ROWS BETWEEN UNBOUNDED PRECEDING AND"
		 " 1 PRECEDING) AS before FROM (SELECT pack, off-?1 AS start, off+stored_len AS finish FROM chunk UNION ALL"
		 " SELECT pack, off, off+len FROM free)) WHERE start<before")
SQL(AUDIT_PACK, "SELECT printf('pack %d: the counts of its chunks and their bytes are %d and %d too high', id, sum(n), sum(b)) FROM"
		" (SELECT id, chunks AS n, bytes AS b FROM pack UNION ALL SELECT pack, -1, -stored_len FROM chunk)"
		" GROUP BY id HAVING sum(n)<>0 OR sum(b)<>0")
SQL(AUDIT_VOLUME, "SELECT printf('volume %s: its branch %d is missing or no head', v.name, v.branch) FROM volume v"
		  " LEFT JOIN branch b ON b.id=v.branch WHERE b.head IS NOT 1")
SQL(AUDIT_SNAPSHOT, "SELECT printf('snapshot %s: its volume %d or its branch %d is missing, or has not come to its instant', s.name, s.volume, s.branch) FROM snapshot s"
		    " LEFT JOIN branch b ON b.id=s.branch LEFT JOIN volume v ON v.id=s.volume WHERE b.id IS NULL OR v.id IS NULL OR s.epoch<1 OR s.epoch>=?1")
SQL(AUDIT_HEAD, "SELECT printf('branch %d is a head of no volume', id) FROM branch WHERE head=1"
		" AND NOT EXISTS(SELECT 1 FROM volume WHERE volume.branch=branch.id)")
#undef HEAD_EPOCH
#undef FOREVER
SQL(AUDIT_SUMS, "SELECT count(*), coalesce(sum(raw_len), 0), coalesce(sum(stored_len), 0), coalesce(sum(raw_len*refs), 0) FROM chunk")

/* --- history.c; ended in (from, to]; begun in it and live; begun in it and ended later --- */
#define HISTORY(table, where) "SELECT ino FROM " #table " INDEXED BY " #table "_history WHERE branch=?1 AND " where
#define ENDED "until>?2 AND until<=?3"
#define LIVE "until=9223372036854775807 AND since>?2 AND since<=?3"
#define LATER "until>?3 AND until<9223372036854775807 AND since>?2 AND since<=?3"
SQL(HISTORY_INODE_ENDED, HISTORY(inode, ENDED))
SQL(HISTORY_INODE_LIVE, HISTORY(inode, LIVE))
SQL(HISTORY_INODE_LATER, HISTORY(inode, LATER))
SQL(HISTORY_EXTENT_ENDED, HISTORY(extent, ENDED))
SQL(HISTORY_EXTENT_LIVE, HISTORY(extent, LIVE))
SQL(HISTORY_EXTENT_LATER, HISTORY(extent, LATER))
SQL(HISTORY_XATTR_ENDED, HISTORY(xattr, ENDED))
SQL(HISTORY_XATTR_LIVE, HISTORY(xattr, LIVE))
SQL(HISTORY_XATTR_LATER, HISTORY(xattr, LATER))
#undef HISTORY
#define HISTORY_ROW(cols, table, where) "SELECT " cols " FROM " #table " INDEXED BY " #table "_history WHERE branch=?1 AND " where
SQL(HISTORY_EXTENT_ROW_ENDED, HISTORY_ROW("ino, off, NULL", extent, ENDED))
SQL(HISTORY_EXTENT_ROW_LIVE, HISTORY_ROW("ino, off, NULL", extent, LIVE))
SQL(HISTORY_EXTENT_ROW_LATER, HISTORY_ROW("ino, off, NULL", extent, LATER))
SQL(HISTORY_DIRENT_ROW_ENDED, HISTORY_ROW("parent, hash, name", dirent, ENDED))
SQL(HISTORY_DIRENT_ROW_LIVE, HISTORY_ROW("parent, hash, name", dirent, LIVE))
SQL(HISTORY_DIRENT_ROW_LATER, HISTORY_ROW("parent, hash, name", dirent, LATER))
#undef HISTORY_ROW
#undef ENDED
#undef LIVE
#undef LATER
