#include "store/volume/acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/le.h"
#include "store/meta/xattr.h"

/* linux/posix_acl_xattr.h: u32 version 2, then entries of u16 tag, u16 permissions, u32 id */
#define ACL_VERSION 2
#define ACL_HEADER 4
#define ACL_ENTRY 8
enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

static bool well_formed(const uint8_t *acl, size_t len)
{
	return len >= ACL_HEADER && (len - ACL_HEADER) % ACL_ENTRY == 0 && le32_get(acl) == ACL_VERSION;
}

static uint8_t *find_tag(uint8_t *acl, size_t len, unsigned tag)
{
	size_t at;

	for (at = ACL_HEADER; at < len; at += ACL_ENTRY)
		if (le16_get(acl + at) == tag)
			return acl + at;
	return NULL;
}

static uint32_t perm_of(const uint8_t *entry)
{
	return entry ? le16_get(entry + 2) & 7 : 0;
}

int acl_mode(const void *data, size_t len, uint32_t *ret_bits, bool *ret_minimal)
{
	uint8_t *acl = (uint8_t *)data;
	const uint8_t *user, *group, *mask, *other;

	if (!well_formed(acl, len))
		return -EINVAL;
	user = find_tag(acl, len, TAG_USER_OBJ);
	group = find_tag(acl, len, TAG_GROUP_OBJ);
	mask = find_tag(acl, len, TAG_MASK);
	other = find_tag(acl, len, TAG_OTHER);
	if (!user || !group || !other)
		return -EINVAL;
	*ret_bits = perm_of(user) << 6 | perm_of(mask ? mask : group) << 3 | perm_of(other);
	*ret_minimal = len == ACL_HEADER + 3 * ACL_ENTRY;
	return 0;
}

/* An access ACL made from a default one and the mode asked for: each class keeps what both allow. Gives back the resulting bits. */
static uint32_t restrict_to(uint8_t *acl, size_t len, uint32_t mode)
{
	uint8_t *user = find_tag(acl, len, TAG_USER_OBJ), *other = find_tag(acl, len, TAG_OTHER);
	uint8_t *group = find_tag(acl, len, TAG_MASK) ?: find_tag(acl, len, TAG_GROUP_OBJ);

	le16_put(user + 2, perm_of(user) & (mode >> 6 & 7));
	le16_put(group + 2, perm_of(group) & (mode >> 3 & 7));
	le16_put(other + 2, perm_of(other) & (mode & 7));
	return perm_of(user) << 6 | perm_of(group) << 3 | perm_of(other);
}

int acl_inherit(struct meta *m, struct branch *b, const struct inode *dir, struct inode *inode)
{
	const struct meta_view head = {b, META_HEAD};
	AUTO_FREE void *acl = NULL;
	uint32_t bits;
	bool minimal;
	size_t len;
	int ret;

	if (!(dir->flags & INODE_HAS_XATTR) || S_ISLNK(inode->mode))
		return 1;
	ret = xattr_get(m, &head, dir->ino, ACL_DEFAULT_NAME, &acl, &len);
	if (ret)
		return ret == -ENODATA ? 1 : ret;
	if (acl_mode(acl, len, &bits, &minimal))
		return -ECORRUPT;
	if (S_ISDIR(inode->mode)) {
		ret = xattr_set(m, b, inode->ino, ACL_DEFAULT_NAME, acl, len, 0);
		if (ret)
			return ret;
		inode->flags |= INODE_HAS_XATTR;
	}
	inode->mode = (inode->mode & ~0777U) | restrict_to(acl, len, inode->mode);
	if (minimal)
		return 0;
	inode->flags |= INODE_HAS_XATTR;
	return xattr_set(m, b, inode->ino, ACL_ACCESS_NAME, acl, len, 0);
}

int acl_chmod(struct meta *m, struct branch *b, const struct inode *inode)
{
	const struct meta_view head = {b, META_HEAD};
	AUTO_FREE void *data = NULL;
	uint8_t *acl, *group;
	uint32_t bits;
	bool minimal;
	size_t len;
	int ret;

	if (!(inode->flags & INODE_HAS_XATTR))
		return 0;
	ret = xattr_get(m, &head, inode->ino, ACL_ACCESS_NAME, &data, &len);
	if (ret)
		return ret == -ENODATA ? 0 : ret;
	if (acl_mode(data, len, &bits, &minimal))
		return -ECORRUPT;
	acl = data;
	group = find_tag(acl, len, TAG_MASK) ?: find_tag(acl, len, TAG_GROUP_OBJ);
	le16_put(find_tag(acl, len, TAG_USER_OBJ) + 2, inode->mode >> 6 & 7);
	le16_put(group + 2, inode->mode >> 3 & 7);
	le16_put(find_tag(acl, len, TAG_OTHER) + 2, inode->mode & 7);
	return xattr_set(m, b, inode->ino, ACL_ACCESS_NAME, acl, len, 0);
}
