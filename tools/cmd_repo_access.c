#include "tools/cmd_repo_access.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/io.h"

#define STORED_DEFAULT "/etc/varve/repos"
#define FILE_MAX (1 << 20)
#define PASSPHRASE_MAX 1024

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static const char *stored_folder(void)
{
	return env("VARVE_REPOS") ? env("VARVE_REPOS") : STORED_DEFAULT;
}

void repo_access_free(struct repo_access *a)
{
	char **const all[] = {&a->name,        &a->url,    &a->passphrase, &a->key_file, &a->key_bytes,
			      &a->ssh_command, &a->s3_key, &a->s3_secret,  &a->s3_token, &a->s3_region};

	if (a->passphrase)
		crypt_wipe(a->passphrase, strlen(a->passphrase));
	if (a->key_bytes)
		crypt_wipe(a->key_bytes, a->key_len);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		free(*all[i]);
		*all[i] = NULL;
	}
}

struct repo_credentials repo_access_credentials(const struct repo_access *a)
{
	return (struct repo_credentials){
		.passphrase = a->passphrase,
		.key_file = a->key_bytes,
		.key_file_len = a->key_len,
		.access = {a->ssh_command, a->s3_key, a->s3_secret, a->s3_token, a->s3_region},
	};
}

/* Replaces a value by a copy; NULL leaves it. 0 or -ENOMEM. */
static int take(char **to, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	if (copy) {
		free(*to);
		*to = copy;
	}
	return 0;
}

static int read_passphrase_file(struct repo_access *a, const char *path, struct err *err)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	int rc = io_read_file(AT_FDCWD, path, PASSPHRASE_MAX, &text, &len);

	if (rc < 0)
		return err_set(err, -rc, "the passphrase file %s: %s", path, err_name(-rc));
	text[strcspn(text, "\r\n")] = 0;
	rc = *text ? take(&a->passphrase, text)
		   : err_set(err, EINVAL, "the passphrase file %s begins with an empty line", path);
	crypt_wipe(text, len);
	return rc;
}

static int read_key_file(struct repo_access *a, const char *path, struct err *err)
{
	int rc = io_read_file(AT_FDCWD, path, FILE_MAX, &a->key_bytes, &a->key_len);

	if (rc < 0)
		return err_set(err, -rc, "the key file %s: %s", path, err_name(-rc));
	return take(&a->key_file, path);
}

/* --- what `repo add` stored --- */

struct stored_field {
	const char *key;
	size_t at;
};
#define FIELD(name)                                                                                                    \
	{                                                                                                              \
#name, offsetof(struct repo_access, name)                                                              \
	}
static const struct stored_field stored_fields[] = {
	FIELD(url),    FIELD(passphrase), FIELD(key_file), FIELD(ssh_command),
	FIELD(s3_key), FIELD(s3_secret),  FIELD(s3_token), FIELD(s3_region),
};
#define STORED_FIELDS (sizeof stored_fields / sizeof *stored_fields)

static char **field_of(const struct repo_access *a, const struct stored_field *f)
{
	return (char **)((char *)(uintptr_t)a + f->at);
}

static bool is_name(const char *word)
{
	return *word && *word != '.' && !strchr(word, '/') && strlen(word) <= VOLUME_NAME_MAX;
}

static int load_stored(struct repo_access *a, const char *word, struct err *err)
{
	char path[PATH_MAX];
	json_error_t why;
	json_auto_t *o = NULL;
	int rc = 0;

	(void)snprintf(path, sizeof path, "%s/%s.json", stored_folder(), word);
	o = json_load_file(path, 0, &why);
	if (!o && errno == ENOENT)
		return -ENOENT;
	if (!o)
		return err_set(err, EINVAL, "%s: %s", path, why.text);
	for (size_t i = 0; i < STORED_FIELDS && !rc; i++)
		rc = take(field_of(a, &stored_fields[i]), json_string_value(json_object_get(o, stored_fields[i].key)));
	if (!rc && !a->url)
		return err_set(err, EINVAL, "%s names no repository", path);
	if (!rc && a->key_file) {
		AUTO_FREE char *key_file = strdup(a->key_file);

		rc = key_file ? read_key_file(a, key_file, err) : -ENOMEM;
	}
	return rc;
}

int repo_access_store(const struct repo_access *a, const char *name, struct err *err)
{
	json_auto_t *o = json_object();
	AUTO_FREE char *text = NULL;
	char file[VOLUME_NAME_MAX + 8];
	AUTO_CLOSE int dir = -1;
	int rc;

	if (!is_name(name))
		return err_set(err, EINVAL, "'%s' cannot be the name of a repository", name);
	for (size_t i = 0; i < STORED_FIELDS; i++)
		if (*field_of(a, &stored_fields[i]))
			(void)json_object_set_new(o, stored_fields[i].key,
						  json_string(*field_of(a, &stored_fields[i])));
	text = json_dumps(o, JSON_INDENT(2));
	if (!text)
		return err_set(err, ENOMEM, "out of memory, or something that is not UTF-8");
	if (!strcmp(stored_folder(), STORED_DEFAULT))
		(void)mkdir("/etc/varve", 0755);
	(void)mkdir(stored_folder(), 0700);
	rc = io_open(IO_SMALL, AT_FDCWD, stored_folder(), O_RDONLY | O_DIRECTORY, 0, &dir);
	(void)snprintf(file, sizeof file, "%s.json", name);
	if (!rc)
		rc = io_replace_file(dir, file, text, strlen(text), 0600);
	crypt_wipe(text, strlen(text));
	return rc ? err_set(err, -rc, "storing %s in %s: %s", file, stored_folder(), err_name(-rc)) : 0;
}

/* --- S3's own places for credentials --- */

/* The profile's line "key = value" of an INI file. */
static int ini_get(const char *path, const char *profile, const char *key, char **ret)
{
	AUTO_FREE char *text = NULL;
	bool inside = false;
	size_t len;

	if (io_read_file(AT_FDCWD, path, FILE_MAX, &text, &len))
		return 0;
	for (char *save = NULL, *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		char name[128], value[512];

		if (sscanf(line, " [%127[^]]]", name) == 1)
			inside = !strcmp(name, profile) ||
				 (!strncmp(name, "profile ", 8) && !strcmp(name + 8, profile));
		else if (inside && sscanf(line, " %127[^ =] = %511s", name, value) == 2 && !strcmp(name, key))
			return take(ret, value);
	}
	return 0;
}

static int s3_credentials(struct repo_access *a)
{
	static const struct {
		const char *variable, *key;
		size_t at;
	} fields[] = {
		{"AWS_ACCESS_KEY_ID", "aws_access_key_id", offsetof(struct repo_access, s3_key)},
		{"AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", offsetof(struct repo_access, s3_secret)},
		{"AWS_SESSION_TOKEN", "aws_session_token", offsetof(struct repo_access, s3_token)},
		{"AWS_REGION", "region", offsetof(struct repo_access, s3_region)},
	};
	const char *profile = env("AWS_PROFILE") ? env("AWS_PROFILE") : "default";
	char path[PATH_MAX];
	int rc = 0;

	if (env("AWS_SHARED_CREDENTIALS_FILE"))
		(void)snprintf(path, sizeof path, "%s", env("AWS_SHARED_CREDENTIALS_FILE"));
	else
		(void)snprintf(path, sizeof path, "%s/.aws/credentials", env("HOME") ? env("HOME") : "");
	for (size_t i = 0; i < sizeof fields / sizeof *fields && !rc; i++) {
		char **at = (char **)((char *)a + fields[i].at);

		if (*at)
			continue;
		rc = ini_get(path, profile, fields[i].key, at);
		if (!rc)
			rc = take(at, env(fields[i].variable));
	}
	return rc;
}

/* --- putting it together --- */

int repo_access_get(struct cli *cli, const struct args *args, const char *word, struct repo_access *ret,
		    struct err *err)
{
	struct repo_access a = {0};
	const char *given = args_value(args, "key-file");
	int rc = is_name(word) ? load_stored(&a, word, err) : -ENOENT;

	(void)cli;
	if (rc == -ENOENT) {
		/* the daemon works elsewhere: a path is made whole here */
		AUTO_FREE char *cwd = strstr(word, "://") || *word == '/' ? NULL : getcwd(NULL, 0);
		char path[2 * PATH_MAX];

		(void)snprintf(path, sizeof path, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", word);
		rc = take(&a.url, path);
	}
	if (!rc)
		rc = take(&a.name, word);
	if (!rc && given)
		rc = read_key_file(&a, given, err);
	if (!rc && args_has(args, "passphrase-file"))
		rc = read_passphrase_file(&a, args_value(args, "passphrase-file"), err);
	else if (!rc && !a.passphrase && !a.key_bytes && env("VARVE_PASSPHRASE"))
		rc = take(&a.passphrase, env("VARVE_PASSPHRASE"));
	else if (!rc && !a.passphrase && !a.key_bytes && env("VARVE_PASSPHRASE_FILE"))
		rc = read_passphrase_file(&a, env("VARVE_PASSPHRASE_FILE"), err);
	if (!rc)
		rc = take(&a.ssh_command, env("VARVE_SSH_COMMAND"));
	if (!rc && !strncmp(a.url, "s3://", 5))
		rc = s3_credentials(&a);
	if (rc) {
		repo_access_free(&a);
		return err && !err->code ? err_set(err, -rc, "%s", err_name(-rc)) : rc;
	}
	*ret = a;
	return 0;
}

/* One line, or a signal that is to end the program, which waits meanwhile: a terminal must not stay mute. */
static ssize_t read_line(int tty, int signals, char out[PASSPHRASE_MAX])
{
	struct pollfd fds[] = {{.fd = tty, .events = POLLIN}, {.fd = signals, .events = POLLIN}};

	if (signals < 0 || poll(fds, 2, -1) < 0)
		return -1;
	if (fds[1].revents) {
		errno = EINTR;
		return -1;
	}
	return read(tty, out, PASSPHRASE_MAX - 1);
}

static int ask(int tty, const char *question, char out[PASSPHRASE_MAX])
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct termios saved, quiet;
	sigset_t held, before;
	ssize_t n;
	int signals, failed;

	if (dprintf(tty, "%s: ", question) < 0 || tcgetattr(tty, &saved) < 0)
		return -errno;
	(void)sigemptyset(&held);
	for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
		(void)sigaddset(&held, ending[i]);
	(void)pthread_sigmask(SIG_BLOCK, &held, &before);
	signals = signalfd(-1, &held, SFD_CLOEXEC);
	quiet = saved;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(tty, TCSAFLUSH, &quiet);
	n = read_line(tty, signals, out);
	failed = errno;
	(void)tcsetattr(tty, TCSAFLUSH, &saved);
	(void)dprintf(tty, "\n");
	if (signals >= 0)
		(void)close(signals);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (n < 0)
		return -failed;
	out[n] = 0;
	out[strcspn(out, "\r\n")] = 0;
	return 0;
}

int repo_access_prompt(struct repo_access *a, const char *what, bool twice, struct err *err)
{
	AUTO_CLOSE int tty = isatty(STDIN_FILENO) ? open("/dev/tty", O_RDWR | O_CLOEXEC) : -1;
	char first[PASSPHRASE_MAX], second[PASSPHRASE_MAX], question[256];
	int rc = 0;

	if (tty < 0)
		return -EKEYREJECTED;
	(void)snprintf(question, sizeof question, "%s for %s", what, a->name);
	rc = ask(tty, question, first);
	if (!rc && twice) {
		rc = ask(tty, "The same again", second);
		if (!rc && strcmp(first, second) != 0)
			rc = err_set(err, EINVAL, "the two are not the same");
	}
	if (!rc)
		rc = take(&a->passphrase, first);
	crypt_wipe(first, sizeof first);
	crypt_wipe(second, sizeof second);
	return rc && err && !err->code ? err_set(err, -rc, "the terminal: %s", err_name(-rc)) : rc;
}

int repo_access_new_key(struct repo_access *ret, const struct args *args, const char *repo, struct err *err)
{
	int rc = take(&ret->name, repo);

	if (rc)
		return err_set(err, ENOMEM, "out of memory");
	if (args_has(args, "new-key-file"))
		return read_key_file(ret, args_value(args, "new-key-file"), err);
	if (args_has(args, "new-passphrase-file"))
		return read_passphrase_file(ret, args_value(args, "new-passphrase-file"), err);
	if (env("VARVE_NEW_PASSPHRASE"))
		return take(&ret->passphrase, env("VARVE_NEW_PASSPHRASE"));
	rc = repo_access_prompt(ret, "New passphrase", true, err);
	if (rc == -EKEYREJECTED) {
		(void)err_set(err, EINVAL, "which key is to be added?");
		err_hint(err, "give --new-key-file or --new-passphrase-file, or set VARVE_NEW_PASSPHRASE");
		return -EINVAL;
	}
	return rc;
}

int repo_access_open(struct repo_access *a, struct repo **ret, struct err *err)
{
	struct repo_credentials cred = repo_access_credentials(a);
	int rc = repo_open(a->url, &cred, ret, err);

	if (rc != -EKEYREJECTED || a->passphrase || a->key_bytes || !isatty(STDIN_FILENO))
		return rc;
	*err = (struct err){0};
	rc = repo_access_prompt(a, "Passphrase", false, err);
	cred = repo_access_credentials(a);
	return rc ? rc : repo_open(a->url, &cred, ret, err);
}

void repo_access_note(const struct cli *cli, const struct repo *r)
{
	if (r && *r->notice)
		output_note(cli, "%s", r->notice);
}

int repo_access_json(struct repo_access *a, json_t **ret, struct err *err)
{
	AUTO_FREE char *hex = NULL;
	struct repo *r = NULL;
	int rc;

	if (!a->passphrase && !a->key_bytes && isatty(STDIN_FILENO)) {
		rc = repo_access_open(a, &r, err);
		repo_free(r);
		if (rc)
			return rc;
	}
	hex = calloc(1, 2 * a->key_len + 1);
	for (size_t i = 0; hex && i < a->key_len; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", (uint8_t)a->key_bytes[i]);
	*ret = json_pack("{s:s,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*}", "url", a->url, "passphrase", a->passphrase, "key",
			 a->key_bytes ? hex : NULL, "ssh_command", a->ssh_command, "s3_key", a->s3_key, "s3_secret",
			 a->s3_secret, "s3_token", a->s3_token, "s3_region", a->s3_region);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory, or something that is not UTF-8");
}
