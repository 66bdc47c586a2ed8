#ifndef NPXC_TEARDOWN_SUCCESSOR_H
#define NPXC_TEARDOWN_SUCCESSOR_H

#include "teardown/lease.h"
#include "teardown/teardown.h"

/*
 * The same teardown for what a dead session left, in this process: `lease` as read, `fd` its file, exclusively locked.
 * One try at each; the file goes with the last of it, else what has gone is struck out. `report` gets a line for each
 * step, a warning for what stays. `boot`: this one's; processes of another have gone. All pointers are borrowed;
 * `lease` loses what was removed.
 */
enum successor_result {
	SUCCESSOR_RELEASED,
	SUCCESSOR_UNAVAILABLE, /* some of it stays, because a runtime cannot be asked now */
	SUCCESSOR_INCOMPLETE,  /* some of it stays for another reason */
};
enum successor_result successor_release(const char *path, int fd, struct lease *lease, const char *boot,
                                        struct teardown_report report);

#endif
