#include "egress/names.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/rules.h"

#include <stdlib.h>
#include <string.h>

/* 198.18.0.0/15; the first addresses stay free: .0 looks like a network, the guest has one of them, and the alias. */
#define V4_BASE 0xc6120000U
enum { ALIAS = 3, FIRST = 16 };

/* fd + "npxc" in ASCII, subnet 0. */
static const uint8_t v6_base[12] = { 0xfd, 0x6e, 0x70, 0x78, 0x63 };

enum { SLOTS = 2 * LIMIT_EGRESS_NAMES };

struct names {
	char **v; /* by number */
	uint32_t count;
	uint64_t seed;
	uint32_t slots[SLOTS]; /* number + 1; 0: free. At most half full, so that a search ends */
};

struct names *names_new(uint64_t seed)
{
	struct names *names = mem_alloc(sizeof(*names));

	names->seed = seed;
	return names;
}

void names_free(struct names *names)
{
	if (names == NULL)
		return;
	for (uint32_t i = 0; i < names->count; i++)
		free(names->v[i]);
	free(names->v);
	free(names);
}

/* FNV-1a; the seed keeps a guest from choosing names that collide. */
static uint32_t slot_of(const struct names *names, const char *name)
{
	uint64_t hash = str_hash(names->seed ^ STR_HASH, name, strlen(name));

	hash ^= hash >> 32;
	return (uint32_t)(hash % SLOTS);
}

bool names_add(struct names *names, const char *name, uint32_t *ret_number)
{
	uint32_t slot = slot_of(names, name);

	for (; names->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
		if (strcmp(names->v[names->slots[slot] - 1], name) == 0) {
			*ret_number = names->slots[slot] - 1;
			return true;
		}
	}
	if (names->count == LIMIT_EGRESS_NAMES)
		return false;
	names->v = mem_realloc(names->v, names->count + 1, sizeof(*names->v));
	names->v[names->count] = str_dup(name);
	*ret_number = names->count++;
	names->slots[slot] = names->count;
	return true;
}

static struct ip address_at(uint32_t place, bool v6)
{
	struct ip ip = { .v6 = true };

	if (!v6)
		return ip_v4(V4_BASE + place);
	memcpy(ip.bytes, v6_base, sizeof(v6_base));
	for (unsigned i = 0; i < 4; i++)
		ip.bytes[12 + i] = (uint8_t)(place >> (24 - 8 * i));
	return ip;
}

struct ip names_address(uint32_t number, bool v6)
{
	return address_at(number + FIRST, v6);
}

struct ip names_alias_address(bool v6)
{
	return address_at(ALIAS, v6);
}

static bool place_of(const struct ip *ip, uint32_t *ret_place)
{
	const uint8_t *low = ip->bytes + (ip->v6 ? 12 : 0);
	const uint32_t word =
	    ((uint32_t)low[0] << 24) | ((uint32_t)low[1] << 16) | ((uint32_t)low[2] << 8) | (uint32_t)low[3];

	if (ip->v6 ? memcmp(ip->bytes, v6_base, sizeof(v6_base)) != 0 : (word & 0xfffe0000U) != V4_BASE)
		return false;
	*ret_place = ip->v6 ? word : word - V4_BASE;
	return true;
}

const char *names_find(const struct names *names, const struct ip *ip)
{
	uint32_t place;

	if (place_of(ip, &place) && place == ALIAS)
		return RULES_HOST_ALIAS;
	if (!place_of(ip, &place) || place < FIRST || place - FIRST >= names->count)
		return NULL;
	return names->v[place - FIRST];
}

bool names_is_synthetic(const struct ip *ip)
{
	uint32_t place;

	return place_of(ip, &place);
}
