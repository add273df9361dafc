/* What S3 answers: pages of listings, errors, the id of an upload. A page that says that more follow says how to get it. */
#include <string.h>

#include "store/repo/s3_list.h"
#include "tests/fuzz/fuzz.h"

static int take_key(void *arg, const char *key, uint64_t size)
{
	(void)arg;
	fuzz_must(strlen(key) <= 1024);
	return size == UINT64_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {"Code", "Message", "UploadId", "IsTruncated"};
	char next[S3_TOKEN_MAX + 1], out[256];
	const char *text = (const char *)data;

	if (!s3_list_parse(text, len, take_key, NULL, next)) {
		fuzz_must(strlen(next) <= S3_TOKEN_MAX);
		fuzz_must(s3_element(text, len, "IsTruncated", out, sizeof out - 1));
		fuzz_must(!*next == (strcmp(out, "true") != 0));
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (s3_element(text, len, names[i], out, sizeof out - 1))
			fuzz_must(strlen(out) < sizeof out);
	return 0;
}

size_t fuzz_seed(unsigned nth, uint8_t out[FUZZ_LEN_MAX])
{
	static const char *const seeds[] = {
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
		"<Prefix>p/packs/</Prefix><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>1/x&amp;y==</"
		"NextContinuationToken><Contents><Key>p/packs/ab/abcd</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"
		"&quot;d41d&quot;</ETag><Size>16777216</Size><StorageClass>STANDARD</StorageClass></Contents><Contents><Key>p/a&lt;b&gt;"
		"</Key><Size>0</Size></Contents></ListBucketResult>",
		"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
		"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message><BucketName>b</BucketName></Error>",
		"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>2~abc/d+e=</UploadId></InitiateMultipartUploadResult>",
	};

	if (nth >= sizeof seeds / sizeof *seeds)
		return 0;
	memcpy(out, seeds[nth], strlen(seeds[nth]));
	return strlen(seeds[nth]);
}
