#include "files/links.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/hazard.h"
#include "config/workspace.h"

#include <stdlib.h>
#include <string.h>

enum { NOTES_MAX = 8 };

struct search {
	const struct links_input *in;
	struct links out;
};

static bool is_shown(const struct search *s, const char *path)
{
	for (size_t i = 0; i < s->out.count; i++)
		if (str_path_within(path, s->out.v[i].path))
			return true;
	return s->in->shown != NULL && strv_holds_path(s->in->shown, path);
}

/* What the global node_modules has under this name is this very directory: `npm link` has made both. */
static bool is_npm_linked(const struct search *s, const char *name, const struct source *target)
{
	struct source own __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct npxc_error ignored;
	const char *link;

	if (s->in->global == NULL)
		return false;
	mem_cleanup char *path = str_path_join(s->in->global, name);
	return source_open(path, &own, &ignored) && own.info.st_dev == target->info.st_dev &&
	       own.info.st_ino == target->info.st_ino && source_leads_out_of(&own, s->in->written, &link) == NULL;
}

static void note(struct search *s, const char *path, const char *target, const char *why)
{
	if (s->out.notes.count < NOTES_MAX)
		strv_pushf(&s->out.notes,
		           "%s leads to %s, which is %s and not shown to the server; --mount %s would show it", path,
		           target, why, target);
}

/* Why a directory is not shown; static, NULL: it may be. */
static const char *refusal(const struct search *s, const char *name, const struct source *target)
{
	const bool inside = str_path_within(target->path, s->in->root);

	if (workspace_is_too_wide(target->path, s->in->home))
		return "the home directory or above it";
	if ((hazard_along(target->path, inside ? strlen(s->in->root) : 0) & HAZARD_SECRET) != 0)
		return "where secrets are commonly kept";
	if (!inside && !is_npm_linked(s, name, target))
		return "outside of the package's workspace and repository";
	if (!str_equal(name, "node_modules") && !tree_is_file(target->fd, "package.json"))
		return "no package";
	return NULL;
}

static bool take(struct search *s, struct source *source, struct npxc_error *err)
{
	if (s->out.count == LIMIT_LINKED_DIRECTORIES)
		return error_set(err, ERROR_CONFIG,
		                 "the links of %s lead to more than %d directories; mount their workspace: "
		                 "--mount %s",
		                 s->in->path, LIMIT_LINKED_DIRECTORIES, s->in->root);
	s->out.v = mem_realloc(s->out.v, s->out.count + 1, sizeof(*s->out.v));
	s->out.v[s->out.count++] = source_take(source);
	return true;
}

/* `name` as packages require it: with its scope. */
static bool follow(struct search *s, const char *path, const char *name, struct npxc_error *err)
{
	struct source target __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct npxc_error ignored;
	const char *link, *tree, *why;

	if (!source_open(path, &target, &ignored) || !S_ISDIR(target.info.st_mode) || is_shown(s, target.path))
		return true;
	tree = source_leads_out_of(&target, s->in->written, &link);
	if (tree != NULL)
		return error_set(
		    err, ERROR_CONFIG,
		    "%s leads out of %s by the symbolic link %s, which a server may have made; if it is meant, "
		    "name where it leads: --mount %s",
		    path, tree, link, target.path);
	why = refusal(s, name, &target);
	if (why != NULL) {
		note(s, path, target.path, why);
		return true;
	}
	return take(s, &target, err);
}

/* The links in a node_modules, and in its scopes. `prefix`: "@scope/" there, else "". */
static bool follow_all(struct search *s, int root, const char *place, const char *prefix, struct npxc_error *err)
{
	struct strv names __attribute__((cleanup(strv_done))) = { 0 };
	struct npxc_error ignored;

	if (!tree_list(root, prefix[0] == '\0' ? "" : prefix, LIMIT_STORE_NAMES, &names, &ignored))
		return true;
	for (size_t i = 0; i < names.count; i++) {
		mem_cleanup char *name = str_printf("%s%s%s", prefix, prefix[0] == '\0' ? "" : "/", names.v[i]);
		mem_cleanup char *path = str_path_join(place, name);
		struct stat info;

		if (names.v[i][0] == '.' || !tree_look(root, name, &info, &ignored))
			continue;
		if (S_ISLNK(info.st_mode) ? !follow(s, path, name, err)
		                          : prefix[0] == '\0' && name[0] == '@' && S_ISDIR(info.st_mode) &&
		                                !follow_all(s, root, place, name, err))
			return false;
	}
	return true;
}

/* One node_modules, of a directory that is shown or of one above it: then it is shown itself. */
static bool look_at_modules(struct search *s, const char *directory, struct npxc_error *err)
{
	mem_cleanup char *place = str_path_join(directory, "node_modules");
	struct source source __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct npxc_error ignored;
	FD_CLEANUP int root = -1;

	if (!source_open(place, &source, &ignored) || !S_ISDIR(source.info.st_mode))
		return true;
	if (!str_equal(source.path, place)) /* itself a link */
		return follow(s, place, "node_modules", err);
	if (!tree_open(source.path, &root, &ignored))
		return true;
	if (!is_shown(s, source.path) && !take(s, &source, err))
		return false;
	return follow_all(s, root, place, "", err);
}

/* From the top: what lies in a node_modules further down is often a link into one further up. */
static bool look_upwards(struct search *s, const char *directory, struct npxc_error *err)
{
	struct strv above __attribute__((cleanup(strv_done))) = { 0 };
	bool fine = true;

	strv_push(&above, directory);
	for (;;) {
		const char *last = above.v[above.count - 1];
		char *parent = str_path_join(last, "..");

		if (str_equal(last, parent) || !str_path_within(parent, s->in->root)) {
			free(parent);
			break;
		}
		strv_push_owned(&above, parent);
	}
	for (size_t i = above.count; fine && i > 0; i--)
		fine = look_at_modules(s, above.v[i - 1], err);
	return fine;
}

static bool open_package(struct search *s, struct npxc_error *err)
{
	struct source own __attribute__((cleanup(source_done))) = SOURCE_NONE;
	const char *link, *tree;

	if (!source_open(s->in->typed, &own, err))
		return error_prefix(err, "package directory");
	tree = source_leads_out_of(&own, s->in->written, &link);
	if (tree != NULL)
		return error_set(
		    err, ERROR_CONFIG,
		    "%s leads out of %s by the symbolic link %s, which a server may have made; if it is meant, "
		    "name where it leads: npxc %s",
		    s->in->typed, tree, link, own.path);
	if (!str_equal(own.path, s->in->path))
		return error_set(err, ERROR_CONFIG, "%s became %s while it was prepared; start again", s->in->path,
		                 own.path);
	return take(s, &own, err);
}

bool links_find(const struct links_input *input, struct links *ret_links, struct npxc_error *err)
{
	struct search s = { .in = input };
	bool fine = open_package(&s, err);

	/* What is found is looked through as well; what lies outside of the root has nothing above it that counts. */
	for (size_t i = 0; fine && i < s.out.count; i++) {
		mem_cleanup char *path = str_dup(s.out.v[i].path);
		if (!str_ends(path, "/node_modules"))
			fine = look_upwards(&s, path, err);
	}
	if (!fine) {
		links_done(&s.out);
		return false;
	}
	*ret_links = s.out;
	return true;
}

void links_done(struct links *links)
{
	for (size_t i = 0; i < links->count; i++)
		source_done(&links->v[i]);
	free(links->v);
	strv_done(&links->notes);
	*links = (struct links){ 0 };
}
