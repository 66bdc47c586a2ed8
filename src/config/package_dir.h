#ifndef NPXC_CONFIG_PACKAGE_DIR_H
#define NPXC_CONFIG_PACKAGE_DIR_H

#include "config/config.h"

/*
 * Whose file a package is that is a local directory. What its package.json calls it says nothing: whoever wrote that
 * chose the name. So the file of a directory is the one in packages/ whose `package_dir` leads there, and a directory
 * that no file names has none.
 */

/* "<basename>-<8 hex digits of the path's SHA-256>.json": the file that `npxc learn --write` makes for a directory.
 * Bytes of the basename that have a meaning in file names are left out. Pure; owned. */
char *package_dir_file_name(const char *directory);

/*
 * The settings of `directory` (a real path); without a file all defaults, and `file` is the one that would be made.
 * Should: find the file by where its package_dir really leads, whatever the file is called.
 * Mustn't: take a file that does not name the directory; choose between two that do.
 * ERROR_CONFIG: two files that name it; the one that bears its name and names nothing or something else; a file that
 * cannot be read and may be the one, because `package_dir` stands in it.
 */
bool package_dir_load(const char *packages_directory, const char *directory, struct config_package *ret_package,
                      struct npxc_error *err) NPXC_MUST_CHECK;

#endif
