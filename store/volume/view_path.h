/* Private to store/volume and store/maint: paths in a view. Lock held. */
#ifndef VARVE_VOLUME_VIEW_PATH_H
#define VARVE_VOLUME_VIEW_PATH_H

#include "store/meta/dirent.h"

/* The path of an entry, from the view's root directory; the caller frees it. -ENOENT when the view does not lead from the root to it. */
int view_path(struct meta *m, const struct meta_view *v, uint64_t root, const struct dirent_row *entry, char **ret);

#endif
