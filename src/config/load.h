#ifndef NPXC_CONFIG_LOAD_H
#define NPXC_CONFIG_LOAD_H

#include "config/config.h"

/* The files of the configuration, from the disk. */

/* Reads the file; a missing one is an empty one. An `old_file` (npxc.toml of 0.3.0) that exists while `file` does not
 * is an ERROR_CONFIG that says what to write instead. When `required` (--config), a missing `file` is an error. */
bool load_file(const char *file, const char *old_file, bool required, struct config *ret_config,
               struct npxc_error *err) NPXC_MUST_CHECK;
/* Pure: whether a file of packages/ was probably meant for the package whose file is `key`.json: another way to write
 * `@` and `/`, the name without its scope, another ending, one slip. */
bool load_is_near(const char *file_name, const char *key);
/* packages/<key>.json for `name`; a packages/<...>.toml of 0.3.0 is refused in the same way. A file with a package_dir
 * is that directory's and nobody else's: for `name` it counts as absent. Where there is none, a file
 * of a name that is near is said not to be read. */
bool load_package(const char *packages_directory, const char *name, struct config_package *ret_package,
                  struct npxc_error *err) NPXC_MUST_CHECK;

#endif
