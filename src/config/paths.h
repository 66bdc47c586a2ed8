#ifndef NPXC_CONFIG_PATHS_H
#define NPXC_CONFIG_PATHS_H

#include "base/error.h"

/*
 * Where npxc keeps things, by the XDG base directory specification: a variable that is empty or not absolute counts
 * as unset. Pure: the environment comes in as a struct.
 */
struct paths_environment { /* borrowed, each may be NULL */
	const char *home;
	const char *xdg_config_home;
	const char *xdg_data_home;
	const char *xdg_cache_home;
	const char *xdg_state_home;
};

struct paths { /* all owned, absolute, cleaned */
	char *home;
	char *config_file;        /* .../npxc/npxc.json, or what --config names */
	char *packages_directory; /* packages/ beside it */
	char *old_config_file;    /* npxc.toml beside it, of 0.3.0 */
	char *data_directory;     /* .../npxc/packages: each package's /data by its key */
	char *homes_directory;    /* .../npxc/home: each package's directories of HOME that are kept, by its key */
	char *store_directory;    /* .../npxc/store */
	char *state_directory;    /* .../npxc */
};

/* `config_option` is what --config named (made absolute against `cwd`), or NULL. ERROR_CONFIG when HOME is missing
 * or not absolute. */
bool paths_make(const struct paths_environment *environment, const char *config_option, const char *cwd,
                struct paths *ret_paths, struct npxc_error *err) NPXC_MUST_CHECK;
void paths_done(struct paths *paths);

/*
 * Where programs of the host are looked for: `path_variable` (NULL or empty: the system's ordinary directories) without
 * entries that are not absolute and without any node_modules/.bin. Packages put programs there, and `npm run` puts such
 * a directory of the project first: a server that may write to the project must not choose what runs outside the
 * sandbox. Owned.
 */
char *paths_search(const char *path_variable);

#endif
