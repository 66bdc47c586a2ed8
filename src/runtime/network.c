#include "runtime/network.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/container.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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

/* A mounted socket has the host's mode inside since then (EGRESS: apple/container#1751). */
static bool has_sockets(const struct runtime *runtime)
{
	return runtime->number[0] > 1 || (runtime->number[0] == 1 && runtime->number[1] >= 1);
}

void network_choose_link(const struct runtime *runtime, bool restricted, bool socket_seen, struct policy *policy,
                         const char **ret_why)
{
	*ret_why = NULL;
	if (policy->kind != POLICY_ALLOWLIST || policy->link != POLICY_LINK_AUTO)
		return;
	switch (runtime->kind) {
	case RUNTIME_BWRAP:
		policy->link = restricted ? POLICY_LINK_SOCKET : POLICY_LINK_NETNS;
		*ret_why =
		    restricted ? "user namespaces get no capabilities here, so not netns" : "no code inside takes part";
		return;
	case RUNTIME_PODMAN:
	case RUNTIME_DOCKER:
		policy->link = POLICY_LINK_SOCKET;
		*ret_why = "the guest has no network at all";
		return;
	case RUNTIME_APPLE:
		break;
	}
	policy->link = has_sockets(runtime) && socket_seen ? POLICY_LINK_SOCKET : POLICY_LINK_GATEWAY;
	*ret_why = policy->link == POLICY_LINK_SOCKET ? "npxc doctor --probe has seen it work"
	           : has_sockets(runtime) ? "link socket has not been seen to work here: npxc doctor --probe"
	                                  : "link socket needs Apple container 1.1.0";
}

bool network_check_policy(const struct runtime *runtime, const struct policy *policy, struct npxc_error *err)
{
	const bool bwrap = runtime->kind == RUNTIME_BWRAP;

	if (policy->kind != POLICY_ALLOWLIST)
		return true;
	if (policy->link == POLICY_LINK_NETNS && !bwrap)
		return error_set(err, ERROR_CONFIG, "link netns is bubblewrap's; on %s set network.link to auto",
		                 runtime_kind_word(runtime->kind));
	if (policy->link == POLICY_LINK_GATEWAY && bwrap)
		return error_set(err, ERROR_CONFIG,
		                 "bubblewrap has no networks of its own, so no gateway; set network.link to auto");
	if (policy->link == POLICY_LINK_GATEWAY && runtime->kind == RUNTIME_PODMAN && !runtime->is_root)
		return error_set(err, ERROR_CONFIG,
		                 "rootless podman cannot keep an allowlist with link gateway: its gateway is not this "
		                 "host; set network.link to auto");
	if (policy->link == POLICY_LINK_SOCKET && runtime->kind == RUNTIME_APPLE && !has_sockets(runtime))
		return error_set(err, ERROR_CONFIG,
		                 "link socket needs Apple container 1.1.0, and this is %s; set network.link to gateway",
		                 runtime->version);
	return true;
}

/* ---- reading inspect ---- */

struct ipv4_subnet {
	uint32_t base, mask;
	unsigned prefix;
};

static bool parse_address(const char *text, uint32_t *ret_address)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		return false;
	*ret_address = ntohl(address.s_addr);
	return true;
}

static bool parse_subnet(const char *text, struct ipv4_subnet *ret_subnet)
{
	const char *slash = strchr(text, '/');
	mem_cleanup char *address = str_dup_n(text, slash != NULL ? (size_t)(slash - text) : strlen(text));
	struct ipv4_subnet subnet = { 0 };
	uint64_t prefix;

	if (slash == NULL || !str_to_u64(slash + 1, 32, &prefix) || !parse_address(address, &subnet.base))
		return false;
	subnet.prefix = (unsigned)prefix;
	subnet.mask = prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
	subnet.base &= subnet.mask;
	*ret_subnet = subnet;
	return true;
}

static bool missing(const char *key, struct npxc_error *err)
{
	return error_set(err, ERROR_JSON, "the output of `network inspect` has no \"%s\"", key);
}

static bool ill_typed(const char *key, const char *wanted, struct npxc_error *err)
{
	return error_set(err, ERROR_JSON, "\"%s\" in the output of `network inspect` is not %s", key, wanted);
}

/*
 * Fills subnet and gateway; docker before 1.13 printed that with the prefix length. `gateway` may be NULL (absent):
 * only `may_derive` then makes it the first host of a host-only network.
 */
static bool fill(const char *subnet_key, const cJSON *subnet, const char *gateway_key, const cJSON *gateway,
                 bool may_derive, struct network *network, struct npxc_error *err)
{
	struct ipv4_subnet range;
	struct in_addr first;
	uint32_t address;
	mem_cleanup char *text = NULL;

	if (subnet == NULL)
		return missing(subnet_key, err);
	if (!cJSON_IsString(subnet) || !parse_subnet(subnet->valuestring, &range))
		return ill_typed(subnet_key, "an IPv4 subnet", err);
	if (gateway == NULL) {
		char shown[INET_ADDRSTRLEN];

		if (!may_derive || network->mode != NETWORK_MODE_HOST_ONLY)
			return missing(gateway_key, err);
		if (range.prefix > 30)
			return ill_typed(subnet_key, "a subnet with room for a gateway", err);
		first.s_addr = htonl(range.base + 1);
		if (inet_ntop(AF_INET, &first, shown, sizeof(shown)) == NULL)
			return ill_typed(subnet_key, "an IPv4 subnet", err);
		network->gateway = str_dup(shown);
	} else {
		if (!cJSON_IsString(gateway))
			return ill_typed(gateway_key, "an IPv4 address", err);
		text = str_dup_n(gateway->valuestring, strcspn(gateway->valuestring, "/"));
		if (!parse_address(text, &address))
			return ill_typed(gateway_key, "an IPv4 address", err);
		if ((address & range.mask) != range.base)
			return ill_typed(gateway_key, "an address of the subnet", err);
		network->gateway = MEM_TAKE(text);
	}
	network->subnet = str_dup(subnet->valuestring);
	return true;
}

static const cJSON *member(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool parse_apple(const cJSON *element, struct network *network, struct npxc_error *err)
{
	const cJSON *status = member(element, "status");
	const cJSON *mode = member(member(element, "configuration"), "mode"); /* from 1.0.0 on */
	const cJSON *subnet, *gateway;

	if (mode == NULL)
		mode = member(member(element, "config"), "mode");
	if (cJSON_IsString(mode))
		network->mode =
		    strcmp(mode->valuestring, "hostOnly") == 0 ? NETWORK_MODE_HOST_ONLY : NETWORK_MODE_OTHER;
	if (status == NULL)
		return missing("status", err);
	if (!cJSON_IsObject(status))
		return ill_typed("status", "an object", err);
	subnet = member(status, "ipv4Subnet");
	gateway = member(status, "ipv4Gateway");
	if (subnet != NULL || gateway != NULL)
		return fill("ipv4Subnet", subnet, "ipv4Gateway", gateway, true, network, err);
	subnet = member(status, "address");
	gateway = member(status, "gateway");
	if (subnet != NULL || gateway != NULL)
		return fill("address", subnet, "gateway", gateway, true, network, err);
	return missing("ipv4Subnet", err);
}

/* The first entry with an IPv4 subnet, else the first (whose error is then reported). */
static const cJSON *choose_entry(const cJSON *list, const char *key)
{
	const cJSON *entry;
	struct ipv4_subnet range;

	cJSON_ArrayForEach(entry, list)
	{
		const cJSON *subnet = member(entry, key);

		if (cJSON_IsString(subnet) && parse_subnet(subnet->valuestring, &range))
			return entry;
	}
	return cJSON_GetArrayItem(list, 0);
}

static bool parse_list(const cJSON *list, const char *list_key, const char *subnet_key, const char *gateway_key,
                       struct network *network, struct npxc_error *err)
{
	const cJSON *entry;

	if (list == NULL)
		return missing(list_key, err);
	if (!cJSON_IsArray(list))
		return ill_typed(list_key, "an array", err);
	entry = choose_entry(list, subnet_key);
	if (entry == NULL)
		return missing(subnet_key, err);
	if (!cJSON_IsObject(entry))
		return ill_typed(list_key, "an array of objects", err);
	return fill(subnet_key, member(entry, subnet_key), gateway_key, member(entry, gateway_key), false, network,
	            err);
}

static enum network_mode mode_of(const cJSON *internal)
{
	if (!cJSON_IsBool(internal))
		return NETWORK_MODE_UNKNOWN;
	return cJSON_IsTrue(internal) ? NETWORK_MODE_HOST_ONLY : NETWORK_MODE_OTHER;
}

static bool parse_podman(const cJSON *element, struct network *network, struct npxc_error *err)
{
	network->mode = mode_of(member(element, "internal"));
	return parse_list(member(element, "subnets"), "subnets", "subnet", "gateway", network, err);
}

static bool parse_docker(const cJSON *element, struct network *network, struct npxc_error *err)
{
	const cJSON *ipam = member(element, "IPAM");

	network->mode = mode_of(member(element, "Internal"));
	if (ipam == NULL)
		return missing("IPAM", err);
	if (!cJSON_IsObject(ipam))
		return ill_typed("IPAM", "an object", err);
	return parse_list(member(ipam, "Config"), "IPAM.Config", "Subnet", "Gateway", network, err);
}

static bool parse_element(enum runtime_kind kind, const cJSON *element, struct network *network, struct npxc_error *err)
{
	if (!cJSON_IsObject(element))
		return error_set(err, ERROR_JSON, "the output of `network inspect` is not an array of objects");
	switch (kind) {
	case RUNTIME_APPLE:
		return parse_apple(element, network, err);
	case RUNTIME_PODMAN:
		return parse_podman(element, network, err);
	case RUNTIME_DOCKER:
		return parse_docker(element, network, err);
	case RUNTIME_BWRAP:
		break;
	}
	return error_set(err, ERROR_CONFIG, "bwrap has no networks");
}

bool network_parse(enum runtime_kind kind, const char *text, size_t length, struct network *ret_network,
                   struct npxc_error *err)
{
	struct network network = { 0 };
	cJSON *json;
	bool ok;

	if (!container_parse_json(text, length, "network inspect", &json, err))
		return false;
	if (!cJSON_IsArray(json))
		ok = error_set(err, ERROR_JSON, "the output of `network inspect` is not an array");
	else if (cJSON_GetArraySize(json) == 0)
		ok = error_set(err, ERROR_RUNTIME, "empty `network inspect` output");
	else
		ok = parse_element(kind, cJSON_GetArrayItem(json, 0), &network, err);
	cJSON_Delete(json);
	if (!ok) {
		network_done(&network);
		return false;
	}
	*ret_network = network;
	return true;
}

/* ---- calls ---- */

void network_choose_subnet(unsigned attempt, uint32_t draw, char ret_subnet[static NETWORK_ADDRESS_BYTES],
                           char ret_gateway[static NETWORK_ADDRESS_BYTES])
{
	static const struct {
		uint8_t second; /* 10.second.0.0 */
		unsigned prefix;
	} pools[NETWORK_SUBNET_ATTEMPTS] = { { 89, 16 }, { 90, 15 }, { 92, 14 }, { 96, 11 }, { 128, 9 } };
	unsigned second = pools[attempt].second, prefix = pools[attempt].prefix;
	uint32_t place = draw & (((uint32_t)1 << (NETWORK_SUBNET_PREFIX - prefix)) - 1);
	uint32_t base = ((uint32_t)10 << 24 | second << 16) + (place << (32 - NETWORK_SUBNET_PREFIX));

	(void)snprintf(ret_subnet, NETWORK_ADDRESS_BYTES, "10.%u.%u.%u/%d", base >> 16 & 255, base >> 8 & 255,
	               base & 255, NETWORK_SUBNET_PREFIX);
	(void)snprintf(ret_gateway, NETWORK_ADDRESS_BYTES, "10.%u.%u.%u", base >> 16 & 255, base >> 8 & 255,
	               (base & 255) + 1);
}

static bool create_with(const struct runtime *runtime, const char *const *words, bool *ret_is_in_use,
                        struct npxc_error *err)
{
	mem_cleanup char *command = container_command_text(runtime, words);
	struct proc_result result;
	bool ok;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, err))
		return false;
	ok = container_succeeded(&result) || container_call_failed(runtime, command, &result, LIMIT_CLI_MS, err);
	/* said before anything is made, so asking again makes no second network */
	*ret_is_in_use = !ok && result.exit_status != 0 && result.errors.data != NULL &&
	                 strstr(result.errors.data, "is already used on the host or by another config") != NULL;
	proc_result_done(&result);
	return ok;
}

static bool create_on_podman(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	struct npxc_error last = { 0 };

	for (unsigned attempt = 0; attempt < NETWORK_SUBNET_ATTEMPTS; attempt++) {
		char subnet[NETWORK_ADDRESS_BYTES], gateway[NETWORK_ADDRESS_BYTES];
		/* podman's own resolver would listen on the gateway's port 53, and ask servers outside for the guest */
		const char *const words[] = { "network",  "create", "--internal", "--disable-dns",
			                      "--subnet", subnet,   "--gateway",  gateway,
			                      name,       NULL };
		bool is_in_use = false;
		uuid_t random;
		uint32_t draw;

		uuid_generate_random(random);
		memcpy(&draw, random, sizeof(draw));
		network_choose_subnet(attempt, draw, subnet, gateway);
		if (create_with(runtime, words, &is_in_use, &last))
			return true;
		if (!is_in_use)
			break;
	}
	*err = last;
	return false;
}

bool network_create(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	const char *const words[] = { "network", "create", "--internal", name, NULL };
	bool is_in_use = false;

	if (runtime->kind == RUNTIME_PODMAN)
		return create_on_podman(runtime, name, err);
	return create_with(runtime, words, &is_in_use, err);
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
		return result->errors.data != NULL && container_says_no_network(kind, result->errors.data, name)
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
	const char *const words[] = { "network", runtime->kind == RUNTIME_APPLE ? "delete" : "rm", name, NULL };
	mem_cleanup char *command = NULL;
	struct proc_result result;
	bool ok;

	if (!network_is_managed_name(name)) {
		mem_cleanup char *shown = str_escape(name, strlen(name));

		return error_set(err, ERROR_RUNTIME, "\"%s\" is not a network that npxc made; it stays", shown);
	}
	command = container_command_text(runtime, words);
	if (!container_ask(runtime, words, network_schedule.delete_ms, &result, err))
		return false;
	ok = container_succeeded(&result) ||
	     container_call_failed(runtime, command, &result, network_schedule.delete_ms, err);
	proc_result_done(&result);
	return ok;
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

	if (network_look(runtime, name, pause_ms) == NETWORK_STATE_GONE)
		return true;
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
		if (network_delete(runtime, name, &last))
			return true;
		if (!network_is_managed_name(name)) {
			*err = last;
			return false;
		}
		if (attempt + 1 < NETWORK_DELETE_ATTEMPTS &&
		    gone_after_pause(runtime, name, network_schedule.pause_ms[attempt]))
			return true;
	}
	if (network_look(runtime, name, network_schedule.last_look_ms) == NETWORK_STATE_GONE)
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

bool network_provision(const struct runtime *runtime, const struct policy *policy,
                       bool (*announce)(void *context, const char *name, struct npxc_error *err), void *context,
                       struct network_choice *ret_choice, struct npxc_error *err)
{
	struct network_choice choice = { 0 };
	mem_cleanup char *name = NULL;

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
		if (policy->link != POLICY_LINK_GATEWAY) {
			choice.argument = str_dup("none");
			break;
		}
		name = network_new_name();
		if (!announce(context, name, err) || !make_network(runtime, name, &choice.network, err))
			return false;
		choice.managed = true;
		choice.argument = MEM_TAKE(name);
		break;
	}
	*ret_choice = choice;
	return true;
}
