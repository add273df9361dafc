/* The FUSE requests. Each handler is: resolve, one engine call, exactly one reply; those that must wait go on in
 * fs/parked.h's threads. */
#ifndef VARVE_FS_OPS_H
#define VARVE_FS_OPS_H

#include <stddef.h>

struct fuse_lowlevel_ops;

const struct fuse_lowlevel_ops *ops_table(void);
size_t ops_table_size(void);

#endif
