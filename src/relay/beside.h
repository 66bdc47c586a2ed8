#ifndef NPXC_RELAY_BESIDE_H
#define NPXC_RELAY_BESIDE_H

#include "config/config.h"

/*
 * A write beside the package's own files failed. They are shared by all sessions and verified, so that they are never
 * writable: the line for stderr says what keeps the server's files instead; owned. Pure.
 */
char *beside_text(const struct config_package *package);

#endif
