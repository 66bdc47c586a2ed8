#include "session.h"

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "teardown/lease.h"

#include <sys/file.h>
#include <sys/resource.h>

#define HEADER                                                                                                    \
	"{\"lease\":1,\"npxc\":\"0.4.0\",\"id\":\"0123abcd\",\"boot\":\"b-1\",\"started_at\":1700000000123,"      \
	"\"started_boot\":5000,\"launcher\":{\"pid\":10,\"started\":11},\"janitor\":{\"pid\":12,\"started\":13}," \
	"\"client\":{\"pid\":14,\"started\":15,\"name\":\"node\"}}\n"
#define DIRECTORY "{\"hold\":{\"id\":1,\"kind\":\"directory\",\"path\":\"/tmp/npxc-x\"}}\n"
#define CONTAINER                                                                                        \
	"{\"hold\":{\"id\":2,\"kind\":\"container\",\"cli\":\"/usr/bin/podman\",\"runtime\":\"podman\"," \
	"\"name\":\"npxc-a-b-0123abcd\",\"environment\":[\"HOME=/h\",\"PATH=/bin\"]}}\n"
#define NETWORK_NAME "npxc-00112233445546778899aabbccddeeff"
#define NETWORK                                                                                        \
	"{\"hold\":{\"id\":3,\"kind\":\"network\",\"cli\":\"/usr/bin/podman\",\"runtime\":\"podman\"," \
	"\"name\":\"" NETWORK_NAME "\",\"environment\":[]}}\n"
#define PROCESS "{\"hold\":{\"id\":4,\"kind\":\"process\",\"pid\":22,\"started\":23}}\n"
#define FACTS                                                                                    \
	"{\"facts\":{\"name\":\"npxc-a-b-0123abcd\",\"package\":\"@a/b\",\"version\":\"1.0.0\"," \
	"\"runtime\":\"podman\",\"policy\":\"allowlist(1 rule)\",\"link\":\"gateway\"}}\n"
#define SANDBOX "{\"sandbox\":{\"pid\":20,\"started\":21,\"asked\":\"inner\"}}\n"

/* ---- names ---- */

static void names_of_sessions(void **state)
{
	static const struct {
		const char *name;
		bool ours;
	} CASES[] = {
		{ "npxc-a-0123abcd", true },
		{ "npxc-a-b-c-0123abcd", true },
		{ "npxc-modelcontextprotocol-server-filesystem-package-ab-0123abcd", true }, /* 63 characters */
		{ "npxc-modelcontextprotocol-server-filesystem-package-abc-0123abcd", false },
		{ "npxc-0123abcd", false },
		{ "npxc--0123abcd", false },
		{ "npxc-a-0123abc", false },
		{ "npxc-a-0123abcg", false },
		{ "npxc-a-0123ABCD", false },
		{ "npxc-A-0123abcd", false },
		{ "npxc-a_b-0123abcd", false },
		{ "npxc-a0123abcd", false },
		{ "pxc-a-0123abcd", false },
		{ "npxc-a/-0123abcd", false },
		{ "xnpxc-a-0123abcd", false },
		{ "", false },
		{ "npxc-", false },
		{ NETWORK_NAME, false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		if (resource_is_session_name(CASES[i].name) != CASES[i].ours)
			fail_msg("%s", CASES[i].name);
	assert_true(resource_is_id("0123abcd"));
	assert_false(resource_is_id("0123abc"));
	assert_false(resource_is_id("0123abcd0"));
	assert_false(resource_is_id("0123abcX"));
}

static void secrets_stay_off_the_disk(void **state)
{
	static const char *const SECRET[] = { "CONTAINER_PASSPHRASE=x", "DOCKER_PASSWORD=x", "DOCKER_TOKEN=",
		                              "docker_auth=1",          "X_SECRET=x",        "MY_API_KEY=x",
		                              "AWS_CREDENTIALS=" };
	static const char *const OPEN[] = { "HOME=/secret", "PATH=/token", "DOCKER_HOST=unix:///x",
		                            "CONTAINER_HOST=x" };
	struct lease_entry entry = { .id = 1, .kind = RESOURCE_CONTAINER };
	(void)state;
	strv_push(&entry.words, "/usr/bin/docker");
	strv_push(&entry.words, "docker");
	strv_push(&entry.words, "npxc-a-0123abcd");
	for (size_t i = 0; i < sizeof(SECRET) / sizeof(SECRET[0]); i++) {
		assert_true(resource_is_secret(SECRET[i]));
		strv_push(&entry.words, SECRET[i]);
	}
	for (size_t i = 0; i < sizeof(OPEN) / sizeof(OPEN[0]); i++) {
		assert_false(resource_is_secret(OPEN[i]));
		strv_push(&entry.words, OPEN[i]);
	}
	char *line = lease_line_hold(&entry);
	for (size_t i = 0; i < sizeof(SECRET) / sizeof(SECRET[0]); i++)
		assert_null(strstr(line, SECRET[i]));
	for (size_t i = 0; i < sizeof(OPEN) / sizeof(OPEN[0]); i++)
		assert_non_null(strstr(line, OPEN[i]));
	free(line);
	lease_entry_done(&entry);
}

/* ---- the text ---- */

/* The very text of format 1: what this format's first version wrote is read for ever. */
static void format_1_is_read(void **state)
{
	static const char TEXT[] = HEADER FACTS DIRECTORY CONTAINER NETWORK
	    "{\"release\":1}\n" SANDBOX "{\"janitor\":{\"pid\":30,\"started\":31}}\n";
	struct npxc_error err = { 0 };
	struct lease lease;
	(void)state;
	if (!lease_parse(TEXT, strlen(TEXT), &lease, &err))
		fail_msg("%s", err.message);
	assert_string_equal(lease.id, "0123abcd");
	assert_string_equal(lease.npxc, "0.4.0");
	assert_string_equal(lease.boot, "b-1");
	assert_int_equal(lease.started_at_ms, 1700000000123);
	assert_int_equal(lease.started_boot_ms, 5000);
	assert_int_equal(lease.launcher.pid, 10);
	assert_int_equal(lease.launcher.started, 11);
	assert_int_equal(lease.janitor.pid, 30);
	assert_int_equal(lease.janitor.started, 31);
	assert_int_equal(lease.client.pid, 14);
	assert_string_equal(lease.client_name, "node");
	assert_string_equal(lease.name, "npxc-a-b-0123abcd");
	assert_string_equal(lease.package, "@a/b");
	assert_string_equal(lease.version, "1.0.0");
	assert_string_equal(lease.runtime, "podman");
	assert_string_equal(lease.policy, "allowlist(1 rule)");
	assert_string_equal(lease.link, "gateway");
	assert_int_equal(lease.sandbox.pid, 20);
	assert_int_equal(lease.sandbox.started, 21);
	assert_int_equal(lease.stop, GROUP_STOP_INNER);
	assert_int_equal(lease.count, 2);
	assert_int_equal(lease.last_id, 3);
	assert_int_equal(lease.entries[0].kind, RESOURCE_CONTAINER);
	assert_int_equal(lease.entries[0].words.count, 5);
	assert_string_equal(lease.entries[0].words.v[3], "HOME=/h");
	assert_string_equal(lease_entry_name(&lease.entries[0]), "npxc-a-b-0123abcd");
	assert_string_equal(lease_entry_name(&lease.entries[1]), NETWORK_NAME);
	lease_done(&lease);
}

static void what_is_written_is_read_again(void **state)
{
	static const char TEXT[] = HEADER FACTS DIRECTORY CONTAINER NETWORK PROCESS SANDBOX;
	struct npxc_error err = { 0 };
	struct lease lease;
	(void)state;
	assert_true(lease_parse(TEXT, strlen(TEXT), &lease, &err));
	assert_int_equal(lease.entries[3].kind, RESOURCE_PROCESS);
	assert_int_equal(lease_entry_process(&lease.entries[3]).pid, 22);
	assert_int_equal(lease_entry_process(&lease.entries[3]).started, 23);
	assert_string_equal(lease_entry_name(&lease.entries[3]), "22");
	char *header = lease_line_header(&lease), *facts = lease_line_facts(&lease);
	char *sandbox = lease_line_sandbox(&lease.sandbox, lease.stop);
	char *text = str_printf("%s%s", header, facts);
	for (size_t i = 0; i < lease.count; i++) {
		char *line = lease_line_hold(&lease.entries[i]);
		char *longer = str_printf("%s%s", text, line);
		free(text), free(line);
		text = longer;
	}
	char *whole = str_printf("%s%s", text, sandbox);
	assert_string_equal(whole, TEXT);
	free(header), free(facts), free(sandbox), free(text), free(whole);
	lease_done(&lease);
}

static void a_torn_last_line_is_not_there(void **state)
{
	static const char TEXT[] = HEADER DIRECTORY CONTAINER;
	struct npxc_error err = { 0 };
	struct lease lease;
	const size_t header = strlen(HEADER), directory = strlen(DIRECTORY);
	(void)state;
	for (size_t length = 0; length <= strlen(TEXT); length++) {
		if (!lease_parse(TEXT, length, &lease, &err))
			fail_msg("%zu: %s", length, err.message);
		assert_int_equal(lease.count, (length >= header + directory) + (length == strlen(TEXT)));
		assert_string_equal(lease.id, length >= header ? "0123abcd" : "");
		lease_done(&lease);
	}
}

/* Everything after the header, but for what says so itself. */
static void bad_texts_are_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} CASES[] = {
		{ "\n", "line 1: it is not JSON" },
		{ "{}\n", "\"lease\"" },
		{ "[]\n", "not a JSON object" },
		{ "1\n", "not a JSON object" },
		{ "{\"lease\":\"1\"}\n", "\"lease\"" },
		{ "{\"lease\":0}\n", "\"lease\"" },
		{ "{\"lease\":1.5}\n", "\"lease\"" },
		{ "{\"lease\":-1}\n", "\"lease\"" },
		{ "{\"lease\":2}\n", "a newer npxc wrote it (format 2, this one reads up to 1)" },
		{ "{\"lease\":2}\nwhatever\n", "a newer npxc wrote it" },
		{ "{\"lease\":9007199254740992}\n", "a newer npxc" },
		{ "{\"lease\":1}\n", "\"npxc\"" },
		{ "{\"lease\":1,\"npxc\":\"1\",\"id\":\"../../..\",\"boot\":\"\",\"started_at\":1,\"started_boot\":1,"
		  "\"launcher\":{\"pid\":1,\"started\":1},\"janitor\":{\"pid\":1,\"started\":1},"
		  "\"client\":{\"pid\":1,\"started\":1,\"name\":\"\"}}\n",
		  "\"id\"" },
		{ DIRECTORY, "line 1: \"lease\"" },
		{ HEADER "\n", "line 2: it is not JSON" },
		{ HEADER "{}\n", "line 2: it says nothing that this npxc knows" },
		{ HEADER HEADER, "it says nothing" },
		{ HEADER "{\"borrow\":{}}\n", "it says nothing" },
		{ HEADER "{\"hold\":1}\n", "\"id\"" },
		{ HEADER "{\"release\":1,\"hold\":{}}\n", "it says nothing" },
		{ HEADER "{\"facts\":[]}\n", "\"name\"" },
		{ HEADER "{\"release\":1} x\n", "it is not JSON" },
		{ HEADER "{\"release\":1}\n", "releases 1, which it does not hold" },
		{ HEADER DIRECTORY "{\"release\":1}\n{\"release\":1}\n", "line 4: it releases 1" },
		{ HEADER DIRECTORY "{\"release\":\"1\"}\n", "\"release\"" },
		{ HEADER DIRECTORY DIRECTORY, "out of its order" },
		{ HEADER CONTAINER DIRECTORY, "out of its order" },
		{ HEADER "{\"hold\":{\"id\":0,\"kind\":\"file\",\"path\":\"/tmp/a\"}}\n", "out of its order" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"mount\",\"path\":\"/tmp/a\"}}\n", "\"kind\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"file\"}}\n", "\"path\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"file\",\"path\":\"tmp/a\"}}\n", "not absolute" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"file\",\"path\":\"\"}}\n", "not absolute" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"file\",\"path\":\"/\"}}\n", "not a clean one" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"file\",\"path\":\"/tmp/../etc/x\"}}\n", "not a clean one" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"directory\",\"path\":\"/home\"}}\n", "a top one" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"file\",\"path\":\"/tmp/a\\u0000b\"}}\n", "it is not JSON" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"cgroup\",\"path\":\"/sys/fs/cgroup/user\"}}\n",
		  "not a cgroup that npxc makes" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"podman\",\"runtime\":\"podman\","
		         "\"name\":\"npxc-a-0123abcd\",\"environment\":[]}}\n",
		  "the CLI is not absolute" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"/bin/../x\",\"runtime\":\"podman\","
		         "\"name\":\"npxc-a-0123abcd\",\"environment\":[]}}\n",
		  "not absolute and clean" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"/bin/x\",\"runtime\":\"bwrap\","
		         "\"name\":\"npxc-a-0123abcd\",\"environment\":[]}}\n",
		  "no runtime that has" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"/bin/x\",\"runtime\":\"auto\","
		         "\"name\":\"npxc-a-0123abcd\",\"environment\":[]}}\n",
		  "no runtime that has" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"/bin/x\",\"runtime\":\"podman\","
		         "\"name\":\"database\",\"environment\":[]}}\n",
		  "not a container that npxc makes" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"network\",\"cli\":\"/bin/x\",\"runtime\":\"podman\","
		         "\"name\":\"npxc-a-0123abcd\",\"environment\":[]}}\n",
		  "not a network that npxc makes" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"/bin/x\",\"runtime\":\"podman\","
		         "\"name\":\"npxc-a-0123abcd\"}}\n",
		  "\"environment\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"/bin/x\",\"runtime\":\"podman\","
		         "\"name\":\"npxc-a-0123abcd\",\"environment\":[1]}}\n",
		  "\"environment\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"/bin/x\",\"runtime\":\"podman\","
		         "\"name\":\"npxc-a-0123abcd\",\"environment\":[\"HOME\"]}}\n",
		  "not an environment variable" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"started\":3}}\n", "\"pid\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":40}}\n", "\"started\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":\"40\",\"started\":3}}\n", "\"pid\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":-40,\"started\":3}}\n", "\"pid\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":4294967336,\"started\":3}}\n", "\"pid\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":40,\"started\":3.5}}\n", "\"started\"" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":40,\"started\":0}}\n",
		  "cannot be told when" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":0,\"started\":3}}\n",
		  "not a process that npxc starts" },
		{ HEADER "{\"hold\":{\"id\":1,\"kind\":\"process\",\"pid\":1,\"started\":3}}\n",
		  "not a process that npxc starts" },
		{ HEADER "{\"sandbox\":1}\n", "\"sandbox\"" },
		{ HEADER "{\"sandbox\":{\"pid\":1,\"started\":1,\"asked\":\"inner\"}}\n", "\"sandbox\"" },
		{ HEADER "{\"sandbox\":{\"pid\":-4,\"started\":1,\"asked\":\"inner\"}}\n", "\"sandbox\"" },
		{ HEADER "{\"sandbox\":{\"pid\":40,\"started\":1,\"asked\":\"kindly\"}}\n", "\"sandbox\"" },
		{ HEADER "{\"sandbox\":{\"pid\":40,\"asked\":\"inner\"}}\n", "\"sandbox\"" },
		{ HEADER "{\"sandbox\":{\"pid\":4294967296,\"started\":1,\"asked\":\"inner\"}}\n", "\"sandbox\"" },
		{ HEADER "{\"facts\":{}}\n", "\"name\"" },
		{ HEADER "{\"janitor\":{}}\n", "\"janitor\"" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct npxc_error err = { 0 };
		struct lease lease = { .count = 77 };
		if (lease_parse(CASES[i].text, strlen(CASES[i].text), &lease, &err))
			fail_msg("case %zu is taken", i);
		assert_int_equal(err.kind, ERROR_JSON);
		if (strstr(err.message, CASES[i].says) == NULL)
			fail_msg("case %zu: %s", i, err.message);
		assert_int_equal(lease.count, 77);
	}
}

/* As the launcher gives them to the janitor. */
static void words_of_processes(void **state)
{
	static const struct {
		const char *const words[4];
		const char *says; /* NULL: fine */
	} CASES[] = {
		{ { "22", "23" }, NULL },
		{ { "2", "9007199254740992" }, NULL },
		{ { "22" }, "not a pid and" },
		{ { "22", "23", "24" }, "not a pid and" },
		{ { "-22", "23" }, "not a pid and" },
		{ { "22", "" }, "not a pid and" },
		{ { "22 ", "23" }, "not a pid and" },
		{ { "2147483648", "23" }, "not a pid and" },
		{ { "22", "9007199254740993" }, "not a pid and" },
		{ { "1", "23" }, "not a process that npxc starts" },
		{ { "22", "0" }, "cannot be told when" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct strv words = { 0 };
		for (size_t k = 0; CASES[i].words[k] != NULL; k++)
			strv_push(&words, CASES[i].words[k]);
		const char *objection = resource_objection(RESOURCE_PROCESS, &words);
		if ((objection == NULL) != (CASES[i].says == NULL) ||
		    (objection != NULL && strstr(objection, CASES[i].says) == NULL))
			fail_msg("case %zu: %s", i, objection == NULL ? "taken" : objection);
		strv_done(&words);
	}
}

static void ceilings_of_a_text(void **state)
{
	struct npxc_error err = { 0 };
	struct lease lease;
	char *text = str_dup(HEADER);
	(void)state;
	for (int i = 1; i <= LIMIT_JANITOR_ENTRIES + 1; i++) {
		char *longer =
		    str_printf("%s{\"hold\":{\"id\":%d,\"kind\":\"file\",\"path\":\"/tmp/%d\"}}\n", text, i, i);
		free(text);
		text = longer;
		const bool fine = lease_parse(text, strlen(text), &lease, &err);
		assert_int_equal(fine, i <= LIMIT_JANITOR_ENTRIES);
		if (fine)
			lease_done(&lease);
	}
	assert_non_null(strstr(err.message, "more than 256"));
	free(text);
	text = mem_alloc(LIMIT_LEASE_BYTES + 2);
	memset(text, 'x', LIMIT_LEASE_BYTES + 1);
	assert_false(lease_parse(text, LIMIT_LEASE_BYTES + 1, &lease, &err));
	assert_non_null(strstr(err.message, "more than"));
	free(text);
}

static void uptime_does_not_follow_the_wall_clock(void **state)
{
	static const struct {
		const char *boot, *now_boot;
		int64_t now_ms, uptime_ms;
	} CASES[] = {
		{ "b-1", "b-1", 5000, 0 },    { "b-1", "b-1", 65000, 60000 }, { "b-1", "b-1", 4999, -1 },
		{ "b-1", "b-2", 900000, -1 }, { "", "", 900000, -1 },         { "b-1", "", 900000, -1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		/* Whatever the wall clock said at the start: before 1970, now, in the far future. */
		static const int64_t WALL[] = { -5000, 1700000000000, 99999999999999 };
		for (size_t k = 0; k < sizeof(WALL) / sizeof(WALL[0]); k++) {
			struct lease lease = { .started_boot_ms = 5000, .started_at_ms = WALL[k] };
			lease.boot = str_dup(CASES[i].boot);
			assert_int_equal(lease_uptime_ms(&lease, CASES[i].now_boot, CASES[i].now_ms),
			                 CASES[i].uptime_ms);
			free(lease.boot);
		}
	}
}

static void a_lease_of_elsewhere_is_told_by_machine_and_pid_namespace(void **state)
{
	static const struct {
		const char *boot, *machine;
		uint64_t pids;
		const char *now_boot, *now_machine;
		uint64_t now_pids;
		const char *where; /* NULL: here */
	} CASES[] = {
		{ "b", "m", 7, "b", "m", 7, NULL },
		{ "a", "m", 7, "b", "m", 8, NULL }, /* an earlier boot: its processes have gone */
		{ "b", "m", 7, "b", "m", 8, "pid namespace" },
		{ "b", "n", 7, "b", "m", 7, "another machine" },
		{ "a", "n", 7, "b", "m", 7, "another machine" },
		{ "b", "", 0, "b", "m", 7, NULL }, /* of 0.4.0 */
		{ "a", "", 0, "b", "m", 7, NULL },
		{ "b", "m", 0, "b", "m", 7, NULL },
		{ "b", "m", 7, "b", "m", 0, NULL },
		{ "b", "m", 7, "b", "", 7, NULL },
		{ "a", "m", 7, "b", "", 7, "another machine" }, /* nobody can tell */
		{ "", "m", 7, "", "m", 8, NULL },               /* no boots: processes are never looked for */
		{ "a", "", 7, "b", "", 8, NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct lease lease = { .boot = str_dup(CASES[i].boot),
			               .machine = str_dup(CASES[i].machine),
			               .pids = CASES[i].pids };
		const char *where = lease_elsewhere(&lease, CASES[i].now_boot, CASES[i].now_machine, CASES[i].now_pids);
		if ((where == NULL) != (CASES[i].where == NULL) ||
		    (where != NULL && strstr(where, CASES[i].where) == NULL))
			fail_msg("case %zu: %s", i, where == NULL ? "here" : where);
		lease_done(&lease);
	}
}

/* cJSON would cut a text at a NUL; a backslash before the escape makes a text of it. */
static void a_nul_is_refused_and_the_words_for_it_are_text(void **state)
{
	static const struct {
		const char *path;
		bool fine;
	} CASES[] = {
		{ "/tmp/a\\\\u0000b", true },      { "/tmp/a\\\\\\\\u0000b", true },   { "/tmp/a\\\\\\u0000b", false },
		{ "/tmp/a\\u0000b", false },       { "/tmp/\\u00000", false },         { "/tmp/\\u0001", true },
		{ "/tmp/\\\\\\\\\\u0000", false }, { "/tmp/\\\\u0000\\u0000", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char *text =
		    str_printf(HEADER "{\"hold\":{\"id\":1,\"kind\":\"file\",\"path\":\"%s\"}}\n", CASES[i].path);
		struct npxc_error err = { 0 };
		struct lease lease;
		const bool fine = lease_parse(text, strlen(text), &lease, &err);
		if (fine != CASES[i].fine)
			fail_msg("case %zu: %s", i, fine ? "taken" : err.message);
		if (fine)
			lease_done(&lease);
		free(text);
	}
}

/* ---- files ---- */

struct place {
	char *directory, *path, *boot;
};

static struct place make_place(void)
{
	struct place place = { .directory = make_directory(), .boot = proc_boot_id() };
	place.path = lease_path(place.directory, "0123abcd");
	return place;
}

static void done_place(struct place *place)
{
	struct npxc_error err = { 0 };
	assert_true(file_remove_tree(place->directory, &err));
	free(place->directory), free(place->path), free(place->boot);
}

static enum lease_state look(const struct place *place, bool take, struct lease_seen *ret_seen)
{
	lease_look(place->directory, "0123abcd.lease", take, place->boot, ret_seen);
	return ret_seen->state;
}

static void a_lease_is_made_appended_to_and_read(void **state)
{
	struct place place = make_place();
	struct npxc_error err = { 0 };
	struct lease_seen seen;
	struct stat st;
	int fd, other;
	(void)state;
	umask(0);
	assert_true(lease_create(place.path, HEADER DIRECTORY, &fd, &err));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_false(lease_create(place.path, HEADER, &other, &err));
	assert_int_equal(err.sys_errno, EEXIST);
	assert_true(lease_append(fd, CONTAINER, true, &err));
	assert_true(lease_append(fd, "{\"release\":1}\n", false, &err));
	assert_true(lease_share(place.path, &other, &err));
	/* Who writes was started in no boot that we know. */
	assert_int_equal(look(&place, true, &seen), LEASE_LIVE);
	assert_int_equal(seen.fd, -1);
	assert_int_equal(seen.lease.count, 1);
	lease_seen_done(&seen);
	assert_false(lease_any_dead(place.directory, NULL));
	close(fd);
	assert_int_equal(look(&place, true, &seen), LEASE_LIVE); /* the other lock is as good */
	lease_seen_done(&seen);
	close(other);
	assert_true(lease_any_dead(place.directory, NULL));
	assert_int_equal(look(&place, true, &seen), LEASE_DEAD);
	assert_int_not_equal(seen.fd, -1);
	assert_false(lease_share(place.path, &other, &err)); /* taken */
	assert_false(lease_any_dead(place.directory, NULL));
	lease_seen_done(&seen);
	assert_int_equal(unlink(place.path), 0);
	assert_int_equal(look(&place, true, &seen), LEASE_GONE);
	lease_seen_done(&seen);
	done_place(&place);
}

static void owners_are_told_by_their_start(void **state)
{
	struct place place = make_place();
	struct npxc_error err = { 0 };
	struct lease lease = { .npxc = str_dup("1"), .id = str_dup("0123abcd"), .boot = str_dup(place.boot) };
	pid_t pid = fork_with_test();
	int fd;
	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	lease.launcher = lease_process_of(pid);
	assert_true(lease.launcher.started > 0);
	char *line = lease_line_header(&lease);
	assert_true(lease_create(place.path, line, &fd, &err));
	struct lease_seen seen;
	assert_int_equal(look(&place, true, &seen), LEASE_LIVE);
	lease_seen_done(&seen);
	assert_true(lease_process_alive(&lease, &lease.launcher, place.boot));
	assert_false(lease_process_alive(&lease, &lease.launcher, "another boot"));
	lease.launcher.started++; /* the number, given to somebody else */
	assert_false(lease_process_alive(&lease, &lease.launcher, place.boot));
	lease.launcher.started--;
	assert_int_equal(kill(pid, SIGKILL), 0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(lease_process_alive(&lease, &lease.launcher, place.boot)); /* a zombie */
	assert_int_equal(look(&place, true, &seen), LEASE_ENDING);
	lease_seen_done(&seen);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(fd);
	free(line);
	lease_done(&lease);
	done_place(&place);
}

/* A disk that is full, by way of a limit for files. */
static void what_cannot_be_written_is_not_half_there(void **state)
{
	struct place place = make_place();
	struct npxc_error err = { 0 };
	struct rlimit before, small;
	struct lease_seen seen;
	int fd, none;
	(void)state;
	assert_true(lease_create(place.path, HEADER, &fd, &err));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){ .rlim_cur = strlen(HEADER) + 20, .rlim_max = before.rlim_max };
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	const bool written = lease_append(fd, DIRECTORY, true, &err);
	small.rlim_cur = 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	char *other = lease_path(place.directory, "aaaaaaaa");
	const bool made = lease_create(other, HEADER, &none, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(written);
	assert_false(made);
	assert_int_equal(err.kind, ERROR_IO);
	assert_int_equal(err.sys_errno, EFBIG);
	assert_false(file_exists(other));
	assert_true(lease_append(fd, CONTAINER, true, &err));
	close(fd);
	assert_int_equal(look(&place, false, &seen), LEASE_DEAD);
	assert_int_equal(seen.lease.count, 1);
	assert_int_equal(seen.lease.entries[0].kind, RESOURCE_CONTAINER);
	lease_seen_done(&seen);
	free(other);
	done_place(&place);
}

static void a_torn_line_is_cut_off_before_the_next(void **state)
{
	struct place place = make_place();
	struct npxc_error err = { 0 };
	struct lease_seen seen;
	(void)state;
	write_file(place.path, HEADER DIRECTORY "{\"hold\":{\"id\":2,", 0600);
	assert_int_equal(look(&place, false, &seen), LEASE_DEAD);
	lease_seen_done(&seen);
	char *text = read_text(place.path);
	assert_non_null(strstr(text, "\"id\":2")); /* who only looks changes nothing */
	free(text);
	assert_int_equal(look(&place, true, &seen), LEASE_DEAD);
	assert_int_equal(seen.lease.count, 1);
	assert_true(lease_append(seen.fd, "{\"release\":1}\n", true, &err));
	lease_seen_done(&seen);
	assert_int_equal(look(&place, false, &seen), LEASE_DEAD);
	assert_int_equal(seen.lease.count, 0);
	lease_seen_done(&seen);
	done_place(&place);
}

static void make_link(const struct place *place)
{
	char *to = str_printf("%s/elsewhere", place->directory);
	write_file(to, HEADER, 0600);
	assert_int_equal(symlink(to, place->path), 0);
	free(to);
}

static void make_second_name(const struct place *place)
{
	char *to = str_printf("%s/elsewhere", place->directory);
	write_file(to, HEADER, 0600);
	assert_int_equal(link(to, place->path), 0);
	free(to);
}

static void make_directory_of_it(const struct place *place)
{
	assert_int_equal(mkdir(place->path, 0700), 0);
}

static void make_pipe_of_it(const struct place *place)
{
	assert_int_equal(mkfifo(place->path, 0600), 0);
}

static void make_open_one(const struct place *place)
{
	write_file(place->path, HEADER, 0600);
	assert_int_equal(chmod(place->path, 0666), 0);
}

static void make_foreign_one(const struct place *place)
{
	write_file(place->path, HEADER, 0600);
	assert_int_equal(chown(place->path, 12345, 12345), 0);
}

static void make_future_one(const struct place *place)
{
	write_file(place->path, "{\"lease\":2,\"what\":\"ever\"}\n", 0600);
}

static void make_garbage(const struct place *place)
{
	write_file(place->path, "garbage\n", 0600);
}

static void make_huge_one(const struct place *place)
{
	write_file(place->path, HEADER, 0600);
	assert_int_equal(truncate(place->path, (off_t)LIMIT_LEASE_BYTES + 1), 0);
}

static void what_is_not_ours_is_left_alone(void **state)
{
	static const struct {
		void (*make)(const struct place *place);
		const char *why;
	} CASES[] = {
		{ make_link, "symbolic link" },
		{ make_second_name, "second name" },
		{ make_directory_of_it, "Is a directory" },
		{ make_pipe_of_it, "not a regular file" },
		{ make_open_one, "others may write" },
		{ make_future_one, "a newer npxc" },
		{ make_garbage, "line 1: it is not JSON" },
		{ make_huge_one, "more than 4194304 bytes" },
		{ make_foreign_one, "another user" }, /* needs root, as the last */
	};
	const size_t count = sizeof(CASES) / sizeof(CASES[0]) - (geteuid() != 0);
	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct place place = make_place();
		struct lease_seen seen;
		struct stat before, after;
		CASES[i].make(&place);
		assert_int_equal(lstat(place.path, &before), 0);
		assert_int_equal(look(&place, true, &seen), LEASE_ALIEN);
		if (strcasestr(seen.why, CASES[i].why) == NULL)
			fail_msg("case %zu: %s", i, seen.why);
		assert_int_equal(seen.fd, -1);
		lease_seen_done(&seen);
		assert_int_equal(lstat(place.path, &after), 0);
		assert_int_equal(before.st_size, after.st_size);
		done_place(&place);
	}
}

static void leases_are_listed(void **state)
{
	struct place place = make_place();
	struct npxc_error err = { 0 };
	struct strv files = { 0 };
	char *inner = str_printf("%s/npxc-a-0123abcd", place.directory);
	char *missing = str_printf("%s/missing", place.directory);
	(void)state;
	assert_true(lease_list(missing, &files, &err));
	assert_int_equal(files.count, 0);
	assert_false(lease_any_dead(missing, NULL));
	assert_int_equal(mkdir(inner, 0700), 0);
	char *second = lease_path(place.directory, "00000000");
	write_file(place.path, HEADER, 0600);
	write_file(second, HEADER, 0600);
	assert_true(lease_list(place.directory, &files, &err));
	assert_int_equal(files.count, 2);
	assert_string_equal(files.v[0], "00000000.lease");
	assert_string_equal(files.v[1], "0123abcd.lease");
	strv_done(&files);
	assert_false(lease_list(place.path, &files, &err));
	assert_int_equal(err.kind, ERROR_IO);
	char *id = lease_new_id(place.directory);
	assert_true(resource_is_id(id));
	free(id), free(second), free(inner), free(missing);
	done_place(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_sessions),
		cmocka_unit_test(secrets_stay_off_the_disk),
		cmocka_unit_test(format_1_is_read),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(a_torn_last_line_is_not_there),
		cmocka_unit_test(bad_texts_are_refused),
		cmocka_unit_test(words_of_processes),
		cmocka_unit_test(ceilings_of_a_text),
		cmocka_unit_test(a_lease_of_elsewhere_is_told_by_machine_and_pid_namespace),
		cmocka_unit_test(a_nul_is_refused_and_the_words_for_it_are_text),
		cmocka_unit_test(uptime_does_not_follow_the_wall_clock),
		cmocka_unit_test(a_lease_is_made_appended_to_and_read),
		cmocka_unit_test(owners_are_told_by_their_start),
		cmocka_unit_test(what_cannot_be_written_is_not_half_there),
		cmocka_unit_test(a_torn_line_is_cut_off_before_the_next),
		cmocka_unit_test(what_is_not_ours_is_left_alone),
		cmocka_unit_test(leases_are_listed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
