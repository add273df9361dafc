#include "store/repo/stream_frame.h"

#include <assert.h>
#include <string.h>

#include "store/base/le.h"

#define CHECK_LEN 32
#define HEAD_LEN 5 /* type, length */
#define BODY (CHECK_LEN + HEAD_LEN)

/* --- out --- */

static int put(struct stream_out *o, const void *data, size_t len)
{
	int bad = o->put(o->arg, data, len);

	if (bad)
		return o->err->code ? bad : err_set(o->err, -bad, "writing the stream: %s", err_name(-bad));
	o->bytes += len;
	return 0;
}

int stream_out_begin(struct stream_out *o)
{
	uint8_t check[CHECK_LEN];
	int bad = stream_header_encode(&o->record);

	if (bad)
		return err_set(o->err, -bad, "out of memory");
	crypt_checksum(o->record.data, o->record.len, check, sizeof check);
	bad = put(o, o->record.data, o->record.len);
	buf_reset(&o->record);
	if (!bad && (buf_add(&o->record, check, sizeof check) || buf_reserve(&o->record, HEAD_LEN)))
		bad = err_set(o->err, ENOMEM, "out of memory");
	return bad;
}

struct buf *stream_out_record(struct stream_out *o, enum stream_type type)
{
	const uint8_t head[HEAD_LEN] = {(uint8_t)type};

	o->record.len = CHECK_LEN;
	(void)buf_add(&o->record, head, sizeof head); /* there is room for it from the beginning */
	return &o->record;
}

int stream_out_end(struct stream_out *o)
{
	uint8_t check[CHECK_LEN];
	int bad;

	assert(o->record.len - BODY <= STREAM_RECORD_MAX);
	le32_put(o->record.data + CHECK_LEN + 1, (uint32_t)(o->record.len - BODY));
	crypt_checksum(o->record.data, o->record.len, check, sizeof check);
	bad = put(o, o->record.data + CHECK_LEN, o->record.len - CHECK_LEN);
	if (!bad)
		bad = put(o, check, sizeof check);
	memcpy(o->record.data, check, sizeof check);
	return bad;
}

void stream_out_free(struct stream_out *o)
{
	buf_free(&o->record);
}

/* --- in --- */

static int too_early(struct stream_in *in)
{
	if (!in->bytes) {
		err_set(in->err, ECORRUPT, "the stream is empty");
		err_hint(in->err, "look what 'varve send' said");
		return -ECORRUPT;
	}
	err_set(in->err, ECORRUPT, "the stream ends too early, after %llu bytes", (unsigned long long)in->bytes);
	err_hint(in->err, "nothing of it was kept: send it again");
	return -ECORRUPT;
}

/* All of it, or an error. */
static int get(struct stream_in *in, void *out, size_t len)
{
	uint8_t *p = out;
	size_t n = 0;

	for (; len; len -= n) {
		int bad = in->get(in->arg, p, len, &n);

		if (bad)
			return in->err->code ? bad
					     : err_set(in->err, -bad, "the stream broke off after %llu bytes: %s",
						       (unsigned long long)in->bytes, err_name(-bad));
		if (!n)
			return too_early(in);
		in->bytes += n;
		p += n;
	}
	return 0;
}

int stream_in_damaged(struct stream_in *in)
{
	err_set(in->err, ECORRUPT, "the stream is damaged, in its record %llu, which ends at byte %llu",
		(unsigned long long)in->records, (unsigned long long)in->bytes);
	err_hint(in->err, "nothing of it was kept: send it again");
	return -ECORRUPT;
}

int stream_in_begin(struct stream_in *in)
{
	uint8_t header[STREAM_HEADER_LEN], check[CHECK_LEN];
	uint32_t version;
	int bad = get(in, header, sizeof header);

	if (bad)
		return bad;
	bad = stream_header_parse(header, &version);
	if (bad == -ETOONEW)
		return err_set(in->err, ETOONEW, "a newer varve made the stream: its format is %u, this one reads %u",
			       version, STREAM_VERSION);
	if (bad)
		return err_set(in->err, ECORRUPT, "this is no stream of varve send");
	crypt_checksum(header, sizeof header, check, sizeof check);
	return buf_add(&in->record, check, sizeof check) ? err_set(in->err, ENOMEM, "out of memory") : 0;
}

int stream_in_next(struct stream_in *in, enum stream_type *ret_type, const void **ret_data, size_t *ret_len)
{
	uint8_t stored[CHECK_LEN], check[CHECK_LEN];
	uint32_t len;
	int bad = 0;

	in->records++;
	in->record.len = CHECK_LEN;
	if (buf_reserve(&in->record, HEAD_LEN))
		return err_set(in->err, ENOMEM, "out of memory");
	bad = get(in, in->record.data + CHECK_LEN, HEAD_LEN);
	if (bad)
		return bad;
	len = le32_get(in->record.data + CHECK_LEN + 1);
	in->record.len = BODY;
	if (len > STREAM_RECORD_MAX)
		return stream_in_damaged(in);
	if (buf_reserve(&in->record, len))
		return err_set(in->err, ENOMEM, "out of memory");
	bad = get(in, in->record.data + BODY, len);
	if (!bad)
		bad = get(in, stored, sizeof stored);
	if (bad)
		return bad;
	in->record.len += len;
	crypt_checksum(in->record.data, in->record.len, check, sizeof check);
	if (memcmp(check, stored, sizeof check) != 0)
		return stream_in_damaged(in);
	memcpy(in->record.data, check, sizeof check);
	*ret_type = in->record.data[CHECK_LEN];
	*ret_data = in->record.data + BODY;
	*ret_len = len;
	return 0;
}

int stream_in_end(struct stream_in *in)
{
	uint8_t more;
	size_t n = 0;
	int bad = in->get(in->arg, &more, 1, &n);

	if (bad)
		return in->err->code ? bad : err_set(in->err, -bad, "the stream broke off at its end: %s", err_name(-bad));
	return n ? err_set(in->err, ECORRUPT, "something follows the stream's end, at byte %llu",
			   (unsigned long long)in->bytes)
		 : 0;
}

void stream_in_free(struct stream_in *in)
{
	buf_free(&in->record);
}
