#include "shim/world.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "shim/fields.h"
#include "shim/shim.h"
#include "json/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OCTETS = 255 };

static void container_done(struct world_container *container)
{
	free(container->name);
	free(container->image);
	free(container->labels);
	strv_done(&container->networks);
}

static void counts_done(struct world_counts *counts)
{
	for (size_t i = 0; i < counts->count; i++)
		free(counts->v[i].key);
	free(counts->v);
}

void world_discard(struct world *world)
{
	for (size_t i = 0; i < world->network_count; i++)
		free(world->networks[i].name);
	free(world->networks);
	for (size_t i = 0; i < world->container_count; i++)
		container_done(&world->containers[i]);
	free(world->containers);
	counts_done(&world->plays);
	counts_done(&world->busy);
	free(world->directory);
	fd_close(&world->lock);
	*world = (struct world){ .lock = -1 };
}

/* ---- networks, containers, counters ---- */

static struct world_network *find_network(const struct world *world, const char *name)
{
	for (size_t i = 0; i < world->network_count; i++)
		if (str_equal(world->networks[i].name, name))
			return &world->networks[i];
	return NULL;
}

struct world_container *world_container(const struct world *world, const char *name)
{
	for (size_t i = 0; i < world->container_count; i++)
		if (str_equal(world->containers[i].name, name))
			return &world->containers[i];
	return NULL;
}

struct world_container *world_container_of_call(const struct world *world, int64_t call)
{
	for (size_t i = 0; i < world->container_count; i++)
		if (world->containers[i].call == call)
			return &world->containers[i];
	return NULL;
}

bool world_network_used(const struct world *world, const char *network)
{
	for (size_t i = 0; i < world->container_count; i++)
		if (strv_contains(&world->containers[i].networks, network))
			return true;
	return false;
}

static struct world_container *add_container(struct world *world)
{
	struct world_container *container;

	world->containers = mem_realloc(world->containers, world->container_count + 1, sizeof(*world->containers));
	container = &world->containers[world->container_count++];
	*container = (struct world_container){ 0 };
	return container;
}

void world_remove_container(struct world *world, struct world_container *container)
{
	size_t at = (size_t)(container - world->containers);

	container_done(container);
	world->container_count--;
	memmove(container, container + 1, (world->container_count - at) * sizeof(*container));
}

void world_end_container(struct world *world, struct world_container *container, int64_t linger_ms)
{
	container->running = false;
	container->supervisor = 0;
	if (!container->remove)
		return;
	if (linger_ms == 0)
		world_remove_container(world, container);
	else
		container->gone_at_ms = clock_now_ms() + linger_ms;
}

/* The first octet from the cassette's on that no network has; after 254 it starts again at 1. Two networks share one
 * only when more than 254 live at once. */
static int64_t free_octet(const struct world *world)
{
	int64_t first = world->first_octet;

	for (int64_t step = 0; step < OCTETS; step++) {
		int64_t octet = first + step > 254 ? first + step - 254 : first + step;
		bool taken = false;

		for (size_t i = 0; i < world->network_count && !taken; i++)
			taken = world->networks[i].octet == octet;
		if (!taken)
			return octet;
	}
	return first;
}

static void add_network(struct world *world, const char *name, int64_t octet, bool builtin)
{
	world->networks = mem_realloc(world->networks, world->network_count + 1, sizeof(*world->networks));
	world->networks[world->network_count++] = (struct world_network){ str_dup(name), octet, builtin };
}

static void remove_network(struct world *world, struct world_network *network)
{
	size_t at = (size_t)(network - world->networks);

	free(network->name);
	world->network_count--;
	memmove(network, network + 1, (world->network_count - at) * sizeof(*network));
}

int64_t world_count(const struct world_counts *counts, const char *key)
{
	for (size_t i = 0; i < counts->count; i++)
		if (str_equal(counts->v[i].key, key))
			return counts->v[i].count;
	return 0;
}

struct world_count *world_count_up(struct world_counts *counts, const char *key)
{
	struct world_count *there = NULL;

	for (size_t i = 0; i < counts->count; i++)
		if (str_equal(counts->v[i].key, key))
			there = &counts->v[i];
	if (there == NULL) {
		counts->v = mem_realloc(counts->v, counts->count + 1, sizeof(*counts->v));
		there = &counts->v[counts->count++];
		*there = (struct world_count){ .key = str_dup(key), .first_ms = clock_now_ms() };
	}
	there->count++;
	return there;
}

/* ---- on disk ---- */

static bool read_counts(const cJSON *root, const char *key, struct world_counts *counts, struct npxc_error *err)
{
	const cJSON *list = NULL;

	if (!fields_member(root, key, cJSON_Object, "world", &list, err))
		return false;
	for (const cJSON *child = list != NULL ? list->child : NULL; child != NULL; child = child->next) {
		struct world_count *count = world_count_up(counts, child->string);

		if (!fields_number(child, "count", "world", 0, INT64_MAX / 1024, &count->count, err) ||
		    !fields_number(child, "first_ms", "world", 0, INT64_MAX / 1024, &count->first_ms, err))
			return false;
	}
	return true;
}

static bool read_world(const cJSON *root, struct world *world, struct npxc_error *err)
{
	const int64_t most = INT64_MAX / 1024;
	const cJSON *networks = NULL;
	const cJSON *containers = NULL;

	if (!fields_number(root, "calls", "world", 0, most, &world->calls, err) ||
	    !fields_number(root, "unmatched", "world", 0, most, &world->unmatched, err) ||
	    !fields_member(root, "networks", cJSON_Array, "world", &networks, err) ||
	    !fields_member(root, "containers", cJSON_Array, "world", &containers, err) ||
	    !read_counts(root, "plays", &world->plays, err) || !read_counts(root, "busy", &world->busy, err))
		return false;
	for (const cJSON *n = networks != NULL ? networks->child : NULL; n != NULL; n = n->next) {
		const char *name = "";
		int64_t octet = 0;
		bool builtin = false;

		if (!fields_text(n, "name", "network", &name, err) ||
		    !fields_number(n, "octet", "network", 0, OCTETS, &octet, err) ||
		    !fields_flag(n, "builtin", "network", &builtin, err))
			return false;
		add_network(world, name, octet, builtin);
	}
	for (const cJSON *c = containers != NULL ? containers->child : NULL; c != NULL; c = c->next) {
		struct world_container *container = add_container(world);
		const char *labels = "{}";
		const char *image = "";
		const char *name = "";

		if (!fields_text(c, "name", "container", &name, err) ||
		    !fields_text(c, "image", "container", &image, err) ||
		    !fields_text(c, "labels", "container", &labels, err) ||
		    !fields_texts(c, "networks", "container", &container->networks, err) ||
		    !fields_number(c, "call", "container", 0, most, &container->call, err) ||
		    !fields_flag(c, "running", "container", &container->running, err) ||
		    !fields_flag(c, "remove", "container", &container->remove, err) ||
		    !fields_number(c, "gone_at_ms", "container", 0, most, &container->gone_at_ms, err) ||
		    !fields_number(c, "supervisor", "container", 0, most, &container->supervisor, err))
			return false;
		container->name = str_dup(name);
		container->image = str_dup(image);
		container->labels = str_dup(labels);
	}
	return true;
}

static void write_counts(cJSON *root, const char *key, const struct world_counts *counts)
{
	cJSON *list = cJSON_AddObjectToObject(root, key);

	for (size_t i = 0; i < counts->count; i++) {
		cJSON *count = cJSON_AddObjectToObject(list, counts->v[i].key);

		cJSON_AddNumberToObject(count, "count", (double)counts->v[i].count);
		cJSON_AddNumberToObject(count, "first_ms", (double)counts->v[i].first_ms);
	}
}

static cJSON *write_world(const struct world *world)
{
	cJSON *root = cJSON_CreateObject();
	cJSON *list;

	cJSON_AddNumberToObject(root, "calls", (double)world->calls);
	cJSON_AddNumberToObject(root, "unmatched", (double)world->unmatched);
	list = cJSON_AddArrayToObject(root, "networks");
	for (size_t i = 0; i < world->network_count; i++) {
		cJSON *network = cJSON_CreateObject();

		cJSON_AddStringToObject(network, "name", world->networks[i].name);
		cJSON_AddNumberToObject(network, "octet", (double)world->networks[i].octet);
		cJSON_AddBoolToObject(network, "builtin", world->networks[i].builtin);
		cJSON_AddItemToArray(list, network);
	}
	list = cJSON_AddArrayToObject(root, "containers");
	for (size_t i = 0; i < world->container_count; i++) {
		const struct world_container *c = &world->containers[i];
		cJSON *container = cJSON_CreateObject();

		cJSON_AddStringToObject(container, "name", c->name);
		cJSON_AddStringToObject(container, "image", c->image);
		cJSON_AddStringToObject(container, "labels", c->labels);
		cJSON_AddItemToObject(container, "networks", texts_to_json(&c->networks));
		cJSON_AddNumberToObject(container, "call", (double)c->call);
		cJSON_AddBoolToObject(container, "running", c->running);
		cJSON_AddBoolToObject(container, "remove", c->remove);
		cJSON_AddNumberToObject(container, "gone_at_ms", (double)c->gone_at_ms);
		cJSON_AddNumberToObject(container, "supervisor", (double)c->supervisor);
		cJSON_AddItemToArray(list, container);
	}
	write_counts(root, "plays", &world->plays);
	write_counts(root, "busy", &world->busy);
	return root;
}

/* Containers whose time to linger is over. */
static void forget_ended(struct world *world)
{
	int64_t now = clock_now_ms();

	for (size_t i = world->container_count; i-- > 0;)
		if (world->containers[i].gone_at_ms != 0 && world->containers[i].gone_at_ms <= now)
			world_remove_container(world, &world->containers[i]);
}

static bool load(struct world *world, const struct cassette *cassette, struct npxc_error *err)
{
	struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);
	mem_cleanup char *lock = str_printf("%s/lock", world->directory);
	mem_cleanup char *path = str_printf("%s/world.json", world->directory);
	cJSON *root JSON_CLEANUP = NULL;

	if (!file_make_directories(world->directory, 0700, err) || !file_lock(lock, true, &world->lock, err))
		return false;
	if (!file_exists(path)) {
		for (size_t i = 0; i < cassette->networks.count; i++) {
			int64_t octet = cassette->first_octet - 1 - (int64_t)i;

			add_network(world, cassette->networks.v[i], octet > 0 ? octet : 0, true);
		}
		return true;
	}
	if (!file_read(path, &text, err))
		return false;
	if (!fields_parse(text.data != NULL ? text.data : "", text.length, &root, err) || !read_world(root, world, err))
		return error_prefix(err, "%s", path);
	forget_ended(world);
	return true;
}

bool world_open(const char *directory, const struct cassette *cassette, struct world *ret_world, struct npxc_error *err)
{
	struct world world = { .lock = -1, .directory = str_dup(directory), .first_octet = cassette->first_octet };

	if (!load(&world, cassette, err)) {
		world_discard(&world);
		return false;
	}
	*ret_world = world;
	return true;
}

/* Renamed into place so that a call killed in the middle leaves the old world; not fsynced, because a world need not
 * outlive the machine and ten thousand calls have to be quick. */
static bool save(const struct world *world, struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/world.json", world->directory);
	mem_cleanup char *fresh = str_printf("%s/world.json.new", world->directory);
	cJSON *root JSON_CLEANUP = write_world(world);
	mem_cleanup char *text = cJSON_PrintUnformatted(root);
	int fd FD_CLEANUP = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, ERROR_IO, "%s", fresh);
	if (text == NULL)
		return error_set(err, ERROR_IO, "the world cannot be written down");
	if (!fd_write_all(fd, text, strlen(text), err))
		return error_prefix(err, "%s", fresh);
	if (rename(fresh, path) != 0)
		return error_set_errno(err, ERROR_IO, "%s", path);
	return true;
}

bool world_close(struct world *world, struct npxc_error *err)
{
	bool ok = save(world, err);

	world_discard(world);
	return ok;
}

char *world_box(const char *directory, int64_t call)
{
	return str_printf("%s/boxes/%lld", directory, (long long)call);
}

/* ---- effects ---- */

static void bind_octet(const struct world *world, const char *network, struct bindings *bindings)
{
	const struct world_network *there = find_network(world, network);
	mem_cleanup char *octet = there != NULL ? str_printf("%lld", (long long)there->octet) : str_dup("");

	template_bind(bindings, "octet", octet);
}

static void bind_users(const struct world *world, const char *network, struct bindings *bindings)
{
	mem_cleanup char *users = str_dup("");

	for (size_t i = 0; i < world->container_count; i++) {
		char *longer;

		if (!strv_contains(&world->containers[i].networks, network))
			continue;
		longer = str_printf("%s%s%s", users, users[0] != '\0' ? ", " : "", world->containers[i].name);
		free(users);
		users = longer;
	}
	template_bind(bindings, "users", users);
}

static void bind_container(const struct world *world, const struct world_container *container,
                           struct bindings *bindings)
{
	const char *network = container->networks.count > 0 ? container->networks.v[0] : "";

	template_bind(bindings, "state", container->running ? "running" : "stopped");
	template_bind(bindings, "image", container->image);
	template_bind(bindings, "labels", container->labels);
	template_bind(bindings, "network", network);
	bind_octet(world, network, bindings);
}

static char *labels_text(const struct strv *labels)
{
	cJSON *object JSON_CLEANUP = cJSON_CreateObject();
	mem_cleanup char *printed = NULL;

	for (size_t i = 0; i < labels->count; i++) {
		mem_cleanup char *key = str_dup(labels->v[i]);
		char *value = strchr(key, '=');

		if (value != NULL)
			*value++ = '\0';
		cJSON_DeleteItemFromObjectCaseSensitive(object, key);
		cJSON_AddStringToObject(object, key, value != NULL ? value : "");
	}
	printed = cJSON_PrintUnformatted(object);
	return str_dup(printed != NULL ? printed : "{}");
}

/* The first mount whose source is not there; borrowed. */
static const char *missing_mount(const struct invocation *invocation)
{
	for (size_t i = 0; i < invocation->mount_count; i++)
		if (invocation->mounts[i].source != NULL && access(invocation->mounts[i].source, F_OK) != 0)
			return invocation->mounts[i].source;
	return NULL;
}

static const char *missing_network(const struct world *world, const struct invocation *invocation)
{
	for (size_t i = 0; i < invocation->networks.count; i++)
		if (!str_equal(invocation->networks.v[i], "none") &&
		    find_network(world, invocation->networks.v[i]) == NULL)
			return invocation->networks.v[i];
	return NULL;
}

static enum world_outcome refuse(const char **ret_word, const char *word)
{
	*ret_word = word;
	return WORLD_REFUSED;
}

static enum world_outcome apply_run(struct world *world, const struct invocation *invocation, struct bindings *bindings,
                                    const char **ret_word)
{
	mem_cleanup char *name = invocation->name != NULL ? str_dup(invocation->name) : random_hex(32);
	const char *network = invocation->networks.count > 0 ? invocation->networks.v[0] : "";
	struct world_container *container;
	const char *missing;

	template_bind(bindings, "container", name);
	template_bind(bindings, "image", invocation->image != NULL ? invocation->image : "");
	template_bind(bindings, "network", network);
	if (invocation->unknown_option != NULL) {
		template_bind(bindings, "option", invocation->unknown_option);
		return refuse(ret_word, "unknown-option");
	}
	if (invocation->image == NULL)
		return refuse(ret_word, "no-image");
	if (world_container(world, name) != NULL)
		return refuse(ret_word, "exists");
	missing = missing_mount(invocation);
	if (missing != NULL) {
		template_bind(bindings, "mount", missing);
		return refuse(ret_word, "missing-mount");
	}
	missing = missing_network(world, invocation);
	if (missing != NULL) {
		template_bind(bindings, "network", missing);
		return refuse(ret_word, "unknown-network");
	}
	bind_octet(world, network, bindings);
	container = add_container(world);
	container->name = MEM_TAKE(name);
	container->image = str_dup(invocation->image);
	container->labels = labels_text(&invocation->labels);
	for (size_t i = 0; i < invocation->networks.count; i++)
		if (!str_equal(invocation->networks.v[i], "none"))
			strv_push(&container->networks, invocation->networks.v[i]);
	container->call = world->calls;
	container->running = true;
	container->remove = invocation->remove;
	return WORLD_DONE;
}

static enum world_outcome apply_to_container(struct world *world, const struct world_request *request,
                                             struct bindings *bindings, const char **ret_word,
                                             int64_t *ret_container_call)
{
	struct world_container *container = world_container(world, request->name);
	enum cassette_effect_kind kind = request->effect->kind;

	if (container == NULL)
		return request->waited ? WORLD_DONE : refuse(ret_word, "unknown");
	if (kind == EFFECT_CONTAINER_FIND) {
		bind_container(world, container, bindings);
		return WORLD_DONE;
	}
	if (kind == EFFECT_CONTAINER_REMOVE && container->running && !request->waited)
		return refuse(ret_word, "running");
	if (kind == EFFECT_CONTAINER_KILL && !container->running && !request->waited)
		return refuse(ret_word, "stopped");
	if (container->running && container->supervisor != 0 && !request->waited) {
		*ret_container_call = container->call;
		return WORLD_WAIT;
	}
	if (kind == EFFECT_CONTAINER_REMOVE || kind == EFFECT_CONTAINER_FORCE_REMOVE)
		world_remove_container(world, container);
	else
		world_end_container(world, container, 0);
	return WORLD_DONE;
}

static enum world_outcome apply_to_network(struct world *world, const struct world_request *request,
                                           struct bindings *bindings, const char **ret_word)
{
	struct world_network *network = find_network(world, request->name);

	if (request->effect->kind == EFFECT_NETWORK_ADD) {
		if (network != NULL)
			return refuse(ret_word, "exists");
		add_network(world, request->name, free_octet(world), false);
	} else if (network == NULL) {
		return refuse(ret_word, "unknown");
	} else if (request->effect->kind == EFFECT_NETWORK_REMOVE) {
		if (network->builtin)
			return refuse(ret_word, "builtin");
		bind_users(world, request->name, bindings);
		if (world_network_used(world, request->name))
			return refuse(ret_word, "in-use");
		remove_network(world, network);
		return WORLD_DONE;
	}
	bind_octet(world, request->name, bindings);
	return WORLD_DONE;
}

enum world_outcome world_apply(struct world *world, const struct world_request *request, struct bindings *bindings,
                               const char **ret_word, int64_t *ret_container_call)
{
	switch (request->effect->kind) {
	case EFFECT_RUN:
		return apply_run(world, request->invocation, bindings, ret_word);
	case EFFECT_NETWORK_ADD:
	case EFFECT_NETWORK_REMOVE:
	case EFFECT_NETWORK_FIND:
		return apply_to_network(world, request, bindings, ret_word);
	case EFFECT_CONTAINER_FIND:
	case EFFECT_CONTAINER_REMOVE:
	case EFFECT_CONTAINER_FORCE_REMOVE:
	case EFFECT_CONTAINER_STOP:
	case EFFECT_CONTAINER_KILL:
		return apply_to_container(world, request, bindings, ret_word, ret_container_call);
	}
	abort();
}

/* ---- lists ---- */

static bool print_attachments(const struct world *world, const struct world_container *container, const char *template,
                              struct bindings *own, struct npxc_error *err)
{
	struct buf all BUF_CLEANUP = BUF_INIT(SHIM_MAX_TEXT_BYTES);

	for (size_t i = 0; template != NULL && i < container->networks.count; i++) {
		template_bind(own, "network", container->networks.v[i]);
		bind_octet(world, container->networks.v[i], own);
		if ((i > 0 && !buf_append_text(&all, ",", err)) || !template_expand(template, own, &all, err))
			return false;
	}
	template_bind(own, "attachments", all.data != NULL ? all.data : "");
	return true;
}

static bool print_container(const struct world *world, const struct world_container *container,
                            const struct cassette_text *text, struct buf *ret_text, struct npxc_error *err)
{
	struct bindings own = { 0 };
	bool ok;

	template_bind(&own, "name", container->name);
	ok = print_attachments(world, container, text->attachment, &own, err);
	bind_container(world, container, &own);
	ok = ok && template_expand(text->each, &own, ret_text, err);
	template_unbind_all(&own);
	return ok;
}

static bool print_network(const struct world *world, const struct world_network *network,
                          const struct cassette_text *text, struct buf *ret_text, struct npxc_error *err)
{
	const char *each = network->builtin && text->each_builtin != NULL ? text->each_builtin : text->each;
	struct bindings own = { 0 };
	bool ok;

	template_bind(&own, "name", network->name);
	bind_octet(world, network->name, &own);
	ok = template_expand(each, &own, ret_text, err);
	template_unbind_all(&own);
	return ok;
}

bool world_print(const struct world *world, const struct cassette_text *text, struct bindings *bindings,
                 struct buf *ret_text, struct npxc_error *err)
{
	bool containers = text->list == LIST_CONTAINERS;
	bool first = true;

	if (text->before != NULL && !template_expand(text->before, bindings, ret_text, err))
		return false;
	for (size_t i = 0; i < (containers ? world->container_count : world->network_count); i++) {
		if (containers && text->running_only && !world->containers[i].running)
			continue;
		if (!first && text->between != NULL && !template_expand(text->between, bindings, ret_text, err))
			return false;
		first = false;
		if (containers ? !print_container(world, &world->containers[i], text, ret_text, err)
		               : !print_network(world, &world->networks[i], text, ret_text, err))
			return false;
	}
	return text->after == NULL || template_expand(text->after, bindings, ret_text, err);
}
