#include "tools/name.h"

#include <stdio.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* The first byte that may not be in a name, made readable. */
static int refuse_byte(const char *what, const char *name, unsigned char c, struct err *err)
{
	if (c > 0x20 && c < 0x7f)
		err_set(err, EINVAL, "'%s' cannot be a %s name: it contains '%c'", name, what, c);
	else if (c == ' ')
		err_set(err, EINVAL, "'%s' cannot be a %s name: it contains a space", name, what);
	else
		err_set(err, EINVAL, "this cannot be a %s name: it contains the byte 0x%02x", what, c);
	err_hint(err, "names are made of letters, digits, '_', '-' and '.'");
	return -EINVAL;
}

int name_check(const char *what, const char *name, struct err *err)
{
	size_t len = strlen(name), good = strspn(name, LETTERS DIGITS "_-.");

	if (len == 0)
		return err_set(err, EINVAL, "a %s name cannot be empty", what);
	if (len > VOLUME_NAME_MAX)
		return err_set(err, EINVAL, "a %s name has at most %d characters; this one has %zu", what,
			       VOLUME_NAME_MAX, len);
	if (strchr(name, '/')) {
		err_set(err, EINVAL, "'%s' cannot be a %s name: it contains '/'", name, what);
		err_hint(err, "give the name of the %s, not its path", what);
		return -EINVAL;
	}
	if (strchr(name, '@')) {
		err_set(err, EINVAL, "'%s' cannot be a %s name: it contains '@'", name, what);
		err_hint(err, "VOLUME@SNAPSHOT names a snapshot; here a %s name is needed", what);
		return -EINVAL;
	}
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(err, EINVAL, "'%s' cannot be a %s name", name, what);
	if (good < len)
		return refuse_byte(what, name, (unsigned char)name[good], err);
	if (!strchr(LETTERS DIGITS "_", name[0])) {
		err_set(err, EINVAL, "'%s' cannot be a %s name: it begins with '%c'", name, what, name[0]);
		err_hint(err, "a name begins with a letter, a digit or '_'");
		return -EINVAL;
	}
	return 0;
}

int name_split(const char *text, struct name *ret, struct err *err)
{
	const char *at = strchr(text, '@');
	size_t len = at ? (size_t)(at - text) : strlen(text);
	struct name name = {0};
	int rc;

	if (len > VOLUME_NAME_MAX)
		return err_set(err, EINVAL, "a volume name has at most %d characters; this one has %zu",
			       VOLUME_NAME_MAX, len);
	memcpy(name.volume, text, len);
	rc = name_check("volume", name.volume, err);
	if (rc == 0 && at && !at[1])
		rc = err_set(err, EINVAL, "'%s': the snapshot's name is missing after '@'", text);
	else if (rc == 0 && at)
		rc = name_check("snapshot", at + 1, err);
	if (rc < 0)
		return rc;
	(void)snprintf(name.snapshot, sizeof name.snapshot, "%s", at ? at + 1 : "");
	*ret = name;
	return 0;
}

int name_split_snapshot(const char *text, struct name *ret, struct err *err)
{
	struct name name;
	int rc = name_split(text, &name, err);

	if (rc < 0)
		return rc;
	if (!name.snapshot[0]) {
		err_set(err, EINVAL, "'%s' names a volume; a snapshot is needed: %s@SNAPSHOT", text, text);
		err_hint(err, "'varve snapshot ls %s' lists its snapshots", text);
		return -EINVAL;
	}
	*ret = name;
	return 0;
}
