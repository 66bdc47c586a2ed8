#ifndef NPXC_RELAY_FAILURE_H
#define NPXC_RELAY_FAILURE_H

#include <stdbool.h>
#include <stddef.h>

struct notices;

/* What a server's words say of something that failed and that nobody but the server sees. */
enum failure { FAILURE_NONE, FAILURE_READ_ONLY, FAILURE_SPACE, FAILURE_NETWORK };

/* Pure. `names_path`: they speak of a path that is read-only to the server. */
enum failure failure_in(const char *bytes, size_t count, bool names_path);
/* Tells it; `directory`: the working directory, `is_mounted`: a mount shows it. */
void failure_tell(struct notices *notices, enum failure failure, const char *directory, bool is_mounted);

#endif
