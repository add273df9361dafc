/* Both sides of `varve serve --stdio`: requests that a far side reads and answers on an empty directory, and answers that a near side
 * reads. Neither takes a key that leaves the directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/err.h"
#include "store/repo/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/scratch.h"

static char folder[SCRATCH_LEN];
static char sub[sizeof folder + 8]; /* what is served: the only thing there */
static int in = -1, null = -1;

static void clean_up(void)
{
	fuzz_must(scratch_remove(folder));
}

static void set_up(void)
{
	fuzz_must(scratch_make("fuzz", 0, folder));
	(void)atexit(clean_up);
	(void)snprintf(sub, sizeof sub, "%s/served", folder);
	fuzz_must(!mkdir(sub, 0700));
	in = memfd_create("in", MFD_CLOEXEC);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fuzz_must(in >= 0 && null >= 0);
}

static void stream(const uint8_t *data, size_t len)
{
	fuzz_must(!ftruncate(in, 0) && pwrite(in, data, len, 0) == (ssize_t)len && lseek(in, 0, SEEK_SET) == 0);
}

static void serve(const uint8_t *data, size_t len)
{
	struct err err = {0};
	int bad;

	stream(data, len);
	bad = wire_serve(sub, in, null, &err);
	fuzz_must(!bad || *err.text);
}

static int take_item(void *arg, const char *key, uint64_t size)
{
	(void)arg;
	(void)size;
	fuzz_must(backend_key_valid(key));
	return 0;
}

/* As the near side takes a reply. */
static void receive(const uint8_t *data, size_t len)
{
	struct buf frame = {0};

	stream(data, len);
	while (!wire_read(in, &frame)) {
		struct err why = {0};

		if (!frame.len)
			break;
		if (frame.data[0] == WIRE_ERROR && !wire_error_parse(frame.data + 1, frame.len - 1, &why))
			fuzz_must(why.code > 0);
		if (frame.data[0] == WIRE_ITEMS)
			(void)wire_items_parse(frame.data + 1, frame.len - 1, take_item, NULL);
	}
	buf_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static unsigned runs;
	struct wire_request q;
	struct stat st;

	if (in < 0)
		set_up();
	if (!wire_request_parse(data, len, &q))
		fuzz_must(strlen(q.key) <= BACKEND_KEY_MAX && q.data_len <= len);
	serve(data, len);
	receive(data, len);
	/* nothing but the served folder, which keeps small */
	fuzz_must(!stat(folder, &st) && st.st_nlink == 3);
	if (++runs % 5000 == 0) {
		clean_up();
		fuzz_must(!mkdir(folder, 0700) && !mkdir(sub, 0700));
	}
	return 0;
}

static void add(struct buf *all, const struct buf *frame)
{
	fuzz_must(!buf_add(all, frame->data, frame->len));
}

static void seed_requests(struct buf *all)
{
	static const struct wire_request requests[] = {
		{.op = WIRE_HELLO, .off = WIRE_VERSION, .len = BACKEND_CREATE},
		{.op = WIRE_PUT, .key = "packs/ab/abcd", .data = "an object", .data_len = 9},
		{.op = WIRE_GET, .key = "packs/ab/abcd", .off = 3, .len = 4},
		{.op = WIRE_GET, .key = "config", .len = UINT64_MAX},
		{.op = WIRE_LIST, .key = "packs/"},
		{.op = WIRE_REMOVE, .key = "packs/ab/abcd"},
	};
	struct buf frame = {0};

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		fuzz_must(!wire_request_encode(&requests[i], &frame));
		add(all, &frame);
	}
	buf_free(&frame);
}

static void seed_replies(struct buf *all)
{
	struct err err = {0};
	struct buf frame = {0};

	(void)err_set(&err, ENOSPC, "writing there: no space");
	err_hint(&err, "make room");
	fuzz_must(!wire_error_encode(&err, &frame));
	add(all, &frame);
	fuzz_must(!wire_reply_begin(&frame, WIRE_ITEMS) && !wire_item_add(&frame, "packs/ab/abcd", 16 << 20) &&
		  !wire_item_add(&frame, "packs/ab/abce", 0) && !wire_end(&frame));
	add(all, &frame);
	fuzz_must(!wire_reply_begin(&frame, WIRE_OK) && !buf_add(&frame, "bytes", 5) && !wire_end(&frame));
	add(all, &frame);
	buf_free(&frame);
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	struct buf all = {0};
	size_t len;

	if (nth > 1)
		return 0;
	if (nth)
		seed_replies(&all);
	else
		seed_requests(&all);
	len = all.len;
	memcpy(out, all.data, len);
	buf_free(&all);
	return len;
}
