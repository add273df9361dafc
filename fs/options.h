/* What varved was told: the command line over the environment over the defaults. */
#ifndef VARVE_FS_OPTIONS_H
#define VARVE_FS_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "store/base/err.h"
#include "store/base/log.h"

/* Paths are absolute: the daemon leaves the folder that it was started in. */
struct options {
	char store[PATH_MAX];
	char mount[PATH_MAX];
	char api[PATH_MAX];
	char docker[PATH_MAX]; /* the volume plugin's socket; "": no plugin */
	bool docker_given; /* else it is the default, which the daemon can do without */
	char tmpfs[PATH_MAX]; /* the folder of volumes of type tmpfs */
	char pidfile[PATH_MAX]; /* "": none */
	unsigned wait_s; /* for the store, at the start */
	gid_t api_group;
	bool has_api_group;
	bool foreground;
	bool no_takeover; /* the mount ends with the daemon */
	enum log_dest log_dest;
	enum log_level log_level;
};

/* 0; >0 when --help or --version has been answered; -EINVAL with the error set. */
int options_parse(int argc, char **argv, struct options *ret, struct err *err);

#endif
