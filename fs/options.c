#include "fs/options.h"

#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_STORE "/var/lib/varve/store"
#define DEFAULT_MOUNT "/var/lib/varve/volumes"
#define DEFAULT_DOCKER "/run/docker/plugins/varve.sock"
#define NO_DOCKER "none"
#define DEFAULT_TMPFS "/run/varve/tmpfs"
#define DEFAULT_API "/run/varve/api.sock"
#define DEFAULT_WAIT_S 30
#define WAIT_S_MAX 86400

enum { OPT_API = 256, OPT_API_GROUP, OPT_DOCKER, OPT_TMPFS, OPT_PIDFILE, OPT_LOG, OPT_LOG_LEVEL, OPT_NO_TAKEOVER, OPT_WAIT };

static const struct option long_options[] = {
	{"store", required_argument, NULL, 's'},
	{"mount", required_argument, NULL, 'm'},
	{"api", required_argument, NULL, OPT_API},
	{"api-group", required_argument, NULL, OPT_API_GROUP},
	{"foreground", no_argument, NULL, 'f'},
	{"docker", required_argument, NULL, OPT_DOCKER},
	{"tmpfs", required_argument, NULL, OPT_TMPFS},
	{"pidfile", required_argument, NULL, OPT_PIDFILE},
	{"log", required_argument, NULL, OPT_LOG},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"no-takeover", no_argument, NULL, OPT_NO_TAKEOVER},
	{"wait", required_argument, NULL, OPT_WAIT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char usage[] = "usage: varved [OPTION]...\n"
			    "Serves the volumes of a store: mounts them and answers the varve command.\n"
			    "\n"
			    "  -s, --store DIR       the store (VARVE_STORE; " DEFAULT_STORE ")\n"
			    "  -m, --mount DIR       where the volumes appear (VARVE_MOUNT; " DEFAULT_MOUNT ")\n"
			    "      --api SOCKET      unix socket of the HTTP interface (VARVE_API; " DEFAULT_API ")\n"
			    "      --api-group G     this group may use the socket too\n"
			    "      --docker SOCKET   unix socket of the Docker volume plugin, or none\n"
			    "                        (VARVE_DOCKER; " DEFAULT_DOCKER ")\n"
			    "      --tmpfs DIR       where volumes of type tmpfs are mounted (" DEFAULT_TMPFS ")\n"
			    "  -f, --foreground      stay in the foreground\n"
			    "      --pidfile FILE    write the daemon's process id there\n"
			    "      --log DEST        stderr or syslog (syslog, or stderr with --foreground)\n"
			    "      --log-level L     error, warning, info or debug (info)\n"
			    "      --no-takeover     when the daemon dies, unmount and mount anew\n"
			    "      --wait SECONDS    how long to wait at the start while another process ends\n"
			    "                        that has the store, or an offline command has it (30)\n"
			    "  -h, --help            print this text\n"
			    "      --version         print the version\n"
			    "\n"
			    "Returns once the volumes are mounted; SIGTERM writes everything out and unmounts.\n";

static int set_path(char ret[PATH_MAX], const char *what, const char *path, struct err *err)
{
	char cwd[PATH_MAX] = "";
	int n;

	if (!*path)
		return err_set(err, EINVAL, "%s is empty", what);
	if (*path != '/' && !getcwd(cwd, sizeof cwd))
		return err_set(err, errno, "%s: the current folder cannot be named: %s", what, err_name(errno));
	n = snprintf(ret, PATH_MAX, "%s%s%s", cwd, *cwd && strcmp(cwd, "/") ? "/" : "", path);
	if (n < 0 || n >= PATH_MAX)
		return err_set(err, EINVAL, "%s is too long", what);
	while (n > 1 && ret[n - 1] == '/')
		ret[--n] = '\0';
	return 0;
}

static int set_docker(struct options *o, const char *path, struct err *err)
{
	o->docker_given = strcmp(path, DEFAULT_DOCKER) != 0;
	if (strcmp(path, NO_DOCKER) != 0)
		return set_path(o->docker, "--docker", path, err);
	*o->docker = '\0';
	return 0;
}

static int set_group(struct options *o, const char *name, struct err *err)
{
	const struct group *g = getgrnam(name);
	char *end;
	unsigned long id;

	if (g) {
		o->api_group = g->gr_gid;
	} else {
		errno = 0;
		id = strtoul(name, &end, 10);
		if (errno || !*name || *end || id >= UINT_MAX)
			return err_set(err, EINVAL, "--api-group: there is no group %s", name);
		o->api_group = (gid_t)id;
	}
	o->has_api_group = true;
	return 0;
}

static int set_wait(struct options *o, const char *text, struct err *err)
{
	char *end;
	unsigned long s;

	errno = 0;
	s = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || s > WAIT_S_MAX)
		return err_set(err, EINVAL, "--wait is a number of seconds up to %d, not '%s'", WAIT_S_MAX, text);
	o->wait_s = (unsigned)s;
	return 0;
}

static int set_log_level(struct options *o, const char *name, struct err *err)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (!strcmp(name, names[i])) {
			o->log_level = (enum log_level)i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "--log-level is error, warning, info or debug, not '%s'", name);
}

static int set_one(struct options *o, int c, bool *log_given, struct err *err)
{
	switch (c) {
	case 's':
		return set_path(o->store, "--store", optarg, err);
	case 'm':
		return set_path(o->mount, "--mount", optarg, err);
	case OPT_API:
		return set_path(o->api, "--api", optarg, err);
	case OPT_DOCKER:
		return set_docker(o, optarg, err);
	case OPT_TMPFS:
		return set_path(o->tmpfs, "--tmpfs", optarg, err);
	case OPT_PIDFILE:
		return set_path(o->pidfile, "--pidfile", optarg, err);
	case OPT_API_GROUP:
		return set_group(o, optarg, err);
	case OPT_LOG_LEVEL:
		return set_log_level(o, optarg, err);
	case 'f':
		o->foreground = true;
		return 0;
	case OPT_WAIT:
		return set_wait(o, optarg, err);
	case OPT_NO_TAKEOVER:
		o->no_takeover = true;
		return 0;
	case OPT_LOG:
		*log_given = true;
		if (!strcmp(optarg, "stderr"))
			o->log_dest = LOG_DEST_STDERR;
		else if (!strcmp(optarg, "syslog"))
			o->log_dest = LOG_DEST_SYSLOG;
		else
			return err_set(err, EINVAL, "--log is stderr or syslog, not '%s'", optarg);
		return 0;
	case ':':
		return err_set(err, EINVAL, "%s needs a value", optopt > 255 ? "the last option" : "an option");
	default:
		return err_set(err, EINVAL, "unknown option");
	}
}

static const char *env_or(const char *variable, const char *fallback)
{
	const char *value = getenv(variable);

	return value && *value ? value : fallback;
}

static int set_default(char ret[PATH_MAX], const char *variable, const char *fallback, struct err *err)
{
	return set_path(ret, variable, env_or(variable, fallback), err);
}

static int check_socket(const char *whose, const char *path, struct err *err)
{
	if (strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path)
		return 0;
	return err_set(err, EINVAL, "the path of the %s's socket is too long for a socket: %s", whose, path);
}

int options_parse(int argc, char **argv, struct options *ret, struct err *err)
{
	struct options o = {.log_level = LOG_LEVEL_INFO, .wait_s = DEFAULT_WAIT_S};
	bool log_given = false;
	int c, r;

	if ((r = set_default(o.store, "VARVE_STORE", DEFAULT_STORE, err)) ||
	    (r = set_default(o.mount, "VARVE_MOUNT", DEFAULT_MOUNT, err)) ||
	    (r = set_default(o.api, "VARVE_API", DEFAULT_API, err)) ||
	    (r = set_docker(&o, env_or("VARVE_DOCKER", DEFAULT_DOCKER), err)) ||
	    (r = set_path(o.tmpfs, "--tmpfs", DEFAULT_TMPFS, err)))
		return r;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":s:m:fh", long_options, NULL)) != -1) {
		if (c == 'h') {
			(void)fputs(usage, stdout);
			return 1;
		}
		if (c == 'V') {
			(void)puts("varved " VARVE_VERSION);
			return 1;
		}
		r = set_one(&o, c, &log_given, err);
		if (r) {
			if (c == '?' || c == ':')
				(void)err_set(err, EINVAL, "%s %s", argv[optind - 1],
					      c == ':' ? "needs a value" : "is not an option of varved");
			err_hint(err, "varved --help lists the options");
			return r;
		}
	}
	if (optind < argc) {
		r = err_set(err, EINVAL, "%s is not understood", argv[optind]);
		err_hint(err, "varved --help lists the options");
		return r;
	}
	r = check_socket("API", o.api, err);
	if (!r)
		r = check_socket("plugin", o.docker, err);
	if (r)
		return r;
	if (!log_given)
		o.log_dest = o.foreground ? LOG_DEST_STDERR : LOG_DEST_SYSLOG;
	*ret = o;
	return 0;
}
