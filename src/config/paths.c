#include "config/paths.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* The variable's directory when it is absolute, else HOME/`fallback`; then /`below`. */
static char *directory(const char *variable, const char *home, const char *fallback, const char *below)
{
	mem_cleanup char *base =
	    variable != NULL && variable[0] == '/' ? str_dup(variable) : str_path_join(home, fallback);

	return str_path_join(base, below);
}

static char *parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? str_dup("/") : str_dup_n(path, (size_t)(slash - path));
}

bool paths_make(const struct paths_environment *environment, const char *config_option, const char *cwd,
                struct paths *ret_paths, struct npxc_error *err)
{
	struct paths paths = { 0 };
	mem_cleanup char *beside = NULL;

	if (str_is_empty(environment->home))
		return error_set(err, ERROR_CONFIG, "HOME is not set; set it to your home directory");
	if (environment->home[0] != '/') {
		mem_cleanup char *shown = str_escape(environment->home, strnlen(environment->home, 200));

		return error_set(err, ERROR_CONFIG, "HOME is \"%s\", which is not an absolute path", shown);
	}
	if (config_option != NULL && config_option[0] == '\0')
		return error_set(err, ERROR_CONFIG, "--config wants the name of a file");
	paths.home = str_path_clean(environment->home);
	paths.config_file = config_option != NULL
	                        ? str_path_join(cwd, config_option)
	                        : directory(environment->xdg_config_home, paths.home, ".config", "npxc/npxc.json");
	beside = parent(paths.config_file);
	paths.packages_directory = str_path_join(beside, "packages");
	paths.old_config_file = str_path_join(beside, "npxc.toml");
	paths.data_directory = directory(environment->xdg_data_home, paths.home, ".local/share", "npxc/packages");
	paths.homes_directory = directory(environment->xdg_data_home, paths.home, ".local/share", "npxc/home");
	paths.store_directory = directory(environment->xdg_cache_home, paths.home, ".cache", "npxc/store");
	paths.state_directory = directory(environment->xdg_state_home, paths.home, ".local/state", "npxc");
	*ret_paths = paths;
	return true;
}

void paths_done(struct paths *paths)
{
	free(paths->home);
	free(paths->config_file);
	free(paths->packages_directory);
	free(paths->old_config_file);
	free(paths->data_directory);
	free(paths->homes_directory);
	free(paths->store_directory);
	free(paths->state_directory);
	*paths = (struct paths){ 0 };
}

char *paths_search(const char *path_variable)
{
	static const char packages[] = "/node_modules/.bin";
	mem_cleanup char *copy = str_dup(str_is_empty(path_variable) ? "/usr/local/bin:/usr/bin:/bin" : path_variable);
	char *kept = str_dup("");
	char *rest = copy;

	for (char *entry = strsep(&rest, ":"); entry != NULL; entry = strsep(&rest, ":")) {
		mem_cleanup char *clean = entry[0] == '/' ? str_path_clean(entry) : NULL;
		char *longer;

		if (clean == NULL || str_ends(clean, packages))
			continue;
		longer = str_printf("%s%s%s", kept, kept[0] != '\0' ? ":" : "", entry);
		free(kept);
		kept = longer;
	}
	return kept;
}
