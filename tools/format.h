/* Numbers, times and paths as a person reads them. Functions that fill a buffer return it, so that they can stand
 * inside a printf. */
#ifndef VARVE_TOOLS_FORMAT_H
#define VARVE_TOOLS_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAX 32

/* "0B" "512B" "1.5K" "10G" "512G": powers of 1024; a fraction, even .0, means that the size is not exact. */
const char *format_size(char out[FORMAT_MAX], uint64_t bytes);
/* "850 us" "3.1 ms" "2.50 s" */
const char *format_micros(char out[FORMAT_MAX], uint64_t us);
/* "42s" "5m 12s" "3h 05m" "12d 4h" */
const char *format_uptime(char out[FORMAT_MAX], uint64_t seconds);
/* Nanoseconds since 1970 as local "2026-01-31 23:59:59"; "-" for 0. */
const char *format_time(char out[FORMAT_MAX], int64_t ns);
/* a/b as "2.0x"; "-" when b is 0. */
const char *format_ratio(char out[FORMAT_MAX], uint64_t a, uint64_t b);

/* The text with everything that a terminal would not show as itself written as \n, \t, \r, \xHH. A backslash stays: the
 * daemon writes bytes that JSON cannot carry as \xHH, too. What counts as printable follows the locale. Caller frees; NULL
 * when there is no memory. */
char *format_escape(const char *text);

#endif
