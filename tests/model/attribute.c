#include "tests/model/attribute.h"

#include <inttypes.h>
#include <sys/xattr.h>

#include "store/base/cleanup.h"
#include "tests/model/macl.h"
#include "tests/model/alloc.h"

static const struct minode *pick_inode(struct run *r, int *ret_vi, unsigned what)
{
	*ret_vi = run_volume(r);
	if (*ret_vi < 0)
		return NULL;
	return run_pick(r, r->state.v[*ret_vi]->tree, what | (rng_one_in(&r->rng, 6) ? PICK_ORPHAN : 0));
}

static struct minode *edit(struct run *r, int vi, uint64_t ino)
{
	return mtree_edit(&mstate_edit(&r->state, (size_t)vi)->tree, ino);
}

void attribute_kill_priv(struct minode *m)
{
	m->mode &= ~(uint32_t)S_ISUID;
	if (m->mode & S_IXGRP)
		m->mode &= ~(uint32_t)S_ISGID;
	minode_xattr_remove(m, XATTR_CAPABILITY);
}

/* Times that users set: before, around and after the present, to the nanosecond. */
static int64_t random_time(struct run *r)
{
	return (int64_t)rng_below(&r->rng, UINT64_C(1) << 62) - (rng_one_in(&r->rng, 10) ? INT64_C(1) << 61 : 0);
}

/* Permissions, owners and the privileges that a change of them takes away. */
static unsigned choose_owner_and_mode(struct run *r, struct minode *m, struct attr *want)
{
	unsigned mask = 0, which = (unsigned)rng_below(&r->rng, 4);

	if (which == 0 || (which == 3 && !S_ISLNK(m->mode))) {
		want->mode = (m->mode & S_IFMT) | (uint32_t)rng_below(&r->rng, rng_one_in(&r->rng, 3) ? 010000 : 01000);
		m->mode = want->mode;
		macl_follow_mode(m);
		mask |= NS_SET_MODE;
	}
	if (which == 1) {
		want->uid = m->uid = (uint32_t)rng_below(&r->rng, 4) * 1000;
		mask |= NS_SET_UID;
	}
	if (which == 1 || which == 2) {
		want->gid = m->gid = (uint32_t)rng_below(&r->rng, 4) * 100;
		mask |= NS_SET_GID;
	}
	if ((mask & (NS_SET_UID | NS_SET_GID)) && S_ISREG(m->mode)) {
		attribute_kill_priv(m);
		mask |= NS_KILL_PRIV;
	}
	return mask;
}

/* Times are learned from the store where it takes the present; returns which those are. */
static unsigned choose_times(struct run *r, struct minode *m, struct attr *want, unsigned *mask)
{
	unsigned now = TIME_C;

	if (rng_one_in(&r->rng, 2)) {
		want->atime = random_time(r);
		m->atime = want->atime;
		*mask |= NS_SET_ATIME;
	} else if (rng_one_in(&r->rng, 2)) {
		*mask |= NS_SET_ATIME | NS_SET_ATIME_NOW;
		now |= TIME_A;
	}
	if (rng_one_in(&r->rng, 2)) {
		want->mtime = random_time(r);
		m->mtime = want->mtime;
		*mask |= NS_SET_MTIME;
	} else if (rng_one_in(&r->rng, 2)) {
		*mask |= NS_SET_MTIME | NS_SET_MTIME_NOW;
		now |= TIME_M;
	}
	if (rng_one_in(&r->rng, 8)) {
		/* a kernel sets a ctime that is, or was, the present */
		want->ctime = (int64_t)rng_below(&r->rng, UINT64_C(1) << 59);
		m->ctime = want->ctime;
		*mask |= NS_SET_CTIME;
		now &= ~(unsigned)TIME_C;
	}
	return now;
}

static void set_and_compare(struct run *r, int vi, uint64_t ino, const struct attr *want, unsigned mask, unsigned now)
{
	uint64_t node = run_node(r, vi, mtree_get(r->state.v[vi]->tree, ino));
	struct op op = run_op(r);
	int64_t since = run_now();
	struct attr attr;

	run_log(r, "setattr %s inode %" PRIu64 " mask %#x mode %#o uid %u gid %u size %" PRId64, r->state.v[vi]->name, ino, mask,
		want->mode, want->uid, want->gid, want->size);
	run_want(r, "ns_setattr", ns_setattr(r->store, &op, node, want, mask, &attr), 0);
	if (attr.node != node)
		run_fail(r, "ns_setattr answered for node %#" PRIx64 ", not %#" PRIx64, attr.node, node);
	run_adopt_attr(r, vi, ino, &attr, now, since);
	run_adopt(r, vi, ino, 0, since);
	run_step(r);
}

bool attribute_set(struct run *r)
{
	int vi;
	const struct minode *old = pick_inode(r, &vi, PICK_ANY);
	struct attr want = {0};
	unsigned mask, now = TIME_C;
	struct minode *m;

	if (!old)
		return false;
	m = edit(r, vi, old->ino);
	if (rng_one_in(&r->rng, 2) || S_ISLNK(m->mode)) {
		mask = 0;
		now = choose_times(r, m, &want, &mask);
	} else {
		mask = choose_owner_and_mode(r, m, &want);
	}
	if (!mask)
		return false;
	set_and_compare(r, vi, m->ino, &want, mask, now);
	return true;
}

bool attribute_truncate(struct run *r)
{
	int vi;
	const struct minode *old = pick_inode(r, &vi, PICK_FILE);
	struct attr want = {0};
	unsigned mask = NS_SET_SIZE, now = TIME_M | TIME_C;
	struct minode *m;

	if (!old)
		return false;
	m = edit(r, vi, old->ino);
	switch (rng_below(&r->rng, 8)) {
	case 0:
		want.size = 0;
		break;
	case 1:
		want.size = m->size + (int64_t)rng_below(&r->rng, 300000);
		break;
	case 2:
		want.size = rng_one_in(&r->rng, 4) ? (int64_t)rng_below(&r->rng, 16 * TIB) : m->size;
		break;
	default:
		/* content sits at the front even when the file is sparse */
		want.size = (int64_t)rng_below(&r->rng, (uint64_t)m->size % (4 * MIB) + 1);
		break;
	}
	if (rng_one_in(&r->rng, 8)) {
		want.mtime = m->mtime = random_time(r);
		mask |= NS_SET_MTIME;
		now = TIME_C;
	}
	if (want.size > (int64_t)FILE_SIZE_MAX)
		want.size = (int64_t)FILE_SIZE_MAX;
	if (want.size < m->size)
		content_zero(&m->content, want.size, INT64_MAX);
	m->size = want.size;
	set_and_compare(r, vi, m->ino, &want, mask, now);
	return true;
}

static size_t random_value(struct run *r, uint8_t *buf)
{
	size_t len = rng_one_in(&r->rng, 30) ? rng_below(&r->rng, XATTR_VALUE_MAX + 1) : rng_below(&r->rng, 60);

	pattern_fill(r->pattern, &r->rng, buf, len);
	return len;
}

static void xattr_set_call(struct run *r, int vi, uint64_t ino, unsigned name, const void *value, size_t len, int flags)
{
	const struct minode *old = mtree_get(r->state.v[vi]->tree, ino);
	bool present = minode_xattr(old, name);
	uint64_t node = run_node(r, vi, old);
	struct op op = run_op(r);
	int want = (flags & XATTR_CREATE) && present ? -EEXIST : (flags & XATTR_REPLACE) && !present ? -ENODATA : 0;

	run_log(r, "setxattr %s inode %" PRIu64 " %s len %zu flags %d", r->state.v[vi]->name, ino, words_xattr(name), len, flags);
	run_want(r, "ns_setxattr", ns_setxattr(r->store, &op, node, words_xattr(name), value, len, flags), want);
}

bool attribute_xattr_set(struct run *r)
{
	int vi, flags = rng_one_in(&r->rng, 4) ? XATTR_CREATE : rng_one_in(&r->rng, 4) ? XATTR_REPLACE : 0;
	const struct minode *m = pick_inode(r, &vi, PICK_FILE | PICK_DIR);
	unsigned name = XATTR_PLAIN + (unsigned)rng_below(&r->rng, WORDS_XATTRS - XATTR_PLAIN);
	int64_t since = run_now();
	bool present;
	size_t len;
	uint64_t ino;

	if (!m)
		return false;
	if (S_ISREG(m->mode) && rng_one_in(&r->rng, 10))
		name = XATTR_CAPABILITY;
	present = minode_xattr(m, name);
	if (!present && m->nxattrs >= MXATTR_MAX - 2)
		return false;
	ino = m->ino;
	len = random_value(r, r->want);
	xattr_set_call(r, vi, ino, name, r->want, len, flags);
	if (((flags & XATTR_CREATE) && present) || ((flags & XATTR_REPLACE) && !present))
		return true;
	minode_xattr_set(edit(r, vi, ino), name, r->want, len);
	run_adopt(r, vi, ino, TIME_C, since);
	run_step(r);
	return true;
}

bool attribute_xattr_remove(struct run *r)
{
	int vi;
	const struct minode *m = pick_inode(r, &vi, PICK_FILE | PICK_DIR);
	unsigned name = XATTR_PLAIN + (unsigned)rng_below(&r->rng, WORDS_XATTRS - XATTR_PLAIN);
	struct op op = run_op(r);
	int64_t since = run_now();
	uint64_t ino;
	bool present;

	for (int tries = 0; m && tries < 6 && !m->nxattrs; tries++)
		m = pick_inode(r, &vi, PICK_FILE | PICK_DIR);
	if (!m)
		return false;
	if (m->nxattrs && !rng_one_in(&r->rng, 5))
		name = m->xattrs[rng_below(&r->rng, m->nxattrs)].name;
	present = minode_xattr(m, name);
	ino = m->ino;
	run_log(r, "removexattr %s inode %" PRIu64 " %s", r->state.v[vi]->name, ino, words_xattr(name));
	run_want(r, "ns_removexattr", ns_removexattr(r->store, &op, run_node(r, vi, m), words_xattr(name)),
		 present ? 0 : -ENODATA);
	if (!present)
		return true;
	minode_xattr_remove(edit(r, vi, ino), name);
	run_adopt(r, vi, ino, TIME_C, since);
	run_step(r);
	return true;
}

bool attribute_acl_set(struct run *r)
{
	int vi;
	const struct minode *old = pick_inode(r, &vi, PICK_FILE | PICK_DIR);
	uint8_t bytes[MACL_BYTES_MAX];
	int64_t since = run_now();
	bool inherited;
	struct minode *m;
	struct macl acl;
	size_t len;

	if (!old || old->nxattrs >= MXATTR_MAX - 1)
		return false;
	inherited = S_ISDIR(old->mode) && rng_one_in(&r->rng, 2);
	macl_random(&r->rng, &acl);
	len = macl_encode(&acl, bytes);
	xattr_set_call(r, vi, old->ino, inherited ? XATTR_ACL_DEFAULT : XATTR_ACL_ACCESS, bytes, len, 0);
	m = edit(r, vi, old->ino);
	if (inherited)
		minode_xattr_set(m, XATTR_ACL_DEFAULT, bytes, len);
	else
		macl_set_access(m, &acl);
	run_adopt(r, vi, m->ino, TIME_C, since);
	attribute_compare_xattrs(r, run_node(r, vi, m), m);
	run_step(r);
	return true;
}

void attribute_compare_xattrs(struct run *r, uint64_t node, const struct minode *m)
{
	struct buf list = {0};
	unsigned listed = 0, plain = 0;

	for (unsigned i = 0; i < m->nxattrs; i++) {
		AUTO_FREE void *value = NULL;
		size_t len;
		int ret = ns_getxattr(r->store, node, words_xattr(m->xattrs[i].name), &value, &len);

		plain += m->xattrs[i].name >= XATTR_CAPABILITY;
		if (ret)
			run_fail(r, "node %#" PRIx64 ": reading %s gave %d (%s)", node, words_xattr(m->xattrs[i].name), ret,
				 err_name(-ret));
		if (len != m->xattrs[i].value->len || memcmp(value, m->xattrs[i].value->data, len))
			run_fail(r, "node %#" PRIx64 ": %s has another value (%zu bytes, expected %zu)", node,
				 words_xattr(m->xattrs[i].name), len, m->xattrs[i].value->len);
	}
	run_want(r, "ns_listxattr", ns_listxattr(r->store, node, &list), 0);
	for (const char *p = (char *)list.data; p < (char *)list.data + list.len; p += strlen(p) + 1) {
		int i = words_xattr_index(p);

		if (i < 0 || !minode_xattr(m, (unsigned)i))
			run_fail(r, "node %#" PRIx64 " lists the attribute %s, which nobody set", node, p);
		listed += i >= XATTR_CAPABILITY; /* whether ACLs are listed is the store's choice */
	}
	if (listed != plain)
		run_fail(r, "node %#" PRIx64 " lists %u attributes, expected %u", node, listed, plain);
	buf_free(&list);
}
