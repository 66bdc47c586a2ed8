#include "store/registry.h"

#include "base/ip.h"
#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 128, SCHEME_BYTES = 8, PORT_MAX = 65535 };

/* ---- one address ---- */

/* What stands before an @ may be a password, wherever the @ is: an address that was mistyped has it anywhere. */
static bool refuse(const char *url, const char *why, struct npxc_error *err)
{
	const char *at = strrchr(url, '@');
	const char *from = at != NULL ? at : url;
	mem_cleanup char *shown = str_escape(from, strnlen(from, SHOWN_BYTES));

	return error_set(err, ERROR_INSTALL, "\"%s%s\" %s", at != NULL ? "..." : "", shown, why);
}

static bool read_scheme(const char *url, bool proxy, const char **ret_rest, uint16_t *ret_port, bool *ret_https,
                        struct npxc_error *err)
{
	static const struct {
		const char *name;
		uint16_t port;
		bool proxy_only;
	} schemes[] = {
		{ "https", 443, false },   { "http", 80, false },     { "socks", 1080, true },
		{ "socks4", 1080, true },  { "socks4a", 1080, true }, { "socks5", 1080, true },
		{ "socks5h", 1080, true },
	};
	const char *end = strstr(url, "://");
	const size_t length = end != NULL ? (size_t)(end - url) : 0;
	char name[SCHEME_BYTES] = "";

	if (end == NULL || strcspn(url, "/?#@") < length)
		return refuse(url, "has no https:// or http:// before its host", err);
	for (size_t i = 0; i < length && length < sizeof(name); i++)
		name[i] = (char)(url[i] >= 'A' && url[i] <= 'Z' ? url[i] - 'A' + 'a' : url[i]);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (strcmp(name, schemes[i].name) == 0 && (proxy || !schemes[i].proxy_only)) {
			*ret_port = schemes[i].port;
			*ret_https = i == 0;
			*ret_rest = end + 3;
			return true;
		}
	}
	return refuse(url, proxy ? "is no http, https or socks proxy" : "is neither https:// nor http://", err);
}

static bool is_in(const struct ip *ip, const char *range)
{
	struct ip_prefix prefix;

	return ip_parse_prefix(range, strlen(range), &prefix) && ip_within(ip, &prefix);
}

/* On the way to 0.0.0.0 or :: the kernel goes to its own loopback; some registries announce themselves so. */
static struct ip reached(const struct ip *ip)
{
	const struct ip nowhere = { .v6 = ip->v6 };
	struct ip loopback = ip_v4(0x7f000001);

	if (!ip_equal(ip, &nowhere))
		return *ip;
	if (ip->v6)
		loopback = (struct ip){ .v6 = true, .bytes = { [15] = 1 } };
	return loopback;
}

static bool judge_address(const char *url, const struct ip *written, struct reach_entry *entry, struct npxc_error *err)
{
	/* link-local, and the address of the same service on AWS where there is only IPv6 */
	static const char *const metadata[] = { "169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128" };
	const struct ip plain = ip_plain(written);
	const struct ip ip = reached(&plain);
	mem_cleanup char *rule = NULL;
	char text[IP_TEXT_BYTES];
	struct npxc_error why = { 0 };

	ip_text(&ip, text);
	entry->loopback = is_in(&ip, "127.0.0.0/8") || is_in(&ip, "::1/128");
	for (size_t i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++)
		if (is_in(&ip, metadata[i]))
			return refuse(url, "is link-local: in a cloud the machine's own credentials are served there",
			              err);
	rule = rules_propose(text, entry->port);
	if (!entry->loopback && !rules_check(rule, &why))
		return refuse(url, "is at no address of a single host", err);
	entry->host = str_dup(text);
	return true;
}

static bool judge_name(const char *url, const char *host, size_t length, struct reach_entry *entry,
                       struct npxc_error *err)
{
	char name[RULES_NAME_BYTES];

	for (size_t i = 0; i < length; i++)
		if (host[i] == '%' || (unsigned char)host[i] >= 0x80)
			return refuse(url, "has a host that is not written in plain letters (xn--... of other ones)",
			              err);
	if (!rules_canonical_name(host, length, name))
		return refuse(url, "has a host that is neither a name nor an address", err);
	if (strcmp(name, "npxc.internal") == 0 || str_ends(name, ".npxc.internal"))
		return refuse(url, "has a host of sandboxes; write localhost for a registry of this machine", err);
	entry->loopback = strcmp(name, "localhost") == 0 || str_ends(name, ".localhost");
	entry->host = str_dup(name);
	return true;
}

static bool judge_host(const char *url, const char *host, size_t length, struct reach_entry *entry,
                       struct npxc_error *err)
{
	struct ip ip;

	if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
		if (!ip_parse(host + 1, length - 2, &ip) || !ip.v6)
			return refuse(url, "has brackets around what is no IPv6 address", err);
		return judge_address(url, &ip, entry, err);
	}
	if (ip_parse(host, length, &ip) && !ip.v6)
		return judge_address(url, &ip, entry, err);
	return judge_name(url, host, length, entry, err);
}

static bool read_port(const char *url, const char *text, size_t length, uint16_t *port, struct npxc_error *err)
{
	mem_cleanup char *digits = str_dup_n(text, length);
	uint64_t value;

	if (length == 0)
		return true; /* "host:" has the scheme's, says the URL standard */
	if (!str_to_u64(digits, PORT_MAX, &value) || value == 0)
		return refuse(url, "has no port from 1 to 65535 after its host", err);
	*port = (uint16_t)value;
	return true;
}

/* "user:password@host:port", up to the path. */
static bool read_authority(const char *url, const char *text, struct reach_entry *entry, struct npxc_error *err)
{
	const char *end = text + strcspn(text, "/?#");
	const char *host = text;
	const char *colon;

	for (const char *p = text; p < end; p++)
		if (*p == '@')
			host = p + 1;
	colon = host[0] == '[' ? memchr(host, ']', (size_t)(end - host)) : host;
	if (colon != NULL)
		colon = memchr(colon, ':', (size_t)(end - colon));
	if (colon != NULL && !read_port(url, colon + 1, (size_t)(end - colon - 1), &entry->port, err))
		return false;
	if (colon == NULL)
		colon = end;
	if (colon == host)
		return refuse(url, "has no host", err);
	return judge_host(url, host, (size_t)(colon - host), entry, err);
}

static bool parse(const char *url, bool proxy, struct reach_entry *ret_entry, bool *ret_https, struct npxc_error *err)
{
	struct reach_entry entry = { .proxy = proxy };
	const char *rest = url;

	if (url[0] == '\0')
		return error_set(err, ERROR_INSTALL, "an empty address");
	for (const char *p = url; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '\\')
			return refuse(url, "holds blanks, control bytes or a backslash", err);
	if (!read_scheme(url, proxy, &rest, &entry.port, ret_https, err) || !read_authority(url, rest, &entry, err))
		return false;
	*ret_entry = entry;
	return true;
}

bool registry_parse(const char *url, bool proxy, struct reach_entry *ret_entry, struct npxc_error *err)
{
	bool https = false;

	return parse(url, proxy, ret_entry, &https, err);
}

/* ---- which ones ---- */

struct asked {
	const struct npmrc *config;
	npmrc_lookup *variable;
	void *context;
	bool scripts;
	struct store_reach reach;
	struct strv notes;
};

static bool is_set(const char *value)
{
	return !str_is_empty(value) && strcmp(value, "null") != 0 && strcmp(value, "undefined") != 0 &&
	       strcmp(value, "false") != 0;
}

/* Takes `entry`; false when there is no more room. */
static bool add(struct store_reach *reach, struct reach_entry *entry)
{
	for (size_t i = 0; i < reach->count; i++) {
		const struct reach_entry *there = &reach->v[i];

		if (there->port == entry->port && there->proxy == entry->proxy &&
		    strcmp(there->host, entry->host) == 0) {
			free(entry->host);
			return true;
		}
	}
	if (reach->count >= LIMIT_REACH_ENTRIES) {
		free(entry->host);
		return false;
	}
	reach->v = mem_realloc(reach->v, reach->count + 1, sizeof(*reach->v));
	reach->v[reach->count++] = *entry;
	return true;
}

static const char *variable(const struct asked *asked, const char *lower, const char *upper)
{
	const char *value = asked->variable(asked->context, lower);

	return str_is_empty(value) ? asked->variable(asked->context, upper) : value;
}

/* Whether the labels of `entry` are the last ones of `host`; empty labels of it do not count. As npm does it. */
static bool is_below(const char *host, const char *entry, size_t length)
{
	size_t host_left = strlen(host);
	bool any = false;

	while (length > 0) {
		size_t label = 0, own = 0;

		while (length > 0 && entry[length - 1] == '.')
			length--;
		while (label < length && entry[length - label - 1] != '.')
			label++;
		if (label == 0)
			break;
		while (own < host_left && host[host_left - own - 1] != '.')
			own++;
		if (own != label || memcmp(host + host_left - own, entry + length - label, label) != 0)
			return false;
		any = true;
		length -= label;
		host_left -= own;
		host_left -= host_left > 0; /* the dot */
	}
	return any;
}

static bool any_below(const char *host, const char *list)
{
	while (*list != '\0') {
		size_t length = strcspn(list, ",");
		mem_cleanup char *copy = str_dup_n(list, length);
		const char *entry = str_trim(copy);

		if (is_below(host, entry, strlen(entry)))
			return true;
		list += length + (list[length] == ',');
	}
	return false;
}

static bool wants_no_proxy(const struct asked *asked, const struct reach_entry *registry)
{
	mem_cleanup char *host =
	    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): what was parsed has a host
	    strchr(registry->host, ':') != NULL ? str_printf("[%s]", registry->host) : str_dup(registry->host);
	const char *list = npmrc_get(asked->config, "noproxy");
	bool any = false;

	for (size_t i = 0; i < asked->config->count; i++) {
		const struct npmrc_pair *pair = &asked->config->v[i];

		if (strcmp(pair->key, "noproxy[]") != 0)
			continue;
		any = true;
		if (any_below(host, pair->value))
			return true;
	}
	if (any)
		return false;
	if (!is_set(list))
		list = variable(asked, "no_proxy", "NO_PROXY");
	return list != NULL && any_below(host, list);
}

/* The proxy that npm takes for registries of a scheme, with the key or variable that names it; NULL: none. */
static const char *proxy_of(const struct asked *asked, bool https, const char **ret_key)
{
	static const char *const keys[] = { "https-proxy", "proxy" };
	static const char *const variables[][2] = { { "https_proxy", "HTTPS_PROXY" },
		                                    { "http_proxy", "HTTP_PROXY" },
		                                    { "proxy", "PROXY" } };
	const char *found = NULL;

	for (size_t i = 0; found == NULL && i < sizeof(keys) / sizeof(keys[0]); i++) {
		*ret_key = keys[i];
		if (is_set(npmrc_get(asked->config, keys[i])))
			found = npmrc_get(asked->config, keys[i]);
	}
	for (size_t i = 0; found == NULL && i < (https ? 1 : sizeof(variables) / sizeof(variables[0])); i++) {
		*ret_key = variables[i][0];
		found = variable(asked, variables[i][0], variables[i][1]);
		if (str_is_empty(found))
			found = NULL;
	}
	return found;
}

static bool allowed(const struct rules *rules, const struct reach_entry *entry)
{
	struct ip ip;

	if (rules == NULL)
		return false;
	if (entry->loopback)
		return rules_match_name(rules, RULES_HOST_ALIAS, entry->port) != NULL;
	if (ip_parse(entry->host, strlen(entry->host), &ip))
		return rules_match_ip(rules, &ip, entry->port) != NULL;
	return rules_match_name(rules, entry->host, entry->port) != NULL;
}

static bool add_proxy(struct asked *asked, const struct reach_entry *registry, bool https, struct npxc_error *err)
{
	const char *key = NULL;
	const char *url = wants_no_proxy(asked, registry) ? NULL : proxy_of(asked, https, &key);
	struct reach_entry entry = { 0 };

	if (url == NULL)
		return true;
	if (!registry_parse(url, true, &entry, err))
		return error_prefix(err, "npm's configuration: %s", key);
	if (asked->scripts && !allowed(asked->reach.allow, &entry)) {
		free(entry.host);
		return true;
	}
	if (!add(&asked->reach, &entry))
		return error_set(err, ERROR_INSTALL, "npm's configuration: %s: more than %d hosts", key,
		                 LIMIT_REACH_ENTRIES);
	return true;
}

static bool add_registry(struct asked *asked, const char *key, const char *url, struct npxc_error *err)
{
	struct npxc_error why = { 0 };
	struct reach_entry entry = { 0 };
	bool https = false;

	if (!parse(url, false, &entry, &https, &why)) {
		mem_cleanup char *shown = str_escape(key, strnlen(key, SHOWN_BYTES));

		if (key[0] != '@')
			return error_set(err, ERROR_INSTALL, "npm's configuration: %s: %s", shown, why.message);
		strv_pushf(&asked->notes, "npm's configuration: %s: %s; it is not reached", shown, why.message);
		return true;
	}
	if (!add_proxy(asked, &entry, https, err)) {
		free(entry.host);
		return false;
	}
	if (!add(&asked->reach, &entry))
		strv_pushf(&asked->notes, "npm's configuration names more than %d registries; %s is not reached",
		           LIMIT_REACH_ENTRIES, key);
	return true;
}

bool registry_reach(const struct npmrc *config, npmrc_lookup *lookup, void *context, const struct rules *allow,
                    bool scripts, struct store_reach *ret_reach, struct strv *ret_notes, struct npxc_error *err)
{
	struct asked asked = { .config = config, .variable = lookup, .context = context, .scripts = scripts };
	bool ok;

	asked.reach.allow = allow;
	ok = add_registry(&asked, "registry", npmrc_registry(config), err);
	for (size_t i = 0; ok && i < config->count; i++) {
		const struct npmrc_pair *pair = &config->v[i];

		if (pair->key[0] == '@' && npmrc_is_registry_key(pair->key) && is_set(pair->value))
			ok = add_registry(&asked, pair->key, pair->value, err);
	}
	if (ok && ret_notes != NULL) {
		*ret_notes = asked.notes;
		asked.notes = (struct strv){ 0 };
	}
	strv_done(&asked.notes);
	if (!ok) {
		registry_reach_done(&asked.reach);
		return false;
	}
	*ret_reach = asked.reach;
	return true;
}

void registry_reach_done(struct store_reach *reach)
{
	for (size_t i = 0; i < reach->count; i++)
		free(reach->v[i].host);
	free(reach->v);
	*reach = (struct store_reach){ 0 };
}
