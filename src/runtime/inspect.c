#include "runtime/inspect.h"

#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <stdint.h>
#include <string.h>

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

bool inspect_missing(const char *key, struct npxc_error *err)
{
	return error_set(err, ERROR_JSON, "the output of `network inspect` has no \"%s\"", key);
}

bool inspect_ill_typed(const char *key, const char *wanted, struct npxc_error *err)
{
	return error_set(err, ERROR_JSON, "\"%s\" in the output of `network inspect` is not %s", key, wanted);
}

bool inspect_fill(const char *subnet_key, const cJSON *subnet, const char *gateway_key, const cJSON *gateway,
                  bool may_derive, struct network *network, struct npxc_error *err)
{
	struct ipv4_subnet range;
	struct in_addr first;
	uint32_t address;
	mem_cleanup char *text = NULL;

	if (subnet == NULL)
		return inspect_missing(subnet_key, err);
	if (!cJSON_IsString(subnet) || !parse_subnet(subnet->valuestring, &range))
		return inspect_ill_typed(subnet_key, "an IPv4 subnet", err);
	if (gateway == NULL) {
		char shown[INET_ADDRSTRLEN];

		if (!may_derive || network->mode != NETWORK_MODE_HOST_ONLY)
			return inspect_missing(gateway_key, err);
		if (range.prefix > 30)
			return inspect_ill_typed(subnet_key, "a subnet with room for a gateway", err);
		first.s_addr = htonl(range.base + 1);
		if (inet_ntop(AF_INET, &first, shown, sizeof(shown)) == NULL)
			return inspect_ill_typed(subnet_key, "an IPv4 subnet", err);
		network->gateway = str_dup(shown);
	} else {
		if (!cJSON_IsString(gateway))
			return inspect_ill_typed(gateway_key, "an IPv4 address", err);
		text = str_dup_n(gateway->valuestring, strcspn(gateway->valuestring, "/"));
		if (!parse_address(text, &address))
			return inspect_ill_typed(gateway_key, "an IPv4 address", err);
		if ((address & range.mask) != range.base)
			return inspect_ill_typed(gateway_key, "an address of the subnet", err);
		network->gateway = MEM_TAKE(text);
	}
	network->subnet = str_dup(subnet->valuestring);
	return true;
}

const cJSON *inspect_member(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* The first entry with an IPv4 subnet, else the first (whose error is then reported). */
static const cJSON *choose_entry(const cJSON *list, const char *key)
{
	const cJSON *entry;
	struct ipv4_subnet range;

	cJSON_ArrayForEach(entry, list)
	{
		const cJSON *subnet = inspect_member(entry, key);

		if (cJSON_IsString(subnet) && parse_subnet(subnet->valuestring, &range))
			return entry;
	}
	return cJSON_GetArrayItem(list, 0);
}

bool inspect_list(const cJSON *list, const char *list_key, const char *subnet_key, const char *gateway_key,
                  struct network *network, struct npxc_error *err)
{
	const cJSON *entry;

	if (list == NULL)
		return inspect_missing(list_key, err);
	if (!cJSON_IsArray(list))
		return inspect_ill_typed(list_key, "an array", err);
	entry = choose_entry(list, subnet_key);
	if (entry == NULL)
		return inspect_missing(subnet_key, err);
	if (!cJSON_IsObject(entry))
		return inspect_ill_typed(list_key, "an array of objects", err);
	return inspect_fill(subnet_key, inspect_member(entry, subnet_key), gateway_key,
	                    inspect_member(entry, gateway_key), false, network, err);
}

enum network_mode inspect_mode(const cJSON *internal)
{
	if (!cJSON_IsBool(internal))
		return NETWORK_MODE_UNKNOWN;
	return cJSON_IsTrue(internal) ? NETWORK_MODE_HOST_ONLY : NETWORK_MODE_OTHER;
}
