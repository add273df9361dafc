#include "tests/model/words.h"

#include <string.h>

#define LONG50 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"

/* In strcmp order, for the binary search. */
static const char *const names[WORDS_NAMES] = {
	"\x01", "\n", " ", " leading", "!", "\"quoted\"", "%s%n", "'", "*", "+", "-rf", "...", ".a", ".hidden", "00",
	"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
	"20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", ";", "@", "A",
	"\\", "a", "a\tb", "a b", LONG50, LONG50 LONG50, LONG50 LONG50 LONG50 LONG50 LONG50 "12345",
	LONG50 LONG50 LONG50 LONG50 LONG50 "12346", "b", "data.db", "data.db-wal", "lost+found", "pre-x", "z", "~", "\x7f",
	"\xc3\xa9t\xc3\xa9", "\xed\xa0\x80", "\xff\xfe",
};

static const char *const xattrs[WORDS_XATTRS] = {
	"system.posix_acl_access", "system.posix_acl_default", "security.capability", "security.x", "trusted.y", "user.a",
	"user.b", "user.long." LONG50 LONG50, "user.\xff", "user.z",
};

const char *words_name(unsigned i)
{
	return names[i];
}

int words_name_index(const char *name)
{
	for (unsigned lo = 0, hi = WORDS_NAMES; lo < hi;) {
		unsigned mid = (lo + hi) / 2;
		int c = strcmp(name, names[mid]);

		if (!c)
			return (int)mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

const char *words_xattr(unsigned i)
{
	return xattrs[i];
}

int words_xattr_index(const char *name)
{
	for (unsigned i = 0; i < WORDS_XATTRS; i++)
		if (!strcmp(name, xattrs[i]))
			return (int)i;
	return -1;
}
