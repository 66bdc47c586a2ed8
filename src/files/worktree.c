#include "files/worktree.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/hazard.h"
#include "config/workspace.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first line of a small file, without its end; owned. NULL: none, or there is more than a line. */
static char *read_line(int directory, const char *name)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_GIT_FILE_BYTES);
	struct npxc_error ignored;

	if (!tree_read(directory, name, &text, &ignored) || text.data == NULL)
		return NULL;
	size_t length = text.length;
	while (length > 0 && (text.data[length - 1] == '\n' || text.data[length - 1] == '\r'))
		length--;
	if (length == 0 || memchr(text.data, '\n', length) != NULL || memchr(text.data, '\0', length) != NULL)
		return NULL;
	return str_dup_n(text.data, length);
}

/* Not cleaned: "..", behind a link, is the file system's to say. */
static bool open_from(const char *directory, const char *path, struct source *ret_source)
{
	mem_cleanup char *absolute = path[0] == '/' ? str_dup(path) : str_printf("%s/%s", directory, path);
	struct npxc_error ignored;

	return source_open(absolute, ret_source, &ignored);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the path that a file of `from` holds leads to just that. */
static bool names(const struct source *from, const char *path, const struct stat *wanted)
{
	struct source found __attribute__((cleanup(source_done))) = SOURCE_NONE;

	return path != NULL && open_from(from->path, path, &found) && is_same(&found.info, wanted);
}

static bool is_git_directory(const struct source *source)
{
	return S_ISDIR(source->info.st_mode) && tree_is_file(source->fd, "HEAD") &&
	       tree_is_directory(source->fd, "objects") && tree_is_directory(source->fd, "refs");
}

/* core.worktree of a configuration, as git writes it into a submodule's; owned or NULL. */
static char *read_core_worktree(int directory)
{
	struct buf text BUF_CLEANUP = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct npxc_error ignored;
	bool core = false;

	if (!tree_read(directory, "config", &text, &ignored) || !buf_append(&text, "", 1, &ignored))
		return NULL;
	for (const char *line = text.data; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *at = line + strspn(line, " \t");
		const size_t key = strlen("worktree");

		if (*at == '[')
			core = str_starts(at, "[core]");
		if (!core || !str_starts(at, "worktree"))
			continue;
		at += key + strspn(at + key, " \t");
		if (*at++ == '=') {
			at += strspn(at, " \t");
			return str_dup_n(at, strcspn(at, "\r\n"));
		}
	}
	return NULL;
}

/* <common>/worktrees/<name> */
static bool find_common(const struct source *own, const struct stat *file, struct source *ret_common)
{
	struct source common __attribute__((cleanup(source_done))) = SOURCE_NONE;
	mem_cleanup char *above = str_path_join(own->path, "..");
	mem_cleanup char *expected = str_path_join(own->path, "../..");
	mem_cleanup char *said = read_line(own->fd, "commondir");
	mem_cleanup char *back = read_line(own->fd, "gitdir");
	struct npxc_error ignored;

	if (!str_ends(above, "/worktrees") || !source_open(expected, &common, &ignored) || !is_git_directory(&common) ||
	    !names(own, said, &common.info) || !names(own, back, file))
		return false;
	*ret_common = source_take(&common);
	return true;
}

static bool names_back(const struct source *own, const struct source *project)
{
	mem_cleanup char *back = read_core_worktree(own->fd);

	return is_git_directory(own) && names(own, back, &project->info);
}

static bool may_be_shown(const struct worktree_input *in, const struct source *git)
{
	const char *link;

	return !workspace_is_too_wide(git->path, in->home) && (hazard_along(git->path, 0) & HAZARD_SECRET) == 0 &&
	       source_leads_out_of(git, in->written, &link) == NULL;
}

bool worktree_find(const struct worktree_input *in, struct source *ret_git, char **ret_note)
{
	static const char prefix[] = "gitdir: ";
	struct source own __attribute__((cleanup(source_done))) = SOURCE_NONE;
	struct source common __attribute__((cleanup(source_done))) = SOURCE_NONE;
	mem_cleanup char *line = read_line(in->project->fd, ".git");
	struct npxc_error ignored;
	struct stat file;

	if (line == NULL || !str_starts(line, prefix) || !tree_look(in->project->fd, ".git", &file, &ignored) ||
	    !S_ISREG(file.st_mode))
		return false;
	const char *named = line + sizeof(prefix) - 1;
	if (open_from(in->project->path, named, &own) && S_ISDIR(own.info.st_mode) && may_be_shown(in, &own)) {
		if (find_common(&own, &file, &common) && may_be_shown(in, &common)) {
			*ret_git = source_take(&common);
			return true;
		}
		if (names_back(&own, in->project)) {
			*ret_git = source_take(&own);
			return true;
		}
	}
	mem_cleanup char *shown = str_escape(named, strnlen(named, 200));
	*ret_note =
	    str_printf("git does not work in %s: its .git names %s, which is no git directory that names this work "
	               "tree back, and is not shown",
	               in->project->path, shown);
	return false;
}

bool worktree_is_own(const struct source *project)
{
	struct npxc_error ignored;
	struct stat git;

	return project->info.st_uid == geteuid() && tree_look(project->fd, ".git", &git, &ignored) &&
	       git.st_uid == geteuid();
}
