#include "store/store.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/tree.h"
#include "config/semver.h"
#include "store/directory.h"
#include "store/install.h"
#include "store/node.h"
#include "store/npm.h"
#include "store/record.h"
#include "store/staging.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * Keys that are not of a package begin with "set=0" or "dir=0": in a package key a `=` always has a small letter after
 * it (spec_package_key), so that none can be equal to one of these.
 */
enum { HASH_DIGITS = 32, FINGERPRINT_DIGITS = 12 };

/* ---- what is asked for ---- */

struct ask {
	struct spec *specs;
	char **directories; /* real paths; NULL for registry specs */
	size_t count;
	char *title; /* as typed, for messages */
	char *key;
	char *select; /* what resolved.json is asked for */
	char *exact;  /* the label when the spec itself names the version; NULL */
	char *suffix; /* directories: "+<fingerprint>" behind the version; "" otherwise */
};

static void ask_done(struct ask *ask)
{
	for (size_t i = 0; i < ask->count; i++) {
		spec_done(&ask->specs[i]);
		free(ask->directories[i]);
	}
	free(ask->specs);
	free(ask->directories);
	free(ask->title);
	free(ask->key);
	free(ask->select);
	free(ask->exact);
	free(ask->suffix);
	*ask = (struct ask){ 0 };
}

static char *hash_digits(const char *text, size_t digits)
{
	mem_cleanup char *whole = sha256_hex(text, strlen(text));

	return str_dup_n(whole, digits);
}

static bool find_directory(const char *path, const char *cwd, const char *home, char **ret_path, struct npxc_error *err)
{
	mem_cleanup char *absolute =
	    str_starts(path, "~/") && home != NULL ? str_path_join(home, path + 2) : str_path_join(cwd, path);

	if (file_real_path(absolute, ret_path, err))
		return true;
	err->kind = ERROR_CONFIG;
	return error_prefix(err, "no such package directory");
}

char *store_directory_path(const char *path, const char *cwd, const char *home)
{
	struct npxc_error ignored;
	char *real = NULL;

	if (find_directory(path, cwd, home, &real, &ignored))
		return real;
	return str_starts(path, "~/") && home != NULL ? str_path_join(home, path + 2) : str_path_join(cwd, path);
}

char *store_directory_key(const char *directory)
{
	mem_cleanup char *hash = hash_digits(directory, HASH_DIGITS);

	return str_printf("dir=0%s", hash);
}

/* What a spec stands for, in one line without line breaks. Owned. */
static char *canonical(const struct ask *ask, size_t i)
{
	if (ask->directories[i] != NULL)
		return str_dup(ask->directories[i]);
	return str_printf("%s@%s", ask->specs[i].name, ask->specs[i].select);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted and joined by line breaks. Owned. */
static char *join_sorted(struct strv *lines)
{
	BUF_CLEANUP struct buf text = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error ignored;

	if (lines->count > 0)
		qsort(lines->v, lines->count, sizeof(*lines->v), by_text);
	for (size_t i = 0; i < lines->count; i++)
		if (!buf_appendf(&text, &ignored, "%s\n", lines->v[i]))
			break;
	return buf_take(&text);
}

static bool name_set(struct ask *ask, struct npxc_error *err)
{
	struct strv specs = { 0 };
	struct strv states = { 0 };
	mem_cleanup char *spec_text = NULL;
	mem_cleanup char *state_text = NULL;
	mem_cleanup char *hash = NULL;
	mem_cleanup char *state = NULL;
	bool ok = true;

	for (size_t i = 0; ok && i < ask->count; i++) {
		mem_cleanup char *fingerprint = NULL;

		strv_push_owned(&specs, canonical(ask, i));
		if (ask->directories[i] != NULL) {
			ok = directory_fingerprint(ask->directories[i], &fingerprint, err);
			if (ok)
				strv_pushf(&states, "%s %s", ask->directories[i], fingerprint);
		}
	}
	if (ok) {
		spec_text = join_sorted(&specs);
		state_text = join_sorted(&states);
		hash = hash_digits(spec_text, HASH_DIGITS);
		state = hash_digits(state_text, FINGERPRINT_DIGITS);
		ask->key = str_printf("set=0%s", hash);
		ask->select = str_printf("set %s", state);
		ask->suffix = str_dup("");
	}
	strv_done(&specs);
	strv_done(&states);
	return ok;
}

static bool name_one(struct ask *ask, struct npxc_error *err)
{
	const struct spec *spec = &ask->specs[0];
	mem_cleanup char *fingerprint = NULL;

	if (spec->kind != SPEC_DIRECTORY) {
		ask->key = spec_package_key(spec->name);
		ask->select = str_dup(spec->select);
		ask->suffix = str_dup("");
		/* Build metadata is no part of a version to the registry. */
		if (spec->kind == SPEC_VERSION)
			ask->exact = str_dup_n(spec->select, strcspn(spec->select, "+"));
		return true;
	}
	if (!directory_fingerprint(ask->directories[0], &fingerprint, err))
		return false;
	ask->key = store_directory_key(ask->directories[0]);
	ask->select = str_printf("dir %s", fingerprint);
	ask->suffix = str_printf("+%.*s", FINGERPRINT_DIGITS, fingerprint);
	return true;
}

/* "version" of the configuration stands in for a version that nobody typed. */
static char *with_hint(const char *spec, const char *hint)
{
	if (hint == NULL || spec[0] == '\0' || strchr(spec + 1, '@') != NULL || strchr("./~", spec[0]) != NULL ||
	    str_starts(spec, "file:"))
		return str_dup(spec);
	return str_printf("%s@%s", spec, hint);
}

static bool ask_make(const struct store_request *request, const char *cwd, const char *home, struct ask *ret_ask,
                     struct npxc_error *err)
{
	struct ask ask = { 0 };
	bool ok = request->spec_count > 0 || error_set(err, ERROR_CONFIG, "no package is named; write npxc PACKAGE");

	ask.specs = mem_alloc(request->spec_count * sizeof(*ask.specs));
	ask.directories = mem_alloc(request->spec_count * sizeof(*ask.directories));
	for (size_t i = 0; ok && i < request->spec_count; i++) {
		mem_cleanup char *text =
		    with_hint(request->specs[i], request->spec_count == 1 ? request->version_hint : NULL);

		ok = spec_parse(text, &ask.specs[i], err);
		ask.count += ok;
		if (ok && ask.specs[i].kind == SPEC_DIRECTORY)
			ok = find_directory(ask.specs[i].path, cwd, home, &ask.directories[i], err);
		if (ok && i == 0)
			ask.title = MEM_TAKE(text);
	}
	if (ok && ask.count > 1 && request->command == NULL && request->call == NULL)
		ok = error_set(err, ERROR_CONFIG, "several packages and no command; write npxc -p A -p B COMMAND");
	if (ok && ask.count > 1) {
		char *title = str_printf("%s and %zu more", ask.title, ask.count - 1);

		free(ask.title);
		ask.title = title;
	}
	ok = ok && (ask.count == 1 ? name_one(&ask, err) : name_set(&ask, err));
	if (!ok) {
		ask_done(&ask);
		return false;
	}
	*ret_ask = ask;
	return true;
}

/* ---- what is there ---- */

static char *key_directory(const char *store_directory, const char *key)
{
	return str_printf("%s/packages/%s", store_directory, key);
}

/* The entries of one of the store's own directories; none of one that is not there. */
static void list_names(const char *path, struct strv *ret_names)
{
	FD_CLEANUP int root = -1;
	struct npxc_error why;

	if (!tree_open(path, &root, &why) || !tree_list(root, "", LIMIT_STORE_NAMES, ret_names, &why))
		log_debug("store", "%s", why.message);
}

/* Those that are directories; links are none. */
static void list_directories(const char *path, bool hidden, struct strv *ret_names)
{
	FD_CLEANUP int root = -1;
	struct npxc_error ignored;
	struct strv names = { 0 };

	if (!tree_open(path, &root, &ignored))
		return;
	list_names(path, &names);
	for (size_t i = 0; i < names.count; i++)
		if ((hidden || names.v[i][0] != '.') && tree_is_directory(root, names.v[i]))
			strv_push(ret_names, names.v[i]);
	strv_done(&names);
}

static char *final_directory(const char *key_path, const char *label, const char *stem, const char *abi)
{
	return str_printf("%s/%s-%s%s", key_path, label, stem, abi);
}

/* The record of any of a label's directories on this platform, whatever its Node ABI: they hold the same package. */
static bool any_record(const char *key_path, const char *label, const char *stem, struct record *ret_record)
{
	mem_cleanup char *start = str_printf("%s-%s", label, stem);
	struct strv names = { 0 };
	struct npxc_error ignored;
	bool found = false;

	list_names(key_path, &names);
	for (size_t i = 0; !found && i < names.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", key_path, names.v[i]);

		if (str_starts(names.v[i], start) &&
		    strspn(names.v[i] + strlen(start), "0123456789") == strlen(names.v[i] + strlen(start)))
			found = record_read(path, ret_record, &ignored);
	}
	strv_done(&names);
	return found;
}

struct found {
	char *directory;
	struct record record;
	struct store_node node;
};

static void found_done(struct found *found)
{
	free(found->directory);
	record_done(&found->record);
	node_done(&found->node);
	*found = (struct found){ 0 };
}

/* Whether the record says which directories its packages come from, and says these. An npxc that did not write it down
 * left records in which a package of a directory looks like one of a registry. */
static bool has_directories(const struct record *record, const struct ask *ask)
{
	size_t wanted = 0;
	size_t there = 0;

	for (size_t i = 0; i < ask->count; i++) {
		bool found = ask->directories[i] == NULL;

		wanted += !found;
		for (size_t k = 0; k < record->package_count; k++)
			found = found || str_equal(record->packages[k].directory, ask->directories[i]);
		if (!found)
			return false;
	}
	for (size_t k = 0; k < record->package_count; k++)
		there += record->packages[k].directory != NULL;
	return wanted == there;
}

/* Looks for what `ask` means, installed for the Node that it would run with. */
static bool look(const struct store_host *host, const struct node_facts *facts, const struct ask *ask,
                 struct found *ret_found)
{
	mem_cleanup char *key_path = key_directory(host->store_directory, ask->key);
	mem_cleanup char *label = ask->exact != NULL ? str_dup(ask->exact) : record_resolved(key_path, ask->select);
	mem_cleanup char *stem = node_platform_stem(facts);
	struct found found = { 0 };
	struct record any = { 0 };
	struct npxc_error ignored;
	bool ok = false;

	if (label == NULL || !any_record(key_path, label, stem, &any))
		return false;
	node_choose(host, facts, any.packages[0].engines, &found.node);
	record_done(&any);
	if (found.node.version != NULL) {
		found.directory = final_directory(key_path, label, stem, found.node.abi);
		ok = record_read(found.directory, &found.record, &ignored) && has_directories(&found.record, ask);
	}
	if (!ok) {
		found_done(&found);
		return false;
	}
	*ret_found = found;
	return true;
}

/* ---- installing ---- */

/* The directory's name before the platform. */
static char *label_of(const struct ask *ask, const struct record *record)
{
	struct strv lines = { 0 };
	mem_cleanup char *text = NULL;
	mem_cleanup char *salted = NULL;

	if (ask->count == 1) {
		const char *version = record->packages[0].version;

		return str_printf("%.*s%s", (int)strcspn(version, "+"), version, ask->suffix);
	}
	for (size_t i = 0; i < record->package_count; i++)
		strv_pushf(&lines, "%s@%s", record->packages[i].name, record->packages[i].version);
	text = join_sorted(&lines);
	salted = str_printf("%s%s", text, ask->select);
	strv_done(&lines);
	return hash_digits(salted, HASH_DIGITS);
}

/* Of a local directory only the newest state is of use. What a live session uses stays until the next `clean`. */
static void drop_superseded(const char *key_path, const char *kept)
{
	struct strv names = { 0 };

	list_directories(key_path, true, &names);
	for (size_t i = 0; i < names.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", key_path, names.v[i]);
		struct npxc_error why;

		if (strcmp(path, kept) != 0 && !staging_remove(path, &why))
			log_debug("store", "%s stays: %s", path, why.message);
	}
	strv_done(&names);
}

static bool settle(const struct store_host *host, const struct node_facts *facts, const struct ask *ask,
                   const struct staging *staging, const char *tree, enum store_wish wish, struct found *found,
                   bool *ret_installed, struct npxc_error *err)
{
	mem_cleanup char *key_path = key_directory(host->store_directory, ask->key);
	mem_cleanup char *stem = node_platform_stem(facts);
	struct record there;
	struct npxc_error ignored;

	found->record.label = label_of(ask, &found->record);
	found->directory = final_directory(key_path, found->record.label, stem, found->node.abi);
	if (ask->exact != NULL && strcmp(ask->exact, found->record.label) != 0)
		return error_set(err, ERROR_INSTALL, "%s: npm installed version %s instead", ask->title,
		                 found->record.label);
	if (wish != STORE_FORCE && record_read(found->directory, &there, &ignored) && has_directories(&there, ask)) {
		/* That very version is there already; what uses it keeps what it has. */
		record_done(&found->record);
		found->record = there;
	} else {
		found->record.installed_at = (int64_t)time(NULL);
		if (ask->count == 1 && ask->specs[0].kind != SPEC_DIRECTORY)
			found->record.select = str_dup(ask->select);
		if (!staging_seal(staging, tree, &found->record.bytes, err) ||
		    !install_check(tree, &found->record, err) || !record_write(tree, &found->record, err) ||
		    !staging_settle(staging, tree, found->directory, err))
			return false;
		*ret_installed = true;
	}
	if (ask->exact == NULL && !record_resolve(key_path, ask->select, found->record.label, err))
		return false;
	if (ask->directories[0] != NULL && ask->count == 1)
		drop_superseded(key_path, found->directory);
	return true;
}

static bool install_locked(const struct store_host *host, const struct node_facts *facts, const struct ask *ask,
                           enum store_wish wish, struct found *ret_found, bool *ret_installed, struct npxc_error *err)
{
	struct install_wish packages = { .specs = ask->specs,
		                         .count = ask->count,
		                         .directories = ask->directories,
		                         .exact = ask->exact,
		                         .title = ask->title };
	struct found found = { 0 };
	struct npm npm;
	struct staging staging;
	mem_cleanup char *tree = NULL;
	bool ok;

	if (!npm_find(host, facts, &npm, err))
		return false;
	if (!staging_make(host, &staging, err)) {
		npm_done(&npm);
		return false;
	}
	ok = install_packages(&npm, &staging, &packages, &tree, &found.record, &found.node, err) &&
	     settle(host, facts, ask, &staging, tree, wish, &found, ret_installed, err);
	staging_done(&staging);
	npm_done(&npm);
	if (!ok) {
		found_done(&found);
		return false;
	}
	*ret_found = found;
	return true;
}

/* The lock is held: whoever waits for it looks whether it still has this name. What is not empty stays. */
static void drop_key(const char *store_directory, const char *key)
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

/* After a failure: a key that never held anything leaves nothing behind. The lock is held; whoever waits for it looks
 * whether it still has its name. */
static void drop_empty_key(const char *store_directory, const char *key)
{
	mem_cleanup char *key_path = key_directory(store_directory, key);
	struct strv names = { 0 };

	list_names(key_path, &names);
	if (names.count == 0 || (names.count == 1 && strcmp(names.v[0], "lock") == 0))
		drop_key(store_directory, key);
	strv_done(&names);
}

static bool install(const struct store_host *host, const struct node_facts *facts, struct ask *ask,
                    enum store_wish wish, struct found *ret_found, bool *ret_installed, struct npxc_error *err)
{
	mem_cleanup char *key_path = key_directory(host->store_directory, ask->key);
	mem_cleanup char *lock_path = str_printf("%s/lock", key_path);
	FD_CLEANUP int lock = -1;

	if (!staging_prepare_store(host->store_directory, err))
		return false;
	/* `clean` may take an empty key directory away between these two. */
	for (int attempt = 0; lock == -1; attempt++) {
		if (!file_make_directories(key_path, 0755, err))
			return false;
		if (!staging_wait_for_lock(host, lock_path, &lock, err) && (err->sys_errno != ENOENT || attempt == 8))
			return false;
	}
	if (wish == STORE_ENSURE && look(host, facts, ask, ret_found))
		return true; /* installed by another start while this one waited */
	/* Resolved once: when only the platform is another one now, the same version is installed for it. */
	if (wish == STORE_ENSURE && ask->count == 1 && ask->directories[0] == NULL && ask->exact == NULL)
		ask->exact = record_resolved(key_path, ask->select);
	if (install_locked(host, facts, ask, wish, ret_found, ret_installed, err))
		return true;
	drop_empty_key(host->store_directory, ask->key);
	return false;
}

/* Whatever it is that fails, it is the installation that fails, but for npxc being told to end; where the store cannot
 * be written, what helps is named. */
static bool install_has_failed(struct npxc_error *err)
{
	const int number = err->sys_errno;

	if (err->kind != ERROR_IO || number == EINTR)
		return false;
	if (number == EACCES || number == EROFS)
		error_set(err, ERROR_INSTALL, "%s; the store must be writable (XDG_CACHE_HOME says where it is)",
		          err->message);
	else if (number == ENOSPC || number == EDQUOT)
		error_set(err, ERROR_INSTALL, "%s; make room (npxc clean --all empties the store)", err->message);
	err->kind = ERROR_INSTALL;
	err->sys_errno = number;
	return false;
}

/* ---- the answer ---- */

/* The record's package that a spec stands for. The record of a set has another order when the specs had. */
static const struct record_package *package_of(const struct record *record, const struct ask *ask, size_t i)
{
	for (size_t k = 0; k < record->package_count; k++) {
		const struct record_package *package = &record->packages[k];

		if (ask->directories[i] != NULL
		        ? str_equal(package->directory, ask->directories[i])
		        : package->directory == NULL && strcmp(package->name, ask->specs[i].name) == 0)
			return package;
	}
	return &record->packages[0];
}

/* The package that has the command; the first when none does or none was said, which `ret_owned` tells. */
static bool find_owner(const struct record *record, const struct ask *ask, const char *command,
                       const struct record_package **ret_package, bool *ret_owned, struct npxc_error *err)
{
	const struct record_package *owner = NULL;

	for (size_t i = 0; command != NULL && i < ask->count; i++) {
		const struct record_package *package = package_of(record, ask, i);

		if (package == owner || bins_find(&package->bins, command) == NULL)
			continue;
		if (owner != NULL)
			return error_set(err, ERROR_CONFIG,
			                 "%s and %s both have a command %s; name one of them alone: npxc -p %s %s",
			                 owner->name, package->name, command, owner->name, command);
		owner = package;
	}
	*ret_owned = command == NULL || owner != NULL;
	*ret_package = owner != NULL ? owner : package_of(record, ask, 0);
	return true;
}

/*
 * npm's link in .bin, as with npx, when it leads to the very file that was recorded at the installation; else that
 * file: where two packages have a command of one name, a dependency perhaps, the link is whichever npm made first.
 */
static char *command_path(const char *directory, const struct record_package *package, const struct bin *bin)
{
	mem_cleanup char *link = str_printf("node_modules/.bin/%s", bin->name);
	// NOLINTNEXTLINE(clang-analyzer-core.NullDereference): find_owner gives one of a record, which has one at least
	mem_cleanup char *place = bin_place(package->name, bin);
	mem_cleanup char *expected = str_printf("../%s", place);
	mem_cleanup char *target = NULL;
	struct npxc_error ignored;
	FD_CLEANUP int root = -1;

	if (tree_open(directory, &root, &ignored) && tree_read_link(root, link, &target, &ignored) &&
	    strcmp(target, expected) == 0)
		return str_printf(STORE_GUEST_PACKAGE "/%s", link);
	return str_printf(STORE_GUEST_PACKAGE "/node_modules/%s", place);
}

static bool fill_command(const struct store_request *request, const struct record_package *package,
                         const char *directory, struct store_package *to, struct npxc_error *err)
{
	const char *name = request->command;
	const struct bin *bin;

	if (request->call != NULL) {
		strv_push(&to->command, "/bin/sh");
		strv_push(&to->command, "-c");
		strv_push(&to->command, request->call);
		return true;
	}
	if (name == NULL && !bin_choose(package->name, &package->bins, &name, err))
		return false;
	to->bin = str_dup(name);
	bin = bins_find(&package->bins, name);
	if (bin != NULL)
		strv_push_owned(&to->command, command_path(directory, package, bin));
	else
		strv_push(&to->command, name); /* something on the path inside, as with npx */
	return true;
}

static bool fill(const struct store_request *request, const struct ask *ask, const struct node_facts *facts,
                 struct found *found, struct store_package *ret_package, struct npxc_error *err)
{
	const struct record_package *package = NULL;
	mem_cleanup char *stem = node_platform_stem(facts);
	struct store_package to = { 0 };

	if (!find_owner(&found->record, ask, request->command, &package, &to.owned, err) ||
	    !fill_command(request, package, found->directory, &to, err)) {
		store_package_done(&to);
		return false;
	}
	to.name = str_dup(package->name);
	to.source = str_dup(package->directory);
	to.version = str_dup(package->version);
	to.key = str_dup(ask->key);
	to.package_root = str_printf("node_modules/%s", package->name);
	to.engines = str_dup(package->engines);
	to.platform = str_printf("%s%s", stem, found->node.abi);
	to.bytes = found->record.bytes;
	to.directory = MEM_TAKE(found->directory);
	to.node = found->node;
	found->node = (struct store_node){ 0 };
	*ret_package = to;
	return true;
}

/* Whose Node it is that a package runs with. What is looked for only starts nothing. */
static bool find_node(const struct store_host *host, const struct ask *ask, enum store_wish wish,
                      struct node_facts *ret_facts, struct npxc_error *err)
{
	if (host->image == NULL)
		return node_host(host, ret_facts, err);
	if (node_image(host, wish == STORE_FORCE || wish == STORE_UPDATE, wish != STORE_LOOK, ret_facts, err))
		return true;
	return wish != STORE_LOOK ? false : error_prefix(err, "%s is not installed; run npxc install", ask->title);
}

bool store_get(const struct store_host *host, const struct store_request *request, enum store_wish wish,
               struct store_package *ret_package, struct npxc_error *err)
{
	struct node_facts facts = { 0 };
	struct found found = { 0 };
	struct ask ask;
	bool installed = false;
	bool ok;

	if (!ask_make(request, host->cwd, host->home, &ask, err))
		return false;
	ok = find_node(host, &ask, wish, &facts, err);
	/* What names itself exactly has nothing to be looked up again. */
	if (wish == STORE_UPDATE && ask.count == 1 && (ask.exact != NULL || ask.directories[0] != NULL))
		wish = STORE_ENSURE;
	if (ok && (wish == STORE_FORCE || wish == STORE_UPDATE || !look(host, &facts, &ask, &found))) {
		if (wish == STORE_LOOK)
			ok = error_set(err, ERROR_INSTALL, "%s is not installed; run npxc install %s", ask.title,
			               request->specs[0]);
		else
			ok = install(host, &facts, &ask, wish, &found, &installed, err) || install_has_failed(err);
	}
	ok = ok && fill(request, &ask, &facts, &found, ret_package, err);
	if (ok)
		ret_package->installed_now = installed;
	found_done(&found);
	node_facts_done(&facts);
	ask_done(&ask);
	return ok;
}

const char *store_package_label(const struct store_package *package)
{
	return package->source != NULL ? package->source : package->name;
}

void store_package_done(struct store_package *package)
{
	free(package->name);
	free(package->source);
	free(package->version);
	free(package->key);
	free(package->directory);
	free(package->package_root);
	free(package->bin);
	strv_done(&package->command);
	node_done(&package->node);
	free(package->platform);
	free(package->engines);
	*package = (struct store_package){ 0 };
}

bool store_use(const struct store_package *package, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;
	FD_CLEANUP int again = -1;
	struct npxc_error ignored;
	struct stat held;
	struct stat named;

	if (!tree_open(package->directory, &fd, err))
		return false;
	if (flock(fd, LOCK_SH | LOCK_NB) == -1 || fstat(fd, &held) == -1)
		return error_set_errno(err, ERROR_IO, "%s is being removed; start again", package->directory);
	/* `clean` renames before it removes: a lock on what has no name any more protects nothing. */
	if (!tree_open(package->directory, &again, &ignored) || fstat(again, &named) == -1 ||
	    held.st_dev != named.st_dev || held.st_ino != named.st_ino)
		return error_set(err, ERROR_IO, "%s has just been removed; start again", package->directory);
	*ret_fd = fd_take(&fd);
	return true;
}

/* ---- listing ---- */

static void list_version(const char *key_path, const char *key, const char *name, struct store_list *list)
{
	mem_cleanup char *path = str_printf("%s/%s", key_path, name);
	struct npxc_error why;
	struct record record;
	struct store_entry *entry;

	if (!record_read(path, &record, &why)) {
		log_debug("store", "%s", why.message);
		return;
	}
	list->v = mem_realloc(list->v, list->count + 1, sizeof(*list->v));
	entry = &list->v[list->count++];
	*entry = (struct store_entry){
		.name = str_dup(record.packages[0].name),
		.source = str_dup(record.packages[0].directory),
		.version = str_dup(record.packages[0].version),
		.key = str_dup(key),
		.platform = str_dup(str_starts(name, record.label) && name[strlen(record.label)] == '-'
		                        ? name + strlen(record.label) + 1
		                        : ""),
		.directory = MEM_TAKE(path),
		.spec = record_select_of(key_path, record.label),
		.bytes = record.bytes,
		.installed_at = record.installed_at,
	};
	record_done(&record);
}

bool store_list(const char *store_directory, struct store_list *ret_list, struct npxc_error *err)
{
	mem_cleanup char *packages = str_printf("%s/packages", store_directory);
	struct store_list list = { 0 };
	struct strv keys = { 0 };

	(void)err;
	list_directories(packages, false, &keys);
	for (size_t i = 0; i < keys.count; i++) {
		mem_cleanup char *key_path = key_directory(store_directory, keys.v[i]);
		struct strv versions = { 0 };

		list_directories(key_path, false, &versions);
		for (size_t j = 0; j < versions.count; j++)
			list_version(key_path, keys.v[i], versions.v[j], &list);
		strv_done(&versions);
	}
	strv_done(&keys);
	*ret_list = list;
	return true;
}

void store_list_done(struct store_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct store_entry *entry = &list->v[i];

		free(entry->name);
		free(entry->version);
		free(entry->key);
		free(entry->platform);
		free(entry->directory);
		free(entry->source);
		free(entry->spec);
	}
	free(list->v);
	*list = (struct store_list){ 0 };
}

/* ---- cleaning ---- */

struct cleaning {
	size_t removed;
	uint64_t bytes;
	size_t kept;
};

static bool clean_directory(const char *path, bool counts, struct cleaning *cleaning, struct npxc_error *err)
{
	struct record record = { 0 };
	struct npxc_error why = { 0 };
	uint64_t bytes = record_read(path, &record, &why) ? record.bytes : 0;

	record_done(&record);
	if (staging_remove(path, &why)) {
		cleaning->removed += counts;
		cleaning->bytes += bytes;
		return true;
	}
	if (why.sys_errno == ENOENT)
		return true;
	if (why.sys_errno != EWOULDBLOCK) {
		*err = why;
		return false;
	}
	cleaning->kept += counts;
	return true;
}

static bool is_key(const char *store_directory, const char *key)
{
	mem_cleanup char *packages = str_printf("%s/packages", store_directory);
	FD_CLEANUP int root = -1;
	struct npxc_error ignored;

	return tree_open(packages, &root, &ignored) && tree_is_directory(root, key);
}

/* Whether a version's directory is that of `label`, as its record says. Of a damaged one the name tells: what stands
 * before "-<os>-<arch>-<libc>-<abi>". A prerelease begins as its release does. */
static bool has_label(const char *path, const char *name, const char *label)
{
	enum { PLATFORM_PARTS = 4 };
	struct record record;
	struct npxc_error ignored;
	size_t length = strlen(name);

	if (record_read(path, &record, &ignored)) {
		const bool same = strcmp(record.label, label) == 0;

		record_done(&record);
		return same;
	}
	for (int part = 0; part < PLATFORM_PARTS; part++) {
		while (length > 0 && name[length - 1] != '-')
			length--;
		length -= length > 0;
	}
	return length == strlen(label) && strncmp(name, label, length) == 0;
}

/* `label` NULL: all versions. An installation that is going on keeps its key. */
static bool clean_key(const char *store_directory, const char *key, const char *label, struct cleaning *cleaning,
                      struct npxc_error *err)
{
	mem_cleanup char *key_path = key_directory(store_directory, key);
	mem_cleanup char *lock_path = str_printf("%s/lock", key_path);
	FD_CLEANUP int lock = -1;
	struct npxc_error why = { 0 };
	struct strv names = { 0 };
	size_t kept_before = cleaning->kept;
	bool ok = true;

	if (!is_key(store_directory, key))
		return true;
	if (!file_lock(lock_path, false, &lock, &why)) {
		if (why.sys_errno != EWOULDBLOCK) {
			*err = why;
			return false;
		}
		cleaning->kept++;
		return true;
	}
	list_directories(key_path, true, &names);
	for (size_t i = 0; ok && i < names.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", key_path, names.v[i]);

		if (label == NULL || has_label(path, names.v[i], label))
			ok = clean_directory(path, names.v[i][0] != '.', cleaning, err);
	}
	strv_done(&names);
	if (ok && label == NULL && cleaning->kept == kept_before)
		drop_key(store_directory, key);
	return ok;
}

static bool clean_everything(const char *store_directory, struct cleaning *cleaning, struct npxc_error *err)
{
	mem_cleanup char *packages = str_printf("%s/packages", store_directory);
	mem_cleanup char *nodes = str_printf("%s/node", store_directory);
	mem_cleanup char *unfinished = str_printf("%s/staging", store_directory);
	struct strv keys = { 0 };
	struct strv others = { 0 };
	bool ok = true;

	list_directories(packages, false, &keys);
	for (size_t i = 0; ok && i < keys.count; i++)
		ok = clean_key(store_directory, keys.v[i], NULL, cleaning, err);
	/* A session that still runs may use a Node of the store. */
	if (ok && cleaning->kept == 0) {
		list_directories(nodes, true, &others);
		for (size_t i = 0; ok && i < others.count; i++) {
			mem_cleanup char *path = str_printf("%s/%s", nodes, others.v[i]);

			ok = clean_directory(path, false, cleaning, err);
		}
	}
	strv_done(&others);
	list_directories(unfinished, true, &others);
	for (size_t i = 0; ok && i < others.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", unfinished, others.v[i]);

		ok = clean_directory(path, false, cleaning, err); /* one that is in use is locked */
	}
	strv_done(&keys);
	strv_done(&others);
	return ok;
}

static bool clean_spec(const char *store_directory, const char *text, const char *cwd, struct cleaning *cleaning,
                       struct npxc_error *err)
{
	mem_cleanup char *key = NULL;
	mem_cleanup char *label = NULL;
	struct spec spec;
	bool ok = true;

	if (!spec_parse(text, &spec, err))
		return false;
	if (spec.kind == SPEC_DIRECTORY) {
		mem_cleanup char *directory = store_directory_path(spec.path, cwd, getenv("HOME"));

		key = store_directory_key(directory);
	} else {
		key = spec_package_key(spec.name);
		if (spec.kind == SPEC_VERSION) {
			label = str_dup_n(spec.select, strcspn(spec.select, "+"));
		} else if (strchr(text + 1, '@') != NULL) {
			mem_cleanup char *key_path = key_directory(store_directory, key);

			label = record_resolved(key_path, spec.select);
			ok = label != NULL ||
			     error_set(err, ERROR_CONFIG, "%s is not in the store; `npxc list` shows what is", text);
		}
	}
	spec_done(&spec);
	return ok && clean_key(store_directory, key, label, cleaning, err);
}

bool store_clean(const char *store_directory, const char *spec, const char *cwd, size_t *ret_removed,
                 uint64_t *ret_bytes, size_t *ret_kept, struct npxc_error *err)
{
	struct cleaning cleaning = { 0 };

	if (spec == NULL ? !clean_everything(store_directory, &cleaning, err)
	                 : !clean_spec(store_directory, spec, cwd, &cleaning, err))
		return false;
	*ret_removed = cleaning.removed;
	*ret_bytes = cleaning.bytes;
	*ret_kept = cleaning.kept;
	return true;
}
