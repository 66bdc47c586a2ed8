#ifndef NPXC_FILES_SOCKETS_H
#define NPXC_FILES_SOCKETS_H

#include "base/error.h"
#include "base/str.h"

/*
 * UNIX sockets and FIFOs in a tree that is about to be mounted: each is a door to a process of the host that no network
 * namespace closes, and no read-only mount (a FIFO is written, and a socket connected, through one all the same). They
 * are masked inside (an empty file over them) and reported.
 * Should: look at every entry below `directory`, without following symlinks, however many and however deep, with a
 * bounded number of descriptors. A million files take some 2 s the first time; a ceiling would refuse real projects,
 * whose node_modules has hundreds of thousands.
 * Mustn't: give a partial answer. A directory that cannot be read is passed over only when the sandbox could not read
 * it either (EACCES: it runs with no more rights); every other failure, a path longer than PATH_MAX and more than
 * LIMIT_SOCKET_MASKS of them are ERROR_CONFIG, and the mount does not happen.
 * `ret_relative` gets the paths below `directory`, without a leading slash.
 */
bool sockets_find(int directory, const char *name, struct strv *ret_relative, struct npxc_error *err) NPXC_MUST_CHECK;

#endif
