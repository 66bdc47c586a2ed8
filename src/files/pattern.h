#ifndef NPXC_FILES_PATTERN_H
#define NPXC_FILES_PATTERN_H

#include "json/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Places within a JSON value, as a graph: from a state a member's name, or any member and element, leads to further
 * states, and a state has marks. A JSON pointer is a chain of states, a schema that refers to itself a circle. Used for
 * configured names and pointers and for what a tool's schema says. Pure.
 *
 * States are numbers; 0 is the value itself. Building never fails: beyond the ceilings below nothing is added, and
 * `full` says so.
 */
struct pattern_edge;
struct pattern_state;

struct pattern {
	struct pattern_state *states; /* owned */
	size_t state_count, state_capacity;
	struct pattern_edge *edges; /* owned */
	size_t edge_count, edge_capacity;
	bool full;
	bool sorted;
};

/* states, edges: what one tool's schema or configuration may come to. The largest schema seen has 100 places. */
enum { PATTERN_STATES_MAX = 8192, PATTERN_EDGES_MAX = 32768 };
#define PATTERN_NONE UINT32_MAX

void pattern_start(struct pattern *pattern);
/* What it takes of memory, its names included. */
size_t pattern_bytes(const struct pattern *pattern);
void pattern_done(struct pattern *pattern);

uint32_t pattern_add(struct pattern *pattern); /* PATTERN_NONE: full */
void pattern_mark(struct pattern *pattern, uint32_t state, unsigned marks);
/* `name` is copied, a NUL ends it; NULL: any member or element. */
void pattern_lead(struct pattern *pattern, uint32_t from, const char *name, size_t length, uint32_t to);
/* Whatever is at `from` is at `to` as well. */
void pattern_also(struct pattern *pattern, uint32_t from, uint32_t to);

/*
 * Marks a place and everything beneath it. `place` is the name of a member, or a JSON pointer (RFC 6901) when it begins
 * with a slash; a step `*` of a pointer stands for any one member or element.
 */
void pattern_add_place(struct pattern *pattern, const char *place, unsigned marks);
/* To be called once when all is added; walking needs it. */
void pattern_sort(struct pattern *pattern);

/*
 * Walks down and up a value. The states that are meant at each level are kept, at most PATTERN_ACTIVE_MAX at one level
 * (further ones are left out).
 */
enum { PATTERN_ACTIVE_MAX = 64 };

struct pattern_walk {
	const struct pattern *pattern; /* borrowed; NULL: nothing is marked anywhere */
	uint32_t *active;              /* owned; the levels' states, one level after the other */
	size_t active_count, active_capacity;
	size_t *levels; /* owned; where each level begins */
	size_t level_count, level_capacity;
};

void pattern_walk_start(struct pattern_walk *walk, const struct pattern *pattern);
void pattern_walk_done(struct pattern_walk *walk);
/* Into a member (a key's span in `text`) or an element (`index` counts from 0), and out again. */
void pattern_walk_member(struct pattern_walk *walk, const char *text, struct json_span key);
void pattern_walk_element(struct pattern_walk *walk, size_t index);
void pattern_walk_up(struct pattern_walk *walk);
/* The marks of where the walk is, united. */
unsigned pattern_walk_marks(const struct pattern_walk *walk);

#endif
