/* Errors that a person reads: a code (positive errno, or one of the codes below) and one line of text.
 *
 * Functions return 0 or -code. Those that a user's request reaches directly also take a `struct err *`, which may be
 * NULL; it is set where the fault is detected, and each layer above may put its context in front once. */
#ifndef VARVE_BASE_ERR_H
#define VARVE_BASE_ERR_H

#include <errno.h>
#include <stddef.h>

/* Stored bytes do not match their checksum: distinct from an I/O failure. The FUSE edge answers EIO. */
#define ECORRUPT 1001
/* The store was written by a newer varve. */
#define ETOONEW 1002

#define ERR_TEXT_MAX 512

struct err {
	int code; /* positive; 0 when nothing is set */
	char text[ERR_TEXT_MAX];
	char hint[ERR_TEXT_MAX]; /* what to do about it; "" when there is nothing to say */
};

/* Sets code and text, clears the hint, and returns -code. `err` may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Sets what the user can do about the error already set. */
void err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "context: " in front of the text that is there. */
void err_context(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* strerror for errno values and for the codes above. Static storage or thread-local; never NULL. */
const char *err_name(int code);
/* The errno to hand to a kernel or a libc caller for a -code: ECORRUPT and unknown codes become EIO. Positive. */
int err_errno(int ret);

#endif
