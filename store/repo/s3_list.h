/* What S3 answers, as far as varve needs it. Pure parsers of hostile input. */
#ifndef VARVE_REPO_S3_LIST_H
#define VARVE_REPO_S3_LIST_H

#include "store/base/buf.h"

/* A page of a listing (ListObjectsV2): calls fn for each object. *ret_next is the token for the next page, "" at the
 * end; it holds S3_TOKEN_MAX + 1. -ECORRUPT when the answer is not whole. */
#define S3_TOKEN_MAX 2048
int s3_list_parse(const char *text, size_t len, int (*fn)(void *arg, const char *key, uint64_t size), void *arg,
		  char *ret_next);
/* The text of the first element of that name; false when it is not there or longer than max. */
bool s3_element(const char *text, size_t len, const char *name, char *out, size_t max);

#endif
