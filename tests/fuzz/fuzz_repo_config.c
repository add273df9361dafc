/* What lies in a repository in clear: config, key slots, the marker of a prune. A config is also summed anew, so that its fields meet a
 * checksum that fits. */
#include <errno.h>
#include <string.h>

#include "store/base/err.h"
#include "store/repo/marker.h"
#include "tests/fuzz/fuzz.h"

#define SUM_LEN 16

static void config(const uint8_t *data, size_t len)
{
	struct repo_config c, again;
	struct buf b = {0};
	int bad = repo_config_parse(data, len, &c);

	fuzz_must(!bad || bad == -ECORRUPT || bad == -ETOONEW);
	if (bad)
		return;
	fuzz_must(!repo_config_encode(&c, &b) && b.len == len && !memcmp(b.data, data, len));
	fuzz_must(!repo_config_parse(b.data, b.len, &again) && again.encrypted == c.encrypted && again.created == c.created);
	buf_free(&b);
}

static void slot(const uint8_t *data, size_t len)
{
	struct repo_slot s;
	struct buf b = {0};
	int bad = repo_slot_parse(data, len, &s);

	fuzz_must(!bad || bad == -ECORRUPT);
	if (bad)
		return;
	fuzz_must(strlen(s.label) <= REPO_LABEL_MAX);
	fuzz_must(s.kind == SLOT_PASSPHRASE || s.kind == SLOT_KEY_FILE);
	fuzz_must(!repo_slot_encode(&s, &b) && !repo_slot_parse(b.data, b.len, &s));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct marker_owner owner;
	int64_t when;

	config(data, len);
	slot(data, len);
	(void)marker_parse(data, len, &when, &owner);
	if (len > SUM_LEN) {
		uint8_t *copy = malloc(len);

		fuzz_must(copy != NULL);
		memcpy(copy, data, len);
		crypt_checksum(copy, len - SUM_LEN, copy + len - SUM_LEN, SUM_LEN);
		config(copy, len);
		free(copy);
	}
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	const struct repo_config open = {.id = {1, 2, 3}, .created = 5, .master = {9}}, sealed = {.encrypted = true, .created = 7};
	const struct repo_slot phrase = {.kind = SLOT_PASSPHRASE, .cost = {2, 1 << 26}, .label = "host", .created = 3},
			       file = {.kind = SLOT_KEY_FILE, .label = "", .created = -1};
	const struct marker_owner owner = {.host = {4}, .pid = 17, .started = 1234567};
	struct buf b = {0};
	size_t len;

	if (nth > 4)
		return 0;
	fuzz_must(!(nth == 0   ? repo_config_encode(&open, &b)
		    : nth == 1 ? repo_config_encode(&sealed, &b)
		    : nth == 2 ? repo_slot_encode(&phrase, &b)
		    : nth == 3 ? repo_slot_encode(&file, &b)
			       : marker_encode(INT64_C(1700000000000000000), &owner, &b)));
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
