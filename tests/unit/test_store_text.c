/* The store's pure parts: npm's configuration, its reasons, the choice of a bin and of a Node. */
#include "unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/bin.h"
#include "store/node.h"
#include "store/npmrc.h"
#include "store/reason.h"

#include <stdlib.h>
#include <string.h>

static const char *lookup(void *context, const char *name)
{
	(void)context;
	return strcmp(name, "TOKEN") == 0 ? "s3cret" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void npmrc_is_read_as_npm_reads_it(void **state)
{
	static const struct {
		const char *text;
		const char *key;
		const char *value;
	} cases[] = {
		{ "registry=https://r.example/", "registry", "https://r.example/" },
		{ "  registry =  https://r.example/  \r\n", "registry", "https://r.example/" },
		{ "a=1\na=2", "a", "2" },
		{ "; a=1\n# a=2\n", "a", NULL },
		{ "a=1 ; comment", "a", "1" },
		{ "a=1 # comment", "a", "1" },
		{ "a=1\\;2\\#3\\\\4", "a", "1;2#3\\4" },
		{ "a=\"x ; y\\n\"", "a", "x ; y\n" },
		{ "a='x ; y'", "a", "x ; y" },
		{ "a=\"not json\\q\"", "a", "\"not json\\q\"" },
		{ "strict-ssl", "strict-ssl", "true" },
		{ "a=", "a", "" },
		{ "a==b", "a", "=b" },
		{ "=b", "", NULL },
		{ "[section]\na=1", "a", NULL },
		{ "a=1\n[section]\na=2", "a", "1" },
		{ "//r.example/:_authToken=${TOKEN}", "//r.example/:_authToken", "s3cret" },
		{ "a=x${TOKEN}y${EMPTY}z", "a", "xs3cretyz" },
		{ "a=${MISSING}", "a", "${MISSING}" },
		{ "a=${MISSING?}", "a", "" },
		{ "a=${TOKEN?}", "a", "s3cret" },
		{ "a=\\${TOKEN}", "a", "${TOKEN}" },
		{ "a=$TOKEN ${} ${TOKEN", "a", "$TOKEN ${} ${TOKEN" },
		{ "//${TOKEN}/:_auth=x", "//s3cret/:_auth", "x" },
		{ "@s:registry=https://s.example", "@s:registry", "https://s.example" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npmrc npmrc = { 0 };

		npmrc_read(&npmrc, cases[i].text, lookup, NULL);
		if (!str_equal(npmrc_get(&npmrc, cases[i].key), cases[i].value))
			fail_msg("%s: %s is %s", cases[i].text, cases[i].key, npmrc_get(&npmrc, cases[i].key));
		npmrc_done(&npmrc);
	}
}

static void the_layer_of_npmrc_that_is_read_last_wins(void **state)
{
	char *const environment[] = { (char *)"PATH=/bin",
		                      (char *)"npm_config_registry=https://env.example/",
		                      (char *)"NPM_CONFIG_FETCH_RETRIES=7",
		                      (char *)"npm_config_proxy=",
		                      (char *)"npm_config_//E.example/:_authToken=Tok_en",
		                      NULL };
	struct npmrc npmrc = { 0 };

	(void)state;
	npmrc_read(&npmrc, "registry=a\nca[]=1\nca[]=2\nproxy=p\nkept=1", lookup, NULL);
	npmrc_read(&npmrc, "registry=b\nca[]=3", lookup, NULL);
	npmrc_read_environment(&npmrc, environment);
	assert_string_equal(npmrc_get(&npmrc, "registry"), "https://env.example/");
	assert_string_equal(npmrc_get(&npmrc, "fetch-retries"), "7");
	assert_string_equal(npmrc_get(&npmrc, "proxy"), "p");
	assert_string_equal(npmrc_get(&npmrc, "kept"), "1");
	assert_string_equal(npmrc_get(&npmrc, "ca[]"), "3");
	assert_string_equal(npmrc_get(&npmrc, "//E.example/:_authToken"), "Tok_en");
	for (size_t i = 0; i < npmrc.count; i++)
		assert_string_not_equal(npmrc.v[i].value, "1\n2");
	npmrc_done(&npmrc);
}

static char *selected(const char *text, bool secrets)
{
	struct npmrc from = { 0 };
	struct npmrc to;
	struct buf out = BUF_INIT(64 * KIB);
	struct npxc_error err;

	npmrc_read(&from, text, lookup, NULL);
	npmrc_select(&from, secrets, &to);
	assert_true(npmrc_write(&to, &out, &err));
	npmrc_done(&from);
	npmrc_done(&to);
	return buf_take(&out);
}

static void credentials_are_told_from_the_rest(void **state)
{
	static const struct {
		const char *text;
		const char *with;    /* what the first step gets */
		const char *without; /* what the second gets */
	} cases[] = {
		{ "registry=https://r.example/\n//r.example/:_authToken=${TOKEN}",
		  "registry=\"https://r.example/\"\n//r.example/:_authToken=\"s3cret\"\n",
		  "registry=\"https://r.example/\"\n" },
		{ "//h/:_auth=s3cret\n//h/:username=s3cret\n//h/:_password=s3cret\n//h/:certfile=/s3cret\n//h/"
		  ":keyfile=/s3cret",
		  "//h/:_auth=\"s3cret\"\n//h/:username=\"s3cret\"\n//h/:_password=\"s3cret\"\n//h/:certfile=\"/"
		  "s3cret\"\n"
		  "//h/:keyfile=\"/s3cret\"\n",
		  "" },
		{ "registry=https://r.example/npm/\n_authToken=s3cret",
		  "registry=\"https://r.example/npm/\"\n//r.example/npm/:_authToken=\"s3cret\"\n",
		  "registry=\"https://r.example/npm/\"\n" },
		{ "_auth=s3cret", "//registry.npmjs.org/:_auth=\"s3cret\"\n", "" },
		{ "registry=https://me:s3cret@r.example/npm",
		  "registry=\"https://r.example/npm\"\n//r.example/:_auth=\"bWU6czNjcmV0\"\n",
		  "registry=\"https://r.example/npm\"\n" },
		{ "@s:registry=https://me:s%33cret@r.example/x/",
		  "@s:registry=\"https://r.example/x/\"\n//r.example/x/:_auth=\"bWU6czNjcmV0\"\n",
		  "@s:registry=\"https://r.example/x/\"\n" },
		{ "proxy=http://me:s3cret@p:1", "proxy=\"http://me:s3cret@p:1\"\n", "proxy=\"http://p:1\"\n" },
		{ "https-proxy=http://me:s3/cret@p:1", "https-proxy=\"http://me:s3/cret@p:1\"\n", "" },
		{ "noproxy=a,b\nnoproxy[]=me:s3cret@h", "noproxy=\"a,b\"\nnoproxy[]=\"me:s3cret@h\"\n",
		  "noproxy=\"a,b\"\n" },
		{ "cert=s3cret\nkey=s3cret", "cert=\"s3cret\"\nkey=\"s3cret\"\n", "" },
		{ "strict-ssl=false\nca[]=a\nca[]=b\nbefore=2024-01-01",
		  "strict-ssl=\"false\"\nca[]=\"a\"\nca[]=\"b\"\nbefore=\"2024-01-01\"\n",
		  "strict-ssl=\"false\"\nca[]=\"a\"\nca[]=\"b\"\nbefore=\"2024-01-01\"\n" },
		{ "git=/evil\nnode-options=--require=/evil\nscript-shell=/evil\nprefix=/x\ncache=/"
		  "x\nnpmrc=s3cret\nemail=x\n"
		  "registry=null\nproxy=",
		  "", "" },
		{ "//h/:unknown=s3cret\nmytool:_authToken=s3cret", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *with = selected(cases[i].text, true);
		mem_cleanup char *without = selected(cases[i].text, false);

		assert_string_equal(with, cases[i].with);
		assert_string_equal(without, cases[i].without);
		assert_null(strstr(without, "s3cret"));
		assert_null(strstr(without, "czNjcmV0"));
	}
}

/* The step that runs scripts gets of a proxy's address what leads to it, or nothing. */
static void a_proxys_address_is_cut_to_scheme_host_and_port(void **state)
{
	static const struct {
		const char *url;
		const char *plain; /* NULL: none is given */
	} cases[] = {
		{ "http://p.example:3128", "http://p.example:3128" },
		{ "http://p.example:3128/", "http://p.example:3128" },
		{ "http://me:s3cret@p.example:3128/", "http://p.example:3128" },
		{ "http://s3cret@p.example", "http://p.example" },
		{ "http://me:s3@cret@p.example", "http://p.example" },
		{ "me:s3cret@p.example:3128", "p.example:3128" },
		{ "http://[::1]:8/?s3cret#s3cret", "http://[::1]:8" },
		{ "http://p.example\\s3cret", "http://p.example" },
		{ "http://me:s3/cret@p.example", NULL },
		{ "http://me:s3?cret@p.example", NULL },
		{ "http://me:1#s3cret@p.example", NULL },
		{ "http://me:1\\s3cret@p.example", "http://p.example" },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *plain = npmrc_plain_proxy(cases[i].url);

		if (!str_equal(plain, cases[i].plain))
			fail_msg("%s: %s", cases[i].url, plain == NULL ? "none" : plain);
	}
}

static void credentials_are_left_out_of_what_is_shown(void **state)
{
	static const struct {
		const char *config, *text, *shown;
	} cases[] = {
		{ "", "nothing to hide at https://r.example/@scope/name",
		  "nothing to hide at https://r.example/@scope/name" },
		{ "//h/:_authToken=s3cret", "the token s3cret, s3cret!", "the token ***, ***!" },
		{ "_authToken=s3cret", "s3cret", "***" },
		{ "proxy=http://me:s3cret@p:1", "bad http://me:s3cret@p:1/ for me, s3cret",
		  "bad http://***@p:1/ for me, ***" },
		{ "https-proxy=http://me:s3%2fcret@p",
		  "s3/cret or s3%2fcret or bWU6czMvY3JldA==", "*** or *** or ***" },
		{ "proxy=http://me:s3/cret@p", "Invalid URL: http://me:s3/cret@p", "Invalid URL: http://***@p" },
		{ "@s:registry=https://onlytoken@r.example/", "GET onlytoken", "GET ***" },
		{ "//h/:_auth=bWU6czNjcmV0", "bWU6czNjcmV0 and s3cret", "*** and ***" },
		{ "//h/:_password=czNjcmV0", "czNjcmV0 and s3cret", "*** and ***" },
		{ "//h/:_authToken=aaaa\n//i/:_authToken=aaaabbbb", "aaaabbbb aaaa", "*** ***" },
		{ "", "git+https://x:y@h/r.git and ssh://u@h", "git+https://***@h/r.git and ssh://*@h" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npmrc from = { 0 };
		struct strv secrets = { 0 };
		mem_cleanup char *shown = NULL;

		npmrc_read(&from, cases[i].config, lookup, NULL);
		npmrc_add_secrets(&from, &secrets);
		shown = npmrc_redact(cases[i].text, &secrets);
		assert_string_equal(shown, cases[i].shown);
		strv_done(&secrets);
		npmrc_done(&from);
	}
}

static void reasons_in_one_line(void **state)
{
	static const struct {
		const char *errors;
		const char *reason;
	} cases[] = {
		{ "npm ERR! code E404\nnpm ERR! 404 Not Found - GET https://r/x\nnpm ERR! 404 \nnpm ERR! 404  'x@*' is "
		  "not in this "
		  "registry.\n",
		  "no such package; npm says: Not Found - GET https://r/x" },
		{ "npm error code E404\nnpm error 404 Not Found - GET https://r/x\nnpm error 404\n",
		  "no such package; npm says: Not Found - GET https://r/x" },
		{ "npm warn old lockfile\nnpm error code ETARGET\nnpm error notarget No matching version found for "
		  "@a/b@^99.\nnpm error notarget In most cases\n",
		  "no version matching ^99; npm says: No matching version found for @a/b@^99." },
		{ "npm error code ETARGET\nnpm error notarget No matching version found for b@latest with a date "
		  "before "
		  "1/1/2001.\n",
		  "no version matching latest; npm says: No matching version found for b@latest with a date before "
		  "1/1/2001." },
		{ "npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error errno ECONNREFUSED\nnpm error "
		  "FetchError: "
		  "request to http://127.0.0.1:9/x failed, reason: connect ECONNREFUSED 127.0.0.1:9\nnpm error     at "
		  "x\n",
		  "the registry cannot be reached; npm says: request to http://127.0.0.1:9/x failed, reason: connect "
		  "ECONNREFUSED 127.0.0.1:9" },
		{ "npm ERR! code ENOTFOUND\nnpm ERR! syscall getaddrinfo\nnpm ERR! errno ENOTFOUND\nnpm ERR! network "
		  "request to "
		  "http://h/x failed, reason: getaddrinfo ENOTFOUND h\n",
		  "the registry cannot be reached; npm says: request to http://h/x failed, reason: getaddrinfo "
		  "ENOTFOUND h" },
		{ "npm error code EAI_AGAIN\nnpm error syscall getaddrinfo\nnpm error errno EAI_AGAIN\nnpm error "
		  "request to "
		  "http://h/x failed, reason: getaddrinfo EAI_AGAIN h\n",
		  "the registry cannot be reached; npm says: request to http://h/x failed, reason: getaddrinfo "
		  "EAI_AGAIN h" },
		{ "npm error code ENOSPC\nnpm error syscall write\nnpm error errno -28\nnpm error nospc ENOSPC: no "
		  "space left on "
		  "device, write\nnpm error nospc There appears to be insufficient space\n",
		  "the disk is full; npm says: ENOSPC: no space left on device, write" },
		{ "npm error code E401\nnpm error Incorrect or missing password.\n",
		  "the registry wants credentials, or others than those in npm's configuration; npm says: Incorrect or "
		  "missing "
		  "password." },
		{ "npm error code EALLOWGIT\nnpm error not run: git ls-remote http://g/x.git\n",
		  "it depends on a git repository: npxc fetches none, because preparing one runs its code beside npm's "
		  "credentials; take a release whose dependencies all come from a registry; npm says: not run: git "
		  "ls-remote http://g/x.git" },
		{ "npm error code ENOENT\nnpm error syscall open\nnpm error path /opt/npxc/x/package.json\nnpm error "
		  "errno "
		  "-2\nnpm error enoent Could not read package.json: Error: ENOENT: no such file or directory, open "
		  "'/opt/npxc/x/package.json'\n",
		  "it depends on files that are not part of it (file:), and npm sees none of this machine's; take a "
		  "release whose dependencies all come from a registry; npm says: Could not read package.json: Error: "
		  "ENOENT: no such file or directory, open '/opt/npxc/x/package.json'" },
		{ "npm error code ENOENT\nnpm error enoent ENOENT: no such file or directory, open '/x/y.tgz'\n",
		  "it depends on files that are not part of it (file:), and npm sees none of this machine's; take a "
		  "release whose dependencies all come from a registry; npm says: ENOENT: no such file or directory, "
		  "open '/x/y.tgz'" },
		{ "npm ERR! code ENOENT\nnpm ERR! enoent ENOENT: no such file or directory, open '/x/package.json'\n",
		  "it depends on files that are not part of it (file:), and npm sees none of this machine's; take a "
		  "release whose dependencies all come from a registry; npm says: ENOENT: no such file or directory, "
		  "open '/x/package.json'" },
		{ "npm error code ENOENT\nnpm error enoent ENOENT: no such file or directory, open '/x/y'\n",
		  "npm says: ENOENT: ENOENT: no such file or directory, open '/x/y'" },
		{ "npm error code EWHATEVER\nnpm error something new\n", "npm says: EWHATEVER: something new" },
		{ "npm error something without a code\n", "npm says: something without a code" },
		{ "npm error code EWHATEVER\n", "npm says: EWHATEVER" },
		{ "npm warn x\nSegmentation fault\n", "npm says: Segmentation fault" },
		{ "npm error code E\033[2J\nnpm error bad\007\n", "npm says: E\\x1b[2J: bad\\x07" },
		{ "", "npm failed and said nothing" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *reason = reason_of_npm(cases[i].errors);

		assert_string_equal(reason, cases[i].reason);
	}
}

static void scripts_speak_for_themselves(void **state)
{
	static const struct {
		const char *output;
		const char *errors;
		const char *reason;
	} cases[] = {
		{ "", "Error: no compiler\n    at x\n\nNode.js v20.1.0\nnpm error code 1\nnpm error path /x\n",
		  "Error: no compiler" },
		{ "\n> x@1.0.0 install\n> node x\n\nsomething is off\n", "npm error code 1\n", "something is off" },
		{ "out", "first\nlast words\nnpm ERR! code 1\n", "last words" },
		{ "", "npm error code ELIFECYCLE\nnpm error errno 1\nnpm error it failed\n",
		  "npm says: ELIFECYCLE: it failed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *reason = reason_of_script(cases[i].output, cases[i].errors);

		assert_string_equal(reason, cases[i].reason);
	}
}

static void bins_by_npms_rule(void **state)
{
	static const struct {
		const char *name;
		const char *bins[7]; /* name, path, ... */
		const char *chosen;  /* NULL: refused */
	} cases[] = {
		{ "a", { "a", "x.js" }, "a" },
		{ "a", { "other", "x.js" }, "other" },
		{ "a", { "first", "x.js", "second", "x.js" }, "first" },
		{ "a", { "b", "x.js", "a", "x.js" }, "b" }, /* one file: the first name, as npm does */
		{ "a", { "b", "x.js", "a", "y.js" }, "a" },
		{ "@s/a", { "b", "x.js", "a", "y.js" }, "a" },
		{ "@s/a", { "b", "x.js", "s-a", "y.js" }, NULL },
		{ "a", { "b", "x.js", "c", "y.js" }, NULL },
		{ "a", { NULL }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct bins bins = { 0 };
		const char *chosen = NULL;
		bool ok;

		for (size_t b = 0; cases[i].bins[b] != NULL; b += 2)
			bins_push(&bins, cases[i].bins[b], cases[i].bins[b + 1]);
		ok = bin_choose(cases[i].name, &bins, &chosen, &err);
		assert_int_equal(ok, cases[i].chosen != NULL);
		assert_true(str_equal(chosen, cases[i].chosen));
		if (!ok) {
			assert_int_equal(err.kind, ERROR_CONFIG);
			for (size_t b = 0; cases[i].bins[b] != NULL; b += 2)
				assert_non_null(strstr(err.message, cases[i].bins[b]));
		}
		bins_done(&bins);
	}
}

static void nodes_by_engines(void **state)
{
	static const char *const versions[] = { "17.9.1",      "18.0.0", "18.20.4", "19.0.0",  "20.1.0",
		                                "20.19.0",     "21.7.3", "22.1.0",  "22.12.0", "23.0.0",
		                                "24.0.0-rc.1", "24.1.0", "rubbish" };
	static const struct {
		const char *engines;
		unsigned major;
		const char *best;
	} cases[] = {
		{ ">=18", 0, "18.20.4" },       { ">=20.5", 0, "20.19.0" },  { ">=20.19.1", 0, "22.12.0" },
		{ "^19 || ^22", 0, "22.12.0" }, /* even before odd */
		{ "^19", 0, "19.0.0" },         { "17 || 19", 0, "17.9.1" }, { "<=22.1", 0, "18.20.4" },
		{ "22.1.x", 0, "22.1.0" },      { ">=24", 0, "24.1.0" },     { ">=25", 0, NULL },
		{ ">=18", 22, "22.12.0" },      { NULL, 20, "20.19.0" },     { NULL, 26, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *best =
		    node_best(versions, sizeof(versions) / sizeof(versions[0]), cases[i].engines, cases[i].major);

		if (!str_equal(best, cases[i].best))
			fail_msg("%s, %u: %s", cases[i].engines, cases[i].major, best);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(npmrc_is_read_as_npm_reads_it),
		cmocka_unit_test(the_layer_of_npmrc_that_is_read_last_wins),
		cmocka_unit_test(credentials_are_told_from_the_rest),
		cmocka_unit_test(a_proxys_address_is_cut_to_scheme_host_and_port),
		cmocka_unit_test(credentials_are_left_out_of_what_is_shown),
		cmocka_unit_test(reasons_in_one_line),
		cmocka_unit_test(scripts_speak_for_themselves),
		cmocka_unit_test(bins_by_npms_rule),
		cmocka_unit_test(nodes_by_engines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
