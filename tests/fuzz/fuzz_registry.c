#include "fuzz.h"

#include "base/ip.h"
#include "base/str.h"
#include "store/registry.h"

static const char secret[] = "hunter2-hunter2";

static bool is_in(const struct ip *ip, const char *range)
{
	struct ip_prefix prefix;

	return ip_parse_prefix(range, strlen(range), &prefix) && ip_within(ip, &prefix);
}

/* A host that a rule could name, or the loopback and nothing else. */
static void check_entry(const struct reach_entry *entry)
{
	const size_t length = strlen(entry->host);
	char *rule = rules_propose(entry->host, entry->port);
	char name[RULES_NAME_BYTES];
	struct npxc_error err = { 0 };
	struct ip ip;

	REQUIRE(entry->port != 0);
	if (ip_parse(entry->host, length, &ip)) {
		REQUIRE(entry->loopback == (is_in(&ip, "127.0.0.0/8") || is_in(&ip, "::1/128")));
		REQUIRE(!is_in(&ip, "169.254.0.0/16") && !is_in(&ip, "fe80::/10") && !is_in(&ip, "::ffff:0:0/96"));
	} else {
		REQUIRE(rules_canonical_name(entry->host, length, name) && strcmp(name, entry->host) == 0);
		REQUIRE(entry->loopback == (strcmp(name, "localhost") == 0 || str_ends(name, ".localhost")));
	}
	REQUIRE(entry->loopback != rules_check(rule, &err));
	free(rule);
}

static void check_url(const char *url, bool proxy, bool secret_in_it)
{
	struct npxc_error err = { 0 };
	struct reach_entry entry;

	if (!registry_parse(url, proxy, &entry, &err)) {
		require_refusal(&err, ERROR_INSTALL);
		REQUIRE(!secret_in_it || strstr(err.message, secret) == NULL);
		return;
	}
	check_entry(&entry);
	REQUIRE(entry.proxy == proxy);
	free(entry.host);
}

static const char *variable(void *context, const char *name)
{
	(void)name;
	return context;
}

static bool same(const struct reach_entry *a, const struct reach_entry *b)
{
	return a->port == b->port && a->proxy == b->proxy && strcmp(a->host, b->host) == 0;
}

static void check_config(char *text)
{
	struct npxc_error err = { 0 };
	struct npmrc config = { 0 };

	npmrc_read(&config, text, variable, text);
	for (int scripts = 0; scripts < 2; scripts++) {
		struct store_reach reach = { 0 };

		if (!registry_reach(&config, variable, text, NULL, scripts, &reach, NULL, &err)) {
			require_refusal(&err, ERROR_INSTALL);
			continue;
		}
		REQUIRE(reach.count > 0);
		for (size_t i = 0; i < reach.count; i++) {
			check_entry(&reach.v[i]);
			REQUIRE(!scripts || !reach.v[i].proxy);
			for (size_t j = 0; j < i; j++)
				REQUIRE(!same(&reach.v[i], &reach.v[j]));
		}
		registry_reach_done(&reach);
	}
	npmrc_done(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = size > 0 ? str_dup_n((const char *)data, size) : str_dup("");
	char *with = str_printf("https://me:%s@%s", secret, text);

	check_url(text, false, false);
	check_url(text, true, false);
	check_url(with, false, strstr(text, secret) == NULL);
	check_config(text);
	free(with);
	free(text);
	return 0;
}
