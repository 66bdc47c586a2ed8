#ifndef NPXC_SHIM_CASSETTE_H
#define NPXC_SHIM_CASSETTE_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A cassette: what one container CLI answers. fixtures/cassettes/cassette.schema.json describes the file, this is what
 * becomes of it. Reading is pure and strict: an unknown key, a template that names a value which cannot be there, an
 * answer without its source in a cassette that was not recorded, are ERROR_CONFIG.
 *
 * A call is answered by the first interaction, in the file's order, whose argv pattern matches, whose variables are
 * set and which may still be played. Then, under the lock of the world:
 *   busy      its answer instead, for so many calls or so long, and nothing happens;
 *   await     the call blocks until something is gone;
 *   effects   what the call does to the world; the world may refuse one with a word, and `refusals` has its answer;
 *   answer    what is printed and how the call ends.
 */

enum cassette_list { LIST_NONE, LIST_CONTAINERS, LIST_NETWORKS };

/* stdout. Templates; one of `variants` by turns, or a list of what the world holds. */
struct cassette_text {
	struct strv variants; /* empty: prints nothing */
	enum cassette_list list;
	bool running_only; /* LIST_CONTAINERS */
	/* owned; NULL unless `list` is set. `each` may use ${name} ${state} ${network} ${image} ${labels} ${octet}
	 * ${attachments}; `attachment`, once per network of a container, ${network} ${name} ${octet}; `each_builtin`,
	 * for a network that was there from the start, ${name} ${octet}. */
	char *before, *each, *each_builtin, *between, *after, *attachment;
};

struct cassette_answer {
	char *from; /* owned; where this answer comes from; NULL only in a recorded cassette */
	struct cassette_text output;
	char *errors; /* owned template or NULL */
	int exit_status;
	int signal; /* 0, or the signal by which the call ends itself */
	int64_t delay_ms;
	bool hang;                   /* after the output, until it is killed */
	bool deaf;                   /* ignores SIGTERM and SIGINT */
	int64_t truncate_bytes;      /* stdout ends after so many; -1: whole */
	int64_t drip_bytes, drip_ms; /* stdout in pieces of so many bytes, with pauses; 0: at once */
	char *transcript;            /* owned; JSONL file beside the cassette, see play.h */
	bool exec;                   /* the container's own command is run, see workload.h */
	struct strv exec_argv;       /* templates; instead of that command; empty: the command itself */
	struct strv programs;        /* "guest=host" pairs of programs */
	int64_t linger_ms;           /* a container with --rm stays listed so long after its end */
};

enum cassette_effect_kind {
	EFFECT_NETWORK_ADD,            /* refuses: exists */
	EFFECT_NETWORK_REMOVE,         /* refuses: unknown, builtin, in-use */
	EFFECT_NETWORK_FIND,           /* refuses: unknown */
	EFFECT_RUN,                    /* refuses: unknown-option, no-image, exists, unknown-network, missing-mount,
	                                  missing-program */
	EFFECT_CONTAINER_FIND,         /* refuses: unknown */
	EFFECT_CONTAINER_REMOVE,       /* refuses: unknown, running */
	EFFECT_CONTAINER_FORCE_REMOVE, /* refuses: unknown */
	EFFECT_CONTAINER_STOP,         /* refuses: unknown */
	EFFECT_CONTAINER_KILL,         /* refuses: unknown, stopped */
};

struct cassette_effect {
	enum cassette_effect_kind kind;
	char *name;       /* owned template; NULL for EFFECT_RUN */
	int64_t grace_ms; /* EFFECT_CONTAINER_STOP: between SIGTERM and SIGKILL */
};

struct cassette_refusal {
	char *word; /* owned */
	struct cassette_answer answer;
};

struct cassette_busy {
	bool on;
	int64_t times;  /* the first so many calls ... */
	int64_t for_ms; /* ... or every call until so long after the first; one of both is 0 */
	char *key;      /* owned template: counted for each value of it */
	struct cassette_answer answer;
};

struct cassette_await {
	bool on;
	bool network_unused; /* else: container gone */
	char *name;          /* owned template */
	int64_t most_ms;     /* then the refusal "not-yet" */
};

struct cassette_interaction {
	char *id;         /* owned */
	struct strv argv; /* pattern, without the program's name */
	struct strv env;  /* names that must be set */
	int64_t least, most;
	struct cassette_busy busy;
	struct cassette_await await;
	struct cassette_effect *effects;
	size_t effect_count;
	struct cassette_refusal *refusals;
	size_t refusal_count;
	struct cassette_answer answer;
};

struct cassette {
	char *cli, *version;    /* owned: "container", "1.0.0" */
	char *kind;             /* owned: "recorded", "source-derived", "edited" */
	struct strv networks;   /* that are there from the start and cannot be deleted */
	struct strv run_values; /* options of `run` that take a value */
	struct strv run_flags;  /* options of `run` that take none */
	int64_t first_octet;    /* ${octet} of the first network */
	struct cassette_interaction *v;
	size_t count;
};

bool cassette_parse(const char *text, size_t length, struct cassette *ret_cassette,
                    struct npxc_error *err) NPXC_MUST_CHECK;
void cassette_done(struct cassette *cassette);

/* NULL when the interaction has none for this word; borrowed. */
const struct cassette_answer *cassette_refusal(const struct cassette_interaction *interaction, const char *word);

#endif
