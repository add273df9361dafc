/* POSIX ACLs as the kernel stores them in system.posix_acl_access and _default (linux/posix_acl_xattr.h): the kernel checks
 * permissions by them; inheritance and the mode that goes with an access ACL are ours. */
#ifndef VARVE_VOLUME_ACL_H
#define VARVE_VOLUME_ACL_H

#include "store/meta/inode.h"

#define ACL_ACCESS_NAME "system.posix_acl_access"
#define ACL_DEFAULT_NAME "system.posix_acl_default"

/* Gives a new inode what its directory's default ACL says (mode and xattrs; the inode is not put). >0 when the directory has none. */
int acl_inherit(struct meta *m, struct branch *b, const struct inode *dir, struct inode *inode);
/* The permission bits that an access ACL stands for; *ret_minimal when the mode says all. -EINVAL when it is malformed. */
int acl_mode(const void *acl, size_t len, uint32_t *ret_bits, bool *ret_minimal);
/* chmod: carries the new permission bits into an existing access ACL. */
int acl_chmod(struct meta *m, struct branch *b, const struct inode *inode);

#endif
