#include "tools/options.h"

#include <string.h>

#include "store/base/cleanup.h"

int options_add(json_t *options, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');
	AUTO_FREE char *key = NULL;

	if (!equals || equals == text) {
		err_set(err, EUSAGE, "'%s' is not KEY=VALUE", text);
		err_hint(err, "such as quota=10G");
		return -EUSAGE;
	}
	key = strndup(text, (size_t)(equals - text));
	if (!key)
		return err_set(err, ENOMEM, "out of memory");
	if (json_object_get(options, key))
		return err_set(err, EUSAGE, "'%s' is given twice", key);
	if (json_object_set_new(options, key, json_string(equals + 1)) < 0)
		return err_set(err, EINVAL, "'%s' is not valid UTF-8", text);
	return 0;
}

int options_collect(const struct args *args, json_t **ret, struct err *err)
{
	json_auto_t *options = json_object();
	int rc;

	if (!options)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < args->n_given; i++) {
		if (args->given[i].option->letter != 'o')
			continue;
		rc = options_add(options, args->given[i].value, err);
		if (rc < 0)
			return rc;
	}
	*ret = steal(&options);
	return 0;
}
