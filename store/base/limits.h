/* Every limit of the engine, named once. Sizes in bytes unless the name says otherwise. */
#ifndef VARVE_BASE_LIMITS_H
#define VARVE_BASE_LIMITS_H

#include <stdint.h>

#define KIB (1024ULL)
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)
#define TIB (1024ULL * GIB)

/* Names and values that users choose */
#define NAME_LEN_MAX 255          /* a directory entry */
#define VOLUME_NAME_MAX 128       /* a volume or snapshot name */
#define SYMLINK_LEN_MAX 4095
#define XATTR_NAME_MAX 255
#define XATTR_VALUE_MAX (64 * KIB)
#define FILE_SIZE_MAX (64 * TIB)
#define NLINK_MAX 1000000

/* Chunks; these are part of the store's format */
#define CHUNK_LEN_MIN (16 * KIB)
#define CHUNK_LEN_AVG (64 * KIB)
#define CHUNK_LEN_MAX (256 * KIB)
#define PACK_SIZE_MAX (256 * MIB)

/* Ring, journal, commit */
#define RING_SIZE_DEFAULT (128 * MIB)
#define RING_SIZE_MIN (4 * MIB)
#define RECORD_SIZE_MAX (2 * MIB)
#define JOURNAL_SEGMENT_SIZE (32 * MIB)
#define FSYNC_INLINE_MAX (64 * KIB) /* an fsync's data up to this goes inside its journal record */
#define COMMIT_INTERVAL_MS 5000

/* The host filesystem */
#define RESERVE_SIZE (32 * MIB) /* held by a file, given back when a commit finds no space */
#define HOST_MARGIN (32 * MIB)  /* what writes leave free beside it, for metadata */
#define WAL_SIZE_MAX (64 * MIB) /* SQLite's WAL starts over beyond this; a quarter of it is worth a checkpoint */

#define COMPACT_DEAD_MIN (64 * KIB) /* dead bytes of a pack that cannot be punched: less is not worth a compaction, */
#define COMPACT_DEAD_PERCENT 20     /* nor are they when they are fewer of what it takes */

/* Metadata */
#define LINEAGE_FLATTEN_DEPTH 16
#define NODE_INO_BITS 40 /* node id = (number << 40) | ino */
#define META_PENDING_MAX 32768 /* live rows that the tables do not have yet, see store/meta/pending.h */
#define META_CLEAN_MAX 8192    /* live rows kept in memory beside those */
#define SLICE_ROWS 512   /* rows that background work touches before it lets others run */

#endif
