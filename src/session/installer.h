#ifndef NPXC_COMMANDS_INSTALLER_H
#define NPXC_COMMANDS_INSTALLER_H

#include "base/error.h"
#include "base/str.h"
#include "session/project.h"
#include "store/store.h"

#include <stdbool.h>

struct session;

/*
 * What the store needs of a session to install a package in it: npm runs in a sandbox of the session's runtime, and
 * what is made for it is the janitor's to remove.
 * Mustn't: let npm or a package's script reach anything but the registry and what `install.allow` names.
 */
struct installer {
	struct store_host host; /* borrows from the rest and from the session */
	char *search;
	struct strv allow;
	char *allow_file;
	struct project project;
};

/*
 * After acquire_runtime. `ret_installer` must stay where it is until installer_done, and `session` as long.
 * ERROR_CONFIG: a package's file; nothing is to be given back then.
 */
bool installer_make(struct session *session, struct installer *ret_installer, struct npxc_error *err) NPXC_MUST_CHECK;
void installer_done(struct installer *installer);

#endif
