#include "config/rules.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { RULE_MAX_BYTES = 512, PORT_MAX = 65535, PORT_HTTP = 80, PORT_HTTPS = 443 };

#define RAW "/raw"

/* A wildcard directly under one of these is consent to strangers: anybody can have a name there. */
static const char *const shared_suffixes[] = {
	"amazonaws.com",
	"appspot.com",
	"azure.com",
	"azureedge.net",
	"azurefd.net",
	"azurewebsites.net",
	"blob.core.windows.net",
	"cloudapp.azure.com",
	"cloudflare.net",
	"cloudfront.net",
	"cloudfunctions.net",
	"core.windows.net",
	"ddns.net",
	"deno.dev",
	"digitaloceanspaces.com",
	"duckdns.org",
	"edgekey.net",
	"edgesuite.net",
	"akamaiedge.net",
	"akamaized.net",
	"fastly.net",
	"fastlylb.net",
	"firebaseapp.com",
	"firebaseio.com",
	"fly.dev",
	"fly.io",
	"github.dev",
	"github.io",
	"githubusercontent.com",
	"gitlab.io",
	"glitch.me",
	"googleusercontent.com",
	"herokuapp.com",
	"herokudns.com",
	"instance.vultr.com",
	"ip6.arpa",
	"in-addr.arpa",
	"lhr.life",
	"linodeobjects.com",
	"loca.lt",
	"localhost.run",
	"myshopify.com",
	"neocities.org",
	"netlify.app",
	"ngrok-free.app",
	"ngrok.app",
	"ngrok.io",
	"nip.io",
	"no-ip.org",
	"on.aws",
	"onrender.com",
	"pages.dev",
	"pipedream.net",
	"pythonanywhere.com",
	"r2.dev",
	"railway.app",
	"repl.co",
	"replit.app",
	"replit.dev",
	"run.app",
	"s3.amazonaws.com",
	"serveo.net",
	"sslip.io",
	"storage.googleapis.com",
	"supabase.co",
	"surge.sh",
	"trycloudflare.com",
	"up.railway.app",
	"vercel.app",
	"vercel.dev",
	"web.app",
	"webhook.site",
	"windows.net",
	"workers.dev",
	"xip.io",
};

/* Second levels under which the registries of two-letter domains sell names. */
static const char *const registry_labels[] = { "ac",  "co", "com", "edu", "gov", "gob", "go",  "ltd", "me",
	                                       "mil", "ne", "net", "nom", "or",  "org", "plc", "sch" };

/* ---- host names ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_label_byte(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static bool is_label(const char *label, size_t length)
{
	if (length == 0 || length > 63 || label[0] == '-' || label[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_label_byte(label[i]))
			return false;
	return true;
}

bool rules_canonical_name(const char *text, size_t length, char ret_name[static RULES_NAME_BYTES])
{
	char name[RULES_NAME_BYTES] = "";
	const char *label = name;

	if (length > 0 && text[length - 1] == '.')
		length--;
	if (length == 0 || length >= sizeof(name))
		return false;
	for (size_t i = 0; i < length; i++)
		name[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
	name[length] = '\0';
	for (;;) {
		const size_t span = strcspn(label, ".");

		if (!is_label(label, span))
			return false;
		if (label[span] == '\0')
			break;
		label += span + 1;
	}
	/* A NUL within would have ended the loop early. */
	if (strlen(name) != length || is_digit(label[0]))
		return false;
	memcpy(ret_name, name, length + 1);
	return true;
}

static bool is_below(const char *name, const char *suffix)
{
	const size_t n = strlen(name), s = strlen(suffix);

	return n > s + 1 && name[n - s - 1] == '.' && strcmp(name + n - s, suffix) == 0;
}

/* ---- parsing ---- */

static bool refuse(const char *text, const char *why, struct npxc_error *err)
{
	mem_cleanup char *shown = str_escape(text, strnlen(text, 128));

	return error_set(err, ERROR_CONFIG, "\"%s\" %s", shown, why);
}

static bool parse_port(const char *text, const char *digits, uint16_t *ret_port, struct npxc_error *err)
{
	uint64_t port;

	if (!str_to_u64(digits, PORT_MAX, &port) || port == 0)
		return refuse(text, "has no port from 1 to 65535 after its last colon", err);
	*ret_port = (uint16_t)port;
	return true;
}

static bool is_in(const struct ip_prefix *prefix, const char *range)
{
	struct ip_prefix wide;

	return ip_parse_prefix(range, strlen(range), &wide) && prefix->length >= wide.length &&
	       ip_within(&prefix->ip, &wide);
}

static bool check_address(const char *text, const struct ip_prefix *prefix, struct npxc_error *err)
{
	static const struct {
		const char *range;
		const char *why;
	} never[] = {
		{ "127.0.0.0/8",
		  "is the sandbox's own loopback; for a service of this machine write " RULES_HOST_ALIAS ":PORT" },
		{ "::1/128",
		  "is the sandbox's own loopback; for a service of this machine write " RULES_HOST_ALIAS ":PORT" },
		{ "0.0.0.0/8", "is no address of a host" },
		{ "::/96", "is no address of a host" },
		{ "224.0.0.0/3", "is multicast or reserved; only single hosts can be reached" },
		{ "ff00::/8", "is multicast; only single hosts can be reached" },
		{ "fe80::/10", "is link-local, which is no address without an interface" },
		{ "198.18.0.0/15", "is in the range that npxc gives to names" },
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (is_in(prefix, never[i].range))
			return refuse(text, never[i].why, err);
	if (prefix->length < (prefix->ip.v6 ? 16U : 8U))
		return refuse(text, "is most of the Internet; name narrower ranges, or set network.mode to open", err);
	return true;
}

/* 10.1.2.3/8 says two different things. */
static bool check_host_bits(const char *text, const char *address, size_t length, struct npxc_error *err)
{
	const char *slash = memchr(address, '/', length);
	struct ip ip;

	if (slash != NULL && ip_parse(address, (size_t)(slash - address), &ip))
		return refuse(text, "has address bits beyond its prefix length, or no length that fits", err);
	return refuse(text, "is neither a host name nor an address", err);
}

static bool parse_address(const char *text, const char *address, size_t length, struct rule *rule,
                          struct npxc_error *err)
{
	rule->kind = RULE_ADDRESS;
	if (!ip_parse_prefix(address, length, &rule->prefix))
		return check_host_bits(text, address, length, err);
	if (is_in(&rule->prefix, "::ffff:0:0/96"))
		return refuse(text, "is an IPv4 address in IPv6 clothes; write the IPv4 address", err);
	return check_address(text, &rule->prefix, err);
}

static bool is_shared(const char *suffix)
{
	const char *dot = strchr(suffix, '.');

	if (dot == NULL)
		return true;
	for (size_t i = 0; i < sizeof(shared_suffixes) / sizeof(shared_suffixes[0]); i++)
		if (strcmp(suffix, shared_suffixes[i]) == 0)
			return true;
	if (strlen(dot) != 3 || strchr(dot + 1, '.') != NULL)
		return false;
	for (size_t i = 0; i < sizeof(registry_labels) / sizeof(registry_labels[0]); i++)
		if (strncmp(suffix, registry_labels[i], (size_t)(dot - suffix)) == 0 &&
		    registry_labels[i][dot - suffix] == '\0')
			return true;
	return false;
}

static bool check_suffix(const char *text, const char *suffix, struct npxc_error *err)
{
	/* *.s3.eu-west-1.amazonaws.com: buckets of everybody, whatever the region. */
	const bool buckets = is_below(suffix, "amazonaws.com") && str_starts(suffix, "s3");

	if (!is_shared(suffix) && !buckets)
		return true;
	return refuse(text, "would allow names that anybody can have; name the hosts that are meant", err);
}

static bool parse_name(const char *text, const char *host, size_t length, struct rule *rule, struct npxc_error *err)
{
	const bool wild = length >= 2 && host[0] == '*' && host[1] == '.';
	char name[RULES_NAME_BYTES];

	if (length == 1 && host[0] == '*')
		return refuse(text, "would allow every host; name them, or set network.mode to open", err);
	rule->kind = wild ? RULE_SUFFIX : RULE_NAME;
	if (!rules_canonical_name(host + (wild ? 2 : 0), length - (wild ? 2 : 0), name))
		return refuse(text,
		              memchr(host, '*', length) != NULL
		                  ? "has a * elsewhere than as its whole first label, as in *.example.com"
		                  : "is neither a host name nor an address; write one such as api.example.com:443",
		              err);
	if (strcmp(name, "localhost") == 0 || is_below(name, "localhost"))
		return refuse(
		    text, "is the sandbox itself; for a service of this machine write " RULES_HOST_ALIAS ":PORT", err);
	if (wild && !check_suffix(text, name, err))
		return false;
	if (is_below(name, "npxc.internal") || strcmp(name, "npxc.internal") == 0) {
		if (wild || strcmp(name, RULES_HOST_ALIAS) != 0)
			return refuse(text, "is no name that npxc knows; write " RULES_HOST_ALIAS ":PORT", err);
		if (rule->port == 0)
			return refuse(text, "needs a port: the service of this machine that is meant", err);
		rule->kind = RULE_HOST_ALIAS;
	}
	rule->name = str_dup(name);
	return true;
}

/* Where the host ends: at the closing bracket, else at the only colon. Two colons without brackets: an IPv6 address,
 * which then has no port. */
static bool split(const char *text, const char **ret_host, size_t *ret_length, const char **ret_rest,
                  struct npxc_error *err)
{
	const char *colon = strchr(text, ':');

	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return refuse(text, "has a bracket that is not closed before the port", err);
		*ret_host = text + 1;
		*ret_length = (size_t)(end - text) - 1;
		*ret_rest = end + 1;
		if (memchr(*ret_host, ':', *ret_length) == NULL)
			return refuse(text, "has brackets around what is no IPv6 address", err);
		return true;
	}
	*ret_host = text;
	*ret_length = strlen(text);
	*ret_rest = text + *ret_length;
	if (colon != NULL && strchr(colon + 1, ':') == NULL) {
		*ret_length = (size_t)(colon - text);
		*ret_rest = colon;
	}
	return true;
}

static bool check_bytes(const char *text, struct npxc_error *err)
{
	if (text[0] == '\0')
		return error_set(err, ERROR_CONFIG, "an empty rule; write a host such as api.example.com:443");
	if (strlen(text) > RULE_MAX_BYTES)
		return error_set(err, ERROR_CONFIG, "a rule of more than %d bytes", RULE_MAX_BYTES);
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return error_set(err, ERROR_CONFIG,
			                 "a rule holds no blanks or control bytes; write one host to a rule");
	if (strstr(text, "://") != NULL)
		return refuse(text, "is a URL; write its host and port alone, such as api.example.com:443", err);
	return true;
}

/* What could be HTTP or TLS for any name has to be asked for one port at a time, and never where it is the rule. */
static bool check_raw(const char *text, uint16_t port, struct npxc_error *err)
{
	if (port == 0)
		return refuse(
		    text, "has " RAW " and no port; write the one port that is meant, as in db.example.com:5432" RAW,
		    err);
	if (port == PORT_HTTP || port == PORT_HTTPS)
		return refuse(text,
		              port == PORT_HTTP
		                  ? "has " RAW " on port 80, which is for HTTP held to the name; leave " RAW " out"
		                  : "has " RAW " on port 443, which is for TLS held to the name; leave " RAW " out",
		              err);
	return true;
}

bool rules_parse(const char *text, struct rule *ret_rule, struct npxc_error *err)
{
	const bool raw = str_ends(text, RAW);
	mem_cleanup char *plain = str_dup_n(text, strlen(text) - (raw ? strlen(RAW) : 0));
	struct rule rule = { 0 };
	const char *host = plain, *rest = plain;
	size_t length = 0;
	bool ok;

	if (!check_bytes(text, err) || !split(plain, &host, &length, &rest, err))
		return false;
	if (rest[0] != '\0' && !parse_port(text, rest + 1, &rule.port, err))
		return false;
	if (raw && !check_raw(text, rule.port, err))
		return false;
	struct ip ignored;
	const bool address =
	    ip_parse(host, length, &ignored) || memchr(host, '/', length) != NULL || memchr(host, ':', length) != NULL;
	ok = address ? parse_address(text, host, length, &rule, err) : parse_name(text, host, length, &rule, err);
	if (!ok)
		return false;
	rule.raw = raw && (rule.kind == RULE_NAME || rule.kind == RULE_SUFFIX);
	rule.text = str_dup(text);
	*ret_rule = rule;
	return true;
}

bool rules_check(const char *text, struct npxc_error *err)
{
	struct rule rule;

	if (!rules_parse(text, &rule, err))
		return false;
	rule_done(&rule);
	return true;
}

void rule_done(struct rule *rule)
{
	free(rule->text);
	free(rule->name);
	*rule = (struct rule){ 0 };
}

/* ---- sets ---- */

static bool same(const struct rule *a, const struct rule *b)
{
	return a->kind == b->kind && a->port == b->port && a->raw == b->raw && str_equal(a->name, b->name) &&
	       a->prefix.length == b->prefix.length && ip_equal(&a->prefix.ip, &b->prefix.ip);
}

static void add(struct rules *rules, struct rule rule)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (same(&rules->v[i], &rule)) {
			rules->v[i].configured = rules->v[i].configured || rule.configured;
			rules->v[i].proxy = rules->v[i].proxy || rule.proxy;
			rule_done(&rule);
			return;
		}
	}
	rules->v = mem_realloc(rules->v, rules->count + 1, sizeof(*rules->v));
	rules->v[rules->count++] = rule;
}

bool rules_add(struct rules *rules, const char *text, struct npxc_error *err)
{
	struct rule rule;

	if (!rules_parse(text, &rule, err))
		return false;
	add(rules, rule);
	return true;
}

bool rules_add_configured(struct rules *rules, const char *host, uint16_t port, bool proxy, struct npxc_error *err)
{
	mem_cleanup char *text = rules_propose(host, port);
	char name[RULES_NAME_BYTES];
	struct ip ip;

	if (ip_parse(host, strlen(host), &ip)) {
		ip = ip_plain(&ip);
		if (ip_is_loopback(&ip)) {
			add(rules, (struct rule){ .kind = RULE_LOOPBACK, .text = MEM_TAKE(text), .port = port });
			return true;
		}
		return rules_add(rules, text, err);
	}
	if (!rules_canonical_name(host, strlen(host), name))
		return refuse(host, "is neither a host name nor an address", err);
	if (is_below(name, "localhost") || strcmp(name, "localhost") == 0)
		add(rules, (struct rule){ .kind = RULE_LOOPBACK, .text = MEM_TAKE(text), .port = port });
	else
		add(rules, (struct rule){ .kind = RULE_NAME,
		                          .text = MEM_TAKE(text),
		                          .name = str_dup(name),
		                          .port = port,
		                          .configured = true,
		                          .proxy = proxy });
	return true;
}

void rules_add_granted(struct rules *rules, const struct rule *by, const char *name, uint16_t port)
{
	add(rules,
	    (struct rule){
	        .kind = RULE_NAME, .text = str_dup(by->text), .name = str_dup(name), .port = port, .raw = by->raw });
}

void rules_done(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		rule_done(&rules->v[i]);
	free(rules->v);
	*rules = (struct rules){ 0 };
}

bool rules_names(const struct rule *rule, const char *name)
{
	switch (rule->kind) {
	case RULE_NAME:
	case RULE_HOST_ALIAS:
		return strcmp(rule->name, name) == 0;
	case RULE_SUFFIX:
		return is_below(name, rule->name);
	case RULE_ADDRESS:
	case RULE_LOOPBACK:
		break;
	}
	return false;
}

static bool narrower(const struct rule *a, const struct rule *b)
{
	if (b == NULL)
		return true;
	if (a->raw != b->raw)
		return a->raw;
	if ((a->kind == RULE_SUFFIX) != (b->kind == RULE_SUFFIX))
		return b->kind == RULE_SUFFIX;
	if (a->kind == RULE_SUFFIX && strlen(a->name) != strlen(b->name))
		return strlen(a->name) > strlen(b->name);
	if (a->prefix.length != b->prefix.length)
		return a->prefix.length > b->prefix.length;
	return a->port != 0 && b->port == 0;
}

static bool takes_port(const struct rule *rule, uint16_t port)
{
	return rule->port == 0 || rule->port == port;
}

const struct rule *rules_match_name(const struct rules *rules, const char *name, uint16_t port)
{
	const struct rule *best = NULL;

	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->v[i];

		if (rules_names(rule, name) && takes_port(rule, port) && narrower(rule, best))
			best = rule;
	}
	return best;
}

const struct rule *rules_match_ip(const struct rules *rules, const struct ip *ip, uint16_t port)
{
	const struct ip plain = ip_plain(ip);
	const struct rule *best = NULL;

	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->v[i];

		if (rule->kind == RULE_ADDRESS && ip_within(&plain, &rule->prefix) && takes_port(rule, port) &&
		    narrower(rule, best))
			best = rule;
	}
	return best;
}

const struct rule *rules_match_loopback(const struct rules *rules, uint16_t port)
{
	for (size_t i = 0; i < rules->count && port != 0; i++)
		if (rules->v[i].kind == RULE_LOOPBACK && rules->v[i].port == port)
			return &rules->v[i];
	return NULL;
}

bool rules_knows_name(const struct rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules_names(&rules->v[i], name))
			return true;
	return false;
}

/* ---- for people ---- */

/* Whether everything that `inner` allows is allowed by `outer` too. */
static bool covers(const struct rule *outer, const struct rule *inner)
{
	if (outer->port != 0 && outer->port != inner->port)
		return false;
	if (inner->raw && !outer->raw)
		return false;
	if (inner->kind == RULE_LOOPBACK) /* has no name; equal ones are one */
		return false;
	if (outer->kind == RULE_ADDRESS || inner->kind == RULE_ADDRESS)
		return outer->kind == inner->kind && outer->prefix.length <= inner->prefix.length &&
		       ip_within(&inner->prefix.ip, &outer->prefix);
	if (inner->kind == RULE_SUFFIX)
		return outer->kind == RULE_SUFFIX &&
		       (strcmp(outer->name, inner->name) == 0 || is_below(inner->name, outer->name));
	return rules_names(outer, inner->name);
}

bool rules_cover(const struct rules *rules, const struct rule *rule)
{
	for (size_t i = 0; i < rules->count; i++)
		if (covers(&rules->v[i], rule))
			return true;
	return false;
}

char *rules_warning(const struct rules *rules, size_t index)
{
	const struct rule *rule = &rules->v[index];

	for (size_t i = 0; i < rules->count; i++)
		if (i != index && rules->v[i].raw == rule->raw && covers(&rules->v[i], rule))
			return str_printf("\"%s\" adds nothing to \"%s\"", rule->text, rules->v[i].text);
	if (!rule->raw && rule->kind != RULE_LOOPBACK && str_ends(rule->text, RAW))
		return str_printf("\"%s\" needs no " RAW ": every protocol passes on a rule for an address",
		                  rule->text);
	if (rule->kind == RULE_ADDRESS && is_in(&rule->prefix, "169.254.0.0/16"))
		return str_printf("\"%s\" is link-local: in a cloud the machine's own credentials are served there",
		                  rule->text);
	return NULL;
}

char *rules_propose(const char *host, uint16_t port)
{
	return strchr(host, ':') != NULL ? str_printf("[%s]:%u", host, port) : str_printf("%s:%u", host, port);
}

char *rules_propose_raw(const char *host, uint16_t port)
{
	mem_cleanup char *rule = rules_propose(host, port);

	return str_printf("%s" RAW, rule);
}
