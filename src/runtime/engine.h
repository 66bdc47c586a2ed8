#ifndef NPXC_RUNTIME_ENGINE_H
#define NPXC_RUNTIME_ENGINE_H

#include "runtime/driver.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What podman (4.0.0 or later, not as a client of a remote service) and docker (20.10.0 or later) share: docker is
 * podman's verbs. What differs is a struct engine, named in the driver's row.
 */
struct engine {
	unsigned need_major, need_minor; /* the oldest release */
	bool may_be_remote;              /* `version` names a server, and that is as it should be */
	const char *no_version_fix;      /* for doctor, when `version` does not answer */

	/* Whether what it said tells why it cannot be used; then the error is set (with the next step). */
	bool (*refuses)(const char *errors, struct npxc_error *err);
	char *(*image_name)(const char *image); /* owned; the name under which it is asked for */
	const char *const *image_look; /* the call that fails with 1 when an image is not here, but for its name */
	void (*add_flags)(const struct runtime *runtime, struct strv *argv);   /* more of them; may be NULL */
	void (*add_variables)(const struct launch *launch, struct strv *argv); /* the same */
	char *(*tmpfs_owner)(const struct runtime *runtime); /* owned; options that give a tmpfs to the server's user */
	const char *tmpfs_more;                              /* options of every other tmpfs */
	bool has_var_tmp;                                    /* it makes a tmpfs there of its own, without a size */
	/* For doctor: what `info` says, as findings. */
	void (*examine_info)(const struct runtime *runtime, const struct cJSON *info,
	                     struct runtime_findings *findings);
};

/* The number of the descriptor under which the CLI reads the seccomp profile, as /dev/fd/10: no file is left behind. */
enum { ENGINE_FD_SECCOMP = 10 };

/*
 * Reads `version --format json`. ERROR_RUNTIME_UNAVAILABLE: unreadable, too old (found and needed are named), podman as
 * a remote client. Pure. `ret_version` is owned.
 */
bool engine_parse_version(const struct runtime_driver *driver, const char *text, size_t length,
                          unsigned ret_number[static 3], char **ret_version, struct npxc_error *err) NPXC_MUST_CHECK;

/* ---- members of struct runtime_driver ---- */

/* Of both drivers' rows, with the tables of their files. */
#define ENGINE_ROW                                                                                         \
	.has_containers = true, .takes_first = true, .steering = steering, .no_container = no_container,   \
	.no_network = no_network, .engine = &engine, .find = engine_find, .examine = engine_examine,       \
	.make_start = engine_make_start, .judge_end = engine_judge_end, .choose_link = engine_choose_link, \
	.remove_words = remove_words, .list_ours = engine_list_ours, .parse_network = parse_network,       \
	.network_delete = "rm"

bool engine_find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                 struct runtime *ret_runtime, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * Should: read-only root, no capability, no new privileges, our seccomp profile, a size for every tmpfs, swap within
 * the memory limit, an init that reaps and passes signals, nothing of the image's environment, volumes or health checks
 * (podman), nothing written to a log.
 * Mustn't: run as root inside, fetch an image that is already there, publish ports, take proxy settings over.
 */
bool engine_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                       struct npxc_error *err) NPXC_MUST_CHECK;

/* 125: the CLI failed. 126 and 127: the command could not be started when the runtime or its init says so, else the
 * server's own. Pure. */
bool engine_judge_end(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                      const char *errors, int *ret_status, struct npxc_error *err) NPXC_MUST_CHECK;

/* The CLI, its engine, what that says of itself, and whether `image` is there. */
void engine_examine(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                    const char *image, struct runtime_findings *ret_findings);
bool engine_list_ours(const struct runtime *runtime, struct strv *ret_containers, struct strv *ret_networks,
                      struct strv *ret_busy, struct npxc_error *err) NPXC_MUST_CHECK;
enum policy_link engine_choose_link(const struct runtime *runtime, bool restricted, bool socket_seen,
                                    const char **ret_why);

#endif
