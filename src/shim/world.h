#ifndef NPXC_SHIM_WORLD_H
#define NPXC_SHIM_WORLD_H

#include "base/error.h"
#include "base/str.h"
#include "shim/cassette.h"
#include "shim/invocation.h"
#include "shim/template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What the pretended container service holds: networks, containers, and how often each interaction was played. It lives
 * in <state>/world.json and is only touched between world_open and world_close, which hold <state>/lock: calls of one
 * session and of fifty at once see one world. Its rules are the service's own and no cassette can break them: a name
 * exists once, a network is not deleted while a container uses it (running or stopped), what was there from the start
 * is not deleted at all.
 *
 * All errors are ERROR_IO or ERROR_CONFIG: the state directory is unusable.
 */
struct world_network {
	char *name; /* owned */
	int64_t octet;
	bool builtin;
};

struct world_container {
	char *name, *image, *labels; /* owned; labels is the text of a JSON object */
	struct strv networks;
	int64_t call; /* that made it: a later container of the same name is another one */
	bool running;
	bool remove;        /* --rm */
	int64_t gone_at_ms; /* its end is over, but it is listed until then; 0: not ended */
	int64_t supervisor; /* process that runs its command; 0: none */
};

struct world_count {
	char *key; /* owned */
	int64_t count, first_ms;
};

struct world_counts {
	struct world_count *v;
	size_t count;
};

struct world {
	char *directory;     /* owned */
	int lock;            /* owned */
	int64_t first_octet; /* of the cassette */
	int64_t calls, unmatched;
	struct world_network *networks;
	size_t network_count;
	struct world_container *containers;
	size_t container_count;
	struct world_counts plays, busy;
};

/* Waits for the lock. A state directory without a world gets the one of the cassette. */
bool world_open(const char *directory, const struct cassette *cassette, struct world *ret_world,
                struct npxc_error *err) NPXC_MUST_CHECK;
/* Writes it down and lets go of the lock; releases the world in any case. */
bool world_close(struct world *world, struct npxc_error *err) NPXC_MUST_CHECK;
void world_discard(struct world *world); /* without writing it down */

struct world_container *world_container(const struct world *world, const char *name);
struct world_container *world_container_of_call(const struct world *world, int64_t call);
bool world_network_used(const struct world *world, const char *network);
void world_remove_container(struct world *world, struct world_container *container);
/* The container's process has ended: it is removed, lingers, or stays as a stopped one. */
void world_end_container(struct world *world, struct world_container *container, int64_t linger_ms);

int64_t world_count(const struct world_counts *counts, const char *key);
struct world_count *world_count_up(struct world_counts *counts, const char *key);

/* What an effect came to. */
enum world_outcome {
	WORLD_DONE,
	WORLD_REFUSED, /* *ret_word says why; nothing has changed */
	WORLD_WAIT,    /* a running command has to be ended first: *ret_container, then ask again with `waited` */
};

struct world_request {
	const struct cassette_effect *effect;
	const char *name;                    /* expanded; NULL for EFFECT_RUN */
	const struct invocation *invocation; /* EFFECT_RUN */
	bool waited;                         /* the container that had to end has ended */
};

enum world_outcome world_apply(struct world *world, const struct world_request *request, struct bindings *bindings,
                               const char **ret_word, int64_t *ret_container_call);

/* Appends what a LIST_ text prints. */
bool world_print(const struct world *world, const struct cassette_text *text, struct bindings *bindings,
                 struct buf *ret_text, struct npxc_error *err) NPXC_MUST_CHECK;

/* The directory of a container's own files; in it `alive`, a lock that its supervisor holds as long as it lives. Owned.
 */
char *world_box(const char *directory, int64_t call);

#endif
