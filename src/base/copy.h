#ifndef NPXC_BASE_COPY_H
#define NPXC_BASE_COPY_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Copies of files that share no inode with what they were made from, and where the file system can (FICLONE on Linux,
 * clonefile on macOS) no time and space either: then copy_file_range, then reading and writing. Holes
 * stay holes (SEEK_DATA: Linux 3.1, macOS 10.15).
 */
struct copy_rules {
	uint64_t max_bytes;
	bool (*stop)(void *context); /* asked between pieces of a long copy; true ends it. NULL: never */
	void *context;
};

/*
 * The whole of `from` as a new file `name` in `directory`, with exactly these permission bits. Nothing stays after a
 * failure. Mustn't: replace or follow anything that is there (EEXIST).
 */
bool copy_file(int from, int directory, const char *name, mode_t mode, const struct copy_rules *rules,
               uint64_t *ret_bytes, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * As copy_file, and nobody sees a part of it: it gets its name when it is whole. Works where the file system knows no
 * nameless files (O_TMPFILE, Linux 3.11) and no hard links (renameat2, renamex_np).
 */
bool copy_place(int from, int directory, const char *name, mode_t mode, const struct copy_rules *rules,
                uint64_t *ret_bytes, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
