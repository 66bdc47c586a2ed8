#include "network/network.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/container.h"
#include "runtime/errors.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#define NAME_PREFIX "npxc-"

const struct network_schedule network_schedule = {
	.pause_ms = { 150, 300, 450, 600 },
	.delete_ms = 5000,
	.last_look_ms = 1000,
	.background_pause_ms = 2000,
	.background_ms = 60000,
};

void network_done(struct network *network)
{
	free(network->name);
	free(network->subnet);
	free(network->gateway);
	*network = (struct network){ 0 };
}

void network_choice_done(struct network_choice *choice)
{
	free(choice->argument);
	network_done(&choice->network);
	*choice = (struct network_choice){ 0 };
}

/* ---- names and policies ---- */

char *network_new_name(void)
{
	uuid_t uuid;
	char *name = mem_alloc(NETWORK_NAME_BYTES + 1);
	char *out = name + strlen(NAME_PREFIX);

	uuid_generate_random(uuid);
	memcpy(name, NAME_PREFIX, strlen(NAME_PREFIX));
	for (size_t i = 0; i < sizeof(uuid_t); i++) {
		static const char digits[] = "0123456789abcdef";

		*out++ = digits[uuid[i] >> 4];
		*out++ = digits[uuid[i] & 15];
	}
	return name;
}

bool network_is_managed_name(const char *name)
{
	const char *hex;

	if (name == NULL || strlen(name) != NETWORK_NAME_BYTES || !str_starts(name, NAME_PREFIX))
		return false;
	hex = name + strlen(NAME_PREFIX);
	/* version 4, variant 1 */
	return strspn(hex, "0123456789abcdef") == 32 && hex[12] == '4' && strchr("89ab", hex[16]) != NULL;
}

void network_choose_link(const struct runtime *runtime, bool restricted, bool socket_seen, struct policy *policy,
                         const char **ret_why)
{
	*ret_why = NULL;
	if (policy->kind == POLICY_ALLOWLIST && policy->link == POLICY_LINK_AUTO)
		policy->link = runtime_driver(runtime->kind)->choose_link(runtime, restricted, socket_seen, ret_why);
}

bool network_check_policy(const struct runtime *runtime, const struct policy *policy, struct npxc_error *err)
{
	return policy->kind != POLICY_ALLOWLIST ||
	       runtime_driver(runtime->kind)->check_link(runtime, policy->link, err);
}

/* ---- reading inspect ---- */

bool network_parse(enum runtime_kind kind, const char *text, size_t length, struct network *ret_network,
                   struct npxc_error *err)
{
	const struct runtime_driver *driver = runtime_driver(kind);
	struct network network = { 0 };
	cJSON *json;
	bool ok;

	if (!driver->has_containers)
		return error_set(err, ERROR_CONFIG, "%s has no networks", driver->word);
	if (!container_parse_json(text, length, "network inspect", &json, err))
		return false;
	if (!cJSON_IsArray(json))
		ok = error_set(err, ERROR_JSON, "the output of `network inspect` is not an array");
	else if (cJSON_GetArraySize(json) == 0)
		ok = error_set(err, ERROR_RUNTIME, "empty `network inspect` output");
	else if (!cJSON_IsObject(cJSON_GetArrayItem(json, 0)))
		ok = error_set(err, ERROR_JSON, "the output of `network inspect` is not an array of objects");
	else
		ok = driver->parse_network(cJSON_GetArrayItem(json, 0), &network, err);
	cJSON_Delete(json);
	if (!ok) {
		network_done(&network);
		return false;
	}
	*ret_network = network;
	return true;
}

/* ---- calls ---- */

bool network_create(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	return runtime_driver(runtime->kind)->create_network(runtime, name, err);
}

bool network_inspect(const struct runtime *runtime, const char *name, struct network *ret_network,
                     struct npxc_error *err)
{
	const char *const words[] = { "network", "inspect", name, NULL };
	mem_cleanup char *command = container_command_text(runtime, words);
	struct proc_result result;
	struct network network = { 0 };
	bool ok = false;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, err))
		return false;
	if (result.truncated)
		error_set(err, ERROR_JSON, "`%s` printed more than %zu bytes", command, LIMIT_CLI_OUTPUT_BYTES);
	else if (!container_succeeded(&result))
		container_call_failed(runtime, command, &result, LIMIT_CLI_MS, err);
	else
		ok = network_parse(runtime->kind, result.output.data, result.output.length, &network, err);
	proc_result_done(&result);
	if (!ok)
		return false;
	network.name = str_dup(name);
	*ret_network = network;
	return true;
}

static enum network_state state_of(enum runtime_kind kind, const struct proc_result *result, const char *name)
{
	struct npxc_error ignored = { 0 };
	enum network_state state = NETWORK_STATE_UNKNOWN;
	cJSON *json;

	if (result->timed_out || result->truncated || result->signal != 0)
		return state;
	if (result->exit_status != 0)
		return result->errors.data != NULL &&
		               errors_say(runtime_driver(kind)->no_network, result->errors.data, name)
		           ? NETWORK_STATE_GONE
		           : state;
	if (!container_parse_json(result->output.data, result->output.length, "network inspect", &json, &ignored))
		return state;
	if (cJSON_IsArray(json))
		state = cJSON_GetArraySize(json) == 0 ? NETWORK_STATE_GONE : NETWORK_STATE_THERE;
	cJSON_Delete(json);
	return state;
}

enum network_state network_look(const struct runtime *runtime, const char *name, unsigned timeout_ms)
{
	const char *const words[] = { "network", "inspect", name, NULL };
	struct npxc_error ignored = { 0 };
	struct proc_result result;
	enum network_state state;

	if (!container_ask(runtime, words, timeout_ms, &result, &ignored))
		return NETWORK_STATE_UNKNOWN;
	state = state_of(runtime->kind, &result, name);
	proc_result_done(&result);
	return state;
}

/* ---- deleting ---- */

bool network_delete(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	const char *const words[] = { "network", runtime_driver(runtime->kind)->network_delete, name, NULL };

	if (!network_is_managed_name(name)) {
		mem_cleanup char *shown = str_escape(name, strlen(name));

		return error_set(err, ERROR_RUNTIME, "\"%s\" is not a network that npxc made; it stays", shown);
	}
	return container_call(runtime, words, network_schedule.delete_ms, err);
}

static void sleep_until(int64_t when_ms)
{
	for (int64_t left = when_ms - clock_now_ms(); left > 0; left = when_ms - clock_now_ms()) {
		struct timespec pause = { .tv_sec = (time_t)(left / 1000), .tv_nsec = (long)(left % 1000) * 1000000 };

		(void)nanosleep(&pause, NULL); /* a signal only makes it ask the clock again */
	}
}

/* The pause after a failed attempt, used to look. True when the network is gone. */
static bool gone_after_pause(const struct runtime *runtime, const char *name, unsigned pause_ms)
{
	int64_t end = clock_now_ms() + pause_ms;

	if (!WITHOUT("look-after-failure") && network_look(runtime, name, pause_ms) == NETWORK_STATE_GONE)
		return true;
	if (!WITHOUT_NTH("pause", pause_ms))
		sleep_until(end);
	return false;
}

static bool still_there(const char *name, unsigned attempts, const struct npxc_error *last, struct npxc_error *err)
{
	struct npxc_error copy = *last;

	error_set(err, copy.kind, "network %s is still there after %u attempts: %s", name, attempts, copy.message);
	err->sys_errno = copy.sys_errno;
	return false;
}

bool network_delete_with_retry(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	struct npxc_error last = { 0 };

	for (unsigned attempt = 0; attempt < NETWORK_DELETE_ATTEMPTS; attempt++) {
		if (!WITHOUT_NTH("attempt", attempt + 1) && network_delete(runtime, name, &last))
			return true;
		if (!network_is_managed_name(name)) {
			*err = last;
			return false;
		}
		if (attempt + 1 < NETWORK_DELETE_ATTEMPTS &&
		    gone_after_pause(runtime, name, network_schedule.pause_ms[attempt]))
			return true;
	}
	if (!WITHOUT("look-after-failure") &&
	    network_look(runtime, name, network_schedule.last_look_ms) == NETWORK_STATE_GONE)
		return true;
	return still_there(name, NETWORK_DELETE_ATTEMPTS, &last, err);
}

bool network_delete_once(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	return network_delete(runtime, name, err) ||
	       (network_is_managed_name(name) && !container_is_down(err) &&
	        network_look(runtime, name, network_schedule.last_look_ms) == NETWORK_STATE_GONE);
}

bool network_delete_again(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	if (!network_is_managed_name(name))
		return network_delete(runtime, name, err);
	return network_look(runtime, name, network_schedule.background_pause_ms) == NETWORK_STATE_GONE ||
	       network_delete(runtime, name, err);
}

bool network_delete_blocking(const struct network_background *background)
{
	const unsigned pause_ms = network_schedule.background_pause_ms;
	const int64_t end = clock_now_ms() + network_schedule.background_ms;
	bool goes_on = true;

	while (goes_on && clock_now_ms() + pause_ms < end) {
		goes_on = background->pause(background->context, pause_ms);
		if (background->attempt(background->context))
			return true;
	}
	return false;
}

/* ---- the whole of it ---- */

/* Creates and inspects. One that was created and cannot be used is the janitor's to remove, as every other. */
static bool make_network(const struct runtime *runtime, const char *name, struct network *ret_network,
                         struct npxc_error *err)
{
	struct network network = { 0 };
	bool ok;

	FAULT_POINT("network.create");
	if (!network_create(runtime, name, err))
		return false;
	FAULT_POINT("network.created");
	ok = network_inspect(runtime, name, &network, err);
	FAULT_POINT("network.inspected");
	if (ok && network.mode == NETWORK_MODE_OTHER)
		ok = error_set(err, ERROR_RUNTIME, "network %s is not host-only although it was asked for", name);
	if (!ok) {
		network_done(&network);
		return false;
	}
	*ret_network = network;
	return true;
}

bool network_choose(const struct runtime *runtime, const struct policy *policy, const char *name,
                    struct network_choice *ret_choice, struct npxc_error *err)
{
	struct network_choice choice = { 0 };

	if (!network_check_policy(runtime, policy, err))
		return false;
	switch (policy->kind) {
	case POLICY_NONE:
		choice.argument = str_dup("none");
		break;
	case POLICY_OPEN:
		break;
	case POLICY_NAMED:
		choice.argument = str_dup(policy->network);
		break;
	case POLICY_ALLOWLIST:
		choice.managed = policy->link == POLICY_LINK_GATEWAY;
		choice.argument = str_dup(choice.managed ? name : "none");
		break;
	}
	*ret_choice = choice;
	return true;
}

bool network_provision(const struct runtime *runtime, struct network_choice *choice,
                       bool (*announce)(void *context, const char *name, struct npxc_error *err), void *context,
                       struct npxc_error *err)
{
	return !choice->managed || (announce(context, choice->argument, err) &&
	                            make_network(runtime, choice->argument, &choice->network, err));
}
