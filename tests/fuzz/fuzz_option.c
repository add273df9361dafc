/* What users type: sizes, options of volumes, names of volumes and snapshots. */
#include <string.h>

#include "store/volume/snapshot.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct volume_options opts = {0};
	struct snapshot_name name;
	struct err err = {0};
	char *text = malloc(len + 1), *value;
	int64_t size = -1;

	fuzz_must(text != NULL);
	memcpy(text, data, len);
	text[len] = 0;
	if (!volume_size_parse(text, &size, &err))
		fuzz_must(size >= 0);
	else
		fuzz_must(err.text[0] != 0);
	if (!snapshot_name_parse(text, &name, &err))
		fuzz_must(!volume_name_check("volume", name.volume, &err));
	value = strchr(text, '=');
	if (value) {
		*value++ = 0;
		(void)volume_option_parse(&opts, text, value, &err);
	}
	free(text);
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	static const char *const seeds[] = {"10G",	    "512KiB",	     "9223372036854775807", "shop@monday", "quota=10G",	  "compression=zstd:19",
					    "mode=0755",    "uid=1000",	     "quota-inodes=1000000", "from=a@b",    "type=tmpfs", "size=64M"};

	if (nth >= sizeof seeds / sizeof *seeds)
		return 0;
	memcpy(out, seeds[nth], strlen(seeds[nth]));
	return strlen(seeds[nth]);
}
