#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/base/io.h"

static char dir_path[64];
static int dirfd_;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir_path, sizeof dir_path, "/var/tmp/varve-io-XXXXXX");
	if (!mkdtemp(dir_path))
		return -1;
	dirfd_ = open(dir_path, O_RDONLY | O_DIRECTORY);
	return dirfd_ < 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"f", "small", "small.tmp", "g"};

	(void)state;
	io_set_hook(NULL, NULL);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		(void)unlinkat(dirfd_, names[i], 0);
	(void)unlinkat(dirfd_, "folder", AT_REMOVEDIR);
	(void)close(dirfd_);
	return rmdir(dir_path);
}

static int open_file(void)
{
	int fd = -1;

	assert_int_equal(io_open(IO_PACK, dirfd_, "f", O_RDWR | O_CREAT | O_TRUNC, 0600, &fd), 0);
	return fd;
}

static void read_write(void **state)
{
	char buf[16] = "";
	int fd = open_file(), other = -1;

	(void)state;
	assert_int_equal(io_pwrite(IO_PACK, fd, "0123456789", 10, 0), 0);
	assert_int_equal(io_pread(IO_PACK, fd, buf, 4, 3), 0);
	assert_memory_equal(buf, "3456", 4);
	assert_int_equal(io_pread(IO_PACK, fd, buf, 8, 5), -ENODATA);
	assert_int_equal(io_pread_nowait(IO_PACK, fd, buf, 8, 5), -EAGAIN);
	assert_int_equal(io_pread(IO_PACK, fd, buf, 0, 100), 0);
	assert_int_equal(io_fdatasync(IO_PACK, fd), 0);
	assert_int_equal(io_ftruncate(IO_PACK, fd, 4), 0);
	assert_int_equal(io_pread(IO_PACK, fd, buf, 5, 0), -ENODATA);
	assert_int_equal(io_close(IO_PACK, fd), 0);
	assert_int_equal(io_open(IO_PACK, dirfd_, "none", O_RDONLY, 0, &other), -ENOENT);
	assert_int_equal(other, -1);
	assert_int_equal(io_pread(IO_PACK, -1, buf, 1, 0), -EBADF);
	assert_int_equal(io_close(IO_PACK, -1), -EBADF);
}

static void vectors(void **state)
{
	struct iovec iov[150];
	uint8_t bytes[150], back[150];
	int fd = open_file();

	(void)state;
	for (size_t i = 0; i < 150; i++) {
		bytes[i] = (uint8_t)(i * 7);
		iov[i] = (struct iovec){.iov_base = &bytes[i], .iov_len = i % 5 ? 1 : 0};
	}
	assert_int_equal(io_pwritev(IO_PACK, fd, iov, 150, 2), 0);
	assert_int_equal(io_pread(IO_PACK, fd, back, 120, 2), 0);
	for (size_t i = 0, n = 0; i < 150; i++)
		if (i % 5)
			assert_int_equal(back[n++], bytes[i]);
	assert_int_equal(io_close(IO_PACK, fd), 0);
}

static void allocate_and_punch(void **state)
{
	int fd = open_file();
	struct stat st;
	char block[65536], back[65536];

	(void)state;
	assert_int_equal(io_fallocate_keep(IO_PACK, fd, 0, 1 << 20), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	memset(block, 'p', sizeof block);
	assert_int_equal(io_pwrite(IO_PACK, fd, block, sizeof block, 0), 0);
	io_push(fd, 0, sizeof block);
	assert_int_equal(io_punch(IO_PACK, fd, 4096, 8192), 0);
	assert_int_equal(io_pread(IO_PACK, fd, back, sizeof back, 0), 0);
	assert_int_equal(back[4095], 'p');
	assert_int_equal(back[4096], 0);
	assert_int_equal(back[12287], 0);
	assert_int_equal(back[12288], 'p');
	assert_int_equal(io_close(IO_PACK, fd), 0);
}

static void small_files(void **state)
{
	char *text = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(io_replace_file(dirfd_, "small", "one", 3, 0600), 0);
	assert_int_equal(io_replace_file(dirfd_, "small", "second", 6, 0600), 0);
	assert_int_equal(io_read_file(dirfd_, "small", 6, &text, &len), 0);
	assert_int_equal(len, 6);
	assert_string_equal(text, "second");
	free(text);
	text = NULL;
	assert_int_equal(io_read_file(dirfd_, "small", 5, &text, &len), -EFBIG);
	assert_int_equal(io_read_file(dirfd_, "none", 5, &text, &len), -ENOENT);
	assert_int_equal(io_read_file(dirfd_, ".", 1 << 20, &text, &len), -EISDIR);
	assert_null(text);
	assert_int_equal(faccessat(dirfd_, "small.tmp", F_OK, 0), -1);
	assert_int_equal(io_renameat(IO_SMALL, dirfd_, "small", "g"), 0);
	assert_int_equal(io_unlinkat(IO_SMALL, dirfd_, "g"), 0);
	assert_int_equal(io_unlinkat(IO_SMALL, dirfd_, "g"), -ENOENT);
}

struct plan {
	int countdown; /* fails the operation that brings it to 0 */
	size_t keep;   /* of a write that fails */
	int seen[IO_OP_COUNT];
	char bytes[64];
	size_t bytes_len;
};

static int plan_hook(void *arg, enum io_class cls, enum io_op op, const char *path, int fd, const void *data,
		     size_t *len, off_t off)
{
	struct plan *plan = arg;

	(void)cls;
	(void)path;
	(void)fd;
	(void)off;
	plan->seen[op]++;
	if (op == IO_WRITE && plan->bytes_len + *len <= sizeof plan->bytes) {
		memcpy(plan->bytes + plan->bytes_len, data, *len);
		plan->bytes_len += *len;
	}
	if (plan->countdown == 0 || --plan->countdown > 0)
		return 0;
	if (op == IO_WRITE)
		*len = plan->keep;
	return -EIO;
}

static void hook_tears_a_write(void **state)
{
	struct plan plan = {.countdown = 1, .keep = 3};
	int fd = open_file();
	char back[8];

	(void)state;
	io_set_hook(plan_hook, &plan);
	assert_int_equal(io_pwrite(IO_PACK, fd, "abcdefgh", 8, 0), -EIO);
	io_set_hook(NULL, NULL);
	assert_int_equal(io_pread(IO_PACK, fd, back, 3, 0), 0);
	assert_memory_equal(back, "abc", 3);
	assert_int_equal(io_pread(IO_PACK, fd, back, 4, 0), -ENODATA);
	assert_int_equal(io_close(IO_PACK, fd), 0);
}

static void hook_sees_vectors(void **state)
{
	struct iovec iov[] = {{.iov_base = "ab", .iov_len = 2}, {.iov_base = "cde", .iov_len = 3}};
	struct plan plan = {0};
	int fd = open_file();
	char back[5];

	(void)state;
	io_set_hook(plan_hook, &plan);
	assert_int_equal(io_pwritev(IO_PACK, fd, iov, 2, 0), 0);
	assert_int_equal(plan.seen[IO_WRITE], 2);
	assert_memory_equal(plan.bytes, "abcde", 5);
	plan.countdown = 2;
	assert_int_equal(io_pwritev(IO_PACK, fd, iov, 2, 5), -EIO);
	io_set_hook(NULL, NULL);
	assert_int_equal(io_pread(IO_PACK, fd, back, 2, 5), 0);
	assert_int_equal(io_pread(IO_PACK, fd, back, 3, 5), -ENODATA);
	assert_int_equal(io_close(IO_PACK, fd), 0);
}

/* Whatever step of a replacement fails, the file has the old content or the new one. */
static void replace_survives_faults(void **state)
{
	struct plan plan;
	int nth = 0, ret;
	size_t len;

	(void)state;
	assert_int_equal(io_replace_file(dirfd_, "small", "old", 3, 0600), 0);
	do {
		char *text = NULL;

		plan = (struct plan){.countdown = ++nth, .keep = 1};
		io_set_hook(plan_hook, &plan);
		ret = io_replace_file(dirfd_, "small", "new", 3, 0600);
		io_set_hook(NULL, NULL);
		assert_true(ret == 0 || ret == -EIO);
		assert_int_equal(io_read_file(dirfd_, "small", 10, &text, &len), 0);
		assert_true(strcmp(text, "new") == 0 || (ret && strcmp(text, "old") == 0));
		free(text);
		assert_int_equal(faccessat(dirfd_, "small.tmp", F_OK, 0), -1);
		if (ret)
			assert_int_equal(io_replace_file(dirfd_, "small", "old", 3, 0600), 0);
	} while (ret);
	assert_true(nth > 5); /* open, write, sync, rename, sync of the directory */
}

static void hook_sees_every_operation(void **state)
{
	struct plan plan = {0};
	char byte;
	int fd;

	(void)state;
	io_set_hook(plan_hook, &plan);
	fd = open_file();
	assert_int_equal(io_pwrite(IO_PACK, fd, "x", 1, 0), 0);
	assert_int_equal(io_pread(IO_PACK, fd, &byte, 1, 0), 0);
	(void)io_pread_nowait(IO_PACK, fd, &byte, 1, 0);
	assert_int_equal(io_fdatasync(IO_PACK, fd), 0);
	assert_int_equal(io_fsync_dir(IO_PACK, dirfd_), 0);
	assert_int_equal(io_fallocate_keep(IO_PACK, fd, 0, 4096), 0);
	assert_int_equal(io_punch(IO_PACK, fd, 0, 4096), 0);
	assert_int_equal(io_ftruncate(IO_PACK, fd, 0), 0);
	assert_int_equal(io_renameat(IO_PACK, dirfd_, "f", "g"), 0);
	assert_int_equal(io_unlinkat(IO_PACK, dirfd_, "g"), 0);
	assert_int_equal(io_mkdirat(IO_PACK, dirfd_, "folder", 0700), 0);
	io_set_hook(NULL, NULL);
	for (int op = 0; op < IO_OP_COUNT; op++)
		assert_int_equal(plan.seen[op], op == IO_READ || op == IO_SYNC ? 2 : 1);
	assert_int_equal(io_close(IO_PACK, fd), 0);
}

struct witness {
	unsigned syncs;
	int fd;
};

static void witness_sync(void *arg, const char *path, int fd)
{
	struct witness *w = arg;

	(void)path;
	w->syncs++;
	w->fd = fd;
}

/* The witness hears of syncs that succeeded, and of no other. */
static void witness_hears_of_syncs(void **state)
{
	struct plan plan = {0};
	struct witness w = {0};
	int fd = open_file();

	(void)state;
	io_set_hook(plan_hook, &plan);
	io_set_witness(witness_sync, &w);
	assert_int_equal(io_pwrite(IO_PACK, fd, "x", 1, 0), 0);
	assert_int_equal(w.syncs, 0);
	assert_int_equal(io_fdatasync(IO_PACK, fd), 0);
	assert_true(w.syncs == 1 && w.fd == fd);
	plan.countdown = 1;
	assert_int_equal(io_fdatasync(IO_PACK, fd), -EIO);
	assert_int_equal(w.syncs, 1);
	assert_int_equal(io_fsync_dir(IO_PACK, dirfd_), 0);
	assert_true(w.syncs == 2 && w.fd == dirfd_);
	io_set_witness(NULL, NULL);
	io_set_hook(NULL, NULL);
	assert_int_equal(io_close(IO_PACK, fd), 0);
}

static void random_differs(void **state)
{
	uint8_t a[300] = {0}, b[300] = {0};

	(void)state;
	assert_int_equal(io_random(a, sizeof a), 0);
	assert_int_equal(io_random(b, sizeof b), 0);
	assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(read_write, setup, teardown),
		cmocka_unit_test_setup_teardown(vectors, setup, teardown),
		cmocka_unit_test_setup_teardown(allocate_and_punch, setup, teardown),
		cmocka_unit_test_setup_teardown(small_files, setup, teardown),
		cmocka_unit_test_setup_teardown(hook_tears_a_write, setup, teardown),
		cmocka_unit_test_setup_teardown(hook_sees_vectors, setup, teardown),
		cmocka_unit_test_setup_teardown(replace_survives_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(hook_sees_every_operation, setup, teardown),
		cmocka_unit_test_setup_teardown(witness_hears_of_syncs, setup, teardown),
		cmocka_unit_test(random_differs),
	};

	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
