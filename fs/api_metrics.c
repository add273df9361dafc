/* GET /metrics: the Prometheus text format, 0.0.4. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/api_internal.h"
#include "store/base/cleanup.h"

static void put_counters(FILE *f, struct store *s)
{
	const struct stats *stats = store_stats(s);

#define X(name, help)                                                                                             \
	(void)fprintf(f, "# HELP varve_%s_total %s\n# TYPE varve_%s_total counter\nvarve_%s_total %" PRIu64 "\n", \
		      #name, help, #name, #name, stats_get(&stats->name));
	STATS_COUNTERS(X)
#undef X
}

static void put_gauge(FILE *f, const char *name, const char *help, uint64_t value)
{
	(void)fprintf(f, "# HELP varve_%s %s\n# TYPE varve_%s gauge\nvarve_%s %" PRIu64 "\n", name, help, name, name,
		      value);
}

static int put_space(FILE *f, struct store *s)
{
	struct store_space space = {0};
	int ret = store_space(s, &space);

	if (ret)
		return ret;
	put_gauge(f, "logical_bytes", "File sizes of the live volumes", space.logical_bytes);
	put_gauge(f, "snapshot_bytes", "File sizes of the snapshots", space.snapshot_bytes);
	put_gauge(f, "referenced_bytes", "Content before deduplication", space.referenced_bytes);
	put_gauge(f, "unique_bytes", "Content after deduplication", space.unique_bytes);
	put_gauge(f, "stored_bytes", "Content after deduplication and compression", space.stored_bytes);
	put_gauge(f, "disk_bytes", "Packs on the host filesystem", space.disk_bytes);
	put_gauge(f, "meta_bytes", "Database and journal", space.meta_bytes);
	put_gauge(f, "chunks", "Chunks stored", space.chunks);
	put_gauge(f, "pending_bytes", "Dead chunks, not yet given back", space.pending_bytes);
	put_gauge(f, "host_total_bytes", "Size of the host filesystem", space.host_total);
	put_gauge(f, "host_free_bytes", "Free on the host filesystem", space.host_free);
	put_gauge(f, "volumes", "Volumes", space.volumes);
	put_gauge(f, "snapshots", "Snapshots", space.snapshots);
	put_gauge(f, "inodes", "Inodes of the live volumes", space.inodes);
	put_gauge(f, "buffered_bytes", "Written, not yet in packs", space.buffered_bytes);
	put_gauge(f, "reap_tasks", "Dropped views that are not reaped yet", space.reap_tasks);
	return 0;
}

static void put_fuse(FILE *f, const struct daemon *d)
{
	unsigned i;

	(void)fprintf(f, "# HELP varve_fuse_requests_total FUSE requests\n# TYPE varve_fuse_requests_total counter\n");
	for (i = 0; i < SESSION_OPCODES; i++)
		if (session_opcode_name(i))
			(void)fprintf(f, "varve_fuse_requests_total{op=\"%s\"} %" PRIu64 "\n", session_opcode_name(i),
				      session_requests(d->session, i));
	put_gauge(f, "fuse_nodes", "Nodes that the kernel knows", node_table_count(d->nodes));
	put_gauge(f, "uptime_seconds", "Since the daemon started", (daemon_mono_us() - d->started_us) / 1000000);
}

/* Names are of [A-Za-z0-9_.-], so that they need no escapes. */
static int put_volumes(FILE *f, struct store *s, struct err *err)
{
	static const struct {
		const char *name, *help;
	} gauges[] = {
		{"volume_bytes", "File sizes of a volume"},
		{"volume_inodes", "Inodes of a volume"},
		{"volume_quota_bytes", "Quota of a volume, 0 for none"},
		{"volume_snapshots", "Snapshots of a volume"},
		{"volume_open_writers", "Files of a volume open for writing"},
	};
	AUTO_FREE struct volume_info *v = NULL;
	size_t i, k, n = 0;
	int ret = volume_list(s, &v, &n, err);

	if (ret)
		return ret;
	for (k = 0; k < sizeof gauges / sizeof gauges[0]; k++) {
		(void)fprintf(f, "# HELP varve_%s %s\n# TYPE varve_%s gauge\n", gauges[k].name, gauges[k].help,
			      gauges[k].name);
		for (i = 0; i < n; i++) {
			const int64_t values[] = {v[i].bytes, v[i].inodes, v[i].quota_bytes, v[i].snapshots,
						  v[i].open_writers};

			(void)fprintf(f, "varve_%s{volume=\"%s\"} %" PRId64 "\n", gauges[k].name, v[i].name, values[k]);
		}
	}
	return 0;
}

int api_metrics(struct api *api, const struct api_request *r, struct api_answer *ret, struct err *err)
{
	struct store *s = api->d->store;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int bad;

	(void)r;
	if (!f)
		return err_set(err, ENOMEM, "out of memory");
	put_counters(f, s);
	bad = put_space(f, s);
	if (!bad)
		bad = put_volumes(f, s, err);
	put_fuse(f, api->d);
	if (ferror(f))
		bad = -ENOMEM;
	if (fclose(f) && !bad)
		bad = -ENOMEM;
	if (bad) {
		free(text);
		return bad;
	}
	ret->text = text;
	ret->content_type = "text/plain; version=0.0.4; charset=utf-8";
	return 200;
}
