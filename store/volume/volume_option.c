/* Options and names: one table of options serves every interface. */
#include <stdio.h>
#include <string.h>

#include "store/volume/store_internal.h"

int volume_name_check(const char *what, const char *name, struct err *err)
{
	size_t len = strlen(name), i;

	if (!len)
		return err_set(err, EINVAL, "the %s name is empty", what);
	if (len > VOLUME_NAME_MAX)
		return err_set(err, ENAMETOOLONG, "the %s name is %zu bytes long; at most %d are allowed", what, len, VOLUME_NAME_MAX);
	for (i = 0; i < len; i++) {
		char c = name[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';

		if (letter || (i && (c == '.' || c == '-')))
			continue;
		err_set(err, EINVAL, "%s name '%.80s': '%c' may not %s", what, name, c >= 32 && c < 127 ? c : '?',
			i || (c != '.' && c != '-') ? "be part of it" : "come first");
		err_hint(err, "use letters, digits, '_', '.' and '-', and begin with a letter, digit or '_'");
		return -EINVAL;
	}
	return 0;
}

int volume_size_parse(const char *text, int64_t *ret, struct err *err)
{
	static const char units[] = "KMGTP";
	char *end;
	const char *unit;
	unsigned long long n;
	int shift = 0;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (end == text || errno || text[0] == '-')
		goto bad;
	if (*end) {
		unit = strchr(units, *end >= 'a' && *end <= 'z' ? *end - 32 : *end);
		if (unit && *unit) {
			shift = (int)(unit - units + 1) * 10;
			end++;
			if (*end == 'i')
				end++;
		}
		if (*end == 'B')
			end++;
	}
	if (*end || n > (uint64_t)INT64_MAX >> shift)
		goto bad;
	*ret = (int64_t)(n << shift);
	return 0;
bad:
	err_set(err, EINVAL, "'%.60s' is not a size", text);
	err_hint(err, "write a number with an optional K, M, G, T or P (powers of 1024), as in 10G");
	return -EINVAL;
}

static int parse_number(const char *text, int base, unsigned long max, uint32_t *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, base);
	if (end == text || *end || errno || n > max || text[0] == '-')
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static int set_quota(struct volume_options *o, const char *value, struct err *err)
{
	return volume_size_parse(value, &o->quota_bytes, err);
}

static int set_quota_inodes(struct volume_options *o, const char *value, struct err *err)
{
	return volume_size_parse(value, &o->quota_inodes, err);
}

static int set_compression(struct volume_options *o, const char *value, struct err *err)
{
	uint32_t level = 1;

	if (!strcmp(value, "none")) {
		o->compression = 0;
		return 0;
	}
	if (strcmp(value, "zstd") && (strncmp(value, "zstd:", 5) || parse_number(value + 5, 10, 19, &level) || !level))
		return err_set(err, EINVAL, "compression '%.40s' is not known: use none or zstd:1 to zstd:19", value);
	o->compression = (int32_t)level;
	return 0;
}

static int set_uid(struct volume_options *o, const char *value, struct err *err)
{
	return parse_number(value, 10, UINT32_MAX - 1, &o->uid) ? err_set(err, EINVAL, "uid '%.40s' is not a number", value) : 0;
}

static int set_gid(struct volume_options *o, const char *value, struct err *err)
{
	return parse_number(value, 10, UINT32_MAX - 1, &o->gid) ? err_set(err, EINVAL, "gid '%.40s' is not a number", value) : 0;
}

static int set_mode(struct volume_options *o, const char *value, struct err *err)
{
	return parse_number(value, 8, 07777, &o->mode) ? err_set(err, EINVAL, "mode '%.40s' is not an octal mode such as 0750", value) : 0;
}

static int set_from(struct volume_options *o, const char *value, struct err *err)
{
	struct snapshot_name name;
	int ret = snapshot_name_parse(value, &name, err);

	if (!ret)
		(void)snprintf(o->from, sizeof o->from, "%s", value);
	return ret;
}

static const struct {
	const char *key;
	unsigned bit;
	int (*set)(struct volume_options *o, const char *value, struct err *err);
} options[] = {
	{"quota", VOLUME_SET_QUOTA, set_quota},
	{"quota-inodes", VOLUME_SET_QUOTA_INODES, set_quota_inodes},
	{"compression", VOLUME_SET_COMPRESSION, set_compression},
	{"uid", VOLUME_SET_UID, set_uid},
	{"gid", VOLUME_SET_GID, set_gid},
	{"mode", VOLUME_SET_MODE, set_mode},
	{"from", VOLUME_SET_FROM, set_from},
};

int volume_option_parse(struct volume_options *opts, const char *key, const char *value, struct err *err)
{
	size_t i;

	for (i = 0; i < sizeof options / sizeof *options; i++) {
		if (strcmp(options[i].key, key))
			continue;
		opts->set |= options[i].bit;
		return options[i].set(opts, value, err);
	}
	err_set(err, EINVAL, "unknown volume option '%.60s'", key);
	err_hint(err, "known options: quota, quota-inodes, compression, uid, gid, mode, from");
	return -EINVAL;
}

int snapshot_name_parse(const char *text, struct snapshot_name *ret, struct err *err)
{
	const char *at = strchr(text, '@');
	size_t len = at ? (size_t)(at - text) : strlen(text);
	char volume[VOLUME_NAME_MAX + 2];
	int r;

	if (at && strchr(at + 1, '@'))
		return err_set(err, EINVAL, "'%.80s' has more than one '@'; write VOLUME@SNAPSHOT", text);
	(void)snprintf(volume, sizeof volume, "%.*s", (int)(len < sizeof volume ? len : sizeof volume), text);
	r = volume_name_check("volume", volume, err);
	if (!r && at)
		r = volume_name_check("snapshot", at + 1, err);
	if (r)
		return r;
	*ret = (struct snapshot_name){.snapshot = ""};
	(void)snprintf(ret->volume, sizeof ret->volume, "%.*s", VOLUME_NAME_MAX, volume);
	if (at)
		(void)snprintf(ret->snapshot, sizeof ret->snapshot, "%s", at + 1);
	return 0;
}
