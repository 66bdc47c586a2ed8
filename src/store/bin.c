#include "store/bin.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

void bins_push(struct bins *bins, const char *name, const char *path)
{
	bins->v = mem_realloc(bins->v, bins->count + 1, sizeof(*bins->v));
	bins->v[bins->count++] = (struct bin){ str_dup(name), str_dup(path) };
}

void bins_done(struct bins *bins)
{
	for (size_t i = 0; i < bins->count; i++) {
		free(bins->v[i].name);
		free(bins->v[i].path);
	}
	free(bins->v);
	*bins = (struct bins){ 0 };
}

const struct bin *bins_find(const struct bins *bins, const char *name)
{
	for (size_t i = 0; i < bins->count; i++)
		if (strcmp(bins->v[i].name, name) == 0)
			return &bins->v[i];
	return NULL;
}

char *bin_place(const char *package_name, const struct bin *bin)
{
	mem_cleanup char *inside = str_printf("/%s", bin->path);
	mem_cleanup char *clean = str_path_clean(inside);

	return str_printf("%s%s", package_name, clean);
}

bool bin_choose(const char *package_name, const struct bins *bins, const char **ret_name, struct npxc_error *err)
{
	const char *slash = strchr(package_name, '/');
	const char *local = package_name[0] == '@' && slash != NULL ? slash + 1 : package_name;
	bool one_file = bins->count > 0;
	mem_cleanup char *names = NULL;
	mem_cleanup char *shown = NULL;

	if (bins->count == 0)
		return error_set(err, ERROR_CONFIG,
		                 "%s has no command to run; it is a library, or its server is another package",
		                 package_name);
	for (size_t i = 1; i < bins->count; i++)
		one_file = one_file && strcmp(bins->v[i].path, bins->v[0].path) == 0;
	if (one_file) {
		*ret_name = bins->v[0].name;
		return true;
	}
	if (bins_find(bins, local) != NULL) {
		*ret_name = bins_find(bins, local)->name;
		return true;
	}
	for (size_t i = 0; i < bins->count; i++) {
		char *longer = names == NULL ? str_dup(bins->v[i].name) : str_printf("%s, %s", names, bins->v[i].name);

		free(names);
		names = longer;
	}
	shown = str_escape(names, strlen(names));
	return error_set(err, ERROR_CONFIG, "%s has several commands (%s); choose one: npxc -p %s COMMAND",
	                 package_name, shown, package_name);
}
