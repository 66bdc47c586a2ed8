#include "store/directory.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"
#include "store/layout.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Adds the entries of root/relative to `pending`, sorted: the order of a directory listing is no property of it. */
static bool list(const char *root, const char *relative, struct strv *pending, struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/%s", root, relative);
	DIR *directory = opendir(path);
	const struct dirent *entry;
	struct strv names = { 0 };

	if (directory == NULL)
		return error_set_errno(err, ERROR_CONFIG, "read %s", path);
	while ((entry = readdir(directory)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, "node_modules") != 0 && strcmp(entry->d_name, ".git") != 0)
			strv_push(&names, entry->d_name);
	closedir(directory);
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++)
		strv_pushf(pending, "%s%s%s", relative, relative[0] != '\0' ? "/" : "", names.v[i]);
	strv_done(&names);
	return true;
}

static void add_number(struct sha256 *digest, unsigned long long number)
{
	mem_cleanup char *text = str_printf("%llu", number);

	sha256_update(digest, text, strlen(text) + 1);
}

static bool add_entry(const char *root, const char *relative, struct strv *pending, struct sha256 *digest,
                      struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/%s", root, relative);
	struct stat st;

	if (lstat(path, &st) == -1) {
		if (errno == ENOENT) /* gone while we looked: another fingerprint then */
			return true;
		return error_set_errno(err, ERROR_CONFIG, "%s", path);
	}
	sha256_update(digest, relative, strlen(relative) + 1);
	add_number(digest, st.st_mode);
	if (S_ISDIR(st.st_mode))
		return list(root, relative, pending, err);
	add_number(digest, (unsigned long long)st.st_size);
#ifdef __APPLE__
	add_number(digest, (unsigned long long)st.st_mtimespec.tv_sec);
	add_number(digest, (unsigned long long)st.st_mtimespec.tv_nsec);
#else
	add_number(digest, (unsigned long long)st.st_mtim.tv_sec);
	add_number(digest, (unsigned long long)st.st_mtim.tv_nsec);
#endif
	if (S_ISLNK(st.st_mode)) {
		char target[PATH_MAX];
		ssize_t length = readlink(path, target, sizeof(target));

		sha256_update(digest, target, length > 0 ? (size_t)length : 0);
	}
	return true;
}

bool directory_fingerprint(const char *path, char **ret_digest, struct npxc_error *err)
{
	mem_cleanup char *manifest = str_printf("%s/package.json", path);
	struct sha256 digest;
	struct strv pending = { 0 };
	bool ok;

	if (!file_is_directory(path))
		return error_set(err, ERROR_CONFIG, "%s is not a directory; a package spec that is a path names one",
		                 path);
	if (!file_is_regular(manifest))
		return error_set(err, ERROR_CONFIG, "%s has no package.json; run `npm init` there first", path);
	sha256_init(&digest);
	ok = list(path, "", &pending, err);
	for (size_t i = 0; ok && i < pending.count; i++) {
		if (i >= LIMIT_FINGERPRINT_FILES)
			ok = error_set(err, ERROR_CONFIG, "%s holds more than %d files", path, LIMIT_FINGERPRINT_FILES);
		else
			ok = add_entry(path, pending.v[i], &pending, &digest, err);
	}
	strv_done(&pending);
	if (!ok)
		return false;
	*ret_digest = sha256_final(&digest);
	return true;
}

char *directory_home(const char *home)
{
	struct npxc_error ignored;
	char *real = NULL;

	return home != NULL && file_real_path(home, &real, &ignored) ? real : NULL;
}

char *directory_spelled(const char *path, const char *cwd, const char *home)
{
	return str_starts(path, "~/") && home != NULL ? str_path_join(home, path + 2) : str_path_join(cwd, path);
}

bool directory_find(const char *path, const char *cwd, const char *home, char **ret_path, struct npxc_error *err)
{
	mem_cleanup char *full = directory_spelled(path, cwd, home);

	if (file_real_path(full, ret_path, err))
		return true;
	err->kind = ERROR_CONFIG;
	return error_prefix(err, "no such package directory");
}

char *directory_path(const char *path, const char *cwd, const char *home)
{
	struct npxc_error ignored;
	char *real = NULL;

	return directory_find(path, cwd, home, &real, &ignored) ? real : directory_spelled(path, cwd, home);
}

char *directory_key(const char *directory)
{
	mem_cleanup char *hash = sha256_hex(directory, strlen(directory));

	return str_printf("dir=0%.*s", LAYOUT_HASH_DIGITS, hash);
}
