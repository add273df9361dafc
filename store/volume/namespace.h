/* Names and attributes: what FUSE asks by node and name. Read-only places (snapshots, the mount root, .snapshots) answer
 * -EROFS to changes; a node of a head that a rollback replaced answers -ESTALE to changes; a node whose inode is gone -ESTALE
 * (-ENOENT for a name). Permissions are the kernel's business (default_permissions); setgid directories, sticky bits on
 * creation and default ACLs are done here. Every function returns 0 or -errno. */
#ifndef VARVE_VOLUME_NAMESPACE_H
#define VARVE_VOLUME_NAMESPACE_H

#include <sys/types.h>

#include "store/base/buf.h"
#include "store/volume/store.h"

/* Who asks, and how the record of the operation is identified. */
struct op {
	uint64_t unique; /* the FUSE request's; 0 when there is none */
	uint32_t uid, gid;
	uint32_t umask; /* applied on creation unless a default ACL takes its place */
	struct op_done *done; /* for the one operation of the request that must not be carried out twice; else NULL */
};

struct attr {
	uint64_t node;
	uint32_t mode, nlink, uid, gid;
	uint64_t rdev;
	int64_t size;
	int64_t blocks; /* of 512 bytes */
	int64_t atime, mtime, ctime, btime; /* ns since 1970 */
	uint32_t flags; /* ATTR_* */
};
enum { ATTR_READONLY = 1 /* in a snapshot: never changes */, ATTR_HAS_CAPS = 2 };

/* "." and ".." resolve too. At a volume's root ".snapshots" resolves though it is not listed. */
int ns_lookup(struct store *s, uint64_t parent, const char *name, struct attr *ret);
int ns_getattr(struct store *s, uint64_t node, struct attr *ret);

enum {
	NS_SET_MODE = 1,
	NS_SET_UID = 2,
	NS_SET_GID = 4,
	NS_SET_SIZE = 8,
	NS_SET_ATIME = 16,
	NS_SET_MTIME = 32,
	NS_SET_CTIME = 64,
	NS_SET_ATIME_NOW = 128,
	NS_SET_MTIME_NOW = 256,
	NS_KILL_PRIV = 512, /* clear suid, sgid (when group-executable) and security.capability */
};
int ns_setattr(struct store *s, const struct op *op, uint64_t node, const struct attr *want, unsigned mask, struct attr *ret);

/* Any type by mode; `target` for symlinks, `rdev` for devices. */
int ns_create(struct store *s, const struct op *op, uint64_t parent, const char *name, uint32_t mode, uint64_t rdev,
	      const char *target, struct attr *ret);
int ns_unlink(struct store *s, const struct op *op, uint64_t parent, const char *name);
int ns_rmdir(struct store *s, const struct op *op, uint64_t parent, const char *name);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE. -EXDEV between volumes. */
int ns_rename(struct store *s, const struct op *op, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
	      unsigned flags);
int ns_link(struct store *s, const struct op *op, uint64_t node, uint64_t new_parent, const char *new_name, struct attr *ret);
/* The target in a buffer that the caller frees. */
int ns_readlink(struct store *s, uint64_t node, char **ret);
/* The kernel holds no reference to the node any more: an orphan is freed. Harmless for any node id, even unknown ones. */
int ns_forget(struct store *s, uint64_t node);
/* A node that the kernel may still know was unlinked: keep it until ns_forget. Default is keep=true; when the caller knows that the kernel has
 * no reference (no daemon, tests), it may set this off and unlink frees at once. */
void ns_keep_orphans(struct store *s, bool keep);

/* Entries with cookie > after (0 at first): calls fn with each one; a non-zero return of fn ends the call (the entry it refused
 * will come again). Cookies are stable while entries come and go. "." and ".." come first. attr is filled fully when want_attr, else only
 * node and mode's type. Several entries may share one cookie (equal hashes): fn sees `more_same` true for all but the last of these, and a caller
 * that cannot take them all must drop those of the group it took, then continue from the previous cookie. */
struct ns_entry {
	const char *name;
	uint64_t cookie;
	bool more_same;
	struct attr attr;
};
int ns_readdir(struct store *s, uint64_t node, uint64_t after, bool want_attr, int (*fn)(void *arg, const struct ns_entry *e),
	       void *arg);

/* user., trusted., security. and system.posix_acl_* (kernel format; setting an access ACL changes the mode). */
int ns_getxattr(struct store *s, uint64_t node, const char *name, void **ret, size_t *ret_len); /* caller frees; -ENODATA */
int ns_setxattr(struct store *s, const struct op *op, uint64_t node, const char *name, const void *value, size_t len, int flags);
int ns_removexattr(struct store *s, const struct op *op, uint64_t node, const char *name);
int ns_listxattr(struct store *s, uint64_t node, struct buf *ret); /* names with their NULs */

struct ns_statfs {
	uint64_t total_bytes, free_bytes, avail_bytes;
	uint64_t total_inodes, free_inodes;
};
int ns_statfs(struct store *s, uint64_t node, struct ns_statfs *ret);

/* The path of a node inside its volume ("/" for the root), for messages; caller frees. */
int ns_path(struct store *s, uint64_t node, char **ret_volume, char **ret_path);
/* The id of the volume that it is of, live or in a snapshot, with a name or without. */
int ns_volume(struct store *s, uint64_t node, int64_t *ret);

#endif
