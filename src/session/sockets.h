#ifndef NPXC_SESSION_SOCKETS_H
#define NPXC_SESSION_SOCKETS_H

#include "base/error.h"
#include "base/str.h"

/*
 * UNIX sockets in a tree that is about to be mounted: each is a door to a process of the host that no network
 * namespace closes. They are masked inside (an empty file over them) and reported.
 * Should: look at every entry below `directory` up to LIMIT_SOCKET_SCAN_ENTRIES, without following symlinks.
 * Mustn't: give a partial answer. A directory that cannot be read is passed over only when the sandbox could not read
 * it either (EACCES: it runs with no more rights); every other failure and reaching a ceiling is ERROR_CONFIG, and the
 * mount does not happen.
 * `ret_relative` gets the paths below `directory`, without a leading slash.
 */
bool sockets_find(int directory, const char *name, struct strv *ret_relative, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
