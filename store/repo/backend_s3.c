/* A repository in S3-compatible object storage, through libcurl, which signs (AWS_SIGV4). Queries are written in the
 * order in which they are signed. What fails for the moment (a connection, 5xx, 429, an answer cut short) is tried
 * again with growing pauses; every request may be carried out twice without harm. */
#include <curl/curl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"
#include "store/repo/backend.h"
#include "store/repo/s3_list.h"

#define PART_LEN (8u << 20) /* S3 wants at least 5 MiB */
#define TRIES 7
#define FIRST_PAUSE_MS 100
#define CONNECT_TIMEOUT_S 10
#define STALL_TIMEOUT_S 30
#define HANDLES 8
#define URL_MAX 4096
#define ANSWER_MAX (80u << 20)

struct s3_backend {
	struct backend b;
	char *base;   /* URL of the bucket, without a slash at the end */
	char *prefix; /* of keys: "" or "path/" */
	char *credentials, *token, *sigv4;
	long stall_s;
	pthread_mutex_t lock; /* what follows */
	CURL *idle[HANDLES];
	size_t n_idle;
};

static struct s3_backend *self(struct backend *b)
{
	return (struct s3_backend *)b;
}

struct request {
	const char *method;
	const char *key;   /* "" : the bucket */
	const char *query; /* "" or "a=b&c=d", sorted and encoded */
	const void *data;
	size_t len;
	const char *range; /* NULL */
	bool etag;         /* wanted from the answer's header */
};
struct answer {
	long status;
	struct buf body;
	char etag[128];
	bool too_long;
};

static CURL *handle_take(struct s3_backend *s)
{
	LOCK_SCOPE(&s->lock);
	return s->n_idle ? s->idle[--s->n_idle] : curl_easy_init();
}

static void handle_give(struct s3_backend *s, CURL *c)
{
	(void)pthread_mutex_lock(&s->lock);
	if (s->n_idle < HANDLES) {
		s->idle[s->n_idle++] = c;
		c = NULL;
	}
	(void)pthread_mutex_unlock(&s->lock);
	curl_easy_cleanup(c);
}

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	if (a->body.len + size * n > ANSWER_MAX || buf_add(&a->body, data, size * n)) {
		a->too_long = true;
		return 0;
	}
	return size * n;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	if (size * n > 5 && !strncasecmp(data, "etag:", 5))
		(void)sscanf(data + 5, " %127[^\r\n]", a->etag);
	return size * n;
}

static void set_up(struct s3_backend *s, CURL *c, const struct request *q, struct curl_slist *headers, struct answer *a)
{
	char url[URL_MAX];

	curl_easy_reset(c);
	(void)snprintf(url, sizeof url, "%s/%s%s%s%s", s->base, *q->key ? s->prefix : "", q->key, *q->query ? "?" : "",
		       q->query);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
	if (q->data || !strcmp(q->method, "PUT") || !strcmp(q->method, "POST")) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->data ? q->data : "");
	}
	if (q->range)
		curl_easy_setopt(c, CURLOPT_RANGE, q->range);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_AWS_SIGV4, s->sigv4);
	curl_easy_setopt(c, CURLOPT_USERPWD, s->credentials);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, s->stall_s);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
}

static struct curl_slist *make_headers(struct s3_backend *s, const struct request *q)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	char line[4096], hex[2 * sizeof hash + 1];
	struct curl_slist *list = NULL, *more;

	(void)crypto_hash_sha256(hash, q->data ? q->data : (const uint8_t *)"", q->len);
	(void)sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	(void)snprintf(line, sizeof line, "x-amz-content-sha256: %s", hex);
	list = curl_slist_append(NULL, line);
	more = list ? curl_slist_append(list, "Content-Type: application/octet-stream") : NULL;
	if (more && s->token) {
		(void)snprintf(line, sizeof line, "x-amz-security-token: %s", s->token);
		more = curl_slist_append(list, line);
	}
	if (!more) {
		curl_slist_free_all(list);
		return NULL;
	}
	return list;
}

static bool worth_trying_again(CURLcode code, long status)
{
	if (code == CURLE_OK)
		return status >= 500 || status == 429 || status == 408;
	return code != CURLE_URL_MALFORMAT && code != CURLE_UNSUPPORTED_PROTOCOL &&
	       code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_OUT_OF_MEMORY;
}

static void pause_before(unsigned attempt)
{
	uint32_t random = 0;
	long ms = FIRST_PAUSE_MS << attempt;

	(void)io_random(&random, sizeof random);
	ms += (long)(random % (uint32_t)ms);
	(void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static int explain(struct s3_backend *s, const struct request *q, CURLcode code, const struct answer *a,
		   struct err *err)
{
	const char *what = *q->key ? q->key : "the listing";
	char said[256] = "";

	if (code != CURLE_OK)
		return err_set(err, code == CURLE_OUT_OF_MEMORY ? ENOMEM : EIO, "%s %s of the repository %s: %s",
			       q->method, what, s->b.where, curl_easy_strerror(code));
	if (a->body.len)
		(void)(s3_element((char *)a->body.data, a->body.len, "Message", said, sizeof said - 1) ||
		       s3_element((char *)a->body.data, a->body.len, "Code", said, sizeof said - 1));
	if (a->status == 404 && *q->key &&
	    !memmem(a->body.data ? a->body.data : (uint8_t *)"", a->body.len, "NoSuchBucket", 12))
		return err_set(err, ENOENT, "the repository %s has no %s", s->b.where, what);
	(void)err_set(err,
		      a->status == 403   ? EACCES
		      : a->status == 404 ? ENOENT
		      : a->status == 507 ? ENOSPC
					 : EIO,
		      "%s %s of the repository %s: HTTP %ld%s%s", q->method, what, s->b.where, a->status,
		      *said ? ", " : "", said);
	if (a->status == 403)
		err_hint(err,
			 "check the access key and secret (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), and the region");
	if (a->status == 404)
		err_hint(err, "the bucket has to be made first");
	return err ? -err->code : -EIO;
}

/* One request until it succeeds. The answer's body is the caller's to free, whatever is returned. */
static int perform(struct s3_backend *s, const struct request *q, struct answer *a, struct err *err)
{
	struct curl_slist *headers = make_headers(s, q);
	CURL *c = headers ? handle_take(s) : NULL;
	CURLcode code = CURLE_OUT_OF_MEMORY;

	for (unsigned attempt = 0; c && attempt < TRIES; attempt++) {
		if (attempt)
			pause_before(attempt - 1);
		buf_reset(&a->body);
		a->status = 0;
		*a->etag = 0;
		set_up(s, c, q, headers, a);
		code = curl_easy_perform(c);
		(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
		if (a->too_long || !worth_trying_again(code, a->status))
			break;
	}
	curl_slist_free_all(headers);
	if (c)
		handle_give(s, c);
	if (code != CURLE_OK || a->status < 200 || a->status > 299)
		return explain(s, q, code, a, err);
	return 0;
}

/* --- operations --- */

static int s3_get(struct backend *b, const char *key, uint64_t off, size_t len, struct buf *ret, struct err *err)
{
	char range[64];
	struct request q = {.method = "GET", .key = key, .query = "", .range = off || len != SIZE_MAX ? range : NULL};
	struct answer a = {0};
	int bad;

	if (!len)
		return 0;
	if (len == SIZE_MAX)
		(void)snprintf(range, sizeof range, "%llu-", (unsigned long long)off);
	else
		(void)snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)off,
			       (unsigned long long)(off + len - 1));
	bad = perform(self(b), &q, &a, err);
	if (!bad && q.range && a.status != 206)
		bad = err_set(err, EIO, "the repository %s does not give parts of objects", b->where);
	if (!bad && len != SIZE_MAX && a.body.len != len)
		bad = err_set(err, ECORRUPT, "%s in the repository %s is too short", key, b->where);
	if (!bad && buf_add(ret, a.body.data ? a.body.data : (uint8_t *)"", a.body.len))
		bad = err_set(err, ENOMEM, "out of memory");
	buf_free(&a.body);
	return bad;
}

static int put_parts(struct s3_backend *s, const char *key, const char *id, const uint8_t *data, size_t len,
		     struct buf *list, struct err *err)
{
	char query[S3_TOKEN_MAX + 64], line[256];
	int bad = buf_add(list, "<CompleteMultipartUpload>", 25);

	for (unsigned part = 1; len && !bad; part++) {
		size_t n = len < PART_LEN ? len : PART_LEN;
		struct request q = {.method = "PUT", .key = key, .query = query, .data = data, .len = n};
		struct answer a = {0};

		(void)snprintf(query, sizeof query, "partNumber=%u&uploadId=%s", part, id);
		bad = perform(s, &q, &a, err);
		buf_free(&a.body);
		if (bad)
			return bad;
		(void)snprintf(line, sizeof line, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", part,
			       a.etag);
		bad = buf_add(list, line, strlen(line));
		data += n;
		len -= n;
	}
	return bad ? bad : buf_add(list, "</CompleteMultipartUpload>", 26);
}

/* The id, encoded for a query. */
static int begin_upload(struct s3_backend *s, const char *key, char id[S3_TOKEN_MAX + 1], struct err *err)
{
	struct request q = {.method = "POST", .key = key, .query = "uploads="};
	struct answer a = {0};
	char plain[S3_TOKEN_MAX / 3];
	int bad = perform(s, &q, &a, err);

	if (!bad && !s3_element((char *)a.body.data, a.body.len, "UploadId", plain, sizeof plain - 1))
		bad = err_set(err, EIO, "the repository %s does not take large objects in parts", s->b.where);
	buf_free(&a.body);
	if (!bad) {
		char *escaped = curl_easy_escape(NULL, plain, 0);

		(void)snprintf(id, S3_TOKEN_MAX + 1, "%s", escaped ? escaped : plain);
		curl_free(escaped);
	}
	return bad;
}

static int put_large(struct s3_backend *s, const char *key, const void *data, size_t len, struct err *err)
{
	char id[S3_TOKEN_MAX + 1], query[S3_TOKEN_MAX + 64], code[128];
	struct request q = {.method = "POST", .key = key, .query = query};
	struct answer a = {0};
	struct buf list = {0};
	struct err ignored = {0};
	int bad = begin_upload(s, key, id, err);

	if (bad)
		return bad;
	(void)snprintf(query, sizeof query, "uploadId=%s", id);
	bad = put_parts(s, key, id, data, len, &list, err);
	q.data = list.data;
	q.len = list.len;
	if (!bad)
		bad = perform(s, &q, &a, err);
	/* it may say 200 and fail nevertheless */
	if (!bad && a.body.len && s3_element((char *)a.body.data, a.body.len, "Code", code, sizeof code - 1))
		bad = err_set(err, EIO, "writing %s in the repository %s: %s", key, s->b.where, code);
	buf_free(&a.body);
	buf_free(&list);
	if (bad) {
		a = (struct answer){0};
		q = (struct request){.method = "DELETE", .key = key, .query = query};
		(void)perform(s, &q, &a, &ignored);
		buf_free(&a.body);
	}
	return bad && err && !err->code ? err_set(err, -bad, "writing %s: %s", key, err_name(-bad)) : bad;
}

static int s3_put(struct backend *b, const char *key, const void *data, size_t len, struct err *err)
{
	struct request q = {.method = "PUT", .key = key, .query = "", .data = data, .len = len};
	struct answer a = {0};
	int bad;

	if (len > PART_LEN)
		return put_large(self(b), key, data, len, err);
	bad = perform(self(b), &q, &a, err);
	buf_free(&a.body);
	return bad;
}

struct page {
	struct s3_backend *s;
	int (*fn)(void *arg, const char *key, uint64_t size);
	void *arg;
};

static int take_key(void *arg, const char *key, uint64_t size)
{
	const struct page *p = arg;
	size_t n = strlen(p->s->prefix);

	if (strncmp(key, p->s->prefix, n) != 0 || !backend_key_valid(key + n))
		return 0;
	return p->fn(p->arg, key + n, size);
}

static int s3_list(struct backend *b, const char *prefix, int (*fn)(void *arg, const char *key, uint64_t size),
		   void *arg, struct err *err)
{
	struct page page = {self(b), fn, arg};
	char next[S3_TOKEN_MAX + 1] = "", last[S3_TOKEN_MAX + 1], query[URL_MAX / 2], whole[URL_MAX / 4];
	struct request q = {.method = "GET", .key = "", .query = query};
	int bad = 0;

	(void)snprintf(whole, sizeof whole, "%s%s", self(b)->prefix, prefix);
	do {
		char *escaped = curl_easy_escape(NULL, whole, 0),
		     *token = *next ? curl_easy_escape(NULL, next, 0) : NULL;
		struct answer a = {0};
		int parsed;

		(void)snprintf(query, sizeof query, "%s%s%slist-type=2&prefix=%s", token ? "continuation-token=" : "",
			       token ? token : "", token ? "&" : "", escaped ? escaped : "");
		curl_free(escaped);
		curl_free(token);
		bad = perform(page.s, &q, &a, err);
		if (!bad) {
			memcpy(last, next, sizeof last);
			parsed = s3_list_parse(a.body.data ? (char *)a.body.data : "", a.body.len, take_key, &page,
					       next);
			if (parsed == -ECORRUPT && err && !err->code)
				parsed = err_set(err, EIO, "the repository %s answers a listing that is not whole",
						 b->where);
			else if (!parsed && *next && !strcmp(next, last))
				parsed = err_set(err, EIO, "the repository %s lists one page again and again", b->where);
			bad = parsed;
		}
		buf_free(&a.body);
	} while (!bad && *next);
	return bad;
}

static int s3_remove(struct backend *b, const char *key, struct err *err)
{
	struct request q = {.method = "DELETE", .key = key, .query = ""};
	struct answer a = {0};
	int bad = perform(self(b), &q, &a, err);

	buf_free(&a.body);
	if (bad == -ENOENT && err)
		*err = (struct err){0};
	return bad == -ENOENT ? 0 : bad;
}

static void s3_free(struct backend *b)
{
	struct s3_backend *s = self(b);

	for (size_t i = 0; i < s->n_idle; i++)
		curl_easy_cleanup(s->idle[i]);
	free(s->base);
	free(s->prefix);
	free(s->credentials);
	free(s->token);
	free(s->sigv4);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct backend_ops s3_ops = {s3_get, s3_put, s3_list, s3_remove, s3_free};

/* --- the address --- */

struct address {
	char *bucket, *prefix;
	char *endpoint, *region, *style, *timeout;
};

static void address_free(struct address *a)
{
	free(a->bucket);
	free(a->prefix);
	free(a->endpoint);
	free(a->region);
	free(a->style);
	free(a->timeout);
}

/* s3://bucket/prefix?endpoint=URL&region=R&style=path|virtual&timeout=S */
static int parse_url(const char *url, struct address *ret, struct err *err)
{
	AUTO_FREE char *copy = strdup(url + strlen("s3://"));
	char *query = copy ? strchr(copy, '?') : NULL, *slash, *end;
	const struct {
		const char *name;
		char **to;
	} keys[] = {{"endpoint", &ret->endpoint},
		    {"region", &ret->region},
		    {"style", &ret->style},
		    {"timeout", &ret->timeout}};

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	if (query)
		*query++ = 0;
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = 0;
	end = slash ? slash + strlen(slash) : NULL;
	while (end && end > slash && end[-1] == '/')
		*--end = 0;
	for (char *save = NULL, *part = query ? strtok_r(query, "&", &save) : NULL; part;
	     part = strtok_r(NULL, "&", &save)) {
		char *value = strchr(part, '=');
		size_t i = 0;

		if (value)
			*value++ = 0;
		while (i < 4 && strcmp(part, keys[i].name) != 0)
			i++;
		if (i == 4 || !value)
			return err_set(err, EINVAL,
				       "'%s' is not known in an s3 address: endpoint, region, style, timeout", part);
		free(*keys[i].to);
		*keys[i].to = strdup(value);
	}
	if (!*copy || strspn(copy, "abcdefghijklmnopqrstuvwxyz0123456789.-") != strlen(copy) ||
	    (slash &&
	     strspn(slash, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") != strlen(slash)))
		return err_set(err, EINVAL, "'%s' is not an address: s3://bucket/prefix?endpoint=URL", url);
	ret->bucket = strdup(copy);
	if (!slash || !*slash)
		ret->prefix = strdup("");
	else if (asprintf(&ret->prefix, "%s/", slash) < 0)
		ret->prefix = NULL;
	return ret->bucket && ret->prefix ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int make_base(struct s3_backend *s, const struct address *a, const char *region)
{
	const char *scheme_end = a->endpoint ? strstr(a->endpoint, "://") : NULL;
	bool virtual_host = a->style ? !strcmp(a->style, "virtual") : !a->endpoint;
	int n;

	if (!a->endpoint && virtual_host)
		n = asprintf(&s->base, "https://%s.s3.%s.amazonaws.com", a->bucket, region);
	else if (!a->endpoint)
		n = asprintf(&s->base, "https://s3.%s.amazonaws.com/%s", region, a->bucket);
	else if (virtual_host && scheme_end)
		n = asprintf(&s->base, "%.*s://%s.%s", (int)(scheme_end - a->endpoint), a->endpoint, a->bucket,
			     scheme_end + 3);
	else
		n = asprintf(&s->base, "%s%s/%s", scheme_end ? "" : "https://", a->endpoint, a->bucket);
	if (n < 0)
		s->base = NULL;
	return n < 0 ? -ENOMEM : 0;
}

static int set_access(struct s3_backend *s, const struct backend_access *access, const char *region, struct err *err)
{
	if (!access->s3_key || !access->s3_secret) {
		(void)err_set(err, EACCES, "the repository %s needs an access key", s->b.where);
		err_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or have them in ~/.aws/credentials");
		return -EACCES;
	}
	if (asprintf(&s->credentials, "%s:%s", access->s3_key, access->s3_secret) < 0)
		s->credentials = NULL;
	if (asprintf(&s->sigv4, "aws:amz:%s:s3", region) < 0)
		s->sigv4 = NULL;
	s->token = access->s3_token ? strdup(access->s3_token) : NULL;
	return s->credentials && s->sigv4 ? 0 : err_set(err, ENOMEM, "out of memory");
}

int backend_s3_open(const char *url, const struct backend_access *access, struct backend **ret, struct err *err)
{
	struct s3_backend *s = calloc(1, sizeof *s);
	struct address a = {0};
	const char *region;
	int bad;

	if (!s || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(s);
		return err_set(err, ENOMEM, "out of memory");
	}
	s->b.ops = &s3_ops;
	s->b.slow = true;
	(void)pthread_mutex_init(&s->lock, NULL);
	s->b.where = strndup(url, strcspn(url, "?"));
	bad = s->b.where ? parse_url(url, &a, err) : -ENOMEM;
	region = a.region ? a.region : access->s3_region ? access->s3_region : "us-east-1";
	if (!bad)
		bad = make_base(s, &a, region);
	if (!bad)
		bad = set_access(s, access, region, err);
	s->stall_s = a.timeout ? strtol(a.timeout, NULL, 10) : STALL_TIMEOUT_S;
	s->prefix = a.prefix;
	a.prefix = NULL;
	address_free(&a);
	if (bad) {
		backend_free(&s->b);
		return bad;
	}
	*ret = &s->b;
	return 0;
}
