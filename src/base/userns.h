#ifndef NPXC_BASE_USERNS_H
#define NPXC_BASE_USERNS_H

/*
 * Enters a new user namespace in which the effective user and group keep their numbers and nobody else has one; the
 * caller, which has to be single-threaded, has every capability in it until its next exec. `also`: further CLONE_NEW*
 * namespaces, which the new one then owns. man 7 user_namespaces.
 * Returns NULL, or the step that failed, with errno; after a failed step the process may be in a namespace without a
 * mapping and is good for nothing but its exit, unless the step is USERNS_UNSHARE: then nothing has happened.
 * Should: work right after a change of the user.
 * Linux only; elsewhere ENOSYS.
 */
#define USERNS_UNSHARE "unshare"
const char *userns_enter(int also) __attribute__((warn_unused_result));

#endif
