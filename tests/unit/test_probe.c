#include "unit.h"

#include "base/mem.h"
#include "runtime/probe.h"
#include "runtime/seen.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a guest said ---- */

#define ALLOWED "\"allowed\":{\"connected\":true,\"said\":\"w0rd\\n\",\"code\":\"SAID\"}"
#define FAILED(key, code) "\"" key "\":{\"connected\":false,\"said\":\"\",\"code\":\"" code "\"}"
#define RESET(key) "\"" key "\":{\"connected\":true,\"said\":\"\",\"code\":\"ECONNRESET\"}"
#define REACHED(key) "\"" key "\":{\"connected\":true,\"said\":\"w0rd\\n\",\"code\":\"SAID\"}"

#define NETNS                                                                                               \
	"{" ALLOWED                                                                                         \
	"," FAILED("name", "ENOTFOUND") "," RESET("address") "}\n"                                          \
	                                                     "{" FAILED("raw4", "ECONNREFUSED") "," FAILED( \
	                                                         "raw6", "ENETUNREACH") "," RESET("loopback") "}\n"
#define ORDINARY "{" ALLOWED "," FAILED("name", "EACCES") "," FAILED("address", "EACCES") "}\n"
#define RAW FAILED("raw4", "ENETUNREACH") "," FAILED("raw6", "ENETUNREACH") "," FAILED("loopback", "ECONNREFUSED")

/* Each finding as a letter: o(k), F(ailed), n(ote). In order: allowed, name, address, raw4, raw6, loopback, other. */
static void findings_are_what_was_seen(void **state)
{
	static const struct {
		enum policy_link link;
		const char *output, *findings;
	} cases[] = {
		{ POLICY_LINK_NETNS, NETNS, "oooooo" },
		{ POLICY_LINK_SOCKET, ORDINARY "{" RAW "}\n", "oooooo" },
		{ POLICY_LINK_GATEWAY, ORDINARY "{" RAW "," REACHED("other") "}\n", "oooooon" },
		{ POLICY_LINK_GATEWAY, ORDINARY "{" RAW "," FAILED("other", "TIMEOUT") "}\n", "ooooooo" },
		/* stray lines of a runtime stand for nothing */
		{ POLICY_LINK_SOCKET, "pulling\n" ORDINARY "[1]\n{" RAW "}", "oooooo" },
		/* nothing, half of it, not JSON */
		{ POLICY_LINK_SOCKET, "", "FFFFFF" },
		{ POLICY_LINK_SOCKET, ORDINARY, "oooFFF" },
		{ POLICY_LINK_GATEWAY, ORDINARY "{" RAW "}\n", "ooooooF" },
		{ POLICY_LINK_SOCKET, "{\"allowed\":\n", "FFFFFF" },
		{ POLICY_LINK_SOCKET, "{\"allowed\":1,\"name\":{\"said\":\"\",\"code\":\"\"}}\n", "FFFFFF" },
		/* somebody else answered what is allowed */
		{ POLICY_LINK_SOCKET,
		  "{\"allowed\":{\"connected\":true,\"said\":\"w0rd\",\"code\":\"EOF\"}," FAILED(
		      "name", "EACCES") "," FAILED("address", "EACCES") "}\n{" RAW "}\n",
		  "Fooooo" },
		/* refusals of another kind than the link's are none: they may come from anywhere */
		{ POLICY_LINK_SOCKET,
		  "{" ALLOWED "," FAILED("name", "ENOTFOUND") "," FAILED("address", "ECONNREFUSED") "}\n{" FAILED(
		      "raw4", "EACCES") "," FAILED("raw6", "TIMEOUT") "," RESET("loopback") "}\n",
		  "oFFFFF" },
		{ POLICY_LINK_NETNS, ORDINARY "{" RAW "}\n", "oFFFoF" },
		/* reached, on each of them */
		{ POLICY_LINK_NETNS,
		  "{" REACHED("allowed") "," REACHED("name") "," REACHED("address") "}\n{" REACHED("raw4") "," REACHED(
		      "raw6") "," REACHED("loopback") "}\n",
		  "oFFFFF" },
		/* connected, whatever came of it then; a refusal that had said something */
		{ POLICY_LINK_SOCKET,
		  ORDINARY "{\"raw4\":{\"connected\":true,\"said\":\"\",\"code\":\"ENETUNREACH\"},"
		           "\"raw6\":{\"connected\":false,\"said\":\"x\",\"code\":\"ENETUNREACH\"}," FAILED(
		               "loopback", "ECONNREFUSED") "}\n",
		  "oooFFo" },
		/* a code is a whole word of the list */
		{ POLICY_LINK_GATEWAY,
		  ORDINARY "{" FAILED("raw4", "TIME") "," FAILED("raw6", "UNREACH") "," FAILED(
		      "loopback", "ECONN") "," FAILED("other", "EHOSTUNREACH") "}\n",
		  "oooFFFo" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct probe_place place = {
			.link = cases[i].link, .loopback = 1234, .open = 4321, .gateway = "10.0.0.1"
		};
		struct runtime_findings findings = { 0 };
		char letters[16] = "";

		probe_judge(&place, "w0rd", cases[i].output, &findings);
		for (size_t k = 0; k < findings.count; k++) {
			letters[k] = !findings.v[k].ok ? 'F' : findings.v[k].note ? 'n' : 'o';
			assert_true(findings.v[k].ok == (findings.v[k].fix == NULL));
		}
		if (strcmp(letters, cases[i].findings) != 0)
			fail_msg("case %zu: %s instead of %s", i, letters, cases[i].findings);
		runtime_findings_done(&findings);
	}
}

static void the_guest_is_told_what_to_try(void **state)
{
	const struct probe_place gateway = {
		.link = POLICY_LINK_GATEWAY, .loopback = 1234, .open = 4321, .gateway = "10.0.0.1"
	};
	const struct probe_place socket = { .link = POLICY_LINK_SOCKET, .loopback = 1234, .open = 4321 };
	struct strv command = { 0 };

	(void)state;
	probe_command(&gateway, &command);
	assert_int_equal(command.count, 6);
	assert_string_equal(command.v[4],
	                    "[[\"allowed\",\"host.npxc.internal\",1234],[\"name\",\"refused.npxc.test\",1234],"
	                    "[\"address\",\"192.0.2.1\",1234]]");
	assert_string_equal(command.v[5], "[[\"raw4\",\"192.0.2.1\",80],[\"raw6\",\"2001:db8::1\",80],"
	                                  "[\"loopback\",\"127.0.0.1\",1234],[\"other\",\"10.0.0.1\",4321]]");
	strv_done(&command);
	probe_command(&socket, &command);
	assert_null(strstr(command.v[5], "other"));
	strv_done(&command);
}

/* ---- what is kept ---- */

#define ENTRY                                                                                                       \
	"{\"runtime\":\"apple\",\"version\":\"1.2.2\",\"link\":\"socket\",\"ok\":true,\"when\":\"2026-01-01T00:00:" \
	"00Z\"}"

static void what_was_seen_is_kept(void **state)
{
	struct seen_links seen = { 0 }, again;
	struct npxc_error err = { 0 };

	(void)state;
	seen_add(&seen, RUNTIME_BWRAP, NULL, POLICY_LINK_NETNS, true, "then");
	seen_add(&seen, RUNTIME_APPLE, "1.2.2", POLICY_LINK_SOCKET, true, "then");
	seen_add(&seen, RUNTIME_APPLE, "1.2.2", POLICY_LINK_GATEWAY, false, "then");
	mem_cleanup char *text = seen_text(&seen);
	assert_true(seen_parse(text, strlen(text), "f", &again, &err));
	assert_int_equal(again.count, 3);
	assert_true(seen_works(&again, RUNTIME_APPLE, "1.2.2", POLICY_LINK_SOCKET));
	assert_false(seen_works(&again, RUNTIME_APPLE, "1.2.2", POLICY_LINK_GATEWAY));
	assert_false(seen_works(&again, RUNTIME_APPLE, "1.2.2", POLICY_LINK_NETNS));
	assert_false(seen_works(&again, RUNTIME_APPLE, "1.2.3", POLICY_LINK_SOCKET));
	assert_false(seen_works(&again, RUNTIME_PODMAN, "1.2.2", POLICY_LINK_SOCKET));
	/* whose version nobody knows */
	assert_false(seen_works(&again, RUNTIME_BWRAP, NULL, POLICY_LINK_NETNS));
	assert_false(seen_works(&again, RUNTIME_BWRAP, "", POLICY_LINK_NETNS));
	seen_forget(&again, RUNTIME_APPLE);
	assert_int_equal(again.count, 1);
	assert_false(seen_works(&again, RUNTIME_APPLE, "1.2.2", POLICY_LINK_SOCKET));
	seen_done(&again);
	seen_done(&seen);
}

static void anything_else_was_not_seen(void **state)
{
	static const char *const texts[] = {
		"",
		"null",
		"[]",
		"{\"format\":1}",
		"{\"format\":2,\"seen\":[" ENTRY "]}",
		"{\"format\":\"1\",\"seen\":[" ENTRY "]}",
		"{\"format\":1,\"seen\":" ENTRY "}",
		"{\"format\":1,\"seen\":[" ENTRY "],\"more\":1}",
		"{\"format\":1,\"seen\":[" ENTRY "]} x",
		"{\"format\":1,\"seen\":[" ENTRY ",null]}",
		"{\"format\":1,\"seen\":[{}]}",
		"{\"format\":1,\"seen\":[{\"runtime\":\"apple\",\"version\":\"1.2.2\",\"link\":\"socket\",\"ok\":true}]"
		"}",
		"{\"format\":1,\"seen\":[{\"runtime\":\"apple\",\"version\":\"1.2.2\",\"link\":\"socket\",\"ok\":1,"
		"\"when\":\"x\"}]}",
		"{\"format\":1,\"seen\":[{\"runtime\":\"apple\",\"version\":1.2,\"link\":\"socket\",\"ok\":true,"
		"\"when\":\"x\"}]}",
		"{\"format\":1,\"seen\":[{\"runtime\":\"auto\",\"version\":\"1\",\"link\":\"socket\",\"ok\":true,"
		"\"when\":\"x\"}]}",
		"{\"format\":1,\"seen\":[{\"runtime\":\"apple\",\"version\":\"1\",\"link\":\"auto\",\"ok\":true,"
		"\"when\":\"x\"}]}",
		"{\"format\":1,\"seen\":[{\"runtime\":\"apple\",\"version\":\"1\",\"link\":\"wire\",\"ok\":true,"
		"\"when\":\"x\"}]}",
		"{\"format\":1,\"seen\":[{\"runtime\":\"apple\",\"version\":\"1\",\"link\":\"socket\",\"ok\":true,"
		"\"OK\":\"x\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct seen_links seen = { 0 };
		struct npxc_error err = { 0 };

		if (seen_parse(texts[i], strlen(texts[i]), "f", &seen, &err))
			fail_msg("case %zu: %s", i, texts[i]);
		assert_int_equal(err.kind, ERROR_CONFIG);
		assert_int_equal(seen.count, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings_are_what_was_seen),
		cmocka_unit_test(the_guest_is_told_what_to_try),
		cmocka_unit_test(what_was_seen_is_kept),
		cmocka_unit_test(anything_else_was_not_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
