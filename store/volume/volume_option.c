/* Options and names: one table of options serves every interface. */
#include <stdio.h>
#include <string.h>

#include "store/volume/volume_internal.h"

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

static int set_type(struct volume_options *o, const char *value, struct err *err)
{
	if (strcmp(value, "tmpfs"))
		return err_set(err, EINVAL, "type '%.40s' is not known: tmpfs is the only one to ask for", value);
	o->tmpfs = true;
	return 0;
}

static int set_size(struct volume_options *o, const char *value, struct err *err)
{
	int ret = volume_size_parse(value, &o->quota_bytes, err);

	return !ret && !o->quota_bytes ? err_set(err, EINVAL, "size '%.40s' leaves room for nothing", value) : ret;
}

static const struct {
	const char *key, *form;
	unsigned bit;
	int (*set)(struct volume_options *o, const char *value, struct err *err);
} options[] = {
	{"quota", "10G", VOLUME_SET_QUOTA, set_quota},
	{"quota-inodes", "1M", VOLUME_SET_QUOTA_INODES, set_quota_inodes},
	{"compression", "none|zstd:1…zstd:19", VOLUME_SET_COMPRESSION, set_compression},
	{"uid", "999", VOLUME_SET_UID, set_uid},
	{"gid", "999", VOLUME_SET_GID, set_gid},
	{"mode", "0750", VOLUME_SET_MODE, set_mode},
	{"from", "VOL[@SNAP]", VOLUME_SET_FROM, set_from},
	{"type", "tmpfs", VOLUME_SET_TYPE, set_type},
	{"size", "64M", VOLUME_SET_SIZE, set_size},
};
#define N_OPTIONS (sizeof options / sizeof *options)

static void hint_options(struct err *err)
{
	char text[ERR_TEXT_MAX] = "";
	size_t i, at = 0;

	for (i = 0; i < N_OPTIONS && at < sizeof text; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s=%s", i ? ", " : "", options[i].key, options[i].form);
	err_hint(err, "known options: %s", text);
}

int volume_option_parse(struct volume_options *opts, const char *key, const char *value, struct err *err)
{
	size_t i;
	int ret = -EINVAL;

	for (i = 0; i < N_OPTIONS && strcmp(options[i].key, key); i++)
		;
	if (i == N_OPTIONS) {
		err_set(err, EINVAL, "unknown volume option '%.60s'", key);
	} else {
		ret = options[i].set(opts, value, err);
		if (!ret)
			opts->set |= options[i].bit;
	}
	if (ret)
		hint_options(err);
	return ret;
}

int volume_options_check(const struct volume_options *opts, const struct volume_row *now_or_null, struct err *err)
{
	bool tmpfs = now_or_null ? now_or_null->flags & VOLUME_TMPFS : opts->tmpfs;

	if (now_or_null && opts->set & VOLUME_SET_FROM)
		return err_set(err, EINVAL, "'from' can be given only when a volume is created");
	if (now_or_null && opts->set & VOLUME_SET_TYPE && !tmpfs)
		return err_set(err, EINVAL, "a volume's type cannot be changed");
	if (!tmpfs && opts->set & VOLUME_SET_SIZE) {
		err_set(err, EINVAL, "size is for volumes with type=tmpfs");
		err_hint(err, "quota limits a volume in the store");
		return -EINVAL;
	}
	if (tmpfs && opts->set & (VOLUME_SET_QUOTA | VOLUME_SET_QUOTA_INODES)) {
		err_set(err, EINVAL, "a tmpfs has no quota");
		err_hint(err, "size limits it");
		return -EINVAL;
	}
	if (tmpfs && opts->set & VOLUME_SET_FROM)
		return err_set(err, EINVAL, "a tmpfs begins empty: from and type=tmpfs do not go together");
	return 0;
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
