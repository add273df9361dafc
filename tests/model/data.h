/* Operations on contents. */
#ifndef VARVE_MODEL_DATA_H
#define VARVE_MODEL_DATA_H

#include "tests/model/run.h"

bool data_write(struct run *r);
bool data_append(struct run *r);
bool data_write_big(struct run *r);    /* several calls, in order or not */
bool data_write_sparse(struct run *r); /* up to 16 TiB and at the limit of file sizes */
bool data_read(struct run *r);
bool data_fallocate(struct run *r);
bool data_seek(struct run *r);
bool data_copy(struct run *r);
bool data_fsync(struct run *r);

/* One call; with FILE_WRITE_APPEND `off` does not count. */
void data_write_at(struct run *r, int vi, uint64_t ino, int64_t off, size_t len, unsigned flags);
void data_fsync_of(struct run *r, int vi, uint64_t ino);

/* Compares a range with what the model holds. */
void data_compare_range(struct run *r, uint64_t node, const struct minode *m, int64_t off, size_t len);
/* Compares everything: what the model holds, and whatever the store claims to be data. */
void data_compare(struct run *r, uint64_t node, const struct minode *m);
/* Walks data and holes: what is called a hole must read as zeros. */
void data_compare_holes(struct run *r, uint64_t node, const struct minode *m);

#endif
