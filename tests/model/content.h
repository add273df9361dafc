/* What a file of the model holds: a sparse map of 4 KiB pages. Contents and pages are counted and copied when a shared one is
 * written, so that a snapshot of the model costs a pointer. Sizes are the caller's; what lies in no page reads as zeros. */
#ifndef VARVE_MODEL_CONTENT_H
#define VARVE_MODEL_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTENT_PAGE 4096

struct content;

struct content *content_new(void);
struct content *content_ref(struct content *c);
void content_unref(struct content *c); /* NULL is harmless */

void content_write(struct content **c, int64_t off, const void *buf, size_t len);
/* Makes [off, end) zeros. */
void content_zero(struct content **c, int64_t off, int64_t end);
void content_read(const struct content *c, int64_t off, void *buf, size_t len);
/* The offset of the first page that ends beyond `off`; -1 when there is none. */
int64_t content_next(const struct content *c, int64_t off);
bool content_is_zero(const struct content *c, int64_t off, int64_t end);
size_t content_pages(const struct content *c);

#endif
