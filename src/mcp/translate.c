#include "mcp/translate.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/hazard.h"
#include "mcp/identify.h"
#include "mcp/message.h"
#include "mcp/output.h"
#include "mcp/publish.h"
#include "mcp/rewrite.h"
#include "mcp/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* bytes: how much of what a client wrote is given back to it in an error. */
enum { SHOWN_PATH_BYTES = 4096 };

/* calls: whose answer is waited for because of their outputs, or because they ask for tools. */
enum { PENDING_MAX = 4096 };

/* bytes: of a line that goes to stderr in one piece; and of what waits there before more is thrown away. */
#define DIVERTED_BYTES (64 * KIB)

struct pending {
	char *id; /* owned; its own bytes */
	size_t id_length;
	struct output **outputs; /* owned; none: a question for the tools */
	size_t output_count;
};

struct translate {
	struct translate_settings settings;
	char *label;   /* owned */
	char *outputs; /* owned; NULL: none */
	bool guards;
	struct identify *identify;
	struct schema *schema;
	struct scope scope;
	struct publish *publish;
	struct output_box box;
	struct pending *pending; /* owned */
	size_t pending_count, pending_capacity;
	struct identify_found found;
	struct pump *pump;
	struct message_look look;
	struct buf diverted; /* a line that is no message, until it is whole */
	size_t unsaid;       /* bytes of them that nobody read */
};

/* ---- start and end ---- */

bool translate_start(const struct translate_settings *settings, struct translate **ret_translate,
                     struct npxc_error *err)
{
	struct translate *t = mem_alloc(sizeof(*t));
	const struct publish_settings publish = { .directory = settings->workspace,
		                                  .max_file_bytes = LIMIT_PUBLISH_FILE_BYTES,
		                                  .max_total_bytes = LIMIT_PUBLISH_TOTAL_BYTES,
		                                  .max_tree_entries = LIMIT_PUBLISH_TREE_ENTRIES,
		                                  .max_entries = LIMIT_PUBLISH_ENTRIES,
		                                  .stop = settings->stop,
		                                  .context = settings->context };

	t->settings = *settings;
	t->outputs = str_dup(settings->outputs);
	t->scope = (struct scope){ .fd = -1 };
	t->box = (struct output_box){ .directory = t->outputs,
		                      .fd = -1,
		                      .max_bytes = LIMIT_PUBLISH_FILE_BYTES,
		                      .max_total_bytes = LIMIT_PUBLISH_TOTAL_BYTES,
		                      .stop = settings->stop,
		                      .context = settings->context };
	t->diverted = BUF_INIT(2 * DIVERTED_BYTES);
	if ((settings->in_scope && !scope_start(settings->place.real, settings->place.cwd, &t->scope, err)) ||
	    !publish_start(&publish, &t->publish, err) ||
	    (settings->outputs != NULL && !output_box_open(&t->box, err))) {
		translate_free(t);
		return false;
	}
	if (t->scope.cwd == NULL)
		t->scope.cwd = str_dup(settings->place.cwd);
	t->label = str_escape(settings->label, strlen(settings->label));
	t->guards = settings->package == NULL || settings->package->stdout_guard;
	t->identify = identify_new(settings->config, settings->package);
	t->schema = schema_new();
	*ret_translate = t;
	return true;
}

static void pending_done(struct translate *t, struct pending *pending)
{
	for (size_t i = 0; i < pending->output_count; i++)
		output_drop(&t->box, pending->outputs[i]);
	free(pending->outputs); // NOLINT(clang-analyzer-unix.Malloc): it is out of the list, or the list goes too
	free(pending->id);
}

void translate_free(struct translate *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->pending_count; i++)
		pending_done(t, &t->pending[i]);
	free(t->pending);
	identify_found_done(&t->found);
	identify_free(t->identify);
	schema_free(t->schema);
	publish_free(t->publish);
	output_box_close(&t->box);
	scope_done(&t->scope);
	buf_done(&t->diverted);
	free(t->label);
	free(t->outputs);
	free(t);
}

/* ---- calls whose answers count ---- */

/* The same id, also when it comes back with other escapes. */
static bool is_same_id(const char *a, size_t a_length, const char *b, size_t b_length)
{
	if (a_length == b_length && memcmp(a, b, a_length) == 0)
		return true;
	return a_length > 0 && b_length > 0 && a[0] == '"' && b[0] == '"' &&
	       json_hash(a, (struct json_span){ 0, a_length }) == json_hash(b, (struct json_span){ 0, b_length });
}

static bool take_pending(struct translate *t, const char *id, size_t length, struct pending *ret_pending)
{
	for (size_t i = 0; i < t->pending_count; i++) {
		if (!is_same_id(t->pending[i].id, t->pending[i].id_length, id, length))
			continue;
		*ret_pending = t->pending[i];
		t->pending[i] = t->pending[--t->pending_count];
		return true;
	}
	return false;
}

static void forget_call(struct translate *t, const char *id, size_t length)
{
	struct pending pending;

	if (take_pending(t, id, length, &pending))
		pending_done(t, &pending);
}

/* Takes the outputs. */
static void await_answer(struct translate *t, const char *id, size_t length, struct output **outputs, size_t count)
{
	forget_call(t, id, length);
	if (t->pending_count == PENDING_MAX) {
		log_warn("relay", "more than %d calls wait for an answer; the oldest is not waited for any more",
		         PENDING_MAX);
		pending_done(t, &t->pending[0]);
		t->pending[0] = t->pending[--t->pending_count];
	}
	if (t->pending_count == t->pending_capacity) {
		t->pending_capacity = t->pending_capacity == 0 ? 8 : t->pending_capacity * 2;
		t->pending = mem_realloc(t->pending, t->pending_capacity, sizeof(*t->pending));
	}
	t->pending[t->pending_count++] = (struct pending){
		.id = str_dup_n(id, length), .id_length = length, .outputs = outputs, .output_count = count
	};
}

/* ---- one value ---- */

enum fate { FATE_KEEP, FATE_REPLACE, FATE_REFUSE };

/* What a message comes to. */
struct work {
	struct rewrite_edit *edits; /* owned, their texts too */
	size_t edit_count, edit_capacity;
	struct output **outputs; /* owned */
	size_t output_count;
	struct npxc_error why; /* of a refusal */
	char *path;            /* owned; the refused string */
	const char *hint;
};

static void work_done(struct translate *t, struct work *work)
{
	for (size_t i = 0; i < work->edit_count; i++)
		free((char *)work->edits[i].text);
	free(work->edits);
	for (size_t i = 0; i < work->output_count; i++)
		output_drop(&t->box, work->outputs[i]);
	free(work->outputs);
	free(work->path);
}

static const char HINT_OUTSIDE[] =
    "only files beneath the working directory can be given to the server; choose another one with --cwd DIR, or show "
    "the file with --mount PATH";
static const char HINT_WIDE[] =
    "the working directory is the home directory, or above it: narrow it with --cwd DIR, or show the file with --mount "
    "PATH";
static const char HINT_MISSING[] =
    "if the server shall make this file, allow it with \"outputs\": true or \"output_arguments\" in the package's "
    "configuration; if the argument names no file, list it in \"non_path_arguments\"";
static const char HINT_HAZARD[] = "let the server write it somewhere else, and move it yourself when you have read it";
static const char HINT_NO_PATH[] =
    "if the argument names no file of this machine, list it in \"non_path_arguments\" of the package's configuration";

/* Whether /a/b begins with something that is there: "/api/users" is no path of most machines. */
static bool begins_on_this_machine(const char *path)
{
	mem_cleanup char *first = str_dup_n(path, 1 + strcspn(path + 1, "/"));
	struct stat info;

	return lstat(first, &info) == 0 || errno != ENOENT;
}

/* The path inside that a mount gives, owned, or NULL. `*ret_same`: it is the path itself. */
static char *by_mount(const struct translate *t, const char *path, bool *ret_same)
{
	mem_cleanup char *clean = str_path_clean(path);
	const struct translate_mount *best = NULL;

	*ret_same = false;
	for (size_t i = 0; i < t->settings.mount_count; i++) {
		const struct translate_mount *m = &t->settings.mounts[i];

		if (str_path_within(clean, m->target)) {
			*ret_same = true;
			return NULL;
		}
		if (str_path_within(clean, m->source) && (best == NULL || strlen(m->source) > strlen(best->source)))
			best = m;
	}
	return best == NULL ? NULL : str_printf("%s%s", best->target, clean + strlen(best->source));
}

static bool ends_in_slash(const char *text)
{
	return str_ends(text, "/");
}

/* In the notation of what it replaces; owned. */
static char *as_written(const struct scope_name *name, const char *text, size_t prefix_length, const char *inside)
{
	mem_cleanup char *path = str_printf("%s%s", inside, ends_in_slash(text) && !ends_in_slash(inside) ? "/" : "");
	mem_cleanup char *uri = NULL;

	if (!name->is_uri)
		return MEM_TAKE(path);
	uri = rewrite_file_uri(path);
	if (prefix_length == 0)
		return MEM_TAKE(uri);
	return str_printf("%.*s%s", (int)prefix_length, text, uri + strlen("file://"));
}

static enum fate refuse(struct work *work, const char *hint)
{
	work->hint = hint;
	return FATE_REFUSE;
}

/* A file that is to be made. */
static enum fate make_output(struct translate *t, const struct scope_name *name, struct work *work, char **ret_inside)
{
	struct scope_parent parent;
	struct output *output;
	bool made;

	if (!scope_open_parent(&t->scope, name, &parent, &work->why))
		return refuse(work, HINT_NO_PATH);
	if ((hazard_along(parent.path, 0) & HAZARD_RUN) != 0) {
		mem_cleanup char *shown = str_escape(parent.path, strlen(parent.path));

		error_set(&work->why, ERROR_PATH_OUT_OF_SCOPE,
		          "\"%.160s\" cannot be made by a server: this machine's tools execute what stands there",
		          shown);
		scope_parent_done(&parent);
		return refuse(work, HINT_HAZARD);
	}
	made = output_make(&t->box, t->publish, name, &parent, &output, &work->why);
	scope_parent_done(&parent);
	if (!made)
		return refuse(work, NULL);
	work->outputs = mem_realloc(work->outputs, work->output_count + 1, sizeof(struct output *));
	work->outputs[work->output_count++] = output;
	*ret_inside = str_dup(output_inside(output));
	return FATE_REPLACE;
}

static enum fate publish_file(struct translate *t, const struct identify_value *value, const struct scope_name *name,
                              bool is_request, struct work *work, char **ret_inside)
{
	struct scope_file file;
	const char *inside;

	if (scope_open(&t->scope, name, &file, &work->why)) {
		const bool taken = publish_take(t->publish, name, &file, &inside, &work->why);

		scope_file_done(&file);
		if (!taken)
			return refuse(work, NULL);
		*ret_inside = str_dup(inside);
		return FATE_REPLACE;
	}
	if (work->why.kind != ERROR_PATH_NOT_FOUND)
		return refuse(work, t->scope.fd == -1 ? HINT_WIDE : HINT_OUTSIDE);
	if (work->why.sys_errno != ENOENT)
		return refuse(work, HINT_NO_PATH);
	if (value->may_be_output && t->box.fd != -1 && is_request) {
		work->why = (struct npxc_error){ 0 };
		return make_output(t, name, work, ret_inside);
	}
	return refuse(work, HINT_MISSING);
}

/* Where the server sees what is named; owned. */
static enum fate locate(struct translate *t, const struct identify_value *value, const struct scope_name *name,
                        bool is_request, struct work *work, char **ret_inside)
{
	bool same = false;

	/* The server's own words, come back. */
	if (str_path_within(name->path, PUBLISH_INSIDE))
		return FATE_KEEP;
	*ret_inside = by_mount(t, name->path, &same);
	if (same)
		return FATE_KEEP;
	if (*ret_inside != NULL)
		return FATE_REPLACE;
	if (value->translate_only) {
		*ret_inside = publish_known(t->publish, name);
		return *ret_inside == NULL ? FATE_KEEP : FATE_REPLACE;
	}
	if (value->reason == IDENTIFY_BY_HEURISTIC && name->relative == NULL && !begins_on_this_machine(name->path))
		return FATE_KEEP;
	return publish_file(t, value, name, is_request, work, ret_inside);
}

/* Of a URI with a configured prefix only what goes on with an absolute path is known to be one. */
static size_t prefix_of(const struct translate *t, const char *text)
{
	const struct strv *prefixes = &t->settings.config->heuristic.uri_prefix;

	for (size_t i = 0; i < prefixes->count; i++) {
		const size_t length = strlen(prefixes->v[i]);

		if (str_starts(text, prefixes->v[i]) && text[length] == '/')
			return length;
	}
	return 0;
}

static enum fate decide_text(struct translate *t, const struct identify_value *value, const char *text, size_t length,
                             bool is_request, struct work *work, char **ret_text)
{
	const bool foreign = value->kind == IDENTIFY_URI && !scope_is_uri(text, length);
	const size_t prefix = foreign ? prefix_of(t, text) : 0;
	mem_cleanup char *uri = prefix > 0 ? str_printf("file://%s", text + prefix) : NULL;
	mem_cleanup char *inside = NULL;
	struct scope_name name;
	enum fate fate;

	if (foreign && prefix == 0)
		return FATE_KEEP;
	if (!scope_read(&t->settings.place, uri != NULL ? uri : text, uri != NULL ? strlen(uri) : length, &name,
	                &work->why))
		return value->translate_only ? FATE_KEEP : refuse(work, HINT_NO_PATH);
	fate = locate(t, value, &name, is_request, work, &inside);
	if (fate == FATE_REPLACE)
		*ret_text = as_written(&name, text, prefix, inside);
	scope_name_done(&name);
	return fate;
}

static enum fate decide_value(struct translate *t, const char *line, const struct identify_value *value,
                              bool is_request, struct work *work)
{
	mem_cleanup char *text = NULL;
	char *replacement = NULL;
	size_t length = 0;
	enum fate fate = FATE_REFUSE;

	if (json_decode(line, value->string, &text, &length, &work->why))
		fate = decide_text(t, value, text, length, is_request, work, &replacement);
	else if (value->translate_only)
		fate = FATE_KEEP;
	if (fate == FATE_REFUSE && text != NULL)
		work->path = str_dup_n(text, length < SHOWN_PATH_BYTES ? length : SHOWN_PATH_BYTES);
	if (fate != FATE_REPLACE)
		return fate;
	if (work->edit_count == work->edit_capacity) {
		work->edit_capacity = work->edit_capacity == 0 ? 8 : work->edit_capacity * 2;
		work->edits = mem_realloc(work->edits, work->edit_capacity, sizeof(*work->edits));
	}
	work->edits[work->edit_count++] =
	    (struct rewrite_edit){ .string = value->string, .text = replacement, .length = strlen(replacement) };
	return FATE_REPLACE;
}

/* ---- one message of the client ---- */

static void answer(struct translate *t, const char *line, const struct message *message, const struct work *work,
                   struct buf *reply)
{
	const struct message_refusal refusal = { .path = work->path, .cwd = t->settings.place.cwd, .hint = work->hint };
	struct npxc_error err;

	log_info("relay", "a request is not forwarded: %s", work->why.message);
	if (!message_append_error(reply, line + message->id.offset, message->id.length, &work->why, &refusal, &err))
		log_warn("relay", "a request cannot be answered: %s", err.message);
}

/* False: it is not to be forwarded, and has been answered. */
static bool work_on(struct translate *t, const char *line, const struct message *message, struct work *work,
                    struct buf *reply)
{
	const bool is_request = message->kind == MESSAGE_REQUEST;

	if (!identify_message(t->identify, t->schema, line, message, &t->found, &work->why)) {
		if (is_request)
			answer(t, line, message, work, reply);
		else
			log_warn("relay", "a message is forwarded as it is: %s", work->why.message);
		return !is_request;
	}
	for (size_t i = 0; i < t->found.count; i++) {
		if (decide_value(t, line, &t->found.values[i], is_request, work) != FATE_REFUSE)
			continue;
		if (is_request) {
			answer(t, line, message, work, reply);
			return false;
		}
		/* Nobody can be told: the server sees the text, and no file. */
		log_warn("relay", "named in a message that cannot be refused: %s", work->why.message);
		free(work->path);
		work->path = NULL;
		work->why = (struct npxc_error){ 0 };
	}
	return true;
}

/* A notification that a call is not wanted any more. */
static void on_cancelled(struct translate *t, const char *line, const struct message *message)
{
	struct json_reader reader;
	struct json_span key, value;

	json_start_at(&reader, line, message->params);
	if (message->params.length == 0 || json_peek(&reader) != JSON_OBJECT || !json_enter(&reader, JSON_OBJECT))
		return;
	while (json_member(&reader, &key) && json_skip(&reader, &value))
		if (json_equals(line, key, "requestId"))
			forget_call(t, line + value.offset, value.length);
}

static void after_forwarding(struct translate *t, const char *line, const struct message *message, struct work *work)
{
	if (message->method == MESSAGE_CANCELLED)
		on_cancelled(t, line, message);
	if (message->kind != MESSAGE_REQUEST || (message->method != MESSAGE_TOOLS_LIST && work->output_count == 0))
		return;
	await_answer(t, line + message->id.offset, message->id.length, work->outputs, work->output_count);
	work->outputs = NULL;
	work->output_count = 0;
}

static bool append_part(const char *line, const struct message *message, const struct work *work, bool first,
                        struct buf *out, struct npxc_error *err)
{
	return buf_append_text(out, first ? "" : ",", err) &&
	       rewrite_apply(line, message->whole, work->edits, work->edit_count, out, err);
}

/*
 * A batch is put together anew: usually nothing of it is dropped and nothing but spans change, but white space between
 * its messages means nothing to anybody.
 */
static enum lines_verdict on_batch(struct translate *t, const char *line, size_t length, struct message_line *messages,
                                   struct buf *out, struct buf *reply)
{
	struct message message;
	struct npxc_error err = { 0 };
	size_t forwarded = 0, dropped = 0, edits = 0;
	bool fine = buf_append_text(out, "[", &err);

	while (fine && message_next(messages, &message)) {
		struct work work = { 0 };

		if (work_on(t, line, &message, &work, reply)) {
			fine = append_part(line, &message, &work, forwarded == 0, out, &err);
			edits += work.edit_count;
			forwarded++;
			after_forwarding(t, line, &message, &work);
		} else {
			dropped++;
		}
		work_done(t, &work);
	}
	fine = fine && buf_append_text(out, "]", &err) &&
	       buf_append_text(out, length > 1 && line[length - 1] == '\n' ? "\n" : "", &err);
	if (!fine)
		log_warn("relay", "a batch is lost: %s", err.message);
	if (fine && forwarded > 0 && dropped + edits > 0)
		return LINES_CHANGED;
	out->length = 0;
	return fine && (forwarded > 0 || dropped == 0) ? LINES_SAME : LINES_DROPPED;
}

static enum lines_verdict on_message(struct translate *t, const char *line, size_t length,
                                     const struct message *message, struct buf *out, struct buf *reply)
{
	const struct json_span all = { 0, length };
	struct work work = { 0 };
	enum lines_verdict verdict = LINES_DROPPED;

	if (work_on(t, line, message, &work, reply)) {
		verdict = work.edit_count > 0 ? LINES_CHANGED : LINES_SAME;
		if (verdict == LINES_CHANGED &&
		    !rewrite_apply(line, all, work.edits, work.edit_count, out, &work.why)) {
			verdict = LINES_DROPPED;
			answer(t, line, message, &work, reply);
		} else {
			after_forwarding(t, line, message, &work);
		}
	}
	work_done(t, &work);
	return verdict;
}

enum lines_verdict translate_client_line(struct translate *t, const char *line, size_t length, struct buf *out,
                                         struct buf *reply)
{
	struct message_line messages;
	struct message message;
	struct npxc_error err;

	if (!message_open(line, length, &messages, &err)) {
		log_warn("relay", "what the client sent is forwarded as it is: %s", err.message);
		return LINES_SAME;
	}
	if (messages.is_batch)
		return on_batch(t, line, length, &messages, out, reply);
	return message_next(&messages, &message) ? on_message(t, line, length, &message, out, reply) : LINES_SAME;
}

/* ---- the server's lines ---- */

bool translate_wants_server_lines(const struct translate *t)
{
	return t->pending_count > 0 || !publish_is_empty(t->publish);
}

/* False: an output could not be put in place; the answer would say that it is there. */
static bool finish_outputs(struct translate *t, struct pending *pending, struct npxc_error *err)
{
	struct npxc_error why = { 0 };

	for (size_t i = 0; i < pending->output_count; i++) {
		bool placed;

		if (!output_finish(&t->box, pending->outputs[i], &placed, &why))
			log_warn("relay", "%s", why.message);
		pending->outputs[i] = NULL;
	}
	if (why.kind != ERROR_NONE)
		*err = why;
	return why.kind == ERROR_NONE;
}

/* What answers are for. False: this one is to be replaced by the error. */
static bool on_response(struct translate *t, const char *line, const struct message *message, struct npxc_error *err)
{
	struct pending pending;
	bool fine = true;

	if (message->kind != MESSAGE_RESPONSE ||
	    !take_pending(t, line + message->id.offset, message->id.length, &pending))
		return true;
	if (pending.output_count > 0)
		fine = finish_outputs(t, &pending, err);
	else if (message->result.length > 0)
		log_debug("relay", "%zu tools learned", schema_learn(t->schema, line, message->result));
	pending_done(t, &pending);
	return fine;
}

static const char *find_host(void *context, const char *id, size_t length)
{
	return publish_host(context, id, length);
}

static enum lines_verdict translate_back(struct translate *t, const char *line, size_t length, struct buf *out)
{
	enum rewrite_outcome outcome;
	struct npxc_error err;

	if (publish_is_empty(t->publish) || !rewrite_may_change(line, length))
		return LINES_SAME;
	if (!rewrite_line(line, length, find_host, t->publish, out, &outcome, &err)) {
		log_warn("relay", "an answer keeps the server's paths: %s", err.message);
		return LINES_SAME;
	}
	return outcome == REWRITE_CHANGED ? LINES_CHANGED : LINES_SAME;
}

enum lines_verdict translate_server_line(struct translate *t, const char *line, size_t length, struct buf *out)
{
	struct message_line messages;
	struct message message;
	struct npxc_error err, why;
	const struct message_refusal nothing = { 0 };

	if (t->pending_count > 0 && message_open(line, length, &messages, &err)) {
		const bool is_batch = messages.is_batch;

		while (message_next(&messages, &message)) {
			if (on_response(t, line, &message, &why) || is_batch)
				continue;
			if (message_append_error(out, line + message.id.offset, message.id.length, &why, &nothing,
			                         &err))
				return LINES_CHANGED;
		}
	}
	return translate_back(t, line, length, out);
}

/* ---- the pump's rules ---- */

static enum lines_look look_at_client(void *context, const char *bytes, size_t count, bool first)
{
	struct translate *t = context;

	if (first)
		message_look_start(&t->look);
	switch (message_look_at(&t->look, bytes, count)) {
	case MESSAGE_MORE:
		break;
	case MESSAGE_PASS:
		return LINES_PASS;
	case MESSAGE_HOLD:
		return LINES_HOLD;
	}
	return LINES_MORE;
}

static enum lines_verdict decide_for_server(void *context, const char *line, size_t length, struct buf *out)
{
	struct translate *t = context;

	return translate_client_line(t, line, length, out, pump_reply(t->pump));
}

/* A call is answered; anything else of that size goes on, with whatever it names. */
static bool client_line_is_too_long(void *context)
{
	const struct translate *t = context;

	if (!t->look.is_call)
		log_warn("relay", "a message of more than %zu bytes is forwarded as it is", LIMIT_MESSAGE_BYTES);
	return t->look.is_call;
}

static void client_line_was_dropped(void *context)
{
	struct translate *t = context;
	const struct message_refusal nothing = { 0 };
	struct npxc_error why, err;
	size_t length;
	const char *id = message_look_id(&t->look, &length);

	error_set(&why, ERROR_IO, "a call of more than %zu bytes cannot be searched for files", LIMIT_MESSAGE_BYTES);
	log_warn("relay", "%s", why.message);
	if (id != NULL && message_is_id(id, length) &&
	    !message_append_error(pump_reply(t->pump), id, length, &why, &nothing, &err))
		log_warn("relay", "%s", err.message);
}

static enum lines_look look_at_server(void *context, const char *bytes, size_t count, bool first)
{
	const struct translate *t = context;

	(void)first;
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == ' ' || bytes[i] == '\t' || bytes[i] == '\r')
			continue;
		if (t->guards && bytes[i] != '{' && bytes[i] != '[')
			return LINES_DIVERT;
		return translate_wants_server_lines(t) ? LINES_HOLD : LINES_PASS;
	}
	return LINES_MORE;
}

static enum lines_verdict decide_for_client(void *context, const char *line, size_t length, struct buf *out)
{
	return translate_server_line(context, line, length, out);
}

static bool server_line_is_too_long(void *context)
{
	(void)context;
	log_warn("relay", "an answer of more than %zu bytes is forwarded as it is, with the server's paths",
	         LIMIT_MESSAGE_BYTES);
	return false;
}

/* A piece of what is no message, as a line of its own. */
static void say_diverted(struct translate *t)
{
	size_t length = t->diverted.length;

	while (length > 0 && (t->diverted.data[length - 1] == '\n' || t->diverted.data[length - 1] == '\r'))
		length--;
	if (pump_say(t->pump)->length > LIMIT_RELAY_BYTES) {
		if (t->unsaid == 0)
			log_debug("relay", "nobody reads what the server prints; some of it is thrown away");
		t->unsaid += length;
	} else {
		pump_pass_on(t->pump, t->label, t->diverted.data, length);
	}
	t->diverted.length = 0;
}

static void divert(void *context, const char *bytes, size_t count, bool first, bool last)
{
	struct translate *t = context;
	struct npxc_error ignored;

	(void)first;
	while (count > 0) {
		const size_t piece = count < DIVERTED_BYTES ? count : DIVERTED_BYTES;

		if (t->diverted.length > 0 && t->diverted.length + piece > DIVERTED_BYTES)
			say_diverted(t);
		if (!buf_append(&t->diverted, bytes, piece, &ignored))
			return;
		bytes += piece;
		count -= piece;
	}
	if (last)
		say_diverted(t);
}

void translate_attach(struct translate *t, struct pump *pump)
{
	const struct lines_rules to_server = { .look = look_at_client,
		                               .decide = decide_for_server,
		                               .too_long = client_line_is_too_long,
		                               .dropped = client_line_was_dropped,
		                               .context = t,
		                               .max_bytes = LIMIT_MESSAGE_BYTES };
	const struct lines_rules to_client = { .look = look_at_server,
		                               .decide = decide_for_client,
		                               .too_long = server_line_is_too_long,
		                               .divert = divert,
		                               .context = t,
		                               .max_bytes = LIMIT_MESSAGE_BYTES };

	/* Where no strategy looks for paths nothing of the client's is read; and then nothing of the server's but the
	 * beginnings of its lines. */
	const bool looks = t->settings.config->strategy_count > 0;

	t->pump = pump;
	pump_set_lines(pump, looks ? &to_server : NULL, looks || t->guards ? &to_client : NULL);
}
