#include "config/load.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/spec.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* `ret_text` gets NULL when there is no such file. */
static bool read_text(const char *file, char **ret_text, size_t *ret_length, struct npxc_error *err)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error why = { 0 };

	if (!file_read(file, &bytes, &why)) {
		if (why.sys_errno != ENOENT) {
			*err = why;
			err->kind = ERROR_CONFIG;
			return false;
		}
		*ret_text = NULL;
		*ret_length = 0;
		return true;
	}
	*ret_length = bytes.length;
	*ret_text = buf_take(&bytes);
	return true;
}

static bool refuse_old(const char *old_file, const char *instead, const char *shape, struct npxc_error *err)
{
	mem_cleanup char *name = str_escape(old_file, strlen(old_file));

	return error_set(err, ERROR_CONFIG,
	                 "%s is of npxc 0.3.0; 0.4 reads JSON: write the same settings to %s beside it, such as %s",
	                 name, instead, shape);
}

bool load_file(const char *file, const char *old_file, bool required, struct config *ret_config, struct npxc_error *err)
{
	static const char shape[] = "{\"defaults\": {\"network\": \"none\", \"memory\": \"512m\"}}";
	mem_cleanup char *text = NULL;
	size_t length;

	if (str_ends(file, ".toml"))
		return refuse_old(file, "npxc.json", shape, err);
	if (!read_text(file, &text, &length, err))
		return false;
	if (text == NULL && old_file != NULL && file_exists(old_file))
		return refuse_old(old_file, strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file, shape, err);
	if (text == NULL && required) {
		mem_cleanup char *name = str_escape(file, strlen(file));

		return error_set(err, ERROR_CONFIG, "%s (--config) does not exist", name);
	}
	return config_parse(text, length, file, ret_config, err);
}

/* The file of 0.3.0 for a package, whose name it made from the package's by dropping `@` and turning `/` into `-`;
 * the new key with the old suffix is looked for too. Owned, NULL when there is none. */
static char *old_package_file(const char *directory, const char *name, const char *key)
{
	mem_cleanup char *flat = str_dup(name);
	const char *stems[] = { key, flat, flat + (flat[0] == '@') };

	for (char *p = flat; *p != '\0'; p++)
		if (*p == '/')
			*p = '-';
	for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
		mem_cleanup char *candidate = str_printf("%s/%s.toml", directory, stems[i]);

		if (file_exists(candidate))
			return MEM_TAKE(candidate);
	}
	return NULL;
}

/* The stem of a file's name with all that people write for `@` and `/` left out; owned. */
static char *bare_stem(const char *file_name)
{
	const size_t length = str_ends(file_name, ".json") ? strlen(file_name) - strlen(".json") : strlen(file_name);
	char *bare = mem_alloc(length + 1);
	size_t used = 0;

	for (size_t i = 0; i < length; i++)
		if (strchr("@/+-_=. %", file_name[i]) == NULL)
			bare[used++] =
			    (char)(file_name[i] >= 'A' && file_name[i] <= 'Z' ? file_name[i] + 32 : file_name[i]);
	bare[used] = '\0';
	return bare;
}

bool load_is_near(const char *file_name, const char *key)
{
	static const char *const ENDINGS[] = { ".jsonc", ".json5", ".JSON", ".json.txt", ".yaml", ".yml" };
	mem_cleanup char *stem = str_dup(file_name);
	const char *local = strchr(key, '+');

	for (size_t i = 0; i < sizeof(ENDINGS) / sizeof(ENDINGS[0]); i++)
		if (str_ends(stem, ENDINGS[i]))
			stem[strlen(stem) - strlen(ENDINGS[i])] = '\0';
	mem_cleanup char *bare = bare_stem(stem);
	mem_cleanup char *wanted = bare_stem(key);
	mem_cleanup char *bare_local = local != NULL && key[0] == '@' ? bare_stem(local + 1) : NULL;
	const bool is_long = strlen(wanted) >= 6;
	return bare[0] != '\0' && (strcmp(bare, wanted) == 0 || str_equal(bare_local, bare) ||
	                           (is_long && (str_distance(bare, wanted, 1) <= 1 || str_is_swapped(bare, wanted))));
}

/* A file that is not read is a policy that does not hold. */
static void note_near_files(const char *directory, const char *key, const char *name)
{
	DIR *stream = opendir(directory);

	if (stream == NULL)
		return;
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		mem_cleanup char *shown = str_escape(entry->d_name, strlen(entry->d_name));

		if (entry->d_name[0] != '.' && load_is_near(entry->d_name, key))
			log_notice("%s/%s is not read for %s; the file of that package is called %s.json", directory,
			           shown, name, key);
	}
	closedir(stream);
}

bool load_package(const char *packages_directory, const char *name, struct config_package *ret_package,
                  struct npxc_error *err)
{
	static const char shape[] = "{\"network\": {\"mode\": \"none\"}, \"env\": {\"NAME\": \"value\"}}";
	mem_cleanup char *key = NULL;
	mem_cleanup char *file = NULL;
	mem_cleanup char *old = NULL;
	mem_cleanup char *text = NULL;
	size_t length;

	if (!spec_check_name(name, err))
		return false;
	key = spec_package_key(name);
	file = str_printf("%s/%s.json", packages_directory, key);
	if (!read_text(file, &text, &length, err))
		return false;
	if (text == NULL) {
		mem_cleanup char *instead = str_printf("%s.json", key);

		old = old_package_file(packages_directory, name, key);
		if (old != NULL)
			return refuse_old(old, instead, shape, err);
		note_near_files(packages_directory, key, name);
	}
	if (!config_parse_package_of(text, length, file, name, ret_package, err))
		return false;
	if (ret_package->package_dir == NULL)
		return true;
	log_notice("%s is for the directory %s (package_dir), so it does not apply to the package %s", file,
	           ret_package->package_dir, name);
	config_package_done(ret_package);
	return config_parse_package_of(NULL, 0, file, name, ret_package, err);
}
