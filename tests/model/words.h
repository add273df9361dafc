/* The names that runs use: few, so that operations meet one another, and some of them unpleasant. */
#ifndef VARVE_MODEL_WORDS_H
#define VARVE_MODEL_WORDS_H

#define WORDS_NAMES 72  /* of directory entries */
#define WORDS_XATTRS 10 /* of extended attributes */

enum { XATTR_ACL_ACCESS = 0, XATTR_ACL_DEFAULT = 1, XATTR_CAPABILITY = 2, XATTR_PLAIN = 3 /* from here on: free values */ };

const char *words_name(unsigned i);
int words_name_index(const char *name); /* -1 when it is none of them */
const char *words_xattr(unsigned i);
int words_xattr_index(const char *name);

#endif
