#include "store/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"

#define LOG_LINE_MAX 2048
#define REMEMBERED 1024 /* errors and warnings; each has one place, by its hash */

/* An error or warning, by its hash, that need not be said again before `until`. */
struct said {
	uint64_t hash;
	time_t until; /* CLOCK_MONOTONIC */
	unsigned left_out;
};

static _Atomic int log_level = LOG_LEVEL_INFO;
static _Atomic int log_dest = LOG_DEST_STDERR;
static const char *_Atomic log_ident = "varve";
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER; /* leaf; covers said */
static struct said said[REMEMBERED];

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int level_priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

void log_set_level(enum log_level level)
{
	atomic_store(&log_level, (int)level);
}

void log_set_dest(enum log_dest dest, const char *ident)
{
	if (ident)
		atomic_store(&log_ident, ident);
	if (dest == LOG_DEST_SYSLOG)
		openlog(atomic_load(&log_ident), LOG_PID, LOG_DAEMON);
	atomic_store(&log_dest, (int)dest);
}

static uint64_t hash_of(const char *text)
{
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3ULL;
	return h;
}

/* False: it was said a short while ago. Else *ret_left_out is how often it was left out since. */
static bool is_news(const char *text, unsigned *ret_left_out)
{
	uint64_t hash = hash_of(text);
	struct said *s = &said[hash % REMEMBERED];
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	LOCK_SCOPE(&said_lock);
	if (s->hash == hash && now.tv_sec < s->until) {
		s->left_out++;
		return false;
	}
	*ret_left_out = s->hash == hash ? s->left_out : 0;
	*s = (struct said){hash, now.tv_sec + LOG_REPEAT_S, 0};
	return true;
}

/* One write(2) a line, so that lines of several threads and processes do not mix. */
static void write_stderr(enum log_level level, const char *text, const char *more)
{
	char line[LOG_LINE_MAX + 128];
	int n = snprintf(line, sizeof line - 1, "%s: %s: %s%s", atomic_load(&log_ident), level_names[level], text, more);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;

	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say so */
}

static void write_line(enum log_level level, bool leave_out, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX], more[64] = "";
	unsigned left_out = 0;
	int n;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	n = vsnprintf(text, sizeof text, fmt, ap);
	if (n < 0 || (leave_out && !is_news(text, &left_out)))
		return;
	if (left_out)
		(void)snprintf(more, sizeof more, " (and %u times since that was last said)", left_out);
	if (atomic_load(&log_dest) == LOG_DEST_SYSLOG)
		syslog(level_priorities[level], "%s%s", text, more);
	else
		write_stderr(level, text, more);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(level, level <= LOG_LEVEL_WARN, fmt, ap);
	va_end(ap);
}

void log_begins(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(level, false, fmt, ap);
	va_end(ap);
}
