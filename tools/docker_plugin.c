#include "tools/docker_plugin.h"

#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "tools/api_client.h"

#define NAME "varve"
#define FILE_PREFIX "docker-"
#define METADATA "docker-cli-plugin-metadata"
#define COMPLETE "__complete"
#define COMPLETION_S_MAX 2 /* somebody has pressed a key */
#define NO_FILES 4 /* cobra.ShellCompDirectiveNoFileComp: offer no file names besides */

bool docker_plugin_called(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	const char *base = slash ? slash + 1 : argv0;

	return base && !strcmp(base, FILE_PREFIX NAME);
}

static int print_metadata(void)
{
	json_auto_t *o = json_pack("{s:s,s:s,s:s,s:s}", "SchemaVersion", "0.1.0", "Vendor", "varve", "Version",
				   VARVE_VERSION, "ShortDescription", "Volumes with snapshots, clones and rollback");
	AUTO_FREE char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (!text)
		return 1;
	(void)puts(text);
	return 0;
}

/* --- completion --- */

static const struct command *find(const struct command *const commands[], size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static const struct command *find_sub(const struct command *c, const char *name)
{
	for (c = c->sub; c && c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static void offer(const char *word, const char *typed)
{
	if (!strncmp(word, typed, strlen(typed)))
		(void)puts(word);
}

enum { OFFER_VOLUMES = 1, OFFER_SNAPSHOTS = 2 };

/* What the nth word of a command is, by the first form of its synopsis: VOL, VOL@SNAP, VOL[@SNAP]…; an existing
 * volume's name is NAME… or OLD. The last word repeats when it ends with "…". */
static unsigned kind_of_word(const struct command *c, size_t n)
{
	char form[128];
	char *save = NULL, *token, *last = NULL;
	size_t i = 0;

	(void)snprintf(form, sizeof form, "%.*s", (int)strcspn(c->synopsis, "\n"), c->synopsis);
	for (token = strtok_r(form, " ", &save); token; token = strtok_r(NULL, " ", &save)) {
		if (*token == '[' && token[1] == '-')
			break;
		last = token;
		if (i++ == n)
			break;
	}
	if (!last || (i <= n && !strstr(last, "…")))
		return 0;
	if (strstr(last, "[@"))
		return OFFER_VOLUMES | OFFER_SNAPSHOTS;
	if (strchr(last, '@'))
		return OFFER_SNAPSHOTS;
	if (!strncmp(last, "VOL", 3) || !strncmp(last, "[VOL", 4) || !strcmp(last, "NAME…") || !strcmp(last, "OLD"))
		return OFFER_VOLUMES;
	return 0;
}

/* Silent when no daemon answers. */
static void offer_names(struct cli *cli, unsigned kinds, const char *typed)
{
	json_auto_t *volumes = NULL;
	json_auto_t *snapshots = NULL;
	struct err err = {0};
	json_t *one;
	size_t i;

	if (api_new(cli->api_socket, &cli->api, &err) < 0)
		return;
	api_within(cli->api, COMPLETION_S_MAX);
	if (kinds & OFFER_VOLUMES && api_call(cli->api, "GET", NULL, &volumes, &err, "/v1/volumes") == 0)
		json_array_foreach(json_object_get(volumes, "volumes"), i, one)
			offer(api_str(one, "name"), typed);
	if (kinds & OFFER_SNAPSHOTS && api_call(cli->api, "GET", NULL, &snapshots, &err, "/v1/snapshots") == 0)
		json_array_foreach(json_object_get(snapshots, "snapshots"), i, one) {
			char name[512];

			(void)snprintf(name, sizeof name, "%s@%s", api_str(one, "volume"), api_str(one, "name"));
			offer(name, typed);
		}
	api_free(cli->api);
	cli->api = NULL;
}

static void offer_options(const struct command *c, const char *typed)
{
	const struct args_option *o;
	char text[64];

	for (o = c ? c->options : NULL; o && o->name; o++) {
		(void)snprintf(text, sizeof text, "--%s", o->name);
		offer(text, typed);
	}
	offer("--help", typed);
	offer("--json", typed);
}

/* words[n - 1] is what has been typed so far, maybe "". */
static int complete(struct cli *cli, const struct command *const commands[], size_t commands_n, char **words, int n)
{
	const struct command *c = NULL, *sub;
	const char *typed = n > 0 ? words[n - 1] : "";
	size_t i, place = 0;

	for (int w = 0; w + 1 < n; w++) {
		if (*words[w] == '-')
			continue;
		if (!c)
			c = find(commands, commands_n, words[w]);
		else if (c->sub && !place)
			c = find_sub(c, words[w]);
		else
			place++;
		if (!c)
			break;
	}
	if (*typed == '-')
		offer_options(c, typed);
	else if (c && c->sub)
		for (sub = c->sub; sub->name; sub++)
			offer(sub->name, typed);
	else if (c)
		offer_names(cli, kind_of_word(c, place), typed);
	else if (n <= 1)
		for (i = 0; i < commands_n; i++)
			offer(commands[i]->name, typed);
	(void)printf(":%d\n", NO_FILES);
	return 0;
}

int docker_plugin_begin(struct cli *cli, const struct command *const commands[], size_t n, int *argc, char ***argv)
{
	int first = 1;

	if (*argc > 1 && !strcmp((*argv)[1], METADATA))
		return print_metadata();
	/* docker's own options come before our name */
	while (first < *argc && strcmp((*argv)[first], NAME) != 0)
		first++;
	if (*argc > 1 && !strcmp((*argv)[1], COMPLETE))
		return complete(cli, commands, n, *argv + first + 1, *argc - first - 1 < 0 ? 0 : *argc - first - 1);
	if (first < *argc) {
		*argc -= first;
		*argv += first;
	}
	return -1;
}
