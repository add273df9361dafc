#include "tools/api_client.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "tools/format.h"

#define PATH_MAX_ENCODED 4096
#define CONNECT_TIMEOUT_S 10L
/* How long to ask again when the daemon dies over a question that changes nothing: the next one is there in a moment.
 */
#define RETRY_S_MAX 30
#define RETRY_PAUSE_NS 100000000L
#define STREAM_BUFFER (256L * 1024)

struct api {
	CURL *curl;
	const char *socket;
	unsigned first_s, most_s; /* see api_say_waiting, api_within */
	void (*say)(void *arg, unsigned waited_s);
	void *say_arg;
	curl_socket_t fd; /* of the connection */
};

int api_new(const char *socket, struct api **ret, struct err *err)
{
	struct api *api = calloc(1, sizeof *api);

	if (api && curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK)
		api->curl = curl_easy_init();
	if (!api || !api->curl) {
		api_free(api);
		return err_set(err, ENOMEM, "out of memory");
	}
	api->socket = socket;
	api->fd = CURL_SOCKET_BAD;
	*ret = api;
	return 0;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	curl_easy_cleanup(api->curl);
	free(api);
}

void api_say_waiting(struct api *api, unsigned first_s, void (*say)(void *arg, unsigned waited_s), void *arg)
{
	api->first_s = first_s;
	api->say = say;
	api->say_arg = arg;
}

void api_within(struct api *api, unsigned most_s)
{
	api->most_s = most_s;
}

int64_t api_int(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

const char *api_str(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* Writes http://varve and the path into url, every %s encoded. */
static int make_url(struct api *api, char *url, size_t size, const char *path, va_list ap)
{
	size_t n = (size_t)snprintf(url, size, "http://varve");

	for (; *path; path++) {
		if (path[0] == '%' && path[1] == 's') {
			char *word = curl_easy_escape(api->curl, va_arg(ap, const char *), 0);
			size_t len = word ? strlen(word) : size;

			if (n + len < size) {
				memcpy(url + n, word, len);
				n += len;
			} else {
				n = size;
			}
			curl_free(word);
			path++;
		} else if (n + 1 < size) {
			url[n++] = *path;
		}
		if (n >= size)
			return -ENAMETOOLONG;
	}
	url[n] = '\0';
	return 0;
}

static size_t receive(char *data, size_t size, size_t n, void *arg)
{
	return buf_add(arg, data, size * n) == 0 ? size * n : 0;
}

/* The number of an errno's name as the daemon sends it. */
static int code_number(const char *name)
{
	if (strcmp(name, "ECORRUPT") == 0)
		return ECORRUPT;
	if (strcmp(name, "ETOONEW") == 0)
		return ETOONEW;
	for (int code = 1; code < 256; code++) {
		const char *known = strerrorname_np(code);

		if (known && strcmp(known, name) == 0)
			return code;
	}
	return EIO;
}

/* The request did not get an answer. */
static int refuse_transport(struct api *api, CURLcode rc, struct err *err)
{
	long os = 0;

	(void)curl_easy_getinfo(api->curl, CURLINFO_OS_ERRNO, &os);
	if (rc == CURLE_ABORTED_BY_CALLBACK) {
		err_set(err, ETIMEDOUT, "varved has not answered within %u s", api->most_s);
		err_hint(err, "look whether it is stopped, or its disk does not answer");
		return -ETIMEDOUT;
	}
	/* no errno, or one of an earlier call: there was a connection, and it was closed before curl had looked at it */
	if (rc == CURLE_COULDNT_CONNECT && (!os || os == ECONNRESET || os == EPIPE)) {
		err_set(err, ECONNRESET, "varved closes every connection: it does not serve now");
		err_hint(err, "it may be unable to start: its log says why");
		return -ECONNRESET;
	}
	if (rc != CURLE_COULDNT_CONNECT) {
		err_set(err, ECONNRESET, "varved ended before it answered: %s", curl_easy_strerror(rc));
		err_hint(err, "look whether it was done before you repeat it: it is done or not, never half");
		return -ECONNRESET;
	}
	if (os == EACCES || os == EPERM) {
		err_set(err, EACCES, "no permission to speak to varved on %s", api->socket);
		err_hint(err, "run varve as root, or have varved started with --api-group and be in that group");
		return -EACCES;
	}
	return err_set(err, ENOTCONN, "varved is not running: nothing answers on %s", api->socket);
}

int api_refuse(const json_t *answer, struct err *err)
{
	const json_t *error = json_object_get(answer, "error");

	int rc = err_set(err, code_number(api_str(error, "code")), "%s", api_str(error, "message"));

	err_hint(err, "%s", api_str(error, "hint"));
	return rc;
}

static int refuse_answer(const json_t *answer, long status, struct err *err)
{
	if (!json_object_get(answer, "error"))
		return err_set(err, EIO, "varved answered the request with HTTP status %ld", status);
	return api_refuse(answer, err);
}

static int take_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct api *api = arg;

	(void)purpose;
	api->fd = fd;
	return CURL_SOCKOPT_OK;
}

static void prepare(struct api *api, const char *url)
{
	CURL *c = api->curl;

	curl_easy_reset(c); /* keeps the connection */
	(void)curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, api->socket);
	(void)curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, take_socket);
	(void)curl_easy_setopt(c, CURLOPT_SOCKOPTDATA, api);
	(void)curl_easy_setopt(c, CURLOPT_URL, url);
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	/* The environment's proxies are not meant for a local socket. */
	(void)curl_easy_setopt(c, CURLOPT_PROXY, "");
}

/* While one request waits for its answer. */
struct wait {
	const struct api *api;
	bool question;
	time_t began;
	time_t say_s; /* when to say so next */
};

static time_t seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* curl calls it about once a second. */
static int wait_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct wait *w = arg;
	const struct api *api = w->api;
	time_t waited = seconds() - w->began;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	if (w->question && api->most_s && waited >= api->most_s)
		return 1;
	if (api->say && waited >= w->say_s) {
		api->say(api->say_arg, (unsigned)waited);
		w->say_s *= 3;
	}
	return 0;
}

static int perform_once(struct api *api, const char *method, const char *url, const char *text, struct buf *answer,
		   long *ret_status, struct err *err)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	struct wait wait = {api, !strcmp(method, "GET"), seconds(), api->first_s};
	CURL *c = api->curl;
	CURLcode rc;

	prepare(api, url);
	(void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, wait_tick);
	(void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, &wait);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
	(void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	if (text) {
		(void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
		(void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, text);
	} else if (strcmp(method, "POST") == 0) {
		(void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
	}
	rc = curl_easy_perform(c);
	curl_slist_free_all(headers);
	if (rc != CURLE_OK)
		return refuse_transport(api, rc, err);
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, ret_status);
	return 0;
}

/* Another daemon takes over where one has died, and listens on the same socket. What changes nothing is asked again. */
static int perform(struct api *api, const char *method, const char *url, const char *text, struct buf *answer,
		   long *ret_status, struct err *err)
{
	const struct timespec pause = {.tv_nsec = RETRY_PAUSE_NS};
	time_t until = time(NULL) + RETRY_S_MAX;
	int rc;

	for (;;) {
		rc = perform_once(api, method, url, text, answer, ret_status, err);
		if (rc != -ECONNRESET || strcmp(method, "GET") != 0)
			return rc;
		if (time(NULL) > until) {
			err_set(err, ECONNRESET, "varved has broken off every answer for %d s", RETRY_S_MAX);
			err_hint(err, "it may be unable to start: its log says why");
			return rc;
		}
		buf_reset(answer);
		if (err)
			*err = (struct err){0};
		(void)nanosleep(&pause, NULL);
	}
}

int api_call(struct api *api, const char *method, json_t *body, json_t **ret, struct err *err, const char *path, ...)
{
	char url[PATH_MAX_ENCODED];
	AUTO_FREE char *text = NULL;
	__attribute__((cleanup(buf_free))) struct buf raw = {0};
	json_auto_t *answer = NULL;
	json_error_t where;
	long status = 0;
	va_list ap;
	int rc;

	va_start(ap, path);
	rc = make_url(api, url, sizeof url, path, ap);
	va_end(ap);
	if (rc < 0)
		return err_set(err, -rc, "the request's names are too long");
	if (body && !(text = json_dumps(body, JSON_COMPACT)))
		return err_set(err, EINVAL, "the request is not valid UTF-8");
	rc = perform(api, method, url, text, &raw, &status, err);
	if (rc < 0)
		return rc;
	answer = json_loadb((const char *)raw.data, raw.len, 0, &where);
	if (status / 100 != 2)
		return refuse_answer(answer, status, err);
	if (!answer)
		return err_set(err, EPROTO, "varved's answer is not JSON: %s", where.text);
	if (ret)
		*ret = steal(&answer);
	return 0;
}

/* --- streams --- */

struct streaming {
	struct api *api;
	const struct api_stream *s;
	struct buf answer; /* of an error, or of an upload */
	int failed;        /* of put or get */
	struct wait wait;  /* since something has moved last */
	bool paused;       /* until the daemon has been heard */
	bool gone;         /* the daemon is, and has left nothing to be read */
};

/* Whatever time put or get took was not the daemon's. */
static void stream_moved(struct streaming *st)
{
	st->wait = (struct wait){.api = st->api, .began = seconds(), .say_s = st->api->first_s};
}

static size_t stream_receive(char *data, size_t size, size_t n, void *arg)
{
	struct streaming *st = arg;
	long status = 0;

	(void)curl_easy_getinfo(st->api->curl, CURLINFO_RESPONSE_CODE, &status);
	if (!st->s->put || status != 200)
		return buf_add(&st->answer, data, size * n) == 0 ? size * n : 0;
	st->failed = st->s->put(st->s->arg, data, size * n);
	stream_moved(st);
	return st->failed ? 0 : size * n;
}

static size_t stream_send(char *buf, size_t size, size_t n, void *arg)
{
	struct streaming *st = arg;
	ssize_t len = st->s->get(st->s->arg, buf, size * n, st->api->fd);
	char byte;

	stream_moved(st);
	if (len >= 0)
		return (size_t)len;
	if (len == -EAGAIN) {
		/* curl takes an end as one of the answer alone, and would go on sending */
		st->gone = recv(st->api->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
		st->paused = !st->gone;
		return st->gone ? CURL_READFUNC_ABORT : CURL_READFUNC_PAUSE;
	}
	st->failed = (int)len;
	return CURL_READFUNC_ABORT;
}

static size_t stream_header(char *data, size_t size, size_t n, void *arg)
{
	static const char key[] = "Varve-Job: ";
	struct streaming *st = arg;
	size_t len = size * n, at = sizeof key - 1;

	if (st->s->ret_job && len > at && strncasecmp(data, key, at) == 0)
		(void)snprintf(st->s->ret_job, FORMAT_MAX, "%.*s", (int)strspn(data + at, "0123456789"), data + at);
	return len;
}

static int stream_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct streaming *st = arg;

	st->s->tick(st->s->arg);
	/* the socket is read before it is written to */
	if (st->paused) {
		st->paused = false;
		(void)curl_easy_pause(st->api->curl, CURLPAUSE_CONT);
	}
	return wait_tick(&st->wait, a, b, c, d);
}

static int stream_perform(struct streaming *st, const char *url, struct err *err)
{
	CURL *c = st->api->curl;
	json_auto_t *answer = NULL;
	long status = 0;
	CURLcode rc;

	stream_moved(st);
	prepare(st->api, url);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, stream_receive);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, st);
	(void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, stream_header);
	(void)curl_easy_setopt(c, CURLOPT_HEADERDATA, st);
	(void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, stream_tick);
	(void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, st);
	(void)curl_easy_setopt(c, CURLOPT_BUFFERSIZE, STREAM_BUFFER);
	if (st->s->get) {
		(void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, STREAM_BUFFER);
		(void)curl_easy_setopt(c, CURLOPT_READFUNCTION, stream_send);
		(void)curl_easy_setopt(c, CURLOPT_READDATA, st);
	}
	rc = curl_easy_perform(c);
	if (st->failed) {
		err_set(err, EPIPE, "%s the %s failed: %s", st->s->get ? "reading" : "writing", st->s->what,
			err_name(-st->failed));
		return -EPIPE;
	}
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK && rc != CURLE_COULDNT_CONNECT) {
		err_set(err, ECONNABORTED, "varved broke off: %s",
			st->gone ? "it has ended" : curl_easy_strerror(rc));
		return -ECONNABORTED;
	}
	if (rc != CURLE_OK)
		return refuse_transport(st->api, rc, err);
	if (status / 100 == 2)
		return 0;
	answer = json_loadb((const char *)st->answer.data, st->answer.len, 0, NULL);
	return refuse_answer(answer, status, err);
}

int api_download(struct api *api, const struct api_stream *s, struct err *err, const char *path, ...)
{
	struct streaming st = {.api = api, .s = s};
	char url[PATH_MAX_ENCODED];
	va_list ap;
	int rc;

	va_start(ap, path);
	rc = make_url(api, url, sizeof url, path, ap);
	va_end(ap);
	rc = rc < 0 ? err_set(err, -rc, "the request's names are too long") : stream_perform(&st, url, err);
	buf_free(&st.answer);
	return rc;
}

int api_upload(struct api *api, const struct api_stream *s, json_t **ret, struct err *err, const char *path, ...)
{
	struct streaming st = {.api = api, .s = s};
	char url[PATH_MAX_ENCODED];
	va_list ap;
	int rc;

	va_start(ap, path);
	rc = make_url(api, url, sizeof url, path, ap);
	va_end(ap);
	rc = rc < 0 ? err_set(err, -rc, "the request's names are too long") : stream_perform(&st, url, err);
	if (rc == 0 && !(*ret = json_loadb((const char *)st.answer.data, st.answer.len, 0, NULL)))
		rc = err_set(err, EPROTO, "varved's answer is not JSON");
	buf_free(&st.answer);
	return rc;
}
