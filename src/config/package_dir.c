#include "config/package_dir.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_DIGITS = 8, BASENAME_MAX = 64 };

char *package_dir_file_name(const char *directory)
{
	const char *slash = strrchr(directory, '/');
	const char *basename = slash != NULL ? slash + 1 : directory;
	mem_cleanup char *hash = sha256_hex(directory, strlen(directory));
	char kept[BASENAME_MAX + 1];
	size_t length = 0;

	for (const char *p = basename; *p != '\0' && length < BASENAME_MAX; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", *p) != NULL &&
		    (length > 0 || *p != '.'))
			kept[length++] = *p;
	kept[length] = '\0';
	return str_printf("%s-%.*s.json", length > 0 ? kept : "directory", HASH_DIGITS, hash);
}

static bool list_files(const char *packages_directory, struct strv *ret_files, struct npxc_error *err)
{
	DIR *stream = opendir(packages_directory);

	if (stream == NULL)
		return errno == ENOENT || error_set_errno(err, ERROR_CONFIG, "%s", packages_directory);
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream))
		if (entry->d_name[0] != '.' && str_ends(entry->d_name, ".json"))
			strv_push_owned(ret_files, str_path_join(packages_directory, entry->d_name));
	closedir(stream);
	strv_sort(ret_files);
	return true;
}

static bool leads_to(const char *package_dir, const char *directory)
{
	mem_cleanup char *real = NULL;
	struct npxc_error ignored;

	if (package_dir == NULL)
		return false;
	return file_real_path(package_dir, &real, &ignored) ? strcmp(real, directory) == 0
	                                                    : strcmp(package_dir, directory) == 0;
}

/* Whether a file names the directory; its settings then. */
static bool read_one(const char *file, const char *directory, bool *ret_names, struct config_package *ret_package,
                     struct npxc_error *err)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct config_package package;
	struct npxc_error why = { 0 };

	*ret_names = false;
	if (!file_read(file, &bytes, &why)) {
		log_debug("config", "%s", why.message);
		return true; /* another user's, or gone meanwhile: no setting of it counts */
	}
	if (!config_parse_package(bytes.data != NULL ? bytes.data : "", bytes.length, file, &package, &why)) {
		if (bytes.data != NULL && strstr(bytes.data, "package_dir") != NULL) {
			*err = why;
			return false;
		}
		log_debug("config", "%s", why.message);
		return true;
	}
	*ret_names = leads_to(package.package_dir, directory);
	if (*ret_names)
		*ret_package = package;
	else
		config_package_done(&package);
	return true;
}

static bool nothing_names_it(const char *file, const char *directory, struct config_package *ret_package,
                             struct npxc_error *err)
{
	/* It was meant: nobody else gives a file such a name. */
	if (file_exists(file))
		return error_set(err, ERROR_CONFIG,
		                 "%s has the name of a file for %s and does not say so; add \"package_dir\": \"%s\" to "
		                 "it, or call it otherwise",
		                 file, directory, directory);
	return config_parse_package(NULL, 0, file, ret_package, err);
}

bool package_dir_load(const char *packages_directory, const char *directory, struct config_package *ret_package,
                      struct npxc_error *err)
{
	mem_cleanup char *name = package_dir_file_name(directory);
	mem_cleanup char *own = str_path_join(packages_directory, name);
	struct config_package found = { 0 };
	struct strv files = { 0 };
	bool any = false;
	bool ok = list_files(packages_directory, &files, err);

	for (size_t i = 0; ok && i < files.count; i++) {
		struct config_package package;
		bool names;

		ok = read_one(files.v[i], directory, &names, &package, err);
		if (!ok || !names)
			continue;
		if (any) {
			ok = error_set(err, ERROR_CONFIG, "%s and %s are both for %s (package_dir); keep one of them",
			               found.file, files.v[i], directory);
			config_package_done(&package);
		} else {
			found = package;
			any = true;
		}
	}
	strv_done(&files);
	if (ok && !any)
		return nothing_names_it(own, directory, ret_package, err);
	if (!ok) {
		config_package_done(&found);
		return false;
	}
	*ret_package = found;
	return true;
}
