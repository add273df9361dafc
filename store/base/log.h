/* Logging to stderr or syslog. Level, destination and what was said lately are the process's only mutable globals. Any thread.
 *
 * An error or warning that was said less than LOG_REPEAT_S ago, word for word, is left out: a fault that lasts is met again and
 * again, by everyone who meets it. When it is said again, it is with how often it was left out. */
#ifndef VARVE_BASE_LOG_H
#define VARVE_BASE_LOG_H

#define LOG_REPEAT_S 60

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_dest { LOG_DEST_STDERR, LOG_DEST_SYSLOG };

void log_set_level(enum log_level level);
void log_set_dest(enum log_dest dest, const char *ident); /* ident must outlive the process's logging */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Never left out: for what its caller says once, when it begins, and has to say again when it begins again. */
void log_begins(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
