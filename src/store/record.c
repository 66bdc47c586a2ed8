#include "store/record.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"
#include "json/parse.h"
#include "json/texts.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { RECORD_FORMAT = 1 };

static const char *text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static double number_of(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(item) && item->valuedouble > 0 ? item->valuedouble : 0;
}

static cJSON *parse_object(const struct buf *bytes)
{
	const size_t mark =
	    bytes->length >= 3 && memcmp(bytes->data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* as Node does */
	cJSON *root = bytes->data == NULL ? NULL : parse_text(bytes->data + mark, bytes->length - mark);

	if (!cJSON_IsObject(root)) {
		cJSON_Delete(root);
		return NULL;
	}
	return root;
}

cJSON *record_read_json(const char *path, size_t max_bytes)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(max_bytes);
	FD_CLEANUP int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct npxc_error ignored;
	struct stat info;

	if (fd == -1 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || !fd_read_all(fd, &bytes, &ignored))
		return NULL;
	return parse_object(&bytes);
}

cJSON *record_read_json_at(int root, const char *relative, size_t max_bytes)
{
	BUF_CLEANUP struct buf bytes = BUF_INIT(max_bytes);
	struct npxc_error ignored;

	return tree_read(root, relative, &bytes, &ignored) ? parse_object(&bytes) : NULL;
}

static bool write_json(const char *directory, const char *name, const cJSON *json, struct npxc_error *err)
{
	mem_cleanup char *text = cJSON_Print(json);
	FD_CLEANUP int root = -1;

	if (text == NULL)
		return error_set(err, ERROR_IO, "%s/%s: out of memory", directory, name);
	return tree_open(directory, &root, err) && (tree_is_file(root, name) || tree_remove(root, name, err)) &&
	       tree_write(root, name, text, strlen(text), 0644, err);
}

/* ---- npxc.json ---- */

struct record_package *record_add(struct record *record, const char *name, const char *version, const char *engines)
{
	record->packages = mem_realloc(record->packages, record->package_count + 1, sizeof(*record->packages));
	record->packages[record->package_count] =
	    (struct record_package){ .name = str_dup(name), .version = str_dup(version), .engines = str_dup(engines) };
	return &record->packages[record->package_count++];
}

static void add_text(cJSON *object, const char *key, const char *value)
{
	if (value != NULL)
		cJSON_AddStringToObject(object, key, value);
}

static void add_package(cJSON *list, const struct record_package *package)
{
	cJSON *object = cJSON_CreateObject();
	cJSON *bins = cJSON_AddArrayToObject(object, "bins");

	add_text(object, "name", package->name);
	add_text(object, "version", package->version);
	add_text(object, "engines", package->engines);
	add_text(object, "directory", package->directory);
	for (size_t i = 0; i < package->bins.count; i++) {
		cJSON *bin = cJSON_CreateObject();

		add_text(bin, "name", package->bins.v[i].name);
		add_text(bin, "path", package->bins.v[i].path);
		cJSON_AddItemToArray(bins, bin);
	}
	cJSON_AddItemToArray(list, object);
}

bool record_write(const char *directory, const struct record *record, struct npxc_error *err)
{
	cJSON *root = cJSON_CreateObject();
	cJSON *packages;
	bool ok;

	cJSON_AddNumberToObject(root, "format", RECORD_FORMAT);
	add_text(root, "select", record->select);
	add_text(root, "label", record->label);
	packages = cJSON_AddArrayToObject(root, "packages");
	for (size_t i = 0; i < record->package_count; i++)
		add_package(packages, &record->packages[i]);
	add_text(root, "node_version", record->node_version);
	add_text(root, "node_abi", record->node_abi);
	cJSON_AddItemToObject(root, "scripts", texts_to_json(&record->scripts));
	cJSON_AddNumberToObject(root, "bytes", (double)record->bytes);
	cJSON_AddNumberToObject(root, "installed_at", (double)record->installed_at);
	ok = write_json(directory, "npxc.json", root, err);
	cJSON_Delete(root);
	return ok;
}

static bool read_package(const cJSON *object, struct record *record)
{
	const cJSON *bin;
	struct record_package *package;

	if (text_of(object, "name") == NULL || text_of(object, "version") == NULL)
		return false;
	package = record_add(record, text_of(object, "name"), text_of(object, "version"), text_of(object, "engines"));
	package->directory = str_dup(text_of(object, "directory"));
	cJSON_ArrayForEach(bin, cJSON_GetObjectItemCaseSensitive(object, "bins"))
	{
		if (text_of(bin, "name") == NULL || text_of(bin, "path") == NULL)
			return false;
		bins_push(&package->bins, text_of(bin, "name"), text_of(bin, "path"));
	}
	return true;
}

static bool read_fields(const cJSON *root, struct record *record)
{
	const cJSON *item;

	if ((int)number_of(root, "format") != RECORD_FORMAT || text_of(root, "label") == NULL)
		return false;
	record->select = str_dup(text_of(root, "select"));
	record->label = str_dup(text_of(root, "label"));
	record->node_version = str_dup(text_of(root, "node_version"));
	record->node_abi = str_dup(text_of(root, "node_abi"));
	record->bytes = (uint64_t)number_of(root, "bytes");
	record->installed_at = (int64_t)number_of(root, "installed_at");
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "scripts"))
	{
		if (!cJSON_IsString(item))
			return false;
		strv_push(&record->scripts, item->valuestring);
	}
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "packages"))
	{
		if (!read_package(item, record))
			return false;
	}
	return record->package_count > 0;
}

bool record_read(const char *directory, struct record *ret_record, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;
	struct npxc_error why;
	cJSON *root = tree_open(directory, &fd, &why) ? record_read_json_at(fd, "npxc.json", LIMIT_CONFIG_BYTES) : NULL;
	struct record record = { 0 };
	bool ok = root != NULL && read_fields(root, &record);

	cJSON_Delete(root);
	if (!ok) {
		record_done(&record);
		return error_set(err, ERROR_INSTALL, "%s/npxc.json is missing or damaged; run npxc install --force",
		                 directory);
	}
	*ret_record = record;
	return true;
}

void record_done(struct record *record)
{
	for (size_t i = 0; i < record->package_count; i++) {
		free(record->packages[i].name);
		free(record->packages[i].version);
		free(record->packages[i].engines);
		free(record->packages[i].directory);
		bins_done(&record->packages[i].bins);
	}
	free(record->packages);
	free(record->select);
	free(record->label);
	free(record->node_version);
	free(record->node_abi);
	strv_done(&record->scripts);
	*record = (struct record){ 0 };
}

/* ---- resolved.json ---- */

static cJSON *read_resolved(const char *key_directory)
{
	FD_CLEANUP int fd = -1;
	struct npxc_error ignored;

	if (!tree_open(key_directory, &fd, &ignored))
		return NULL;
	return record_read_json_at(fd, "resolved.json", LIMIT_CONFIG_BYTES);
}

/* A label becomes part of a path. */
static bool label_is_safe(const char *label)
{
	return label != NULL && label[0] != '\0' && label[0] != '.' &&
	       strspn(label, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-") == strlen(label);
}

char *record_resolved(const char *key_directory, const char *select)
{
	cJSON *root = read_resolved(key_directory);
	const char *label = text_of(cJSON_GetObjectItemCaseSensitive(root, select), "version");
	char *result = label_is_safe(label) ? str_dup(label) : NULL;

	cJSON_Delete(root);
	return result;
}

bool record_resolve(const char *key_directory, const char *select, const char *label, struct npxc_error *err)
{
	cJSON *root = read_resolved(key_directory);
	cJSON *entry = cJSON_CreateObject();
	bool ok;

	if (root == NULL)
		root = cJSON_CreateObject();
	cJSON_AddStringToObject(entry, "version", label);
	cJSON_AddNumberToObject(entry, "at", (double)time(NULL));
	cJSON_DeleteItemFromObjectCaseSensitive(root, select);
	cJSON_AddItemToObject(root, select, entry);
	ok = write_json(key_directory, "resolved.json", root, err);
	cJSON_Delete(root);
	return ok;
}

char *record_select_of(const char *key_directory, const char *label)
{
	cJSON *root = read_resolved(key_directory);
	const cJSON *entry;
	char *found = NULL;

	cJSON_ArrayForEach(entry, root)
	{
		// cppcheck-suppress knownConditionTrueFalse ; of several tags the first
		if (str_equal(text_of(entry, "version"), label) && found == NULL)
			found = str_dup(entry->string);
	}
	cJSON_Delete(root);
	return found;
}
