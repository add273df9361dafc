/* Effects of a record: the split into rows and buffers, buffer effects, and row effects applied to a database inside an operation that is
 * then taken back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/err.h"
#include "store/base/log.h"
#include "store/meta/dirent.h"
#include "store/meta/extent_map.h"
#include "store/meta/xattr.h"
#include "store/volume/effect.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/scratch.h"

static char dir[SCRATCH_LEN];
static struct buf rows; /* of one operation, made once */
static struct meta *m;

static void clean_up(void)
{
	meta_free(m);
	buf_free(&rows);
	fuzz_must(scratch_remove(dir));
}

static void change_rows(void)
{
	struct inode inode = {.ino = 1, .mode = S_IFREG | 0644, .nlink = 1, .size = 5000};
	struct dirent_row entry = {.parent = 1, .ino = 20, .type = 8, .name_len = 4, .name = "name"};
	struct chunk_row chunk = {.pack = 1, .off = 96, .stored_len = 5000, .raw_len = 5000, .indexed = true, .hash_lo = 5, .hash_hi = 6};
	struct extent extent = {.off = 0, .len = 5000};
	struct branch *b;

	fuzz_must(!branch_create(m, NULL, 0, 0, &b));
	inode.ino = meta_next_ino(m);
	entry.hash = dirent_hash(m, entry.name, entry.name_len);
	fuzz_must(!inode_put(m, b, &inode) && !dirent_put(m, b, &entry) && !chunk_add(m, &chunk));
	extent.chunk = chunk.id;
	fuzz_must(!extent_write(m, b, &inode, 0, 5000, &extent, 1));
	fuzz_must(!inode_put(m, b, &inode) && !xattr_set(m, b, inode.ino, "user.x", "value", 5, 0));
}

static void prepare(void)
{
	if (m)
		return;
	log_set_level(LOG_LEVEL_ERROR);
	fuzz_must(freopen("/dev/null", "w", stderr) != NULL); /* damage is logged, and here is nothing else */
	fuzz_must(scratch_make("fuzz", 0, dir) && !meta_create(dir, NULL) && !meta_open(dir, &m, NULL));
	(void)atexit(clean_up);
	fuzz_must(!meta_op_begin(m));
	change_rows();
	fuzz_must(!buf_add(&rows, meta_effects(m)->data, meta_effects(m)->len));
	meta_op_abort(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf_reader buffers;
	struct effect e;
	const void *part;
	size_t part_len;
	int ret;

	prepare();
	if (!effects_split(data, len, &part, &part_len, &buffers)) {
		fuzz_must(part_len <= len);
		while (!(ret = effect_next(&buffers, &e)))
			;
		fuzz_must(ret > 0 || ret == -ECORRUPT);
		data = part;
		len = part_len;
	}
	if (meta_lost(m))
		fuzz_must(!meta_rollback(m));
	fuzz_must(!meta_op_begin(m));
	ret = meta_apply(m, data, len);
	meta_op_abort(m);
	fuzz_must(ret <= 0);
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	struct buf b = {0};
	size_t len;

	prepare();
	if (nth > 2)
		return 0;
	if (nth < 2)
		fuzz_must(!buf_add_bytes(&b, rows.data, nth ? rows.len : 0));
	else
		fuzz_must(!buf_add(&b, rows.data, rows.len));
	for (int kind = EFFECT_WRITE; nth < 2 && kind <= EFFECT_TIMES; kind++)
		fuzz_must(!effect_add(&b, &(struct effect){(enum effect_kind)kind, 3, 20, 4096, 512, 9000, 1234567890123, 8}));
	len = b.len < FUZZ_LEN_MAX ? b.len : FUZZ_LEN_MAX;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
