#include "store/layout.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

#include <errno.h>

char *layout_key(const char *store_directory, const char *key)
{
	return str_printf("%s/packages/%s", store_directory, key);
}

void layout_names(const char *path, struct strv *ret_names)
{
	FD_CLEANUP int root = -1;
	struct npxc_error why;

	if (!tree_open(path, &root, &why) || !tree_list(root, "", LIMIT_STORE_NAMES, ret_names, &why))
		log_debug("store", "%s", why.message);
}

void layout_directories(const char *path, bool hidden, struct strv *ret_names)
{
	FD_CLEANUP int root = -1;
	struct npxc_error ignored;
	struct strv names = { 0 };

	if (!tree_open(path, &root, &ignored))
		return;
	layout_names(path, &names);
	for (size_t i = 0; i < names.count; i++)
		if ((hidden || names.v[i][0] != '.') && tree_is_directory(root, names.v[i]))
			strv_push(ret_names, names.v[i]);
	strv_done(&names);
}

void layout_drop_key(const char *store_directory, const char *key)
{
	static const char *const files[] = { "resolved.json", "lock", "" };
	mem_cleanup char *packages = str_printf("%s/packages", store_directory);
	FD_CLEANUP int root = -1;
	struct npxc_error why;

	if (!tree_open(packages, &root, &why))
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		mem_cleanup char *path = str_printf("%s%s%s", key, files[i][0] == '\0' ? "" : "/", files[i]);

		if (!tree_remove_entry(root, path, &why) && why.sys_errno != ENOENT)
			log_debug("store", "%s", why.message);
	}
}
