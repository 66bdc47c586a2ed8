#include "files/mounts.h"

#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "config/hazard.h"
#include "files/scope.h"
#include "files/sockets.h"
#include "files/source.h"
#include "files/words.h"
#include "files/worktree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct gather {
	const struct mounts_input *in;
	struct mounts out;
	struct source cwd; /* owned */
};

/* A mount over one of these, or above it, would take the sandbox itself apart. */
bool mounts_check_target(const char *target, struct npxc_error *err)
{
	static const char *const OWN[] = { "/proc", "/sys", "/dev", "/opt/npxc" };
	static const char *const WHOLE[] = { "/",      "/usr",   "/etc", "/bin", "/sbin", "/lib",
		                             "/lib32", "/lib64", "/opt", "/run", "/tmp",  "/data" };
	if (target[0] != '/')
		return error_set(err, ERROR_CONFIG, "%s: a path inside the sandbox is absolute", target);
	mem_cleanup char *clean = str_path_clean(target);
	if (!str_equal(clean, target))
		return error_set(err, ERROR_CONFIG, "%s: write it as %s", target, clean);
	for (size_t i = 0; i < sizeof(OWN) / sizeof(OWN[0]); i++)
		if (str_path_within(target, OWN[i]))
			return error_set(err, ERROR_CONFIG, "%s: nothing can be mounted in the sandbox's own %s",
			                 target, OWN[i]);
	for (size_t i = 0; i < sizeof(WHOLE) / sizeof(WHOLE[0]); i++)
		if (str_equal(target, WHOLE[i]))
			return error_set(err, ERROR_CONFIG, "%s belongs to the sandbox; mount at a path below it",
			                 target);
	return true;
}

/* Takes the source's descriptor. */
static struct mounts_entry *add(struct gather *g, struct source *source, const char *target, bool writable,
                                const char *origin)
{
	struct mounts *m = &g->out;
	m->v = mem_realloc(m->v, m->count + 1, sizeof(*m->v));
	m->v[m->count++] = (struct mounts_entry){
		.source = str_dup(source->path),
		.target = str_dup(target),
		.identity = launch_identity_of(fd_take(&source->fd), &source->info),
		.writable = writable,
		.bytes = (uint64_t)source->info.st_size,
		.directory = S_ISDIR(source->info.st_mode),
		.outside = !g->out.cwd_in_scope || !str_path_within(source->path, m->real_cwd),
		.origin = str_dup(origin),
	};
	return &m->v[m->count - 1];
}

/* By a link that is not root's. Those on the way to the working directory are no news for what lies in it. */
static bool came_by_link(const struct gather *g, const char *path, const struct source *source)
{
	return source->links.count > (str_path_within(path, g->in->cwd) ? g->cwd.links.count : 0);
}

/* A mount that the user asked for in so many words. */
static bool add_requested(struct gather *g, const struct config_mount *mount, const char *origin,
                          struct npxc_error *err)
{
	struct source source __attribute__((cleanup(source_done))) = SOURCE_NONE;
	mem_cleanup char *host = str_starts(mount->host, "~/") || str_equal(mount->host, "~")
	                             ? str_path_join(g->in->home, mount->host[1] == '\0' ? "." : mount->host + 2)
	                             : str_path_join(g->in->cwd, mount->host);
	if (!source_open(host, &source, err))
		return error_prefix(err, "%s %s", origin, mount->host);
	const char *target = mount->container == NULL ? host : mount->container;
	const char *link, *tree = source_leads_out_of(&source, g->in->written, &link);
	if (g->out.cwd_in_scope && str_path_within(host, g->in->cwd) && !str_path_within(source.path, g->out.real_cwd))
		return error_set(
		    err, ERROR_CONFIG,
		    "%s %s leads out of the working directory by a symbolic link, which a server may have made; "
		    "if it is meant, name where it leads: --mount %s:%s",
		    origin, mount->host, source.path, target);
	if (tree != NULL)
		return error_set(
		    err, ERROR_CONFIG,
		    "%s %s leads out of %s by the symbolic link %s, which a server may have made; if it is "
		    "meant, name where it leads: --mount %s:%s",
		    origin, mount->host, tree, link, source.path, target);
	if (!mounts_check_target(target, err))
		return error_prefix(err, "%s %s", origin, mount->host);
	if (came_by_link(g, host, &source))
		strv_pushf(&g->out.notes, "%s %s leads to %s by a symbolic link; that is mounted", origin, mount->host,
		           source.path);
	add(g, &source, target, mount->writable, origin)->all = mount->all;
	return true;
}

/* Asked for, and not merely mentioned by an argument or a variable. */
static bool is_requested(const struct mounts_entry *e)
{
	return !str_starts(e->origin, "argument ") && !str_starts(e->origin, "variable ");
}

/* Whether --mount or the configuration shows it already: those were gathered before any word was considered. */
static bool is_within_requested(const struct gather *g, const char *path)
{
	for (size_t i = 0; i < g->out.count; i++)
		if (is_requested(&g->out.v[i]) && str_path_within(path, g->out.v[i].target))
			return true;
	return false;
}

/* The path that a word means, absolute; owned. NULL: none. */
static char *path_of(const struct scope_place *place, const char *word)
{
	struct scope_name name;
	struct npxc_error ignored;
	if (!scope_read(place, word, strlen(word), &name, &ignored))
		return NULL;
	char *path = MEM_TAKE(name.path);
	scope_name_done(&name);
	return path;
}

/*
 * One word that may name a file. Nothing is mounted unless it exists as a file or directory beneath the working
 * directory, both as written and as resolved.
 */
static void consider(struct gather *g, const struct words_part *part, const char *origin)
{
	const struct scope_place place = { .spellings = { g->in->cwd, g->out.real_cwd }, .home = g->in->home };
	mem_cleanup char *word = str_dup_n(part->text, part->length);
	mem_cleanup char *path = path_of(&place, word);
	if (path == NULL)
		return;
	struct source source __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct npxc_error ignored;
	if (!source_open(path, &source, &ignored))
		return;
	/* A bare word such as "mcp" that happens to be a directory of the project is still a name of it: npx would
	 * hand the server that very file. But "/" and the like are more often options than requests. */
	if (!S_ISREG(source.info.st_mode) && !S_ISDIR(source.info.st_mode))
		return;
	const bool inside =
	    g->out.cwd_in_scope && scope_behind(&place, path) != NULL && str_path_within(source.path, g->out.real_cwd);
	const char *link, *tree = source_leads_out_of(&source, g->in->written, &link);
	if (inside && tree != NULL) {
		strv_pushf(&g->out.notes,
		           "%s names %s, which leads out of %s by the symbolic link %s and is not mounted, because a "
		           "server may have made that; --mount %s:%s would",
		           origin, path, tree, link, source.path, path);
		return;
	}
	if (inside && mounts_check_target(path, &ignored)) {
		if (came_by_link(g, path, &source))
			strv_pushf(&g->out.notes, "%s names %s, which leads to %s by a symbolic link; that is mounted",
			           origin, path, source.path);
		add(g, &source, path, g->in->writable, origin);
		return;
	}
	const bool names_a_path = part->is_absolute || str_starts(word, "../") || str_starts(word, "./");
	if (!names_a_path || str_equal(path, "/") || is_within_requested(g, path))
		return;
	if (!g->out.cwd_in_scope && scope_behind(&place, path) != NULL)
		strv_pushf(
		    &g->out.unseen_why,
		    "%s names it, and the working directory %s is too wide to take files from (--cwd DIR narrows "
		    "it)",
		    origin, g->in->cwd);
	else
		strv_pushf(&g->out.unseen_why, "%s names it, and it lies outside the working directory", origin);
	strv_push(&g->out.unseen, path);
}

/* The word itself and its parts; of a flag only its value. */
static void consider_argument(struct gather *g, const char *word, size_t number)
{
	mem_cleanup char *origin = str_printf("argument %zu", number);
	struct words_part parts[WORDS_PARTS_MAX];
	const size_t count = words_find(word, strlen(word), parts);
	for (size_t i = 0; i < count; i++)
		if (parts[i].text[0] != '-')
			consider(g, &parts[i], origin);
}

/* Variables hold more than paths ("1", "debug"): only what is written as a path counts, unlike arguments. */
static void consider_variable(struct gather *g, const struct config_variable *variable)
{
	mem_cleanup char *origin = str_printf("variable %s", variable->name);
	struct words_part parts[WORDS_PARTS_MAX];
	const size_t count = words_find(variable->value, strlen(variable->value), parts);
	for (size_t i = 0; i < count; i++)
		if (parts[i].is_absolute || parts[i].is_of_uri || str_starts(parts[i].text, "./") ||
		    str_starts(parts[i].text, "../"))
			consider(g, &parts[i], origin);
}

static int by_target(const void *a, const void *b)
{
	const struct mounts_entry *x = a, *y = b;
	return strcmp(x->target, y->target);
}

static void drop_pin(struct mounts_pin *pin)
{
	fd_close(&pin->identity.fd);
	fd_close(&pin->parent_identity.fd);
	free(pin->source);
	free(pin->target);
	free(pin->parent);
}

static void drop_entry(struct mounts *m, size_t at)
{
	fd_close(&m->v[at].identity.fd);
	free(m->v[at].source);
	free(m->v[at].target);
	free(m->v[at].origin);
	memmove(&m->v[at], &m->v[at + 1], (m->count - at - 1) * sizeof(*m->v));
	m->count--;
}

/* True when `e` is already to be seen through `parent`, at least as widely. */
static bool is_covered(const struct mounts_entry *e, const struct mounts_entry *parent)
{
	if (!parent->directory || !str_path_within(e->target, parent->target) ||
	    !str_path_within(e->source, parent->source))
		return false;
	if (e->writable && !parent->writable)
		return false;
	if (is_requested(e) && (e->writable != parent->writable || e->all != parent->all))
		return false;
	/* Its own words lift what the tree's do not. */
	if (is_requested(e) && e->writable && !e->all &&
	    (hazard_along(e->target, strlen(parent->target)) & HAZARD_RUN) != 0)
		return false;
	return str_equal(e->target + strlen(parent->target), e->source + strlen(parent->source));
}

static bool settle(struct mounts *m, struct npxc_error *err)
{
	if (m->count > 1)
		qsort(m->v, m->count, sizeof(*m->v), by_target);
	for (size_t i = 1; i < m->count;) {
		struct mounts_entry *before = &m->v[i - 1], *e = &m->v[i];
		if (!str_equal(before->target, e->target)) {
			i++;
			continue;
		}
		if (!str_equal(before->source, e->source))
			return error_set(err, ERROR_CONFIG, "two mounts for %s: %s (%s) and %s (%s); keep one",
			                 e->target, before->source, before->origin, e->source, e->origin);
		if (is_requested(before) && is_requested(e)) {
			before->writable = before->writable || e->writable;
			before->all = before->all || e->all;
		}
		drop_entry(m, is_requested(before) ? i : i - 1);
	}
	for (size_t i = 1; i < m->count;) {
		bool covered = false;
		for (size_t k = i; k > 0 && !covered; k--)
			covered = is_covered(&m->v[i], &m->v[k - 1]);
		if (covered)
			drop_entry(m, i);
		else
			i++;
	}
	return true;
}

/* As realpath, where the end of the path need not exist yet. Owned. */
static char *real_or_future(const char *path)
{
	struct npxc_error ignored;
	char *real = NULL;
	if (file_real_path(path, &real, &ignored) || str_equal(path, "/"))
		return real == NULL ? str_dup("/") : real;
	mem_cleanup char *parent = str_path_join(path, "..");
	mem_cleanup char *real_parent = real_or_future(parent);
	return str_path_join(real_parent, strrchr(path, '/') + 1);
}

/* A server that could write the configuration or the store would decide what the next session is given. */
static bool protect_own(const struct mounts *m, const struct strv *own, struct npxc_error *err)
{
	for (size_t k = 0; own != NULL && k < own->count; k++) {
		mem_cleanup char *path = real_or_future(own->v[k]);
		for (size_t i = 0; i < m->count; i++) {
			const struct mounts_entry *e = &m->v[i];
			if (e->writable && (str_path_within(path, e->source) || str_path_within(e->source, path)))
				return error_set(err, ERROR_CONFIG,
				                 "%s: %s would be writable, and with it npxc's own %s; mount "
				                 "it read-only or "
				                 "a directory beside that",
				                 e->origin, e->source, path);
		}
	}
	return true;
}

static bool mask_sockets(struct mounts *m, struct npxc_error *err)
{
	for (size_t i = 0; i < m->count; i++) {
		if (!m->v[i].directory)
			continue;
		struct strv found = { 0 };
		if (!sockets_find(m->v[i].identity.fd, m->v[i].source, &found, err))
			return error_prefix(err, "%s %s", m->v[i].origin, m->v[i].source);
		for (size_t k = 0; k < found.count; k++) {
			mem_cleanup char *path = str_path_join(m->v[i].target, found.v[k]);
			if (strv_contains(&m->masks, path))
				continue;
			strv_push(&m->masks, path);
			strv_pushf(&m->notes, "%s is a socket or FIFO of the host: hidden from the server", path);
		}
		strv_done(&found);
	}
	return true;
}

/* ---- what the host would execute ---- */

/* The mount through which the path is seen: the deepest that holds it. */
static const struct mounts_entry *shown_by(const struct mounts *m, const char *target)
{
	const struct mounts_entry *found = NULL;
	for (size_t i = 0; i < m->count; i++)
		if (str_path_within(target, m->v[i].target) &&
		    (found == NULL || strlen(m->v[i].target) > strlen(found->target)))
			found = &m->v[i];
	return found;
}

static bool is_pinned(const struct mounts *m, const char *target)
{
	for (size_t i = 0; i < m->pin_count; i++)
		if (str_equal(m->pins[i].target, target))
			return true;
	return false;
}

static bool open_directory(int root, const char *path, bool keep, struct launch_identity *ret_identity)
{
	FD_CLEANUP int fd = guards_open_below(root, path);
	struct stat info;
	if (fd == -1 || fstat(fd, &info) == -1)
		return false;
	if (!keep)
		fd_close(&fd);
	*ret_identity = launch_identity_of(fd_take(&fd), &info);
	return true;
}

/* Each directory between the mount's root and the name. One that has gone meanwhile holds nothing any more. */
static bool pin_above(struct mounts *m, const struct mounts_entry *e, const char *path, struct npxc_error *err)
{
	mem_cleanup char *parent = str_dup("");
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		mem_cleanup char *directory = str_dup_n(path, (size_t)(slash - path));
		struct mounts_pin pin = { .source = str_path_join(e->source, directory),
			                  .target = str_path_join(e->target, directory),
			                  .parent = str_path_join(e->source, parent[0] == '\0' ? "." : parent),
			                  .identity.fd = -1,
			                  .parent_identity.fd = -1 };
		/* What is mounted by name is not kept open: a thousand may be all that may be. */
		const bool keep = m->pin_count < LIMIT_MOUNT_DESCRIPTORS;
		errno = 0;
		const bool fine = !is_pinned(m, pin.target) &&
		                  open_directory(e->identity.fd, directory, false, &pin.identity) &&
		                  open_directory(e->identity.fd, parent, keep, &pin.parent_identity);
		const int why = errno;
		free(parent);
		parent = str_dup(directory);
		if (!fine) {
			drop_pin(&pin);
			if (why == 0 || why == ENOENT || why == ENOTDIR || why == ELOOP || why == EACCES)
				continue;
			errno = why;
			return error_set_errno(err, ERROR_CONFIG, "cannot keep %s/%s from being renamed", e->source,
			                       directory);
		}
		if (m->pin_count == LIMIT_GUARD_PINS) {
			drop_pin(&pin);
			return error_set(err, ERROR_CONFIG,
			                 "%s has names that the host executes in more than %d directories", e->source,
			                 LIMIT_GUARD_PINS);
		}
		m->pins = mem_realloc(m->pins, m->pin_count + 1, sizeof(*m->pins));
		m->pins[m->pin_count++] = pin;
	}
	return true;
}

/* The words that lift it, for the user. */
static char *lifting(const struct mounts_entry *e)
{
	if (str_equal(e->origin, "project"))
		return str_dup("--project=rw,all");
	if (str_equal(e->origin, "mounts"))
		return str_dup("\"mode\": \"rw,all\"");
	return str_equal(e->source, e->target) ? str_printf("--mount %s:rw,all", e->source)
	                                       : str_printf("--mount %s:%s:rw,all", e->source, e->target);
}

/* "a, b and 3 more" */
static char *some_of(const struct strv *names)
{
	enum { SHOWN = 8 };
	char *text = str_dup("");
	for (size_t i = 0; i < names->count && i < SHOWN; i++) {
		char *longer = str_printf("%s%s%s", text, i == 0 ? "" : ", ", names->v[i]);
		free(text);
		text = longer;
	}
	if (names->count > SHOWN) {
		char *longer = str_printf("%s and %zu more", text, names->count - SHOWN);
		free(text);
		text = longer;
	}
	return text;
}

static void note_guards(struct mounts *m, const struct mounts_entry *e, const struct strv *kept,
                        const struct strv *unkept)
{
	mem_cleanup char *flag = lifting(e);
	mem_cleanup char *names = some_of(kept);
	mem_cleanup char *others = some_of(unkept);
	if (kept->count > 0)
		strv_pushf(&m->notes,
		           "read-only in %s, because this machine's tools execute what stands there: %s; %s makes "
		           "them writable",
		           e->target, names, flag);
	if (unkept->count > 0)
		strv_pushf(&m->notes,
		           "in %s this machine's tools execute what these are or lead to, and a server can replace "
		           "them or write there, because they are links, or the mount itself (\".\"): %s",
		           e->target, others);
}

/* One writable tree. What another mount shows instead is that one's. */
static bool guard_tree(struct mounts *m, size_t at, struct npxc_error *err)
{
	struct guards found = { 0 };
	struct strv kept __attribute__((cleanup(strv_done))) = { 0 };
	struct strv unkept __attribute__((cleanup(strv_done))) = { 0 };
	/* The list grows below. */
	const struct mounts_entry e = m->v[at];
	if (!guards_find(e.identity.fd, e.source, -1, &found, err)) {
		mem_cleanup char *flag = lifting(&e);
		return error_prefix(err, "%s (%s lifts this)", e.origin, flag);
	}
	m->trees = mem_realloc(m->trees, m->tree_count + 1, sizeof(*m->trees));
	m->trees[m->tree_count++] =
	    (struct guards_tree){ .path = str_dup(e.source), .identity = e.identity, .before = found };
	bool fine = true;
	for (size_t i = 0; fine && i < found.count; i++) {
		struct guard *guard = &m->trees[m->tree_count - 1].before.v[i];
		mem_cleanup char *target = str_path_join(e.target, guard->path);
		const struct mounts_entry *shown = shown_by(m, target);
		/* One within another that is kept already shows nothing new. */
		if (shown == NULL || !str_equal(shown->target, e.target))
			continue;
		if ((guard->identity.kind != 'd' && guard->identity.kind != 'f') || str_equal(guard->path, ".")) {
			strv_push(&unkept, guard->path);
			continue;
		}
		fine = pin_above(m, &e, guard->path, err);
		strv_push(&kept, guard->path);
		m->v = mem_realloc(m->v, m->count + 1, sizeof(*m->v));
		m->v[m->count++] = (struct mounts_entry){ .source = str_path_join(e.source, guard->path),
			                                  .target = MEM_TAKE(target),
			                                  .identity = guard->identity,
			                                  .directory = guard->identity.kind == 'd',
			                                  .kept = true,
			                                  .outside = e.outside,
			                                  .origin = str_dup("kept read-only") };
		guard->identity.fd = -1; /* the entry's now */
	}
	note_guards(m, &e, &kept, &unkept);
	return fine;
}

static bool guard_trees(struct mounts *m, struct npxc_error *err)
{
	const size_t count = m->count;
	for (size_t i = 0; i < count; i++)
		if (m->v[i].writable && m->v[i].directory && !m->v[i].all && !guard_tree(m, i, err))
			return false;
	if (m->count > 1)
		qsort(m->v, m->count, sizeof(*m->v), by_target);
	return true;
}

/* What the user's own words show at its own path, by its path without links. */
static void list_shown(const struct gather *g, struct strv *ret_shown)
{
	for (size_t i = 0; i < g->out.count; i++)
		if (g->out.v[i].directory &&
		    (str_equal(g->out.v[i].source, g->out.v[i].target) || str_equal(g->out.v[i].origin, "project")))
			strv_push(ret_shown, g->out.v[i].source);
}

/* With a linked work tree or a submodule the directory that its repository is in. */
static bool add_git(struct gather *g, const struct source *project, struct npxc_error *err)
{
	struct source git __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct strv shown __attribute__((cleanup(strv_done))) = { 0 };
	mem_cleanup char *home = NULL;
	mem_cleanup char *note = NULL;
	struct npxc_error ignored;
	if (!file_real_path(g->in->home, &home, &ignored))
		home = NULL;
	const struct worktree_input input = { .project = project, .home = home, .written = g->in->written };
	g->out.own_repository = worktree_is_own(project);
	list_shown(g, &shown);
	if (!worktree_find(&input, &git, &note)) {
		if (note != NULL)
			strv_push(&g->out.notes, note);
		return true;
	}
	if (strv_holds_path(&shown, git.path))
		return true;
	if (!mounts_check_target(git.path, err))
		return error_prefix(err, "--project: the git directory of the work tree");
	strv_pushf(&g->out.notes, "read-only with %s, because git needs it there: %s", project->path, git.path);
	mem_cleanup char *path = str_dup(git.path);
	add(g, &git, path, false, "git");
	return true;
}

/* The package's own directory, and what its links lead to. */
static bool add_package(struct gather *g, struct npxc_error *err)
{
	struct strv shown __attribute__((cleanup(strv_done))) = { 0 };
	struct strv beside __attribute__((cleanup(strv_done))) = { 0 };
	struct links links;
	bool fine = true;
	list_shown(g, &shown);
	struct links_input input = *g->in->package;
	input.written = g->in->written;
	input.shown = &shown;
	if (!links_find(&input, &links, err))
		return false;
	for (size_t i = 0; fine && i < links.count; i++) {
		mem_cleanup char *path = str_dup(links.v[i].path);
		if (strv_holds_path(&shown, path))
			continue;
		fine = mounts_check_target(path, err) || error_prefix(err, "package directory");
		if (fine)
			add(g, &links.v[i], path, false, i == 0 ? "package" : "package link");
		if (fine && i > 0)
			strv_push(&beside, path);
	}
	mem_cleanup char *names = some_of(&beside);
	if (beside.count > 0)
		strv_pushf(&g->out.notes, "read-only with %s, because its links lead there: %s", input.path, names);
	strv_push_all(&g->out.notes, (const char *const *)links.notes.v, links.notes.count);
	links_done(&links);
	return fine;
}

static bool gather_all(struct gather *g, struct npxc_error *err)
{
	const struct mounts_input *in = g->in;
	for (size_t i = 0; i < in->configured_count; i++)
		if (!add_requested(g, &in->configured[i], "mounts", err))
			return false;
	for (size_t i = 0; i < in->flagged_count; i++)
		if (!add_requested(g, &in->flagged[i], "--mount", err))
			return false;
	if (in->project != CONFIG_PROJECT_NONE) {
		if (!g->out.cwd_in_scope)
			return error_set(
			    err, ERROR_CONFIG,
			    "--project: the working directory is %s, which would show the server too much; "
			    "name the project with --cwd DIR",
			    in->cwd);
		if (!mounts_check_target(in->cwd, err))
			return error_prefix(err, "--project");
		if (!add_git(g, &g->cwd, err))
			return false;
		add(g, &g->cwd, in->cwd, in->project != CONFIG_PROJECT_RO, "project")->all =
		    in->project == CONFIG_PROJECT_RW_ALL;
	}
	if (in->package != NULL && !add_package(g, err))
		return false;
	for (size_t i = 0; i < in->arguments->count; i++)
		consider_argument(g, in->arguments->v[i], i + 1);
	for (size_t i = 0; i < in->env_count; i++)
		consider_variable(g, &in->env[i]);
	return settle(&g->out, err) && protect_own(&g->out, in->own, err) &&
	       (WITHOUT("mounted-sockets") || mask_sockets(&g->out, err)) && guard_trees(&g->out, err);
}

/* What the words of the command line are relative to; calls name files of it too. */
static bool open_cwd(struct gather *g, struct npxc_error *err)
{
	const char *link, *tree;
	if (!source_open(g->in->cwd, &g->cwd, err))
		return error_prefix(err, "working directory");
	tree = source_leads_out_of(&g->cwd, g->in->written, &link);
	if (tree != NULL)
		return error_set(err, ERROR_CONFIG,
		                 "the working directory %s leads out of %s by the symbolic link %s, which a server may "
		                 "have made; if it is meant, name where it leads: --cwd %s",
		                 g->in->cwd, tree, link, g->cwd.path);
	g->out.real_cwd = str_dup(g->cwd.path);
	return true;
}

bool mounts_gather(const struct mounts_input *input, struct mounts *ret_mounts, struct npxc_error *err)
{
	struct gather g = { .in = input, .cwd = SOURCE_NONE };
	const char *real_home = input->real_home != NULL ? input->real_home : input->home;
	bool fine = open_cwd(&g, err);
	if (fine) {
		g.out.cwd_in_scope =
		    !str_path_within(real_home, g.out.real_cwd) && !str_path_within(input->home, input->cwd);
		fine = gather_all(&g, err);
	}
	source_done(&g.cwd);
	if (!fine) {
		mounts_done(&g.out);
		return false;
	}
	*ret_mounts = g.out;
	return true;
}

void mounts_done(struct mounts *m)
{
	while (m->count > 0)
		drop_entry(m, m->count - 1);
	free(m->v);
	for (size_t i = 0; i < m->pin_count; i++)
		drop_pin(&m->pins[i]);
	free(m->pins);
	for (size_t i = 0; i < m->tree_count; i++)
		guards_tree_done(&m->trees[i]);
	free(m->trees);
	free(m->real_cwd);
	strv_done(&m->masks);
	strv_done(&m->notes);
	strv_done(&m->unseen);
	strv_done(&m->unseen_why);
	*m = (struct mounts){ 0 };
}
