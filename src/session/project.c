#include "session/project.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "config/semver.h"
#include "config/spec.h"
#include "config/workspace.h"
#include "store/npmrc.h"
#include "store/record.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* As npm finds it; owned. */
static char *find_root(const struct inputs *in)
{
	mem_cleanup char *home = NULL;
	struct npxc_error ignored;
	char *at = NULL;

	if (!file_real_path(in->paths.home, &home, &ignored))
		home = NULL;
	if (!file_real_path(in->cwd, &at, &ignored))
		return NULL;
	while (!workspace_is_too_wide(at, home)) {
		FD_CLEANUP int root = -1;

		if (tree_open(at, &root, &ignored) &&
		    (tree_is_file(root, "package.json") || tree_is_directory(root, "node_modules")))
			return at;
		char *parent = str_path_join(at, "..");
		free(at);
		at = parent;
	}
	free(at);
	return NULL;
}

/* A variable would put into an address what only this user knows. */
static const char *no_variable(void *context, const char *name)
{
	(void)context;
	(void)name;
	return NULL;
}

static bool read_npmrc(const char *directory, struct npmrc *ret_npmrc)
{
	BUF_CLEANUP struct buf text = BUF_INIT(LIMIT_NPMRC_BYTES);
	struct npxc_error ignored;
	FD_CLEANUP int root = -1;

	if (!tree_open(directory, &root, &ignored) || !tree_read(root, ".npmrc", &text, &ignored) ||
	    text.data == NULL || memchr(text.data, '\0', text.length) != NULL)
		return false;
	npmrc_read(ret_npmrc, text.data, no_variable, NULL);
	return true;
}

static void take_scopes(const struct npmrc *npmrc, struct project *project)
{
	for (size_t i = 0; i < npmrc->count; i++)
		if (npmrc->v[i].key[0] == '@' && npmrc_is_registry_key(npmrc->v[i].key) &&
		    strstr(npmrc->v[i].value, "${") == NULL)
			strv_pushf(&project->scopes, "%s=%s", npmrc->v[i].key, npmrc->v[i].value);
	strv_sort(&project->scopes);
}

/* What is not read, where it would have had a say. */
static void tell_unread(const struct inputs *in, const struct spec *spec, const struct npmrc *npmrc,
                        struct project *project)
{
	const char *slash = spec->name[0] == '@' ? strchr(spec->name, '/') : NULL;
	mem_cleanup char *key =
	    slash == NULL ? NULL : str_printf("%.*s:registry", (int)(slash - spec->name), spec->name);

	if (key != NULL && npmrc_get(npmrc, key) != NULL) {
		log_notice(
		    "%s/.npmrc names a registry of %.*s and is not read: whoever wrote a project would choose what is "
		    "installed; \"trusted_projects\": [\"%s\"] in %s would read it",
		    project->root, (int)(slash - spec->name), spec->name, project->root, in->config.file);
		return;
	}
	if (npmrc_get(npmrc, "registry") != NULL)
		project->note =
		    str_printf("%s/.npmrc names a registry and is not read, only your own configuration of npm is: "
		               "npm config set --location=user registry URL",
		               project->root);
}

static void find_pinned(const struct spec *spec, struct project *project)
{
	mem_cleanup char *file = str_printf("%s/node_modules/%s/package.json", project->root, spec->name);
	cJSON *manifest = record_read_json(file, LIMIT_CONFIG_BYTES);
	const char *version = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(manifest, "version"));
	struct semver parsed;
	const bool any = spec->kind == SPEC_TAG && strcmp(spec->select, "latest") == 0;

	/* npx takes it when no version was asked for, or this one will do. */
	if (version != NULL && semver_parse(version, &parsed) && strpbrk(version, "/ \t\n") == NULL &&
	    (any || (spec->kind == SPEC_RANGE && semver_satisfies(version, spec->select)))) {
		project->pinned = str_dup(version);
		project->name = str_dup(spec->name);
	}
	cJSON_Delete(manifest);
}

void project_find(const struct inputs *in, struct project *ret_project)
{
	struct project project = { .root = find_root(in) };
	struct npmrc npmrc = { 0 };
	const bool reads = project.root != NULL && read_npmrc(project.root, &npmrc);
	const bool trusted = reads && strv_contains(&in->config.trusted_projects, project.root);

	if (trusted)
		take_scopes(&npmrc, &project);
	for (size_t i = 0; project.root != NULL && i < in->options->specs.count; i++) {
		struct npxc_error ignored;
		struct spec spec;

		if (!spec_parse(in->options->specs.v[i], &spec, &ignored))
			continue;
		if (spec.kind != SPEC_DIRECTORY && reads && project.note == NULL && !trusted)
			tell_unread(in, &spec, &npmrc, &project);
		if (spec.kind != SPEC_DIRECTORY && in->options->specs.count == 1)
			find_pinned(&spec, &project);
		spec_done(&spec);
	}
	npmrc_done(&npmrc);
	*ret_project = project;
}

void project_tell(const struct project *project, const struct store_package *package)
{
	if (project->pinned == NULL || (package != NULL && str_equal(package->version, project->pinned)))
		return;
	log_notice(
	    "%s has %s %s in its node_modules, which npx would run; npxc %s/node_modules/%s runs that, npxc %s@%s the "
	    "same version of the registry",
	    project->root, project->name, project->pinned, project->root, project->name, project->name,
	    project->pinned);
}

void project_done(struct project *project)
{
	free(project->root);
	strv_done(&project->scopes);
	free(project->note);
	free(project->pinned);
	free(project->name);
	*project = (struct project){ 0 };
}
