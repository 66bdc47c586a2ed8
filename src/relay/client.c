#include "relay/client.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ERRORS_KEPT = 16 * 1024,
	PAGES_MAX = 1000,  /* of one list: a server that pages for ever is stopped */
	LIST_MESSAGES = 4, /* as many of the largest messages: what all pages of one list may hold together */
};

static bool make_non_blocking(int fd, struct npxc_error *err)
{
	const int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set_errno(err, ERROR_IO, "cannot prepare the server's pipe");
	return true;
}

bool client_init(struct client *ret_client, int to_server, int from_server, int server_errors, int wake,
                 struct npxc_error *err)
{
	if (!make_non_blocking(to_server, err) || !make_non_blocking(from_server, err) ||
	    !make_non_blocking(server_errors, err))
		return false;
	*ret_client = (struct client){
		.to_server = to_server,
		.from_server = from_server,
		.server_errors = server_errors,
		.wake = wake,
		.input = BUF_INIT(LIMIT_TRY_MESSAGE_BYTES),
		.errors = BUF_INIT(2 * ERRORS_KEPT + 1),
		.next_id = 1,
	};
	return true;
}

static void read_errors(struct client *c)
{
	char bytes[ERRORS_KEPT];
	struct npxc_error ignored;
	const ssize_t got = read(c->server_errors, bytes, sizeof(bytes));
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		c->server_errors = -1;
	if (got <= 0)
		return;
	if (c->errors.length + (size_t)got > 2 * ERRORS_KEPT)
		buf_consume(&c->errors, c->errors.length + (size_t)got - 2 * ERRORS_KEPT);
	if (!buf_append(&c->errors, bytes, (size_t)got, &ignored))
		buf_consume(&c->errors, c->errors.length);
}

static bool read_input(struct client *c, struct npxc_error *err)
{
	if (!buf_reserve(&c->input, 64 * KIB, err))
		return error_prefix(err, "the server sends a message without end");
	const ssize_t got = read(c->from_server, c->input.data + c->input.length, 64 * KIB);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		c->ended = true;
	if (got > 0) {
		c->input.length += (size_t)got;
		c->received += (uint64_t)got;
	}
	return true;
}

/* Waits until something could be read or written, and reads it. False: time, signal or ceiling, with the words. */
static bool step(struct client *c, bool want_write, int64_t deadline_ms, bool *ret_writable, struct npxc_error *err)
{
	struct pollfd polled[] = {
		{ .fd = c->ended ? -1 : c->from_server, .events = POLLIN },
		{ .fd = c->server_errors, .events = POLLIN },
		{ .fd = c->wake, .events = POLLIN },
		{ .fd = want_write ? c->to_server : -1, .events = POLLOUT },
	};
	const int64_t left = deadline_ms - clock_now_ms();
	if (left <= 0)
		return error_set(err, ERROR_RUNTIME, "no answer from the server in time");
	if (poll(polled, 4, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
		return error_set_errno(err, ERROR_IO, "poll");
	if (polled[2].revents)
		return error_set(err, ERROR_RUNTIME, "interrupted");
	if (polled[1].revents)
		read_errors(c);
	if (polled[0].revents && !read_input(c, err))
		return false;
	*ret_writable = polled[3].revents != 0;
	return true;
}

static bool send_text(struct client *c, const char *text, int64_t deadline_ms, struct npxc_error *err)
{
	const size_t length = strlen(text);
	size_t sent = 0;
	while (sent < length) {
		const ssize_t wrote = write(c->to_server, text + sent, length - sent);
		bool ignored;
		if (wrote > 0)
			sent += (size_t)wrote;
		else if (wrote < 0 && errno != EAGAIN && errno != EINTR)
			return error_set(err, ERROR_RUNTIME, "the server has closed its input or ended");
		else if (!step(c, true, deadline_ms, &ignored, err))
			return false;
	}
	return true;
}

static bool send_message(struct client *c, cJSON *message, int64_t deadline_ms, struct npxc_error *err)
{
	mem_cleanup char *text = cJSON_PrintUnformatted(message);
	cJSON_Delete(message);
	if (text == NULL)
		return error_set(err, ERROR_IO, "cannot print a message");
	mem_cleanup char *line = str_printf("%s\n", text);
	return send_text(c, line, deadline_ms, err);
}

static cJSON *new_message(const char *method)
{
	cJSON *message = cJSON_CreateObject();
	cJSON_AddStringToObject(message, "jsonrpc", "2.0");
	if (method != NULL)
		cJSON_AddStringToObject(message, "method", method);
	return message;
}

/* The server asks us something. */
static bool answer(struct client *c, const cJSON *request, int64_t deadline_ms, struct npxc_error *err)
{
	const char *method = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "method"));
	cJSON *reply = new_message(NULL);
	cJSON_AddItemToObject(reply, "id", cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(request, "id"), true));
	if (str_equal(method, "ping")) {
		cJSON_AddObjectToObject(reply, "result");
	} else if (str_equal(method, "roots/list")) {
		cJSON_AddArrayToObject(cJSON_AddObjectToObject(reply, "result"), "roots");
	} else {
		cJSON *error = cJSON_AddObjectToObject(reply, "error");
		cJSON_AddNumberToObject(error, "code", -32601);
		cJSON_AddStringToObject(error, "message", "method not found");
	}
	return send_message(c, reply, deadline_ms, err);
}

/* The next whole line of the input, parsed; NULL when there is none yet. Lines that are no JSON object are counted. */
static cJSON *next_message(struct client *c)
{
	for (;;) {
		const char *end = c->input.length == 0 ? NULL : memchr(c->input.data, '\n', c->input.length);
		if (end == NULL)
			return NULL;
		const size_t length = (size_t)(end - c->input.data);
		cJSON *message = parse_text(c->input.data, length);
		if (!cJSON_IsObject(message)) {
			if (length > 0 && !cJSON_IsArray(message))
				c->stray_lines++;
			cJSON_Delete(message);
			message = NULL;
		}
		buf_consume(&c->input, length + 1);
		if (message != NULL)
			return message;
	}
}

static bool take_answer(cJSON *message, const char *method, cJSON **ret_result, struct npxc_error *err)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(message, "error");
	if (cJSON_IsObject(error)) {
		const char *words = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message"));
		mem_cleanup char *shown = str_escape(words == NULL ? "?" : words, words == NULL ? 1 : strlen(words));
		return error_set(err, ERROR_RUNTIME, "the server answers %s with an error: %s", method, shown);
	}
	cJSON *result = cJSON_DetachItemFromObjectCaseSensitive(message, "result");
	if (result == NULL)
		return error_set(err, ERROR_JSON, "the server's answer to %s has no result", method);
	*ret_result = result;
	return true;
}

static bool call(struct client *c, const char *method, cJSON *params, unsigned timeout_ms, cJSON **ret_result,
                 struct npxc_error *err)
{
	const int64_t deadline = clock_now_ms() + (int64_t)timeout_ms;
	const unsigned id = c->next_id++;
	cJSON *request = new_message(method);
	cJSON_AddNumberToObject(request, "id", id);
	if (params != NULL)
		cJSON_AddItemToObject(request, "params", params);
	if (!send_message(c, request, deadline, err))
		return error_prefix(err, "%s", method);
	for (;;) {
		cJSON *message = next_message(c);
		bool ignored;
		if (message == NULL) {
			if (c->ended)
				return error_set(err, ERROR_RUNTIME, "%s: the server ended before it answered", method);
			if (!step(c, false, deadline, &ignored, err))
				return error_prefix(err, "%s", method);
			continue;
		}
		const cJSON *message_id = cJSON_GetObjectItemCaseSensitive(message, "id");
		const bool is_request = cJSON_HasObjectItem(message, "method");
		bool fine = true;
		bool ours = false;
		if (is_request && message_id != NULL) {
			fine = answer(c, message, deadline, err);
		} else if (!is_request && cJSON_IsNumber(message_id) && message_id->valuedouble >= id &&
		           message_id->valuedouble <= id) {
			ours = true;
			fine = take_answer(message, method, ret_result, err);
		}
		cJSON_Delete(message);
		if (ours || !fine)
			return fine;
	}
}

static bool notify(struct client *c, const char *method, struct npxc_error *err)
{
	return send_message(c, new_message(method), clock_now_ms() + 10000, err);
}

bool client_handshake(struct client *c, unsigned timeout_ms, cJSON **ret_result, struct npxc_error *err)
{
	cJSON *params = cJSON_CreateObject();
	cJSON_AddStringToObject(params, "protocolVersion", "2025-11-25");
	cJSON_AddObjectToObject(params, "capabilities");
	cJSON *info = cJSON_AddObjectToObject(params, "clientInfo");
	cJSON_AddStringToObject(info, "name", "npxc");
	cJSON_AddStringToObject(info, "version", NPXC_VERSION);
	cJSON *result = NULL;
	if (!call(c, "initialize", params, timeout_ms, &result, err))
		return false;
	if (!notify(c, "notifications/initialized", err)) {
		cJSON_Delete(result);
		return false;
	}
	*ret_result = result;
	return true;
}

bool client_list(struct client *c, const char *method, const char *key, unsigned timeout_ms, cJSON **ret_items,
                 struct npxc_error *err)
{
	cJSON *all = cJSON_CreateArray();
	mem_cleanup char *cursor = NULL;
	const uint64_t before = c->received;
	for (unsigned page = 0; page < PAGES_MAX; page++) {
		cJSON *params = cJSON_CreateObject();
		if (cursor != NULL)
			cJSON_AddStringToObject(params, "cursor", cursor);
		cJSON *result = NULL;
		if (!call(c, method, params, timeout_ms, &result, err)) {
			cJSON_Delete(all);
			return false;
		}
		if (c->received - before > (size_t)LIST_MESSAGES * LIMIT_TRY_MESSAGE_BYTES) {
			cJSON_Delete(result);
			cJSON_Delete(all);
			return error_set(err, ERROR_RUNTIME, "%s: more than %zu MiB of answers", method,
			                 (size_t)LIST_MESSAGES * LIMIT_TRY_MESSAGE_BYTES / MIB);
		}
		cJSON *items = cJSON_GetObjectItemCaseSensitive(result, key);
		while (cJSON_IsArray(items) && items->child != NULL)
			cJSON_AddItemToArray(all, cJSON_DetachItemFromArray(items, 0));
		const char *next = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "nextCursor"));
		free(cursor);
		cursor = str_dup(next);
		cJSON_Delete(result);
		if (cursor == NULL) {
			*ret_items = all;
			return true;
		}
	}
	cJSON_Delete(all);
	return error_set(err, ERROR_RUNTIME, "%s: more than %d pages", method, PAGES_MAX);
}

bool client_drain(struct client *c, unsigned timeout_ms)
{
	const int64_t deadline = clock_now_ms() + (int64_t)timeout_ms;
	struct npxc_error ignored;
	bool unused;
	while (!c->ended) {
		if (!step(c, false, deadline, &unused, &ignored))
			return false;
		buf_consume(&c->input, c->input.length);
	}
	return true;
}

void client_done(struct client *c)
{
	buf_done(&c->input);
	buf_done(&c->errors);
}
