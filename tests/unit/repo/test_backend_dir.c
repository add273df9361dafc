/* A repository in a directory: what was put is there after a power cut. */
#include "tests/unit/repo/repo_fixture.h"

#include "store/base/io.h"

struct synced {
	char paths[16][128];
	size_t n;
};

static void note(void *arg, const char *path, int fd)
{
	struct synced *s = arg;
	char link[64];
	ssize_t len;

	if (path || s->n == 16)
		return;
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, s->paths[s->n], sizeof *s->paths - 1);
	assert_true(len > 0);
	s->paths[s->n++][len] = 0;
}

static bool was_synced(const struct synced *s, const char *root, const char *folder)
{
	char path[600];

	(void)snprintf(path, sizeof path, "%s%s", root, folder);
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->paths[i], path))
			return true;
	return false;
}

static void test_new_folders_are_durable(void **state)
{
	struct repo_fixture *f = *state;
	struct synced synced = {0};
	struct backend *be;

	assert_int_equal(backend_open(f->url, &f->cred.access, 0, &be, NULL), 0);
	io_set_witness(note, &synced);
	assert_int_equal(backend_put(be, "packs/ab/abcd", "x", 1, NULL), 0);
	io_set_witness(NULL, NULL);
	assert_true(was_synced(&synced, f->url, ""));
	assert_true(was_synced(&synced, f->url, "/packs"));
	assert_true(was_synced(&synced, f->url, "/packs/ab"));
	backend_free(be);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new_folders_are_durable, repo_fixture_setup,
						repo_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
