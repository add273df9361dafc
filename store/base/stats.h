/* Counters of one open store, read without a lock by /metrics. Every field is updated with relaxed atomics. */
#ifndef VARVE_BASE_STATS_H
#define VARVE_BASE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#define STATS_COUNTERS(X)                                                                                             \
	X(ops_mutating, "Mutating operations carried out")                                                            \
	X(bytes_written, "Bytes accepted into write buffers")                                                         \
	X(bytes_read, "Bytes returned by reads")                                                                      \
	X(fsyncs, "fsync requests answered")                                                                          \
	X(journal_flushes, "Journal flushes (one fdatasync each)")                                                    \
	X(journal_bytes, "Bytes appended to the journal")                                                             \
	X(commits, "Commits")                                                                                         \
	X(commit_usec, "Microseconds spent in commits")                                                               \
	X(commit_locked_usec, "Microseconds of commits that held the store lock")                                     \
	X(chunks_new, "Chunks stored")                                                                                \
	X(chunks_dedup, "Chunks found stored already and shared")                                                     \
	X(chunk_bytes_raw, "Bytes of stored chunks before compression")                                               \
	X(chunk_bytes_stored, "Bytes of stored chunks after compression")                                             \
	X(chunk_bytes_dedup, "Bytes that deduplication did not have to store")                                        \
	X(chunks_corrupt, "Chunks whose stored bytes did not match their hash")                                       \
	X(metadata_corrupt, "Reads of metadata that met a damaged page or row")                                                \
	X(bytes_punched, "Bytes of dead chunks given back to the host filesystem")                                    \
	X(bytes_compacted, "Bytes of live chunks moved, so that their packs' dead space could be given back")        \
	X(reaped_rows, "Metadata rows removed in the background")                                                     \
	X(write_stalls, "Writes that waited because the ring was full")                                               \
	X(snapshots, "Snapshots taken")                                                                               \
	X(rollbacks, "Rollbacks")                                                                                     \
	X(clones, "Clones made")

struct stats {
#define X(name, help) _Atomic uint64_t name;
	STATS_COUNTERS(X)
#undef X
};

static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t stats_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
