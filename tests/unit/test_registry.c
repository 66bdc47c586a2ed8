/* What an installation may reach, from npm's configuration. */
#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "store/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "host:port", then what it is. Owned. */
static char *entry_text(const struct reach_entry *entry)
{
	mem_cleanup char *target = rules_propose(entry->host, entry->port);

	return str_printf("%s%s%s", target, entry->loopback ? " loopback" : "", entry->proxy ? " proxy" : "");
}

static void addresses_are_read(void **state)
{
	static const struct {
		const char *url;
		bool proxy;
		const char *entry;
	} cases[] = {
		{ "https://registry.npmjs.org/", false, "registry.npmjs.org:443" },
		{ "https://registry.npmjs.org", false, "registry.npmjs.org:443" },
		{ "http://r.example/", false, "r.example:80" },
		{ "https://r.example:8443/npm/", false, "r.example:8443" },
		{ "https://r.example:/npm/", false, "r.example:443" },
		{ "https://r.example/npm/@scope:80/x@y", false, "r.example:443" },
		{ "https://r.example?x=http://other.example/", false, "r.example:443" },
		{ "https://r.example#@other.example", false, "r.example:443" },
		{ "HTTPS://R.Example:443/", false, "r.example:443" },
		{ "https://r.example./", false, "r.example:443" },
		{ "https://nexus/repository/npm/", false, "nexus:443" },
		{ "https://a_b.example/", false, "a_b.example:443" },
		{ "https://xn--bcher-kva.example/", false, "xn--bcher-kva.example:443" },
		{ "https://user@r.example/", false, "r.example:443" },
		{ "https://user:pass@r.example:8443/", false, "r.example:8443" },
		{ "https://other.example:80@r.example/", false, "r.example:443" },
		{ "https://other.example\xef\xbc\x8f@r.example/", false, "r.example:443" }, /* no slash to npm either */
		{ "https://us@er:p@ss@r.example/", false, "r.example:443" },
		{ "http://10.1.2.3:8081/", false, "10.1.2.3:8081" },
		{ "http://192.168.0.2/", false, "192.168.0.2:80" },
		{ "http://100.64.0.1/", false, "100.64.0.1:80" },
		{ "http://[fd00::1]:4873/", false, "[fd00::1]:4873" },
		{ "http://[2001:DB8:0::1]/", false, "[2001:db8::1]:80" },
		{ "http://[::ffff:10.1.2.3]/", false, "10.1.2.3:80" },
		/* this machine's own */
		{ "http://127.0.0.1:4873", false, "127.0.0.1:4873 loopback" },
		{ "http://127.8.0.1:4873/", false, "127.8.0.1:4873 loopback" },
		{ "http://localhost:4873/", false, "localhost:4873 loopback" },
		{ "http://LocalHost.:4873/", false, "localhost:4873 loopback" },
		{ "http://npm.localhost/", false, "npm.localhost:80 loopback" },
		{ "http://[::1]:4873/", false, "[::1]:4873 loopback" },
		{ "http://[0:0:0:0:0:0:0:1]:4873/", false, "[::1]:4873 loopback" },
		{ "http://[::ffff:127.0.0.1]:4873/", false, "127.0.0.1:4873 loopback" },
		{ "http://0.0.0.0:4873/", false, "127.0.0.1:4873 loopback" },
		{ "http://[::]:4873/", false, "[::1]:4873 loopback" },
		{ "http://localhost.example/", false, "localhost.example:80" },
		{ "http://notlocalhost/", false, "notlocalhost:80" },
		/* proxies */
		{ "http://proxy.example:3128", true, "proxy.example:3128 proxy" },
		{ "http://proxy.example", true, "proxy.example:80 proxy" },
		{ "https://u:p@proxy.example/", true, "proxy.example:443 proxy" },
		{ "http://127.0.0.1:3128", true, "127.0.0.1:3128 loopback proxy" },
		{ "socks5h://proxy.example", true, "proxy.example:1080 proxy" },
		{ "SOCKS://proxy.example:9050", true, "proxy.example:9050 proxy" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reach_entry entry;
		struct npxc_error err = { 0 };
		mem_cleanup char *text = NULL;

		if (!registry_parse(cases[i].url, cases[i].proxy, &entry, &err))
			fail_msg("%s: %s", cases[i].url, err.message);
		text = entry_text(&entry);
		if (strcmp(text, cases[i].entry) != 0)
			fail_msg("%s is %s, not %s", cases[i].url, text, cases[i].entry);
		free(entry.host);
	}
}

static void other_addresses_are_refused(void **state)
{
	static const struct {
		const char *url;
		bool proxy;
		const char *why;
	} cases[] = {
		{ "", false, "an empty address" },
		{ "registry.example", false, "\"registry.example\" has no https:// or http:// before its host" },
		{ "registry.example:443", false, "has no https://" },
		{ "//registry.example/", false, "has no https://" },
		{ "/registry.example/", false, "has no https://" },
		{ "https:/r.example/", false, "has no https://" },
		{ "https:r.example", false, "has no https://" },
		{ "://r.example", false, "is neither https:// nor http://" },
		{ "r.example/?x=https://other.example/", false, "has no https://" },
		{ "ftp://r.example/", false, "\"ftp://r.example/\" is neither https:// nor http://" },
		{ "file:///srv/npm", false, "is neither https:// nor http://" },
		{ "git+https://r.example/", false, "is neither https:// nor http://" },
		{ "httpss://r.example/", false, "is neither https:// nor http://" },
		{ "http s://r.example/", false, "holds blanks" },
		{ "socks5://r.example/", false, "is neither https:// nor http://" },
		{ "proxy.example:3128", true, "has no https://" },
		{ "quic://proxy.example", true, "is no http, https or socks proxy" },
		{ "https:///r.example/", false, "has no host" },
		{ "https://", false, "has no host" },
		{ "https://:443/", false, "has no host" },
		{ "https://@/", false, "has no host" },
		{ "https://r.example:0/", false, "has no port from 1 to 65535" },
		{ "https://r.example:65536/", false, "has no port from 1 to 65535" },
		{ "https://r.example:0443/", false, "has no port from 1 to 65535" },
		{ "https://r.example:+443/", false, "has no port from 1 to 65535" },
		{ "https://r.example:https/", false, "has no port from 1 to 65535" },
		{ "https://r.example:80:443/", false, "has no port from 1 to 65535" },
		{ "https://r.example:443\\@other.example/", false, "holds blanks, control bytes or a backslash" },
		{ "https:\\\\r.example\\", false, "holds blanks, control bytes or a backslash" },
		{ "https://r.exa\tmple/", false, "holds blanks, control bytes or a backslash" },
		{ "https://r.exa\nmple/", false, "holds blanks, control bytes or a backslash" },
		{ " https://r.example/", false, "holds blanks, control bytes or a backslash" },
		{ "https://r.example/\x7f", false, "holds blanks, control bytes or a backslash" },
		{ "https://b\xc3\xbc"
		  "cher.example/",
		  false, "xn--... of other ones" },
		{ "https://r%2eexample/", false, "xn--... of other ones" },
		{ "https://*.example/", false, "neither a name nor an address" },
		{ "https://r..example/", false, "neither a name nor an address" },
		{ "https://-r.example/", false, "neither a name nor an address" },
		{ "https://r.example-/", false, "neither a name nor an address" },
		{ "https://[r.example]/", false, "brackets around what is no IPv6 address" },
		{ "https://[127.0.0.1]/", false, "brackets around what is no IPv6 address" },
		{ "https://[fe80::1%25eth0]/", false, "brackets around what is no IPv6 address" },
		{ "https://[::1/", false, "neither a name nor an address" },
		{ "https://[::1]x:80/", false, "neither a name nor an address" },
		{ "https://::1/", false, "has no port from 1 to 65535" },
		/* numbers that some parsers read as addresses */
		{ "http://127.1/", false, "neither a name nor an address" },
		{ "http://2130706433/", false, "neither a name nor an address" },
		{ "http://0x7f.0.0.1/", false, "neither a name nor an address" },
		{ "http://0177.0.0.1/", false, "neither a name nor an address" },
		{ "http://127.0.0.1./", false, "neither a name nor an address" },
		{ "http://1.2.3.256/", false, "neither a name nor an address" },
		/* no registry */
		{ "http://169.254.169.254/", false, "is link-local: in a cloud the machine's own credentials" },
		{ "http://[::ffff:169.254.169.254]/", false, "is link-local" },
		{ "http://[fe80::1]/", false, "is link-local" },
		{ "http://[fd00:ec2::254]/", false, "is link-local" },
		{ "http://169.254.169.254:80", true, "is link-local" },
		{ "http://224.0.0.1/", false, "is at no address of a single host" },
		{ "http://255.255.255.255/", false, "is at no address of a single host" },
		{ "http://[ff02::1]/", false, "is at no address of a single host" },
		{ "http://0.0.0.1/", false, "is at no address of a single host" },
		{ "http://198.18.0.1/", false, "is at no address of a single host" },
		{ "http://host.npxc.internal:4873/", false, "write localhost for a registry of this machine" },
		{ "http://npxc.internal/", false, "write localhost" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reach_entry entry;
		struct npxc_error err = { 0 };

		if (strstr(cases[i].url, "\xef\xbc\x8f") != NULL) {
			/* A full-width slash is no slash to this parser, and a part of a user's name to npm's: one
			 * host. */
			assert_true(registry_parse(cases[i].url, false, &entry, &err));
			assert_string_equal(entry.host, "other.example");
			free(entry.host);
			continue;
		}
		if (registry_parse(cases[i].url, cases[i].proxy, &entry, &err))
			fail_msg("%s is %s", cases[i].url, entry.host);
		assert_int_equal(err.kind, ERROR_INSTALL);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].url, err.message, cases[i].why);
	}
}

static void no_error_shows_a_password(void **state)
{
	static const char *const urls[] = {
		"https://user:s3cret@r.example:0/",
		"https:/user:s3cret@r.example/",
		"user:s3cret@r.example",
		"https://user:s3c/s3cret@r.example",
		"https://s3cret@[::1/",
		"ftp://s3cret@r.example/",
		"https://user:s3cret@",
		"https://user: s3cret@r.example",
		"https://s3cret@s3cret@169.254.1.1/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct reach_entry entry;
		struct npxc_error err = { 0 };

		assert_false(registry_parse(urls[i], false, &entry, &err));
		if (strstr(err.message, "s3cret") != NULL || strstr(err.message, "...@") == NULL)
			fail_msg("%s: %s", urls[i], err.message);
	}
}

/* ---- the whole configuration ---- */

/* `context`: lines of NAME=value. The value is good until the next call. */
static const char *lookup(void *context, const char *name)
{
	static char value[64];
	const size_t length = strlen(name);

	for (const char *line = context; line[0] != '\0'; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
		if (strncmp(line, name, length) != 0 || line[length] != '=')
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
		return value;
	}
	return NULL;
}

static bool make(const char *text, const char *variables, const struct rules *allow, bool scripts, char **ret_reach,
                 char **ret_notes, struct npxc_error *err)
{
	struct npmrc config = { 0 };
	struct store_reach reach = { 0 };
	struct strv notes = { 0 };
	struct strv texts = { 0 };
	bool ok;

	npmrc_read(&config, text, lookup, (void *)(uintptr_t)variables);
	ok = registry_reach(&config, lookup, (void *)(uintptr_t)variables, allow, scripts, &reach, &notes, err);
	npmrc_done(&config);
	if (!ok)
		return false;
	for (size_t i = 0; i < reach.count; i++)
		strv_push_owned(&texts, entry_text(&reach.v[i]));
	*ret_reach = str_dup("");
	for (size_t i = 0; i < texts.count; i++) {
		mem_cleanup char *before = *ret_reach;

		*ret_reach = str_printf("%s%s%s", before, i > 0 ? ", " : "", texts.v[i]);
	}
	*ret_notes = str_dup(notes.count > 0 ? notes.v[0] : "");
	strv_done(&texts);
	strv_done(&notes);
	registry_reach_done(&reach);
	return true;
}

static void the_configuration_decides(void **state)
{
	static const struct {
		const char *text;
		const char *variables;
		const char *reach;   /* of the step that fetches */
		const char *scripts; /* NULL: the same */
	} cases[] = {
		{ "", "", "registry.npmjs.org:443", NULL },
		{ "registry=", "", "registry.npmjs.org:443", NULL },
		{ "registry=null", "", "registry.npmjs.org:443", NULL },
		{ "registry=http://localhost:4873", "", "localhost:4873 loopback", NULL },
		{ "registry=https://a.example/\n@s:registry=https://b.example:8443/x/\n//c.example/:_authToken=x", "",
		  "a.example:443, b.example:8443", NULL },
		{ "registry=https://a.example/x/\n@s:registry=https://A.example:443/y/\n@t:registry=", "",
		  "a.example:443", NULL },
		{ "x@s:registry=https://b.example/\nsregistry=https://c.example/", "", "registry.npmjs.org:443", NULL },
		/* proxies: the configuration's first, https-proxy before proxy, whatever the registry's scheme */
		{ "registry=https://a.example\nproxy=http://p.example:3128", "", "p.example:3128 proxy, a.example:443",
		  "a.example:443" },
		{ "registry=http://a.example\nproxy=http://p.example:1\nhttps-proxy=http://q.example:2", "",
		  "q.example:2 proxy, a.example:80", "a.example:80" },
		{ "registry=https://a.example\nproxy=false\nhttps-proxy=null", "", "a.example:443", NULL },
		{ "registry=https://a.example\nproxy=http://u:p@p.example:1\n", "https_proxy=http://e.example:2",
		  "p.example:1 proxy, a.example:443", "a.example:443" },
		/* then the environment's */
		{ "registry=https://a.example", "HTTPS_PROXY=http://e.example:2", "e.example:2 proxy, a.example:443",
		  "a.example:443" },
		{ "registry=https://a.example", "http_proxy=http://e.example:2\nPROXY=http://f.example",
		  "a.example:443", NULL },
		{ "registry=http://a.example", "https_proxy=http://e.example:2\nhttp_proxy=http://f.example",
		  "e.example:2 proxy, a.example:80", "a.example:80" },
		{ "registry=http://a.example", "https_proxy=\nhttp_proxy=http://f.example",
		  "f.example:80 proxy, a.example:80", "a.example:80" },
		{ "registry=http://a.example", "PROXY=socks5://f.example", "f.example:1080 proxy, a.example:80",
		  "a.example:80" },
		/* but none for some hosts */
		{ "registry=https://a.example\nproxy=http://p.example\nnoproxy=.example", "", "a.example:443", NULL },
		{ "registry=https://a.b.example\nproxy=http://p.example\nnoproxy=x, b.example ,y", "",
		  "a.b.example:443", NULL },
		{ "registry=https://ab.example\nproxy=http://p.example\nnoproxy=b.example", "",
		  "p.example:80 proxy, ab.example:443", "ab.example:443" },
		{ "registry=https://example\nproxy=http://p.example\nnoproxy=a.example", "",
		  "p.example:80 proxy, example:443", "example:443" },
		{ "registry=https://a.example\nproxy=http://p.example\nnoproxy=*", "",
		  "p.example:80 proxy, a.example:443", "a.example:443" },
		{ "registry=https://a.example\nproxy=http://p.example\nnoproxy=,., ,", "",
		  "p.example:80 proxy, a.example:443", "a.example:443" },
		{ "registry=https://a.example\nproxy=http://p.example\nnoproxy[]=x\nnoproxy[]=a.example", "",
		  "a.example:443", NULL },
		{ "registry=https://a.example\nproxy=http://p.example\nnoproxy[]=x", "NO_PROXY=a.example",
		  "p.example:80 proxy, a.example:443", "a.example:443" },
		{ "registry=https://a.example\nproxy=http://p.example", "NO_PROXY=a.example", "a.example:443", NULL },
		{ "registry=https://a.example\nproxy=http://p.example\nnoproxy=x", "no_proxy=a.example",
		  "p.example:80 proxy, a.example:443", "a.example:443" },
		{ "registry=http://[::1]:4873\nproxy=http://p.example\nnoproxy=[::1]", "", "[::1]:4873 loopback",
		  NULL },
		{ "registry=http://127.0.0.1:4873\nproxy=http://p.example\nnoproxy=localhost,127.0.0.1", "",
		  "127.0.0.1:4873 loopback", NULL },
		{ "registry=https://in.example\n@s:registry=https://out.test\nproxy=http://p.example\nnoproxy=example",
		  "", "in.example:443, p.example:80 proxy, out.test:443", "in.example:443, out.test:443" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int scripts = 0; scripts < 2; scripts++) {
			const char *wanted = scripts && cases[i].scripts != NULL ? cases[i].scripts : cases[i].reach;
			mem_cleanup char *reach = NULL;
			mem_cleanup char *notes = NULL;
			struct npxc_error err = { 0 };

			if (!make(cases[i].text, cases[i].variables, NULL, scripts, &reach, &notes, &err))
				fail_msg("%s: %s", cases[i].text, err.message);
			if (strcmp(reach, wanted) != 0 || notes[0] != '\0')
				fail_msg("%s (scripts %d): %s, not %s; %s", cases[i].text, scripts, reach, wanted,
				         notes);
		}
	}
}

static void a_wrong_configuration_is_refused(void **state)
{
	static const struct {
		const char *text;
		const char *variables;
		const char *why;
	} cases[] = {
		{ "registry=r.example", "",
		  "npm's configuration: registry: \"r.example\" has no https:// or http:// before its host" },
		{ "registry=http://169.254.169.254/", "", "npm's configuration: registry: \"http://169" },
		{ "proxy=p.example:3128", "", "npm's configuration: proxy: \"p.example:3128\" has no" },
		{ "https-proxy=http://u:s3cret@p.example:x", "",
		  "npm's configuration: https-proxy: \"...@p.example:x\" has no port" },
		{ "", "HTTPS_PROXY=p.example:3128", "npm's configuration: https_proxy: \"p.example:3128\" has no" },
		{ "proxy=http://169.254.169.254/", "", "is link-local" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *reach = NULL;
		mem_cleanup char *notes = NULL;
		struct npxc_error err = { 0 };

		if (make(cases[i].text, cases[i].variables, NULL, false, &reach, &notes, &err))
			fail_msg("%s: %s", cases[i].text, reach);
		assert_int_equal(err.kind, ERROR_INSTALL);
		if (strstr(err.message, cases[i].why) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, err.message, cases[i].why);
	}
}

/* npm may never need it, so the others work on. */
static void a_scopes_wrong_registry_is_left_out(void **state)
{
	mem_cleanup char *reach = NULL;
	mem_cleanup char *notes = NULL;
	mem_cleanup char *text = str_dup("registry=https://a.example/\n");
	struct npxc_error err = { 0 };

	(void)state;
	assert_true(
	    make("@s:registry=${UNSET}\n@t:registry=https://t.example/", "", NULL, false, &reach, &notes, &err));
	assert_string_equal(reach, "registry.npmjs.org:443, t.example:443");
	assert_string_equal(notes,
	                    "npm's configuration: @s:registry: \"${UNSET}\" has no https:// or http:// before its "
	                    "host; it is not reached");
	for (unsigned i = 0; i < LIMIT_REACH_ENTRIES; i++) {
		mem_cleanup char *before = text;

		text = str_printf("%s@s%u:registry=https://r%u.example/\n", before, i, i);
	}
	free(MEM_TAKE(reach));
	free(MEM_TAKE(notes));
	assert_true(make(text, "", NULL, false, &reach, &notes, &err));
	assert_non_null(strstr(reach, "r62.example:443"));
	assert_null(strstr(reach, "r63.example:443"));
	assert_string_equal(notes, "npm's configuration names more than 64 registries; @s63:registry is not reached");
}

/* A proxy lets scripts reach what it reaches: that wants the package's own consent. */
static void scripts_get_a_proxy_by_a_rule_only(void **state)
{
	static const struct {
		const char *proxy;
		const char *rule;
		bool there;
	} cases[] = {
		{ "http://p.example:3128", "p.example:3128", true },
		{ "http://p.example:3128", "*.p.example", false },
		{ "http://p.example:3128", "p.example:80", false },
		{ "http://a.p.example:3128", "*.p.example", true },
		{ "http://10.0.0.1:3128", "10.0.0.0/8:3128", true },
		{ "http://10.0.0.1:3128", "p.example", false },
		{ "http://localhost:3128", "host.npxc.internal:3128", true },
		{ "http://127.0.0.1:3128", "host.npxc.internal:3128", true },
		{ "http://127.0.0.1:3128", "host.npxc.internal:3129", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *text = str_printf("registry=https://a.example\nproxy=%s", cases[i].proxy);
		mem_cleanup char *reach = NULL;
		mem_cleanup char *notes = NULL;
		struct npxc_error err = { 0 };
		struct rules rules = { 0 };

		assert_true(rules_add(&rules, cases[i].rule, &err));
		assert_true(make(text, "", &rules, true, &reach, &notes, &err));
		if ((strstr(reach, " proxy") != NULL) != cases[i].there)
			fail_msg("%s with %s: %s", cases[i].proxy, cases[i].rule, reach);
		rules_done(&rules);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read),
		cmocka_unit_test(other_addresses_are_refused),
		cmocka_unit_test(no_error_shows_a_password),
		cmocka_unit_test(the_configuration_decides),
		cmocka_unit_test(a_wrong_configuration_is_refused),
		cmocka_unit_test(a_scopes_wrong_registry_is_left_out),
		cmocka_unit_test(scripts_get_a_proxy_by_a_rule_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
