#ifndef NPXC_RUNTIME_INSPECT_H
#define NPXC_RUNTIME_INSPECT_H

#include "base/error.h"

#include <stdbool.h>

struct cJSON;

/* What `network inspect` tells of a network, and what its shapes have in common. Pure. */

enum network_mode { NETWORK_MODE_UNKNOWN, NETWORK_MODE_HOST_ONLY, NETWORK_MODE_OTHER };

struct network {
	char *name;    /* owned; the name asked for */
	char *subnet;  /* owned; IPv4, "192.168.128.0/24" */
	char *gateway; /* owned; IPv4, the host's address in it */
	enum network_mode mode;
};

const struct cJSON *inspect_member(const struct cJSON *object, const char *key);
bool inspect_missing(const char *key, struct npxc_error *err);
bool inspect_ill_typed(const char *key, const char *wanted, struct npxc_error *err);

/*
 * Fills subnet and gateway; docker before 1.13 printed that with the prefix length. `gateway` may be NULL (absent):
 * only `may_derive` then makes it the first host of a host-only network. ERROR_JSON.
 */
bool inspect_fill(const char *subnet_key, const struct cJSON *subnet, const char *gateway_key,
                  const struct cJSON *gateway, bool may_derive, struct network *network,
                  struct npxc_error *err) NPXC_MUST_CHECK;

/* The first entry of a list with an IPv4 subnet, else the first (whose error is then reported). ERROR_JSON. */
bool inspect_list(const struct cJSON *list, const char *list_key, const char *subnet_key, const char *gateway_key,
                  struct network *network, struct npxc_error *err) NPXC_MUST_CHECK;

/* Of a member that says whether a network is internal. */
enum network_mode inspect_mode(const struct cJSON *internal);

#endif
