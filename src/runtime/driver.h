#ifndef NPXC_RUNTIME_DRIVER_H
#define NPXC_RUNTIME_DRIVER_H

#include "base/error.h"
#include "base/str.h"
#include "config/policy.h"
#include "config/runtimes.h"
#include "contain/group_stop.h"

#include <stdbool.h>
#include <stddef.h>

struct cJSON;
struct engine;
struct launch;
struct network;
struct runtime;
struct runtime_findings;
struct runtime_start;

#define RUNTIME_KIND(NAME, word) RUNTIME_##NAME,
enum runtime_kind { RUNTIMES(RUNTIME_KIND) };
#undef RUNTIME_KIND

/*
 * What npxc knows about one runtime. No other code asks which of them it is: what differs is a fact or a function here.
 * Functions may be NULL where `has_containers` is false and they are about containers or networks. What they promise is
 * said at the runtime_* function of the same name (runtime/runtime.h) and in the network room.
 */
struct runtime_driver {
	enum runtime_kind kind;
	const char *word;     /* of the configuration */
	const char *boundary; /* what stands between server and host, for inspect */
	const char *cli;      /* the name of its program; NULL: the configuration's container_cli */

	/*
	 * An engine makes the sandbox: it is a container with a name, removed by that, on an image that has its own
	 * Node, on networks of the engine's, within limits that the engine sets. Otherwise it is a process of npxc's
	 * own: on the host's Node, in cgroups that npxc makes, behind npxc's own Landlock and ceilings.
	 */
	bool has_containers;
	/* A machine of its own: no socket of this one is reached through a file, each share is another file system. */
	bool has_own_kernel;
	bool makes_links; /* its root can be given links (struct launch: spellings, links) */
	/*
	 * The first program comes as a file of the host's (struct launch: first). bubblewrap gets it through a
	 * descriptor; a guest with a kernel of its own sees other numbers of files than the host, so it has none.
	 */
	bool takes_first;
	bool asks_probe; /* what `npxc doctor --probe` has seen decides about link auto */
	enum group_stop stop;

	const char *open_network; /* the name of its ordinary NAT network; NULL: the host's own network namespace */
	/*
	 * Environment variables that steer the CLI itself, NULL-terminated: a whole name, or a prefix with `*` at the
	 * end. They are taken over from npxc's own environment (the user chose an engine with them), nothing else is;
	 * and a server's variable of such a name is refused, because its value would have to go through the CLI's
	 * environment.
	 */
	const char *const *steering;
	/*
	 * The lines with which a failed call says that there is no such container or network, NULL-terminated; whole
	 * lines, % is the name, * (at most once) anything. Recorded: fixtures/cassettes, fixtures/apple-container.
	 */
	const char *const *no_container, *const *no_network;
	/* What to say when a mounted file was not the one that was meant, beside that; NULL: nothing. */
	const char *replaced_note;
	const struct engine *engine; /* podman and docker: how they differ (runtime/engine.h) */

	bool (*find)(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
	             struct runtime *ret_runtime, struct npxc_error *err);
	void (*examine)(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
	                const char *image, struct runtime_findings *ret_findings);
	bool (*make_start)(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
	                   struct npxc_error *err);
	bool (*judge_end)(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
	                  const char *errors, int *ret_status, struct npxc_error *err);

	/* What `auto` comes to, and why (static), for inspect. `restricted`, `socket_seen`: see network_choose_link. */
	enum policy_link (*choose_link)(const struct runtime *runtime, bool restricted, bool socket_seen,
	                                const char **ret_why);
	/* Whether an allowlist can be kept on this link. ERROR_CONFIG. */
	bool (*check_link)(const struct runtime *runtime, enum policy_link link, struct npxc_error *err);

	const char *const *remove_words; /* of the CLI, before a container's name; NULL when there are no containers */
	bool (*list_ours)(const struct runtime *runtime, struct strv *ret_containers, struct strv *ret_networks,
	                  struct strv *ret_busy, struct npxc_error *err);
	/* The next step when what a failed call said proves that the engine cannot be used ("; run: ..."), else NULL.
	 */
	const char *(*next_step)(const struct runtime *runtime, const char *errors);
	bool (*create_network)(const struct runtime *runtime, const char *name, struct npxc_error *err);
	/* The first element of `network inspect`, an object. ERROR_JSON. */
	bool (*parse_network)(const struct cJSON *element, struct network *network, struct npxc_error *err);
	const char *network_delete; /* the word after "network" */
};

#define RUNTIME_DRIVER(NAME, word) extern const struct runtime_driver word##_driver;
RUNTIMES(RUNTIME_DRIVER)
#undef RUNTIME_DRIVER

/* The table; defined in runtime/drivers.c. */
const struct runtime_driver *runtime_driver(enum runtime_kind kind);
extern const size_t runtime_driver_count; /* kinds are the numbers below it */
extern const enum runtime_kind runtime_kind_auto;

#endif
