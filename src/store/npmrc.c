#include "store/npmrc.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char default_registry[] = "https://registry.npmjs.org/";

static void push(struct npmrc *to, char *owned_key, char *owned_value)
{
	to->v = mem_realloc(to->v, to->count + 1, sizeof(*to->v));
	to->v[to->count++] = (struct npmrc_pair){ owned_key, owned_value };
}

static void drop(struct npmrc *to, const char *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < to->count; i++) {
		if (strcmp(to->v[i].key, key) == 0) {
			free(to->v[i].key);
			free(to->v[i].value); // NOLINT(clang-analyzer-unix.Malloc): it is out of `count` below
		} else {
			to->v[kept++] = to->v[i];
		}
	}
	to->count = kept;
}

void npmrc_set(struct npmrc *to, const char *key, const char *value)
{
	mem_cleanup char *plain = str_dup(key); /* the key may belong to the pair that goes */
	char *copy = str_dup(value);

	drop(to, plain);
	push(to, str_dup(plain), copy);
}

void npmrc_remove(struct npmrc *from, const char *key)
{
	mem_cleanup char *plain = str_dup(key);

	drop(from, plain);
}

const char *npmrc_get(const struct npmrc *from, const char *key)
{
	for (size_t i = from->count; i > 0; i--)
		if (strcmp(from->v[i - 1].key, key) == 0)
			return from->v[i - 1].value;
	return NULL;
}

bool npmrc_is_true(const struct npmrc *from, const char *key)
{
	return str_equal(npmrc_get(from, key), "true");
}

void npmrc_done(struct npmrc *npmrc)
{
	for (size_t i = 0; i < npmrc->count; i++) {
		free(npmrc->v[i].key);
		free(npmrc->v[i].value);
	}
	free(npmrc->v);
	*npmrc = (struct npmrc){ 0 };
}

/* ---- reading ---- */

/* The `unsafe` of npm's ini: quotes are taken off, or else an unescaped ; or # ends the text. Owned. */
static char *ini_value(const char *text, size_t length)
{
	mem_cleanup char *copy = str_dup_n(text, length);
	char *trimmed = str_trim(copy);
	size_t n = strlen(trimmed);
	char *out;
	size_t used = 0;

	if (n > 0 && (trimmed[0] == '"' || trimmed[0] == '\'') && trimmed[n - 1] == trimmed[0]) {
		cJSON *parsed;
		char *result;

		if (trimmed[0] == '\'') {
			trimmed[n > 1 ? n - 1 : 0] = '\0';
			trimmed += n > 1;
		}
		parsed = parse_text(trimmed, strlen(trimmed));
		result = str_dup(cJSON_IsString(parsed) ? parsed->valuestring : trimmed);
		cJSON_Delete(parsed);
		return result;
	}
	out = mem_alloc(n + 1);
	for (size_t i = 0; i < n && trimmed[i] != ';' && trimmed[i] != '#'; i++) {
		if (trimmed[i] == '\\' && trimmed[i + 1] != '\0' && strchr("\\;#", trimmed[i + 1]) != NULL)
			i++;
		out[used++] = trimmed[i];
	}
	while (used > 0 && (out[used - 1] == ' ' || out[used - 1] == '\t'))
		used--;
	out[used] = '\0';
	return out;
}

/* ${NAME} or ${NAME?} at `p`: the length of the whole, 0 when there is none. */
static size_t variable_at(const char *p, size_t *ret_name_length, bool *ret_optional)
{
	size_t n;

	if (p[0] != '$' || p[1] != '{')
		return 0;
	n = strcspn(p + 2, "${}?");
	*ret_optional = p[2 + n] == '?';
	*ret_name_length = n;
	if (n == 0 || p[2 + n + *ret_optional] != '}')
		return 0;
	return 2 + n + *ret_optional + 1;
}

/* As npm does it: an odd number of backslashes before a variable keeps it as written, pairs become one each. Owned. */
static char *expand(const char *text, npmrc_lookup *lookup, void *context)
{
	struct buf out = BUF_INIT(LIMIT_NPMRC_VALUE_BYTES);
	struct npxc_error ignored;
	bool ok = true;

	for (const char *p = text; *p != '\0' && ok;) {
		size_t slashes = strspn(p, "\\");
		size_t name_length = 0;
		bool optional = false;
		size_t whole = variable_at(p + slashes, &name_length, &optional);

		if (whole == 0) {
			size_t plain = slashes > 0 ? slashes : 1;

			ok = buf_append(&out, p, plain, &ignored);
			p += plain;
			continue;
		}
		ok = buf_append(&out, p, slashes / 2, &ignored);
		if (slashes % 2 != 0) {
			ok = ok && buf_append(&out, p + slashes, whole, &ignored);
		} else {
			mem_cleanup char *name = str_dup_n(p + slashes + 2, name_length);
			const char *value = lookup(context, name);

			if (value != NULL)
				ok = ok && buf_append_text(&out, value, &ignored);
			else if (!optional)
				ok = ok && buf_append(&out, p + slashes, whole, &ignored);
		}
		p += slashes + whole;
	}
	return buf_take(&out);
}

void npmrc_read(struct npmrc *to, const char *text, npmrc_lookup *lookup, void *context)
{
	struct npmrc file = { 0 };
	bool in_section = false;

	for (const char *line = text; *line != '\0';) {
		size_t length = strcspn(line, "\r\n");
		size_t blanks = strspn(line, " \t");
		const char *equals = memchr(line, '=', length);
		const char *end = line + length;

		if (length == 0 || blanks >= length || line[blanks] == ';' || line[blanks] == '#') {
			;
		} else if (line[0] == '[' && memchr(line, ']', length) != NULL) {
			in_section = true;
		} else if (!in_section && equals != line) {
			mem_cleanup char *raw_key = ini_value(line, (size_t)((equals != NULL ? equals : end) - line));
			mem_cleanup char *raw_value =
			    equals != NULL ? ini_value(equals + 1, (size_t)(end - equals - 1)) : str_dup("true");
			mem_cleanup char *key = expand(raw_key, lookup, context);
			char *value = expand(raw_value, lookup, context);

			if (str_ends(key, "[]")) {
				push(&file, str_dup(key), value);
			} else {
				npmrc_set(&file, key, value);
				free(value);
			}
		}
		line = *end == '\0' ? end : end + 1;
	}
	/* An array or a single value in this file replaces both forms of the files below it. */
	for (size_t i = 0; i < file.count; i++) {
		size_t n = strlen(file.v[i].key);
		mem_cleanup char *plain = str_dup_n(file.v[i].key, str_ends(file.v[i].key, "[]") ? n - 2 : n);
		mem_cleanup char *array = str_printf("%s[]", plain);

		drop(to, plain);
		drop(to, array);
	}
	for (size_t i = 0; i < file.count; i++)
		push(to, file.v[i].key, file.v[i].value);
	free(file.v);
}

void npmrc_read_environment(struct npmrc *to, char *const *environment)
{
	static const char prefix[] = "npm_config_";
	enum { PREFIX = sizeof(prefix) - 1 };

	for (; *environment != NULL; environment++) {
		const char *equals = strchr(*environment, '=');
		mem_cleanup char *key = NULL;

		if (equals == NULL || equals[1] == '\0' || equals - *environment <= PREFIX)
			continue;
		key = str_dup_n(*environment, (size_t)(equals - *environment));
		for (size_t i = 0; i < PREFIX; i++)
			if (key[i] >= 'A' && key[i] <= 'Z')
				key[i] = (char)(key[i] - 'A' + 'a');
		if (!str_starts(key, prefix))
			continue;
		if (!str_starts(key + PREFIX, "//")) {
			for (char *p = key + PREFIX; *p != '\0'; p++) {
				if (*p >= 'A' && *p <= 'Z')
					*p = (char)(*p - 'A' + 'a');
				else if (*p == '_' && p != key + PREFIX)
					*p = '-';
			}
		}
		npmrc_set(to, key + PREFIX, equals + 1);
	}
}

/* ---- selecting ---- */

/* Registries, how they are reached, and the user's policies. None of them names a program or a path of the host. */
static const char *const plain_keys[] = { "strict-ssl",
	                                  "proxy",
	                                  "https-proxy",
	                                  "http-proxy",
	                                  "noproxy",
	                                  "noproxy[]",
	                                  "ca",
	                                  "ca[]",
	                                  "fetch-retries",
	                                  "fetch-retry-factor",
	                                  "fetch-retry-mintimeout",
	                                  "fetch-retry-maxtimeout",
	                                  "fetch-timeout",
	                                  "maxsockets",
	                                  "replace-registry-host",
	                                  "before",
	                                  "min-release-age",
	                                  "min-release-age-exclude",
	                                  "min-release-age-exclude[]",
	                                  "legacy-peer-deps",
	                                  "strict-peer-deps",
	                                  "engine-strict",
	                                  "offline",
	                                  "prefer-offline",
	                                  "prefer-online",
	                                  "allow-scripts",
	                                  "allow-scripts[]",
	                                  "strict-allow-scripts",
	                                  "dangerously-allow-all-scripts",
	                                  "allow-remote",
	                                  "allow-file",
	                                  "allow-directory",
	                                  NULL };
static const char *const secret_fields[] = { "_authToken", "_auth",    "username", "_password",
	                                     "email",      "certfile", "keyfile",  NULL };
/* The same without a registry before them; older npm sends them to the default registry. In the environment their
 * names are in small letters. */
static const char *const bare_secrets[][2] = { { "_authToken", "_authToken" },
	                                       { "_authtoken", "_authToken" },
	                                       { "_auth", "_auth" },
	                                       { "username", "username" },
	                                       { "_password", "_password" } };
/* Inline client certificates, for whichever registry asks for one. */
static const char *const secret_keys[] = { "cert", "key", NULL };

static bool is_one_of(const char *const *list, const char *text)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

bool npmrc_is_registry_key(const char *key)
{
	return strcmp(key, "registry") == 0 || (key[0] == '@' && str_ends(key, ":registry"));
}

static bool is_unset(const char *value)
{
	return value[0] == '\0' || strcmp(value, "null") == 0 || strcmp(value, "undefined") == 0;
}

const char *npmrc_registry(const struct npmrc *from)
{
	const char *registry = npmrc_get(from, "registry");

	return registry == NULL || is_unset(registry) ? default_registry : registry;
}

/* "user:password@" in an address: where it starts and its length without the @; NULL when there is none. */
static const char *user_part(const char *url, size_t *ret_length)
{
	const char *scheme = strstr(url, "://");
	const char *start = scheme != NULL ? scheme + 3 : url;
	const char *at = NULL;

	for (const char *p = start; *p != '\0' && strchr("/?#", *p) == NULL; p++)
		if (*p == '@')
			at = p;
	if (at == NULL)
		return NULL;
	*ret_length = (size_t)(at - start);
	return start;
}

/* The address without "user:password@"; owned. */
static char *strip_user(const char *url)
{
	size_t length;
	const char *user = user_part(url, &length);

	if (user == NULL)
		return str_dup(url);
	return str_printf("%.*s%s", (int)(user - url), url, user + length + 1);
}

/* "//host/path/" of an address: how npm ties credentials to a registry. Owned. */
static char *registry_prefix(const char *url)
{
	mem_cleanup char *plain = strip_user(url);
	const char *scheme = strstr(plain, "://");
	const char *start = scheme != NULL ? scheme + 3 : plain;
	size_t length = strcspn(start, "?#");
	size_t slash = length;

	while (slash > 0 && start[slash - 1] != '/')
		slash--;
	return slash > 0 ? str_printf("//%.*s", (int)slash, start) : str_printf("//%.*s/", (int)length, start);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64(const char *text, size_t length)
{
	char *out = mem_alloc((length + 2) / 3 * 4 + 1);
	size_t used = 0;

	for (size_t i = 0; i < length; i += 3) {
		unsigned v = (unsigned)(unsigned char)text[i] << 16;

		if (i + 1 < length)
			v |= (unsigned)(unsigned char)text[i + 1] << 8;
		if (i + 2 < length)
			v |= (unsigned)(unsigned char)text[i + 2];
		out[used++] = base64_digits[v >> 18];
		out[used++] = base64_digits[v >> 12 & 63];
		out[used++] = i + 1 < length ? base64_digits[v >> 6 & 63] : '=';
		out[used++] = i + 2 < length ? base64_digits[v & 63] : '=';
	}
	out[used] = '\0';
	return out;
}

/* Owned; NULL when it is none. Zero bytes end the text. */
static char *decode_base64(const char *text)
{
	char *out = mem_alloc(strlen(text) / 4 * 3 + 4);
	size_t used = 0;
	unsigned bits = 0;
	unsigned count = 0;

	for (const char *p = text; *p != '\0' && *p != '='; p++) {
		const char *digit = strchr(base64_digits, *p);

		if (digit == NULL) {
			free(out);
			return NULL;
		}
		bits = bits << 6 | (unsigned)(digit - base64_digits);
		count += 6;
		if (count >= 8) {
			count -= 8;
			out[used++] = (char)(bits >> count & 0xff);
		}
	}
	out[used] = '\0';
	return out;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t percent_decode(char *text, size_t length)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '%' && i + 2 < length && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
			text[used++] = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
			i += 2;
		} else {
			text[used++] = text[i];
		}
	}
	text[used] = '\0';
	return used;
}

static void select_registry(struct npmrc *to, bool secrets, const char *key, const char *url)
{
	mem_cleanup char *plain = strip_user(url);
	size_t length;
	const char *user = user_part(url, &length);

	npmrc_set(to, key, plain);
	if (user != NULL && secrets) {
		mem_cleanup char *prefix = registry_prefix(plain);
		mem_cleanup char *auth_key = str_printf("%s:_auth", prefix);
		mem_cleanup char *pair = str_dup_n(user, length);
		mem_cleanup char *value = base64(pair, percent_decode(pair, length));

		npmrc_set(to, auth_key, value);
	}
}

static bool is_proxy_key(const char *key)
{
	return strcmp(key, "proxy") == 0 || strcmp(key, "https-proxy") == 0 || strcmp(key, "http-proxy") == 0;
}

char *npmrc_plain_proxy(const char *url)
{
	mem_cleanup char *rest = strip_user(url);
	const char *scheme = strstr(rest, "://");
	const char *start = scheme != NULL ? scheme + 3 : rest;
	const size_t length = (size_t)(start - rest) + strcspn(start, "/?#\\");

	/* A password with one of these in it ends the address early for whoever reads it so. */
	return length == 0 || strchr(rest, '@') != NULL ? NULL : str_dup_n(rest, length);
}

void npmrc_select(const struct npmrc *from, bool secrets, struct npmrc *ret_selected)
{
	struct npmrc to = { 0 };
	mem_cleanup char *default_prefix = registry_prefix(npmrc_registry(from));

	for (size_t i = 0; i < from->count; i++) {
		const char *key = from->v[i].key;
		const char *value = from->v[i].value;
		const char *field = strrchr(key, ':');

		if (is_unset(value))
			continue;
		if (npmrc_is_registry_key(key)) {
			select_registry(&to, secrets, key, value);
		} else if (is_proxy_key(key) && !secrets) {
			mem_cleanup char *plain = npmrc_plain_proxy(value);

			if (plain != NULL)
				npmrc_set(&to, key, plain);
		} else if (!secrets && str_starts(key, "noproxy") && strchr(value, '@') != NULL) {
			continue; /* a list of hosts: what has this in it is an address that was mistaken for one */
		} else if (is_one_of(plain_keys, key)) {
			if (str_ends(key, "[]"))
				push(&to, str_dup(key), str_dup(value));
			else
				npmrc_set(&to, key, value);
		} else if ((str_starts(key, "//") && field != NULL && is_one_of(secret_fields, field + 1)) ||
		           is_one_of(secret_keys, key)) {
			if (secrets)
				npmrc_set(&to, key, value);
		} else {
			for (size_t b = 0; b < sizeof(bare_secrets) / sizeof(bare_secrets[0]); b++) {
				mem_cleanup char *tied = str_printf("%s:%s", default_prefix, bare_secrets[b][1]);

				if (secrets && strcmp(key, bare_secrets[b][0]) == 0 && npmrc_get(from, tied) == NULL)
					npmrc_set(&to, tied, value);
			}
		}
	}
	*ret_selected = to;
}

/* ---- redacting ---- */

/* Shorter ones stand in ordinary words; npm itself shows none of an address (below). */
enum { SECRET_MIN_BYTES = 4 };

static void add_text(struct strv *secrets, const char *text)
{
	if (strlen(text) >= SECRET_MIN_BYTES && !strv_contains(secrets, text))
		strv_push(secrets, text);
}

/* A pair "user:password" in all forms in which npm may show it. The user's name alone is no secret but where it is a
 * token: where no password follows. */
static void add_pair(struct strv *secrets, const char *pair)
{
	mem_cleanup char *decoded = str_dup(pair);
	const size_t length = percent_decode(decoded, strlen(decoded));
	mem_cleanup char *encoded = base64(decoded, length);
	const char *const forms[] = { pair, decoded };

	add_text(secrets, encoded);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *colon = strchr(forms[i], ':');

		add_text(secrets, forms[i]);
		add_text(secrets, colon != NULL && colon[1] != '\0' ? colon + 1 : forms[i]);
	}
}

void npmrc_add_address_secrets(const char *url, struct strv *secrets)
{
	size_t length;
	const char *user = user_part(url, &length);
	const char *at = strrchr(url, '@');
	const char *scheme = strstr(url, "://");

	if (user != NULL) {
		mem_cleanup char *pair = str_dup_n(user, length);

		add_pair(secrets, pair);
	} else if (at != NULL && scheme != NULL && scheme < at) {
		/* One that was mistyped: whoever reads it finds no password there, and all the same there is one. */
		mem_cleanup char *pair = str_dup_n(scheme + 3, (size_t)(at - scheme - 3));

		add_pair(secrets, pair);
	}
}

void npmrc_add_secrets(const struct npmrc *from, struct strv *secrets)
{
	for (size_t i = 0; i < from->count; i++) {
		const char *key = from->v[i].key;
		const char *value = from->v[i].value;
		const char *colon = strrchr(key, ':');
		const char *field = colon != NULL ? colon + 1 : key;

		if (npmrc_is_registry_key(key) || is_proxy_key(key)) {
			npmrc_add_address_secrets(value, secrets);
		} else if (strcmp(field, "_auth") == 0 || strcmp(field, "_password") == 0) {
			mem_cleanup char *decoded = decode_base64(value);

			add_text(secrets, value);
			if (decoded != NULL)
				add_pair(secrets, decoded);
		} else if (str_starts(field, "_auth") || strcmp(key, "key") == 0) {
			add_text(secrets, value);
		}
	}
}

static int by_length(const void *a, const void *b)
{
	const size_t x = strlen(*(char *const *)a);
	const size_t y = strlen(*(char *const *)b);

	return x == y ? 0 : x < y ? 1 : -1;
}

/* Whatever stands between "://" and an "@" of the same word. */
static void blank_addresses(char *text)
{
	for (char *p = strstr(text, "://"); p != NULL; p = strstr(p, "://")) {
		char *end;
		char *at = NULL;

		p += 3;
		for (end = p; *end != '\0' && strchr(" \t\r\n\"'/?#", *end) == NULL; end++)
			if (*end == '@')
				at = end;
		if (at == NULL)
			continue;
		if (at - p > 3) {
			memmove(p + 3, at, strlen(at) + 1);
			at = p + 3;
		}
		memset(p, '*', (size_t)(at - p));
	}
}

char *npmrc_redact(const char *text, struct strv *secrets)
{
	char *left = str_dup(text);

	/* The longest first: one may be a part of another. */
	if (secrets->count > 0)
		qsort(secrets->v, secrets->count, sizeof(*secrets->v), by_length);
	for (size_t i = 0; i < secrets->count; i++) {
		const size_t length = strlen(secrets->v[i]);

		for (char *p = strstr(left, secrets->v[i]); p != NULL; p = strstr(p, secrets->v[i])) {
			memset(p, '*', 3);
			memmove(p + 3, p + length, strlen(p + length) + 1);
			p += 3;
		}
	}
	blank_addresses(left);
	return left;
}

bool npmrc_write(const struct npmrc *from, struct buf *to, struct npxc_error *err)
{
	for (size_t i = 0; i < from->count; i++) {
		const char *key = from->v[i].key;
		cJSON *text;
		char *quoted;
		bool ok;

		/* Such a key would not be read back as itself; no registry has one. */
		if (strpbrk(key, "=;#\\\"'\r\n$") != NULL || key[0] == '[')
			continue;
		text = cJSON_CreateString(from->v[i].value);
		quoted = cJSON_PrintUnformatted(text);
		cJSON_Delete(text);
		ok = quoted == NULL || buf_appendf(to, err, "%s=%s\n", key, quoted);
		free(quoted);
		if (!ok)
			return false;
	}
	return true;
}
