#ifndef NPXC_FILES_DATA_H
#define NPXC_FILES_DATA_H

#include "base/error.h"
#include "base/str.h"
#include "files/source.h"

#include <stdbool.h>

/*
 * A package's own directory (storage.persist), which its server sees as /data and may write to.
 *
 * Should: make it where it is missing (0700), and give it to `owner` (-1: to nobody) by its descriptor.
 * Mustn't: take another one for it: the directory itself is no symbolic link, and none on the way leads out of a tree
 * that servers could write to (`written`, may be NULL).
 * `make` false: one that is missing is SOURCE_NONE and success. ERROR_CONFIG, ERROR_IO, ERROR_PATH_NOT_FOUND.
 */
bool data_open(const char *directory, const struct strv *written, bool make, int owner, struct source *ret_source,
               struct npxc_error *err) NPXC_MUST_CHECK;

#endif
