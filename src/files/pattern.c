#include "files/pattern.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which a state's edges are kept. */
enum edge_kind { EDGE_ALSO, EDGE_ANY, EDGE_NAMED };

struct pattern_edge {
	uint32_t from, to;
	enum edge_kind kind;
	uint64_t hash; /* of the name, as json_hash gives it for a key */
	char *name;    /* owned; NULL unless EDGE_NAMED */
};

struct pattern_state {
	unsigned marks;
	uint32_t first, end; /* its edges, once they are sorted */
};

/* What json_hash says of a string that means these bytes. */
static uint64_t hash_of(const char *name)
{
	uint64_t hash = 14695981039346656037U;

	for (const char *p = name; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 1099511628211U;
	return hash;
}

void pattern_start(struct pattern *pattern)
{
	*pattern = (struct pattern){ 0 };
	pattern_add(pattern);
}

void pattern_done(struct pattern *pattern)
{
	for (size_t i = 0; i < pattern->edge_count; i++)
		free(pattern->edges[i].name);
	free(pattern->edges);
	free(pattern->states);
	*pattern = (struct pattern){ 0 };
}

size_t pattern_bytes(const struct pattern *pattern)
{
	enum { BESIDE_NAME = 16 }; /* what the allocator keeps of each */
	size_t bytes =
	    pattern->state_capacity * sizeof(pattern->states[0]) + pattern->edge_capacity * sizeof(pattern->edges[0]);

	for (size_t i = 0; i < pattern->edge_count; i++)
		if (pattern->edges[i].name != NULL)
			bytes += strlen(pattern->edges[i].name) + 1 + BESIDE_NAME;
	return bytes;
}

uint32_t pattern_add(struct pattern *pattern)
{
	if (pattern->state_count == PATTERN_STATES_MAX) {
		pattern->full = true;
		return PATTERN_NONE;
	}
	if (pattern->state_count == pattern->state_capacity) {
		pattern->state_capacity = pattern->state_capacity == 0 ? 8 : pattern->state_capacity * 2;
		pattern->states = mem_realloc(pattern->states, pattern->state_capacity, sizeof(pattern->states[0]));
	}
	pattern->states[pattern->state_count] = (struct pattern_state){ 0 };
	return (uint32_t)pattern->state_count++;
}

void pattern_mark(struct pattern *pattern, uint32_t state, unsigned marks)
{
	if (state < pattern->state_count)
		pattern->states[state].marks |= marks;
}

static void add_edge(struct pattern *pattern, struct pattern_edge edge)
{
	if (pattern->edge_count == PATTERN_EDGES_MAX || edge.from >= pattern->state_count ||
	    edge.to >= pattern->state_count) {
		pattern->full = true;
		free(edge.name);
		return;
	}
	if (pattern->edge_count == pattern->edge_capacity) {
		pattern->edge_capacity = pattern->edge_capacity == 0 ? 8 : pattern->edge_capacity * 2;
		pattern->edges = mem_realloc(pattern->edges, pattern->edge_capacity, sizeof(pattern->edges[0]));
	}
	pattern->edges[pattern->edge_count++] = edge;
	pattern->sorted = false;
}

void pattern_lead(struct pattern *pattern, uint32_t from, const char *name, size_t length, uint32_t to)
{
	struct pattern_edge edge = { .from = from, .to = to, .kind = name != NULL ? EDGE_NAMED : EDGE_ANY };

	if (name != NULL) {
		edge.name = str_dup_n(name, strnlen(name, length));
		edge.hash = hash_of(edge.name);
	}
	add_edge(pattern, edge);
}

void pattern_also(struct pattern *pattern, uint32_t from, uint32_t to)
{
	add_edge(pattern, (struct pattern_edge){ .from = from, .to = to, .kind = EDGE_ALSO });
}

/* One step of a JSON pointer, its escapes read. */
static uint32_t add_step(struct pattern *pattern, uint32_t from, const char *step, size_t length)
{
	const uint32_t to = pattern_add(pattern);
	mem_cleanup char *name = str_dup_n(step, length);
	size_t used = 0;

	for (size_t i = 0; i < length; i++, used++) {
		name[used] = step[i];
		if (step[i] == '~' && i + 1 < length && (step[i + 1] == '0' || step[i + 1] == '1'))
			name[used] = step[++i] == '0' ? '~' : '/';
	}
	name[used] = '\0';
	if (length == 1 && step[0] == '*')
		pattern_lead(pattern, from, NULL, 0, to);
	else
		pattern_lead(pattern, from, name, used, to);
	return to;
}

void pattern_add_place(struct pattern *pattern, const char *place, unsigned marks)
{
	uint32_t state = 0;

	if (place[0] == '/') {
		for (const char *step = place; *step == '/';) {
			const size_t length = strcspn(step + 1, "/");

			state = add_step(pattern, state, step + 1, length);
			step += 1 + length;
		}
	} else {
		state = pattern_add(pattern);
		pattern_lead(pattern, 0, place, strlen(place), state);
	}
	pattern_mark(pattern, state, marks);
	pattern_lead(pattern, state, NULL, 0, state);
}

static int compare_edges(const void *left, const void *right)
{
	const struct pattern_edge *a = left;
	const struct pattern_edge *b = right;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

void pattern_sort(struct pattern *pattern)
{
	if (pattern->edge_count > 0)
		qsort(pattern->edges, pattern->edge_count, sizeof(pattern->edges[0]), compare_edges);
	for (size_t i = 0; i < pattern->state_count; i++)
		pattern->states[i].first = pattern->states[i].end = 0;
	for (uint32_t i = 0; i < pattern->edge_count; i++) {
		struct pattern_state *state = &pattern->states[pattern->edges[i].from];

		if (state->end == 0)
			state->first = i;
		state->end = i + 1;
	}
	pattern->sorted = true;
}

/* The walk */

static void open_level(struct pattern_walk *walk)
{
	if (walk->level_count == walk->level_capacity) {
		walk->level_capacity = walk->level_capacity == 0 ? 16 : walk->level_capacity * 2;
		walk->levels = mem_realloc(walk->levels, walk->level_capacity, sizeof(walk->levels[0]));
	}
	walk->levels[walk->level_count++] = walk->active_count;
}

/* Adds a state to the innermost level, once. */
static void activate(struct pattern_walk *walk, uint32_t state)
{
	const size_t start = walk->levels[walk->level_count - 1];

	for (size_t i = start; i < walk->active_count; i++)
		if (walk->active[i] == state)
			return;
	if (walk->active_count - start == PATTERN_ACTIVE_MAX)
		return;
	if (walk->active_count == walk->active_capacity) {
		walk->active_capacity = walk->active_capacity == 0 ? 64 : walk->active_capacity * 2;
		walk->active = mem_realloc(walk->active, walk->active_capacity, sizeof(walk->active[0]));
	}
	walk->active[walk->active_count++] = state;
}

/* Adds what is "also" there. The level grows while it is gone through, so chains are followed and circles end. */
static void close_level(struct pattern_walk *walk)
{
	const struct pattern *pattern = walk->pattern;

	for (size_t i = walk->levels[walk->level_count - 1]; i < walk->active_count; i++) {
		const struct pattern_state state = pattern->states[walk->active[i]];

		for (uint32_t e = state.first; e < state.end && pattern->edges[e].kind == EDGE_ALSO; e++)
			activate(walk, pattern->edges[e].to);
	}
}

void pattern_walk_start(struct pattern_walk *walk, const struct pattern *pattern)
{
	*walk = (struct pattern_walk){ .pattern = pattern };
	open_level(walk);
	if (pattern == NULL || pattern->state_count == 0)
		return;
	activate(walk, 0);
	close_level(walk);
}

void pattern_walk_done(struct pattern_walk *walk)
{
	free(walk->active);
	free(walk->levels);
	*walk = (struct pattern_walk){ 0 };
}

/* The first of a state's edges that has this hash, or its end. */
static uint32_t find_edge(const struct pattern *pattern, uint32_t first, uint32_t end, uint64_t hash)
{
	while (first < end) {
		const uint32_t middle = first + (end - first) / 2;
		const struct pattern_edge *edge = &pattern->edges[middle];

		if (edge->kind != EDGE_NAMED || edge->hash < hash)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

/* `decimal`: the name of an element; NULL: the member `key`. */
static void descend(struct pattern_walk *walk, const char *text, struct json_span key, const char *decimal)
{
	const struct pattern *pattern = walk->pattern;
	const size_t start = walk->levels[walk->level_count - 1];
	const size_t end = walk->active_count;
	uint64_t hash;

	open_level(walk);
	if (start == end)
		return;
	hash = decimal != NULL ? hash_of(decimal) : json_hash(text, key);
	for (size_t i = start; i < end; i++) {
		const struct pattern_state state = pattern->states[walk->active[i]];

		for (uint32_t e = state.first; e < state.end && pattern->edges[e].kind != EDGE_NAMED; e++)
			if (pattern->edges[e].kind == EDGE_ANY)
				activate(walk, pattern->edges[e].to);
		for (uint32_t e = find_edge(pattern, state.first, state.end, hash);
		     e < state.end && pattern->edges[e].hash == hash; e++)
			if (decimal != NULL ? strcmp(pattern->edges[e].name, decimal) == 0
			                    : json_equals(text, key, pattern->edges[e].name))
				activate(walk, pattern->edges[e].to);
	}
	close_level(walk);
}

void pattern_walk_member(struct pattern_walk *walk, const char *text, struct json_span key)
{
	descend(walk, text, key, NULL);
}

void pattern_walk_element(struct pattern_walk *walk, size_t index)
{
	char decimal[24];

	snprintf(decimal, sizeof(decimal), "%zu", index);
	descend(walk, NULL, (struct json_span){ 0 }, decimal);
}

void pattern_walk_up(struct pattern_walk *walk)
{
	walk->active_count = walk->levels[--walk->level_count];
}

unsigned pattern_walk_marks(const struct pattern_walk *walk)
{
	unsigned marks = 0;

	for (size_t i = walk->levels[walk->level_count - 1]; i < walk->active_count; i++)
		marks |= walk->pattern->states[walk->active[i]].marks;
	return marks;
}
