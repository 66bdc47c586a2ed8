#include "relay/relay.h"

#include "base/beneath.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/hazard.h"
#include "files/find.h"
#include "files/identify.h"
#include "files/mentioned.h"
#include "files/output.h"
#include "files/publish.h"
#include "files/schema.h"
#include "files/words.h"
#include "relay/failure.h"
#include "relay/guard.h"
#include "json/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* bytes: how much of what a client wrote is given back to it in an error. */
enum { SHOWN_PATH_BYTES = 4096, SHOWN_BYTES = 160 };

/* questions for the tools whose answer is waited for. */
enum { PENDING_MAX = 256 };

/* bytes: of an answer in which a failure to write is looked for. */
#define HINT_BYTES (16 * KIB)

enum { SHORT_BYTES = 600 };

struct relay {
	struct relay_settings settings;
	struct guard guard;
	struct identify *identify;
	struct schema *schema;
	struct find_root root;   /* its descriptor is owned; -1: nothing can be shown */
	struct publish *publish; /* NULL: nothing can be shown */
	struct output *output;   /* NULL: the server may not write */
	struct mentioned *mentioned;
	struct strv pending; /* ids, in their own bytes, of questions for the tools */
	struct pending requests;
	bool looks, spoken; /* for files; the server has */
	bool told_full;
	struct identify_found found;
	struct pump *pump;
	struct message_look look;
};

/* ---- what the user is told ---- */

static void say_line(void *context, const char *line)
{
	const struct relay *relay = context;

	notice_line(relay->settings.notices, line);
}

static void say(struct relay *relay, const char *fmt, ...) NPXC_PRINTF(2, 3);
static void say(struct relay *relay, const char *fmt, ...)
{
	char line[ERROR_MESSAGE_SIZE + SHOWN_PATH_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	say_line(relay, line);
}

static void tell(struct relay *relay, const char *path, const char *why)
{
	notice_tell_path(relay->settings.notices, path, why);
}

/* ---- start and end ---- */

static char *resolve(void *context, const char *relative)
{
	struct relay *relay = context;
	struct find found;
	char *resolved = NULL;

	if (relay->root.fd == -1)
		return NULL;
	find_path(&relay->root, relative, &found);
	if (found.link_count > 0 && (found.kind == FIND_FILE || found.kind == FIND_DIRECTORY))
		resolved = str_dup(found.path);
	find_done(&found);
	return resolved;
}

static bool start_publishing(struct relay *relay, struct npxc_error *err)
{
	const struct relay_settings *settings = &relay->settings;
	const struct publish_settings publish = { .files = settings->files,
		                                  .stage = settings->stage,
		                                  .root = &relay->root,
		                                  .mount_points = settings->mount_points,
		                                  .writable = settings->outputs,
		                                  .max_file_bytes = LIMIT_PUBLISH_FILE_BYTES,
		                                  .max_total_bytes = LIMIT_PUBLISH_TOTAL_BYTES,
		                                  .max_tree_entries = LIMIT_PUBLISH_TREE_ENTRIES,
		                                  .max_entries = LIMIT_PUBLISH_ENTRIES,
		                                  .stop = settings->stop,
		                                  .context = settings->context };
	const struct output_settings output = { .files = settings->files,
		                                .root = &relay->root,
		                                .mount_points = settings->mount_points,
		                                .named_only = settings->package == NULL || !settings->package->outputs,
		                                .max_file_bytes = LIMIT_PUBLISH_FILE_BYTES,
		                                .max_total_bytes = LIMIT_OUTPUT_TOTAL_BYTES,
		                                .max_entries = LIMIT_PUBLISH_ENTRIES,
		                                .stop = settings->stop,
		                                .context = settings->context,
		                                .say = say_line,
		                                .say_context = relay };

	relay->root.fd = open(settings->cwd, BENEATH_WALK_FLAGS | O_NOFOLLOW);
	if (relay->root.fd == -1)
		return error_set_errno(err, ERROR_IO, "open the working directory %s", settings->cwd);
	return publish_start(&publish, &relay->publish, err) &&
	       (!settings->outputs || output_start(&output, relay->publish, &relay->output, err));
}

/* These are the user's words, given before the server said any. */
static bool show_arguments(struct relay *relay, struct npxc_error *err)
{
	const struct strv *arguments = relay->settings.arguments;

	for (size_t i = 0; relay->publish != NULL && i < arguments->count; i++) {
		struct find found;
		bool fine;

		find_path(&relay->root, arguments->v[i], &found);
		(void)mentioned_claim(relay->mentioned, arguments->v[i], found.path);
		fine = publish_put(relay->publish, &found, err);
		find_done(&found);
		if (!fine)
			return error_prefix(err, "a file that the arguments name");
	}
	return true;
}

bool relay_start(const struct relay_settings *settings, struct relay **ret_relay, struct npxc_error *err)
{
	struct relay *relay = mem_alloc(sizeof(*relay));

	relay->settings = *settings;
	relay->root = (struct find_root){ .fd = -1, .place = &relay->settings.place };
	guard_init(&relay->guard, settings->label, settings->package == NULL || settings->package->stdout_guard);
	relay->identify = identify_new(settings->config, settings->package);
	relay->schema = schema_new();
	relay->mentioned = mentioned_new(&relay->settings.place, resolve, relay);
	if ((settings->files != NULL && !start_publishing(relay, err)) || !show_arguments(relay, err)) {
		relay_free(relay);
		return false;
	}
	*ret_relay = relay;
	return true;
}

void relay_free(struct relay *relay)
{
	if (relay == NULL)
		return;
	strv_done(&relay->pending);
	pending_done(&relay->requests);
	identify_found_done(&relay->found);
	identify_free(relay->identify);
	schema_free(relay->schema);
	output_free(relay->output);
	publish_free(relay->publish);
	mentioned_free(relay->mentioned);
	fd_close(&relay->root.fd);
	guard_done(&relay->guard);
	free(relay);
}

const struct pending *relay_unanswered(struct relay *relay, bool is_end)
{
	if (is_end)
		pending_ask_end(&relay->requests);
	return &relay->requests;
}

bool relay_writes(const struct relay *relay)
{
	return relay->output != NULL;
}

bool relay_is_over(struct relay *relay)
{
	uint64_t bytes;

	if (relay->output == NULL || !output_is_over(relay->output, &bytes))
		return false;
	say(relay,
	    "npxc: the server has written too much into its working directory: %llu MiB, and no more than %llu MiB "
	    "in %d files are allowed; show it a directory of its own with --mount DIR:rw",
	    (unsigned long long)(bytes / MIB), (unsigned long long)(LIMIT_OUTPUT_TOTAL_BYTES / MIB),
	    LIMIT_PUBLISH_ENTRIES);
	return true;
}

void relay_finish(struct relay *relay)
{
	if (relay->output != NULL)
		output_collect(relay->output);
}

/* ---- one path ---- */

/* What a message comes to. */
struct work {
	bool is_request;
	struct npxc_error why; /* of a failure or refusal; kind NONE: none */
	char *path;            /* owned; the refused string */
	const char *hint;
};

static bool has_hazard(const char *relative, const struct find *found)
{
	for (size_t i = 0; i < found->link_count; i++)
		if (hazard_along(found->links[i].path, 0) != 0)
			return true;
	return !WITHOUT("secrets") && (hazard_along(relative, 0) != 0 || hazard_along(found->path, 0) != 0);
}

/* A path that lies elsewhere: it passes as it is, unless there is something here and the user wants it refused. */
static bool is_outside(struct relay *relay, const char *path, const char *why, struct work *work)
{
	struct stat info;

	if (lstat(path, &info) == 0)
		tell(relay, path, why);
	else if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
		return true; /* a route, a name on another machine */
	if ((!WITHOUT("passes-outside") && !relay->settings.config->refuse_outside) || !work->is_request)
		return true;
	mem_cleanup char *shown = str_escape(path, strlen(path));
	work->path = str_dup(path);
	work->hint = "choose another working directory with --cwd DIR, or show the file with --mount PATH";
	return error_set(&work->why, ERROR_PATH_OUT_OF_SCOPE, "\"%.*s\": %s", SHOWN_BYTES, shown, why);
}

/* Whether the server may be shown what it or nobody has asked for by its own words. */
static bool is_users_choice(struct relay *relay, const struct scope_name *name, const struct find *found)
{
	const bool there = found->kind == FIND_FILE || found->kind == FIND_DIRECTORY;

	if (!WITHOUT("whole-project") && (name->relative[0] == '\0' || (found->path[0] == '\0' && there)))
		return false; /* all of the project */
	if (mentioned_is_full(relay->mentioned) && !relay->told_full) {
		relay->told_full = true;
		say(relay, "npxc: the server has named more paths than can be kept: from now on it sees no more files "
		           "that calls name, but those of path_arguments and mounts");
	}
	if (!mentioned_claim(relay->mentioned, name->relative, found->link_count > 0 ? found->path : NULL)) {
		if (there && !mentioned_is_full(relay->mentioned) && !publish_knows(relay->publish, found->path))
			tell(relay, name->path, "it named this path itself, before anybody else did");
		return false;
	}
	if (!has_hazard(name->relative, found))
		return true;
	if (there && !publish_knows(relay->publish, found->path))
		tell(relay, name->path, "by its name it holds secrets, or what this machine executes");
	return false;
}

static bool show(struct relay *relay, const struct scope_name *name, enum identify_reason reason, bool is_output,
                 struct work *work)
{
	struct find found;
	struct npxc_error why = { 0 };
	bool fine = true;

	find_path(&relay->root, name->relative, &found);
	if (is_output && relay->output != NULL)
		output_name(relay->output, name->relative);
	if (found.kind == FIND_OUTSIDE) {
		fine = is_outside(relay, name->path, "a link leads out of the working directory", work);
	} else if (reason == IDENTIFY_BY_CONFIG || is_users_choice(relay, name, &found)) {
		if (reason == IDENTIFY_BY_CONFIG)
			(void)mentioned_claim(relay->mentioned, name->relative, NULL);
		fine = publish_put(relay->publish, &found, &why);
		if (!fine && work->is_request) {
			work->why = why;
			work->why.kind = ERROR_IO;
		} else if (!fine) {
			log_warn("relay", "named in a message that nobody answers: %s", why.message);
			fine = true;
		}
	}
	find_done(&found);
	return fine;
}

static bool consider(struct relay *relay, const char *text, size_t length, enum identify_reason reason, bool is_output,
                     struct work *work)
{
	const struct relay_settings *settings = &relay->settings;
	struct scope_name name;
	struct npxc_error ignored;
	bool fine = true;

	if (!scope_read(&settings->place, text, length, &name, &ignored))
		return true;
	if (strv_holds_path(settings->mounted, name.path))
		;
	else if (relay->publish != NULL && name.relative != NULL)
		fine = show(relay, &name, reason, is_output, work);
	else if (words_is_absolute(text, length))
		fine =
		    is_outside(relay, name.path,
		               settings->in_scope ? "it lies outside of the working directory"
		                                  : "the working directory is too wide to take files from (--cwd DIR "
		                                    "narrows it)",
		               work);
	scope_name_done(&name);
	return fine;
}

/* ---- one value ---- */

static bool consider_value(struct relay *relay, const char *line, const struct identify_value *value, struct work *work)
{
	struct words_part parts[WORDS_PARTS_MAX];
	mem_cleanup char *text = NULL;
	struct npxc_error ignored;
	size_t length = 0, count;

	if (!json_decode(line, value->string, &text, &length, &ignored))
		return true;
	count = words_find(text, length, parts);
	for (size_t i = 0; i < count; i++) {
		const struct words_part *part = &parts[i];
		enum identify_reason reason = value->reason;

		if (!part->is_absolute && (reason == IDENTIFY_BY_HEURISTIC || reason == IDENTIFY_BY_PROTOCOL ||
		                           (reason == IDENTIFY_BY_SCHEMA && !part->is_whole)))
			continue;
		if (reason == IDENTIFY_BY_HEURISTIC && !identify_takes(relay->identify, part))
			continue;
		if (!consider(relay, part->text, part->length, reason, value->is_output, work))
			return false;
	}
	const char *path = identify_behind_prefix(relay->identify, text);
	return path == NULL || consider(relay, path, strlen(path), value->reason, value->is_output, work);
}

/* ---- one message of the client ---- */

static void answer(const struct relay *relay, const char *line, const struct message *message, const struct work *work,
                   struct buf *reply)
{
	const struct message_refusal refusal = { .path = work->path,
		                                 .cwd = relay->settings.place.spellings[0],
		                                 .hint = work->hint };
	struct npxc_error err;

	log_info("relay", "a request is not forwarded: %s", work->why.message);
	if (!message_append_error(reply, line + message->id.offset, message->id.length, &work->why, &refusal, &err))
		log_warn("relay", "a request cannot be answered: %s", err.message);
}

/* False: a request that cannot go on; why is in `work`. */
static bool work_on(struct relay *relay, const char *line, const struct message *message, struct work *work)
{
	work->is_request = message->kind == MESSAGE_REQUEST;
	if (!identify_message(relay->identify, relay->schema, line, message, &relay->found, &work->why)) {
		if (!work->is_request)
			log_warn("relay", "a message is forwarded without a look: %s", work->why.message);
		return !work->is_request;
	}
	for (size_t i = 0; i < relay->found.count; i++)
		if (!consider_value(relay, line, &relay->found.values[i], work))
			return false;
	return true;
}

/* The same id, also when it comes back with other escapes. */
static bool is_same_id(const char *a, const char *b, size_t b_length)
{
	const size_t a_length = strlen(a);

	if (a_length == b_length && memcmp(a, b, a_length) == 0)
		return true;
	return a_length > 0 && b_length > 0 && a[0] == '"' && b[0] == '"' &&
	       json_hash(a, (struct json_span){ 0, a_length }) == json_hash(b, (struct json_span){ 0, b_length });
}

static bool take_pending(struct relay *relay, const char *id, size_t length)
{
	struct strv *pending = &relay->pending;

	for (size_t i = 0; i < pending->count; i++) {
		if (!is_same_id(pending->v[i], id, length))
			continue;
		free(pending->v[i]);
		pending->v[i] = pending->v[--pending->count];
		pending->v[pending->count] = NULL;
		return true;
	}
	return false;
}

static void on_cancelled(struct relay *relay, const char *line, const struct message *message)
{
	struct json_reader reader;
	struct json_span key, value;

	json_start_at(&reader, line, message->params);
	if (message->params.length == 0 || json_peek(&reader) != JSON_OBJECT || !json_enter(&reader, JSON_OBJECT))
		return;
	while (json_member(&reader, &key) && json_skip(&reader, &value))
		if (json_equals(line, key, "requestId"))
			(void)take_pending(relay, line + value.offset, value.length);
}

static void after_forwarding(struct relay *relay, const char *line, const struct message *message)
{
	if (message->method == MESSAGE_CANCELLED)
		on_cancelled(relay, line, message);
	if (message->kind != MESSAGE_REQUEST || message->method != MESSAGE_TOOLS_LIST)
		return;
	(void)take_pending(relay, line + message->id.offset, message->id.length);
	if (!WITHOUT("schema") && relay->pending.count < PENDING_MAX)
		strv_push_owned(&relay->pending, str_dup_n(line + message->id.offset, message->id.length));
}

static void work_done(struct work *work)
{
	free(work->path);
}

/*
 * A batch goes on as a whole or not at all: it is not put together anew. When a request of it cannot go on, all of them
 * are answered; unless there is something else in it, which nobody may answer. Then it goes on, and that is said.
 */
static enum lines_verdict on_batch(struct relay *relay, const char *line, size_t length, struct buf *reply)
{
	struct message_line messages;
	struct message message;
	struct npxc_error ignored;
	struct work work = { 0 };
	bool fine = true, only_requests = true;
	enum lines_verdict verdict = LINES_SAME;

	for (bool open = message_open(line, length, &messages, &ignored); open && message_next(&messages, &message);) {
		only_requests = only_requests && message.kind == MESSAGE_REQUEST;
		if (fine)
			fine = work_on(relay, line, &message, &work);
	}
	if (!fine && !only_requests)
		log_warn("relay", "a batch is forwarded as it is: %s", work.why.message);
	if (!fine && only_requests)
		verdict = LINES_DROPPED;
	for (bool open = message_open(line, length, &messages, &ignored); open && message_next(&messages, &message);) {
		if (verdict == LINES_DROPPED)
			answer(relay, line, &message, &work, reply);
		else
			after_forwarding(relay, line, &message);
	}
	work_done(&work);
	return verdict;
}

enum lines_verdict relay_client_line(struct relay *relay, const char *line, size_t length, struct buf *reply)
{
	struct message_line messages;
	struct message message;
	struct npxc_error err;
	struct work work = { 0 };
	bool fine;

	if (!message_open(line, length, &messages, &err)) {
		log_warn("relay", "what the client sent is forwarded without a look: %s", err.message);
		return LINES_SAME;
	}
	if (relay->publish != NULL)
		publish_refresh(relay->publish);
	if (messages.is_batch)
		return on_batch(relay, line, length, reply);
	if (!message_next(&messages, &message))
		return LINES_SAME;
	fine = work_on(relay, line, &message, &work);
	if (fine)
		after_forwarding(relay, line, &message);
	else if (!WITHOUT("failure"))
		answer(relay, line, &message, &work, reply);
	work_done(&work);
	return fine ? LINES_SAME : LINES_DROPPED;
}

/* ---- the server's lines ---- */

bool relay_wants_server_lines(const struct relay *relay)
{
	return relay->pending.count > 0 || relay->output != NULL;
}

void relay_tell_failure(const struct relay *relay, const char *words, size_t count, bool names_path)
{
	const struct relay_settings *settings = &relay->settings;
	const enum failure failure = failure_in(words, count, names_path);

	if (failure == FAILURE_READ_ONLY && settings->own != NULL &&
	    memmem(words, count, settings->own, strlen(settings->own)) != NULL)
		notice_tell(settings->notices, settings->package->storage_persist ? NOTICE_BESIDE_DATA : NOTICE_BESIDE,
		            &(struct notice){ .subject = "" });
	else if ((failure != FAILURE_READ_ONLY ||
	          (relay->output == NULL && (relay->publish != NULL || settings->is_read_only))) &&
	         (failure != FAILURE_NETWORK || settings->has_no_network))
		failure_tell(settings->notices, failure, settings->place.spellings[0], settings->is_read_only);
}

void relay_server_bytes(struct relay *relay, const char *bytes, size_t count, bool first)
{
	/* A longer answer that speaks of no path speaks of something else. */
	const bool mentions = relay->publish == NULL || mentioned_look(relay->mentioned, bytes, count, first);

	if (count <= (mentions ? HINT_BYTES : SHORT_BYTES))
		relay_tell_failure(relay, bytes, count, mentions);
}

void relay_server_line(struct relay *relay, const char *line, size_t length)
{
	struct message_line messages;
	struct message message;
	struct npxc_error err;
	bool is_answer = false;

	if (!message_open(line, length, &messages, &err))
		return;
	while (message_next(&messages, &message)) {
		if (message.kind != MESSAGE_RESPONSE)
			continue;
		is_answer = true;
		if (take_pending(relay, line + message.id.offset, message.id.length) && message.result.length > 0)
			log_debug("relay", "%zu tools learned", schema_learn(relay->schema, line, message.result));
	}
	if (is_answer && relay->output != NULL)
		output_collect(relay->output);
}

/* ---- the pump's rules ---- */

static enum lines_look look_at_client(void *context, const char *bytes, size_t count, bool first)
{
	struct relay *relay = context;

	if (first)
		message_look_start(&relay->look);
	switch (message_look_at(&relay->look, bytes, count)) {
	case MESSAGE_MORE:
		break;
	case MESSAGE_PASS:
		return LINES_PASS;
	case MESSAGE_HOLD:
		return LINES_HOLD;
	}
	return LINES_MORE;
}

static enum lines_verdict decide_for_server(void *context, const char *line, size_t length)
{
	struct relay *relay = context;

	return relay_client_line(relay, line, length, pump_reply(relay->pump));
}

/* A call is answered; anything else of that size goes on, with whatever it names. */
static bool client_line_is_too_long(void *context)
{
	const struct relay *relay = context;

	if (!relay->look.is_call)
		log_warn("relay", "a message of more than %zu bytes is forwarded without a look", LIMIT_MESSAGE_BYTES);
	return relay->look.is_call;
}

static void client_line_was_dropped(void *context)
{
	struct relay *relay = context;
	const struct message_refusal nothing = { 0 };
	struct npxc_error why, err;
	size_t length;
	const char *id = message_look_id(&relay->look, &length);

	error_set(&why, ERROR_IO, "a call of more than %zu bytes cannot be searched for files", LIMIT_MESSAGE_BYTES);
	log_warn("relay", "%s", why.message);
	if (id != NULL && message_is_id(id, length) &&
	    !message_append_error(pump_reply(relay->pump), id, length, &why, &nothing, &err))
		log_warn("relay", "%s", err.message);
}

static enum lines_look look_at_server(void *context, const char *bytes, size_t count, bool first)
{
	const struct relay *relay = context;
	const enum lines_look look = guard_look(&relay->guard, bytes, count);

	(void)first;
	return look == LINES_PASS && relay_wants_server_lines(relay) ? LINES_HOLD : look;
}

static enum lines_verdict decide_for_client(void *context, const char *line, size_t length)
{
	relay_server_line(context, line, length);
	return LINES_SAME;
}

static enum lines_look pass(void *context, const char *bytes, size_t count, bool first)
{
	(void)context, (void)bytes, (void)count, (void)first;
	return LINES_PASS;
}

static void watch_client(void *context, const char *bytes, size_t count, bool first)
{
	pending_ask(&((struct relay *)context)->requests, bytes, count, first, clock_now_ms());
}

static void watch_server(void *context, const char *bytes, size_t count, bool first)
{
	struct relay *relay = context;

	if (!relay->spoken && relay->settings.speaks != NULL)
		relay->settings.speaks(relay->settings.context);
	relay->spoken = true;
	if (pending_answer(&relay->requests, bytes, count, first) && relay->settings.failed != NULL)
		relay->settings.failed(relay->settings.context);
	if (relay->looks)
		relay_server_bytes(relay, bytes, count, first);
}

static bool server_line_is_too_long(void *context)
{
	struct relay *relay = context;

	if (relay->output != NULL)
		output_collect(relay->output);
	return false;
}

static void divert(void *context, const char *bytes, size_t count, bool first, bool last)
{
	struct relay *relay = context;

	(void)first;
	guard_divert(&relay->guard, relay->pump, bytes, count, last);
}

void relay_attach(struct relay *relay, struct pump *pump)
{
	const struct relay_settings *settings = &relay->settings;
	/* Where no strategy looks for paths nothing of the client's is read; but what the arguments name is renewed. */
	const bool looks =
	    settings->config->strategy_count > 0 || relay->output != NULL || settings->arguments->count > 0;
	const struct lines_rules to_server = { .look = looks ? look_at_client : pass,
		                               .decide = decide_for_server,
		                               .too_long = client_line_is_too_long,
		                               .dropped = client_line_was_dropped,
		                               .watch = watch_client,
		                               .context = relay,
		                               .max_bytes = LIMIT_MESSAGE_BYTES };
	const struct lines_rules to_client = { .look = look_at_server,
		                               .decide = decide_for_client,
		                               .watch = watch_server,
		                               .too_long = server_line_is_too_long,
		                               .divert = divert,
		                               .context = relay,
		                               .max_bytes = LIMIT_MESSAGE_BYTES };

	relay->pump = pump;
	relay->looks = looks;
	settings->notices->pump = pump;
	/* Where nobody looks at anything, bytes are spliced. */
	if (looks || relay->guard.on)
		pump_set_lines(pump, &to_server, &to_client);
}

void relay_detach(struct relay *relay)
{
	relay->pump = NULL;
	relay->settings.notices->pump = NULL;
}
