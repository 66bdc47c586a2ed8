#include "store/store.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/tree.h"
#include "store/cache.h"
#include "store/directory.h"
#include "store/install.h"
#include "store/layout.h"
#include "store/linked.h"
#include "store/node.h"
#include "store/npm.h"
#include "store/record.h"
#include "store/staging.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* ---- what is there ---- */

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

	layout_names(key_path, &names);
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
static bool has_directories(const struct record *record, const struct request *request)
{
	size_t wanted = 0;
	size_t there = 0;

	for (size_t i = 0; i < request->count; i++) {
		bool found = request->directories[i] == NULL;

		wanted += !found;
		for (size_t k = 0; k < record->package_count; k++)
			found = found || str_equal(record->packages[k].directory, request->directories[i]);
		if (!found)
			return false;
	}
	for (size_t k = 0; k < record->package_count; k++)
		there += record->packages[k].directory != NULL;
	return wanted == there;
}

/* Looks for what was requested, installed for the Node that it would run with. */
static bool look(const struct store_host *host, const struct node_facts *facts, const struct request *request,
                 struct found *ret_found)
{
	mem_cleanup char *key_path = layout_key(host->store_directory, request->key);
	mem_cleanup char *label =
	    request->exact != NULL ? str_dup(request->exact) : record_resolved(key_path, request->select);
	mem_cleanup char *stem = node_platform_stem(facts);
	struct found found = { 0 };
	struct record any = { 0 };
	struct npxc_error ignored;
	bool ok = false;

	if (label == NULL || !any_record(key_path, label, stem, &any))
		return false;
	node_choose(host, facts, request->linked != NULL ? request->linked->engines : any.packages[0].engines,
	            &found.node);
	record_done(&any);
	if (found.node.version != NULL) {
		found.directory = final_directory(key_path, label, stem, found.node.abi);
		ok = record_read(found.directory, &found.record, &ignored) && has_directories(&found.record, request);
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
static char *label_of(const struct request *request, const struct record *record)
{
	struct strv lines = { 0 };
	mem_cleanup char *text = NULL;
	mem_cleanup char *salted = NULL;
	mem_cleanup char *hash = NULL;

	if (request->count == 1) {
		const char *version = record->packages[0].version;

		return str_printf("%.*s%s", (int)strcspn(version, "+"), version, request->suffix);
	}
	for (size_t i = 0; i < record->package_count; i++)
		strv_pushf(&lines, "%s@%s", record->packages[i].name, record->packages[i].version);
	text = request_join(&lines);
	salted = str_printf("%s%s", text, request->select);
	strv_done(&lines);
	hash = sha256_hex(salted, strlen(salted));
	return str_dup_n(hash, LAYOUT_HASH_DIGITS);
}

/* Of a local directory only the newest state is of use. What a live session uses stays until the next `clean`. */
static void drop_superseded(const char *key_path, const char *kept)
{
	struct strv names = { 0 };

	layout_directories(key_path, true, &names);
	for (size_t i = 0; i < names.count; i++) {
		mem_cleanup char *path = str_printf("%s/%s", key_path, names.v[i]);
		struct npxc_error why;

		if (strcmp(path, kept) != 0 && !staging_remove(path, &why))
			log_debug("store", "%s stays: %s", path, why.message);
	}
	strv_done(&names);
}

static bool settle(const struct store_host *host, const struct node_facts *facts, const struct request *request,
                   const struct staging *staging, const char *tree, enum store_wish wish, struct found *found,
                   bool *ret_installed, struct npxc_error *err)
{
	mem_cleanup char *key_path = layout_key(host->store_directory, request->key);
	mem_cleanup char *stem = node_platform_stem(facts);
	struct record there;
	struct npxc_error ignored;

	found->record.label = label_of(request, &found->record);
	found->directory = final_directory(key_path, found->record.label, stem, found->node.abi);
	if (request->exact != NULL && strcmp(request->exact, found->record.label) != 0)
		return error_set(err, ERROR_INSTALL, "%s: npm installed version %s instead", request->title,
		                 found->record.label);
	if (wish != STORE_FORCE && record_read(found->directory, &there, &ignored) &&
	    has_directories(&there, request)) {
		/* That very version is there already; what uses it keeps what it has. */
		record_done(&found->record);
		found->record = there;
	} else {
		found->record.installed_at = (int64_t)time(NULL);
		if (request->count == 1 && request->specs[0].kind != SPEC_DIRECTORY)
			found->record.select = str_dup(request->specs[0].select);
		if (!staging_seal(staging, tree, &found->record.bytes, err) ||
		    (request->linked == NULL && !install_check(tree, &found->record, err)))
			return false;
		record_find_variables(&found->record, tree);
		if (!record_write(tree, &found->record, err) || !staging_settle(staging, tree, found->directory, err))
			return false;
		*ret_installed = true;
	}
	if (request->exact == NULL && !record_resolve(key_path, request->select, found->record.label, err))
		return false;
	if (request->directories[0] != NULL && request->count == 1)
		drop_superseded(key_path, found->directory);
	return true;
}

static bool install_locked(const struct store_host *host, const struct node_facts *facts, const struct request *request,
                           enum store_wish wish, struct found *ret_found, bool *ret_installed, struct npxc_error *err)
{
	struct found found = { 0 };
	struct npm npm;
	struct staging staging;
	mem_cleanup char *tree = NULL;
	struct npxc_error why;
	bool ok;

	if (!npm_find(host, facts, &npm, err))
		return false;
	if (!staging_make(host, &staging, err)) {
		npm_done(&npm);
		return false;
	}
	npm.asks_again = wish == STORE_UPDATE;
	ok = install_packages(&npm, &staging, request, &tree, &found.record, &found.node, err) &&
	     settle(host, facts, request, &staging, tree, wish, &found, ret_installed, err);
	staging_done(&staging);
	npm_done(&npm);
	if (!cache_trim(host->store_directory, LIMIT_STORE_CACHE_BYTES, &why))
		log_info("store", "%s", why.message);
	if (!ok) {
		found_done(&found);
		return false;
	}
	*ret_found = found;
	return true;
}

/* After a failure: a key that never held anything leaves nothing behind. The lock is held; whoever waits for it looks
 * whether it still has its name. */
static void drop_empty_key(const char *store_directory, const char *key)
{
	mem_cleanup char *key_path = layout_key(store_directory, key);
	struct strv names = { 0 };

	layout_names(key_path, &names);
	if (names.count == 0 || (names.count == 1 && strcmp(names.v[0], "lock") == 0))
		layout_drop_key(store_directory, key);
	strv_done(&names);
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
static const struct record_package *package_of(const struct record *record, const struct request *request, size_t i)
{
	for (size_t k = 0; k < record->package_count; k++) {
		const struct record_package *package = &record->packages[k];

		if (request->directories[i] != NULL
		        ? str_equal(package->directory, request->directories[i])
		        : package->directory == NULL && strcmp(package->name, request->specs[i].name) == 0)
			return package;
	}
	return &record->packages[0];
}

/* The package that has the command; the first when none does or none was said, which `ret_owned` tells. */
static bool find_owner(const struct record *record, const struct request *request, const char *command,
                       const struct record_package **ret_package, bool *ret_owned, struct npxc_error *err)
{
	const struct record_package *owner = NULL;

	for (size_t i = 0; command != NULL && i < request->count; i++) {
		const struct record_package *package = package_of(record, request, i);

		if (package == owner || bins_find(&package->bins, command) == NULL)
			continue;
		if (owner != NULL)
			return error_set(err, ERROR_CONFIG,
			                 "%s and %s both have a command %s; name one of them alone: npxc -p %s %s",
			                 owner->name, package->name, command, owner->name, command);
		owner = package;
	}
	*ret_owned = command == NULL || owner != NULL;
	*ret_package = owner != NULL ? owner : package_of(record, request, 0);
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

static bool fill_command(const struct store_request *from, const struct record_package *package, const char *directory,
                         struct store_package *to, struct npxc_error *err)
{
	const char *name = from->command;
	const struct bin *bin;

	if (from->call != NULL) {
		strv_push(&to->command, "/bin/sh");
		strv_push(&to->command, "-c");
		strv_push(&to->command, from->call);
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

/*
 * Run where it lies: what package.json says now, whatever it said when its dependencies were installed. A line for the
 * shell wants commands on a path, which only an installation has.
 */
static bool fill_linked(const struct store_host *host, const struct store_request *from, const struct request *request,
                        const struct node_facts *facts, struct found *found, struct store_package *ret_package,
                        struct npxc_error *err)
{
	const struct linked *linked = request->linked;
	const char *name = from->command;
	struct store_package to = { .owned = true };

	if (name == NULL && !bin_choose(linked->name, &linked->bins, &name, err))
		return false;
	const struct bin *bin = bins_find(&linked->bins, name);
	if (bin == NULL)
		strv_push(&to.command, name); /* a dependency's, as with npx */
	else if (!linked_command(linked, bin, &to.command, err)) {
		store_package_done(&to);
		return false;
	}
	mem_cleanup char *stem = node_platform_stem(facts);
	to.owned = from->command == NULL || bin != NULL;
	to.bin = str_dup(name);
	to.name = str_dup(linked->name);
	to.source = str_dup(linked->directory);
	to.version = str_dup(linked->version);
	to.key = str_dup(request->key);
	to.directory = str_dup(linked->directory);
	to.package_root = str_dup("");
	to.engines = str_dup(linked->engines);
	to.platform = str_printf("%s%s", stem, found->node.abi);
	to.bytes = found->record.bytes;
	to.dependencies = MEM_TAKE(found->directory);
	to.typed = directory_spelled(request->specs[0].path, host->cwd, host->home);
	to.global = npm_global_modules(host, facts);
	strv_push(&to.linked, linked->directory);
	if (!str_equal(linked->root, linked->directory))
		strv_push(&to.linked, linked->root);
	to.node = found->node;
	found->node = (struct store_node){ 0 };
	*ret_package = to;
	return true;
}

static bool fill(const struct store_host *host, const struct store_request *from, const struct request *request,
                 const struct node_facts *facts, struct found *found, struct store_package *ret_package,
                 struct npxc_error *err)
{
	const struct record_package *package = NULL;
	mem_cleanup char *stem = node_platform_stem(facts);
	struct store_package to = { 0 };

	if (request->linked != NULL)
		return fill_linked(host, from, request, facts, found, ret_package, err);
	if (!find_owner(&found->record, request, from->command, &package, &to.owned, err) ||
	    !fill_command(from, package, found->directory, &to, err)) {
		store_package_done(&to);
		return false;
	}
	to.name = str_dup(package->name);
	to.source = str_dup(package->directory);
	to.version = str_dup(package->version);
	to.key = str_dup(request->key);
	to.package_root = str_printf("node_modules/%s", package->name);
	to.engines = str_dup(package->engines);
	to.has_variables = package->has_variables;
	for (size_t i = 0; i < package->variables.count; i++)
		strv_push(&to.variables, package->variables.v[i]);
	to.platform = str_printf("%s%s", stem, found->node.abi);
	to.bytes = found->record.bytes;
	to.directory = MEM_TAKE(found->directory);
	to.node = found->node;
	found->node = (struct store_node){ 0 };
	*ret_package = to;
	return true;
}

/* Whose Node it is that a package runs with. What is looked for only starts nothing. */
static bool find_node(const struct store_host *host, const struct request *request, enum store_wish wish,
                      struct node_facts *ret_facts, struct npxc_error *err)
{
	if (host->image == NULL)
		return node_host(host, ret_facts, err);
	if (node_image(host, wish == STORE_FORCE || wish == STORE_UPDATE, wish != STORE_LOOK, ret_facts, err))
		return true;
	return wish != STORE_LOOK ? false : error_prefix(err, "%s is not installed; run npxc install", request->title);
}

/* Run where it lies, and all that it depends on lies there too. */
static bool is_ready(const struct request *request)
{
	return request->linked != NULL && request->linked->wants == NULL;
}

/*
 * Whether a single directory is run where it lies. Else it is installed as a registry's package would be: in a machine
 * of its own or with another Node than its add-ons were built for, where its own install scripts have not run, and for
 * a line of -c. Where nothing of it has to be installed, what it runs with is the answer.
 */
static bool choose_linked(const struct store_host *host, const struct store_request *from, enum store_wish wish,
                          struct request *request, struct node_facts *ret_facts, struct found *found,
                          struct npxc_error *err)
{
	struct node_facts facts = { 0 };
	struct store_node node = { 0 };

	if (!host->links || request->count != 1 || request->directories[0] == NULL || from->call != NULL)
		return true;
	if (!find_node(host, request, wish, &facts, err))
		return false;
	mem_cleanup char *real_home = directory_home(host->home);
	struct linked *linked = linked_read(request->directories[0], real_home);
	if (linked != NULL)
		node_choose(host, &facts, linked->engines, &node);
	if (linked == NULL || linked->scripts || node.version == NULL || !linked_fits(linked, host, &facts, &node)) {
		linked_free(linked);
		linked = NULL;
	}
	request->linked = linked;
	if (is_ready(request)) {
		*ret_facts = facts;
		found->node = node;
		return true;
	}
	node_done(&node);
	node_facts_done(&facts);
	return true;
}

/* What is installed, without starting anything but, once, the host's own Node. */
static bool find(const struct store_host *host, const struct request *request, struct node_facts *ret_facts,
                 struct found *ret_found, struct npxc_error *err)
{
	struct node_facts facts;

	if (!find_node(host, request, STORE_LOOK, &facts, err))
		return false;
	if (look(host, &facts, request, ret_found)) {
		*ret_facts = facts;
		return true;
	}
	node_facts_done(&facts);
	return error_set(err, ERROR_INSTALL, "%s is not installed; run npxc install %s", request->title,
	                 request->title);
}

/* ---- installing: the process that does it, which has the key's lock ---- */

static bool run_work(const struct store_host *host, const struct store_work *work, bool *ret_installed,
                     struct npxc_error *err)
{
	struct request request = *work->request; /* but for what is owned: that stays work's */
	const enum store_wish wish = (enum store_wish)work->wish;
	mem_cleanup char *key_path = layout_key(host->store_directory, request.key);
	mem_cleanup char *resolved = record_resolved(key_path, request.select);
	struct node_facts facts = { 0 };
	struct found found = { 0 };
	bool ok = find_node(host, &request, wish, &facts, err);

	/* Resolved once: when only the platform is another one now, the same version is installed for it. */
	if (wish == STORE_ENSURE && request.count == 1 && request.directories[0] == NULL && request.exact == NULL)
		request.exact = resolved;
	ok = ok && ((wish == STORE_ENSURE && look(host, &facts, &request, &found)) ||
	            install_locked(host, &facts, &request, wish, &found, ret_installed, err));
	found_done(&found);
	node_facts_done(&facts);
	if (ok)
		return true;
	(void)install_has_failed(err);
	if (host->says && (host->interrupted == NULL || !host->interrupted(host->context)))
		progress_say_failed(work->title, err);
	drop_empty_key(host->store_directory, request.key); /* then another one may begin */
	return false;
}

/* ---- and those that wait for it ---- */

static bool lock_key(const struct store_host *host, const char *key_path, struct progress *progress, int *ret_lock,
                     struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/lock", key_path);
	struct npxc_error why = { 0 };

	if (!staging_prepare_store(host->store_directory, err))
		return false;
	/* `clean` may take an empty key directory away between these two. */
	for (int attempt = 0; attempt < 8; attempt++) {
		if (!file_make_directories(key_path, 0755, err))
			return false;
		if (staging_wait_for_lock(host, path, progress, ret_lock, &why))
			return true;
		if (why.sys_errno != ENOENT)
			break;
	}
	*err = why;
	return false;
}

static bool install_apart(const struct store_host *host, const struct request *request, enum store_wish wish, int lock,
                          struct progress *progress, bool *ret_installed, struct npxc_error *err)
{
	const struct store_work work = { .run = run_work, .title = request->title, .request = request, .wish = wish };

	if (host->note != NULL) {
		progress_clear(progress);
		log_notice("%s", host->note);
	}
	if (!progress->on_terminal)
		log_notice("installing %s (once; later starts use what is stored)", request->title);
	return host->apart != NULL ? host->apart(host->context, host, &work, lock, progress, ret_installed, err)
	                           : run_work(host, &work, ret_installed, err);
}

static bool install(const struct store_host *host, const struct request *request, enum store_wish wish,
                    struct node_facts *ret_facts, struct found *ret_found, bool *ret_installed, struct npxc_error *err)
{
	mem_cleanup char *key_path = layout_key(host->store_directory, request->key);
	FD_CLEANUP int lock = -1;
	struct progress progress;
	struct npxc_error ignored;
	bool ok;

	progress_begin(&progress, request->title, host->progress);
	ok = lock_key(host, key_path, &progress, &lock, err);
	/* Installed by another start while this one waited, or found to be impossible? */
	if (ok && (wish != STORE_ENSURE || !find(host, request, ret_facts, ret_found, &ignored))) {
		ok = progress.failed.kind == ERROR_NONE;
		if (!ok)
			*err = progress.failed;
		ok = ok && install_apart(host, request, wish, lock, &progress, ret_installed, err) &&
		     find(host, request, ret_facts, ret_found, err);
	}
	progress_end(&progress);
	return ok;
}

static bool get(const struct store_host *host, const struct request *request, enum store_wish wish,
                struct node_facts *ret_facts, struct found *ret_found, bool *ret_installed, struct npxc_error *err)
{
	struct npxc_error why = { 0 };

	/* What names itself exactly has nothing to be looked up again. */
	if (wish == STORE_UPDATE && request->count == 1 && (request->exact != NULL || request->directories[0] != NULL))
		wish = STORE_ENSURE;
	if ((wish == STORE_LOOK || wish == STORE_ENSURE) && find(host, request, ret_facts, ret_found, &why))
		return true;
	if (wish != STORE_LOOK && (why.kind == ERROR_NONE || why.kind == ERROR_INSTALL) &&
	    (install(host, request, wish, ret_facts, ret_found, ret_installed, &why) || install_has_failed(&why)))
		return true;
	*err = why;
	return false;
}

bool store_get(const struct store_host *host, const struct store_request *from, enum store_wish wish,
               struct store_package *ret_package, struct npxc_error *err)
{
	struct node_facts facts = { 0 };
	struct found found = { 0 };
	struct request request;
	bool installed = false;
	bool ok;

	if (!request_make(from, host->cwd, host->home, &request, err))
		return false;
	ok = choose_linked(host, from, wish, &request, &facts, &found, err) &&
	     request_name(&request, host->scopes, err) &&
	     (is_ready(&request) || get(host, &request, wish, &facts, &found, &installed, err));
	ok = ok && fill(host, from, &request, &facts, &found, ret_package, err);
	if (ok)
		ret_package->installed_now = installed;
	found_done(&found);
	node_facts_done(&facts);
	request_done(&request);
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
	strv_done(&package->linked);
	free(package->dependencies);
	free(package->typed);
	free(package->global);
	node_done(&package->node);
	free(package->platform);
	free(package->engines);
	strv_done(&package->variables);
	*package = (struct store_package){ 0 };
}

bool store_use(const struct store_package *package, int *ret_fd, struct npxc_error *err)
{
	FD_CLEANUP int fd = -1;
	FD_CLEANUP int again = -1;
	struct npxc_error ignored;
	struct stat held;
	struct stat named;
	const char *directory = package->linked.count > 0 ? package->dependencies : package->directory;

	if (directory == NULL) {
		*ret_fd = -1;
		return true;
	}
	if (!tree_open(directory, &fd, err))
		return false;
	if (flock(fd, LOCK_SH | LOCK_NB) == -1 || fstat(fd, &held) == -1)
		return error_set_errno(err, ERROR_IO, "%s is being removed; start again", directory);
	/* `clean` renames before it removes: a lock on what has no name any more protects nothing. */
	if (!tree_open(directory, &again, &ignored) || fstat(again, &named) == -1 || held.st_dev != named.st_dev ||
	    held.st_ino != named.st_ino)
		return error_set(err, ERROR_IO, "%s has just been removed; start again", directory);
	*ret_fd = fd_take(&fd);
	return true;
}
