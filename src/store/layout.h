#ifndef NPXC_STORE_LAYOUT_H
#define NPXC_STORE_LAYOUT_H

#include "base/str.h"

#include <stdbool.h>

/* The store's own directories, as store/store.h draws them. */

/* hexadecimal digits: of a hash in the name of a key or version */
enum { LAYOUT_HASH_DIGITS = 32 };

/* The directory of a key; owned. */
char *layout_key(const char *store_directory, const char *key);
/* The entries of one of the store's own directories; none of one that is not there. */
void layout_names(const char *path, struct strv *ret_names);
/* Those that are directories; links are none. `hidden`: with those whose names begin with a dot. */
void layout_directories(const char *path, bool hidden, struct strv *ret_names);
/* The key's lock is held: whoever waits for it looks whether it still has this name. What is not empty stays. */
void layout_drop_key(const char *store_directory, const char *key);

#endif
