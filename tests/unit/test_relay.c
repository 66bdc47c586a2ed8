#include "unit.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig {
	char *root, *cwd, *files, *stage;
	struct config config;
	struct config_package package;
	struct relay *relay;
	struct notices notices;
	struct strv mount_points, mounted, arguments;
	struct buf reply;
};

static void put(const char *directory, const char *name, const char *text)
{
	mem_cleanup char *path = str_printf("%s/%s", directory, name);
	mem_cleanup char *parent = str_path_join(path, "..");
	struct npxc_error err;

	if (!file_make_directories(parent, 0755, &err) || !file_write_atomic(path, text, strlen(text), 0644, &err))
		fail_msg("%s", err.message);
}

static void start(struct rig *rig, const char *config, const char *package)
{
	struct npxc_error err = { 0 };

	assert_true(file_make_temporary_directory("/tmp", "npxc-relay-", &rig->root, &err));
	rig->cwd = str_printf("%s/work", rig->root);
	rig->files = str_printf("%s/files", rig->root);
	rig->stage = str_printf("%s/stage", rig->root);
	put(rig->cwd, "a.txt", "a");
	put(rig->cwd, "sub/b.txt", "b");
	put(rig->cwd, ".env", "SECRET");
	put(rig->cwd, "mounted/m.txt", "m");
	put(rig->root, "outside/secret", "SECRET");
	if (mkdir(rig->files, 0755) != 0 || mkdir(rig->stage, 0755) != 0 ||
	    !config_parse(config, config == NULL ? 0 : strlen(config), "npxc.json", &rig->config, &err) ||
	    !config_parse_package(package, package == NULL ? 0 : strlen(package), "p.json", &rig->package, &err))
		fail_msg("%s", err.message);
	strv_push(&rig->mount_points, "mounted");
	strv_push(&rig->arguments, "sub/b.txt");
	strv_pushf(&rig->mounted, "%s/mounted", rig->cwd);
	rig->reply = BUF_INIT(MIB);
	rig->notices = (struct notices){ .label = "server", .file = "p.json" };
	const struct relay_settings settings = { .config = &rig->config,
		                                 .package = &rig->package,
		                                 .label = "server",
		                                 .notices = &rig->notices,
		                                 .place = { .spellings = { rig->cwd }, .home = rig->root },
		                                 .mounted = &rig->mounted,
		                                 .cwd = rig->cwd,
		                                 .files = rig->files,
		                                 .stage = rig->stage,
		                                 .in_scope = true,
		                                 .mount_points = &rig->mount_points,
		                                 .outputs = rig->package.outputs,
		                                 .arguments = &rig->arguments };
	if (!relay_start(&settings, &rig->relay, &err))
		fail_msg("%s", err.message);
}

static void stop(struct rig *rig)
{
	struct npxc_error err;

	relay_free(rig->relay);
	notice_done(&rig->notices);
	config_done(&rig->config);
	config_package_done(&rig->package);
	strv_done(&rig->mount_points);
	strv_done(&rig->arguments);
	buf_done(&rig->reply);
	strv_done(&rig->mounted);
	if (!file_remove_tree(rig->root, &err))
		fail_msg("%s", err.message);
	free(rig->root);
	free(rig->cwd);
	free(rig->files);
	free(rig->stage);
	*rig = (struct rig){ 0 };
}

/* The line with @ for the working directory and ~ as it is; owned. */
static char *with_paths(const struct rig *rig, const char *line)
{
	struct buf text = BUF_INIT(MIB);
	struct npxc_error err;

	for (; *line != '\0'; line++)
		assert_true(*line == '@' ? buf_append_text(&text, rig->cwd, &err) : buf_append(&text, line, 1, &err));
	return buf_take(&text);
}

static enum lines_verdict client(struct rig *rig, const char *line)
{
	mem_cleanup char *text = with_paths(rig, line);

	rig->reply.length = 0;
	return relay_client_line(rig->relay, text, strlen(text), &rig->reply);
}

static void server(struct rig *rig, const char *line)
{
	mem_cleanup char *text = with_paths(rig, line);

	relay_server_line(rig->relay, text, strlen(text));
	relay_server_bytes(rig->relay, text, strlen(text), true);
}

static bool is_shown(struct rig *rig, const char *name)
{
	mem_cleanup char *path = str_printf("%s/%s", rig->files, name);

	return access(path, F_OK) == 0;
}

#define CALL(arguments)                                                                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":" arguments \
	"}}\n"
#define CALL_A CALL("{\"p\":\"@/a.txt\"}")

/* Each line of a client alone: it passes, and a.txt is to be seen or not. */
static const struct {
	const char *line;
	bool shown;
} namings[] = {
	{ CALL_A, true },
	{ CALL("{\"p\":\"file://@/a.txt\"}"), true },
	{ CALL("{\"p\":\"~/work/a.txt\"}"), true },
	{ CALL("{\"p\":[{\"q\":\"@/sub/../a.txt\"}]}"), true },
	{ CALL("{\"p\":\"db=sqlite://@/a.txt\"}"), true },
	{ CALL("{\"p\":\"@/nothing,@/a.txt\"}"), true },
	{ CALL("{\"p\":\"a.txt\"}"), false },
	{ CALL("{\"p\":\"see @/a.txt\"}"), false },
	{ CALL("{\"path\":\"a.txt\"}"), false }, /* no schema is known */
	{ CALL("{\"p\":\"@/../work/a.txt\"}"), true },
	{ CALL("{\"p\":\"@2/../work/a.txt\"}"), false },
	{ CALL("{\"p\":\"@/a.txt\",\"p\":\"x\"}"), true },
	{ "{\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"file://@/a.txt\"}}\n", true },
	{ "{\"id\":1,\"method\":\"resources/subscribe\",\"params\":{\"uri\":\"file://@/a.txt\"}}\n", true },
	{ "{\"id\":1,\"method\":\"prompts/get\",\"params\":{\"arguments\":{\"f\":\"@/a.txt\"}}}\n", true },
	{ "{\"id\":1,\"method\":\"completion/complete\",\"params\":{\"argument\":{\"value\":\"@/a.txt\"}}}\n", false },
	{ "{\"id\":1,\"method\":\"completion/complete\",\"params\":{\"context\":{\"arguments\":{\"f\":\"@/"
	  "a.txt\"}}}}\n",
	  true },
	{ "{\"id\":1,\"result\":{\"roots\":[{\"uri\":\"file://@/a.txt\"}]}}\n", true },
	{ "{\"id\":1,\"result\":{\"action\":\"accept\",\"content\":{\"f\":\"@/a.txt\"}}}\n", true },
	{ "{\"method\":\"tools/call\",\"params\":{\"arguments\":{\"f\":\"@/a.txt\"}}}\n", true },
	{ "["
	  "{\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"file://@/a.txt\"}}"
	  "]\n",
	  true },
	{ CALL("{\"p\":\"@/a.txt\"") "\n", false }, /* not JSON */
	{ CALL("{}"), false },
};

static void what_is_named_is_shown_and_the_line_goes_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(namings) / sizeof(namings[0]); i++) {
		struct rig rig = { 0 };

		start(&rig, NULL, NULL);
		assert_true(is_shown(&rig, "sub/b.txt")); /* an argument's */
		if (client(&rig, namings[i].line) != LINES_SAME || rig.reply.length > 0)
			fail_msg("%s: %s", namings[i].line, rig.reply.data);
		if (is_shown(&rig, "a.txt") != namings[i].shown)
			fail_msg("%s", namings[i].line);
		stop(&rig);
	}
}

/* The server says it, and then the client: nothing is shown. Without the first, it is. */
static const char *const sayings[] = {
	"{\"id\":9,\"result\":{\"resources\":[{\"uri\":\"file://@/a.txt\",\"name\":\"x\"}]}}\n",
	"{\"id\":9,\"result\":{\"content\":[{\"type\":\"resource_link\",\"uri\":\"file://@/a.txt\"}]}}\n",
	"{\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"file://@/a.txt\"}}\n",
	"{\"id\":9,\"result\":{\"completion\":{\"values\":[\"a.txt\"]}}}\n",
	"{\"id\":9,\"result\":{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"properties\":{\"p\":{\"const\":\"a.txt\"}}"
	"}}]}}\n",
	"{\"id\":9,\"result\":{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"properties\":{\"p\":{\"enum\":[\"./"
	"a.txt\"]}}}}]}}\n",
	"{\"id\":\"s\",\"method\":\"elicitation/"
	"create\",\"params\":{\"requestedSchema\":{\"properties\":{\"f\":{\"default\":\"~/"
	"work/a.txt\"}}}}}\n",
	"{\"id\":9,\"result\":{\"messages\":[{\"content\":{\"type\":\"text\",\"text\":\"read @/a.txt now\"}}]}}\n",
	"{\"id\":9,\"error\":{\"message\":\"cannot read '@/a.txt'\"}}\n",
	"{\"id\":9,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"{\\\"p\\\":\\\"@/a.txt\\\"}\"}]}}\n",
};

static void what_the_server_said_first_is_not_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
		struct rig rig = { 0 };

		start(&rig, NULL, NULL);
		server(&rig, sayings[i]);
		assert_int_equal(client(&rig, CALL_A), LINES_SAME);
		if (is_shown(&rig, "a.txt"))
			fail_msg("%s", sayings[i]);
		stop(&rig);
		start(&rig, NULL, NULL); /* the honest twin: the client said it before */
		assert_int_equal(client(&rig, CALL_A), LINES_SAME);
		server(&rig, sayings[i]);
		put(rig.cwd, "a.txt", "changed");
		assert_int_equal(
		    client(&rig, "{\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"file://@/a.txt\"}}\n"),
		    LINES_SAME);
		mem_cleanup char *path = str_printf("%s/a.txt", rig.files);
		struct stat info;
		assert_return_code(stat(path, &info), errno);
		assert_int_equal(info.st_size, 7);
		stop(&rig);
		/* and the user's own word wins in any case */
		start(&rig, NULL, "{\"path_arguments\":{\"*\":[\"p\"]}}");
		server(&rig, sayings[i]);
		assert_int_equal(client(&rig, CALL("{\"p\":\"a.txt\"}")), LINES_SAME);
		assert_true(is_shown(&rig, "a.txt"));
		stop(&rig);
	}
}

static void secrets_and_the_whole_are_shown_only_on_the_users_word(void **state)
{
	static const char *const lines[] = {
		CALL("{\"p\":\"@/.env\"}"),
		CALL("{\"p\":\"@\"}"),
		CALL("{\"p\":\"@/\"}"),
		CALL("{\"p\":\"@/sub/..\"}"),
		CALL("{\"p\":\"file://@/.env\"}"),
		"{\"id\":1,\"result\":{\"roots\":[{\"uri\":\"file://@\"}]}}\n",
		CALL("{\"p\":\"@/link\"}"),
	};
	struct rig rig = { 0 };

	(void)state;
	start(&rig, NULL, NULL);
	mem_cleanup char *link = str_printf("%s/link", rig.cwd);
	assert_return_code(symlink(".env", link), errno);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(client(&rig, lines[i]), LINES_SAME);
		if (is_shown(&rig, ".env") || is_shown(&rig, "a.txt"))
			fail_msg("%s", lines[i]);
	}
	assert_int_equal(client(&rig, CALL_A), LINES_SAME);
	assert_true(is_shown(&rig, "a.txt"));
	stop(&rig);
	start(&rig, NULL, "{\"path_arguments\":{\"t\":[\"p\"]}}");
	assert_int_equal(client(&rig, CALL("{\"p\":\".env\"}")), LINES_SAME);
	assert_true(is_shown(&rig, ".env") && !is_shown(&rig, "a.txt"));
	assert_int_equal(client(&rig, CALL("{\"p\":\".\"}")), LINES_SAME);
	assert_true(is_shown(&rig, "a.txt"));
	stop(&rig);
}

/* What is learned from tools/list: bare names count where a schema means a file. */
static void a_schema_makes_bare_names_count(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	start(&rig, NULL, NULL);
	assert_int_equal(client(&rig, "{\"id\":\"l\",\"method\":\"tools/list\"}\n"), LINES_SAME);
	assert_true(relay_wants_server_lines(rig.relay));
	server(&rig,
	       "{\"id\":\"\\u006c\",\"result\":{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"properties\":{\"file\":{"
	       "\"type\":\"string\"}}}}]}}\n");
	assert_false(relay_wants_server_lines(rig.relay));
	assert_int_equal(client(&rig, CALL("{\"q\":\"a.txt\"}")), LINES_SAME);
	assert_false(is_shown(&rig, "a.txt"));
	assert_int_equal(client(&rig, CALL("{\"file\":\"a.txt\"}")), LINES_SAME);
	assert_true(is_shown(&rig, "a.txt"));
	assert_int_equal(client(&rig, CALL("{\"file\":\"nothing/here\"}")), LINES_SAME);
	stop(&rig);
}

static void nothing_outside_is_shown_or_refused_unless_asked(void **state)
{
	static const char *const lines[] = {
		CALL("{\"p\":\"/etc/passwd\"}"),         CALL("{\"p\":\"~/outside/secret\"}"),
		CALL("{\"p\":\"@/../outside/secret\"}"), CALL("{\"p\":\"@/out\"}"),
		CALL("{\"p\":\"file:///etc/passwd\"}"),
	};
	struct rig rig = { 0 };

	(void)state;
	for (int refuse = 0; refuse < 2; refuse++) {
		start(&rig, refuse ? "{\"paths\":{\"outside\":\"refuse\"}}" : NULL, NULL);
		mem_cleanup char *link = str_printf("%s/out", rig.cwd);
		assert_return_code(symlink("../outside/secret", link), errno);
		for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
			assert_int_equal(client(&rig, lines[i]), refuse ? LINES_DROPPED : LINES_SAME);
			if (refuse)
				assert_non_null(strstr(rig.reply.data, "\"code\":-32602"));
			else
				assert_int_equal(rig.reply.length, 0);
			assert_false(is_shown(&rig, "out"));
		}
		/* what is not here is no file of this machine */
		assert_int_equal(client(&rig, CALL("{\"p\":\"/v1/charges\"}")), LINES_SAME);
		assert_int_equal(client(&rig, CALL("{\"p\":\"/etc/passwd/x\"}")), LINES_SAME);
		/* a mount is no outside */
		assert_int_equal(client(&rig, CALL("{\"p\":\"@/mounted/m.txt\"}")), LINES_SAME);
		assert_false(is_shown(&rig, "mounted"));
		/* nobody answers a notification */
		assert_int_equal(
		    client(&rig, "{\"method\":\"tools/call\",\"params\":{\"arguments\":{\"p\":\"/etc/passwd\"}}}\n"),
		    LINES_SAME);
		assert_int_equal(rig.reply.length, 0);
		stop(&rig);
	}
	assert_false(config_parse("{\"paths\":{\"outside\":\"no\"}}", 27, "f", &rig.config, &(struct npxc_error){ 0 }));
}

#define READ(id, name) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"resources/read\",\"params\":{\"uri\":\"file://@/" name "\"}}"

/* A file in scope that is there and cannot be shown: npxc's own failure, and only that is answered. */
static void its_own_failures_are_answered(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	start(&rig, NULL, NULL);
	mem_cleanup char *path = str_printf("%s/huge", rig.cwd);
	FILE *file = fopen(path, "w");
	assert_true(file != NULL && ftruncate(fileno(file), (off_t)(LIMIT_PUBLISH_FILE_BYTES + 1)) == 0 &&
	            fclose(file) == 0);
	assert_int_equal(client(&rig, READ("\"\\u0041\"", "huge") "\n"), LINES_DROPPED);
	assert_true(str_starts(rig.reply.data, "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0041\",\"error\":{\"code\":-32603,"));
	assert_non_null(strstr(rig.reply.data, "\"source\":\"npxc\""));
	/* a batch of requests as a whole, one with something else in it never */
	assert_int_equal(client(&rig, "[" READ("1", "a.txt") "," READ("2", "huge") "]\n"), LINES_DROPPED);
	assert_non_null(strstr(rig.reply.data, "\"id\":1,\"error\":{\"code\":-32603"));
	assert_non_null(strstr(rig.reply.data, "\"id\":2,\"error\":{\"code\":-32603"));
	assert_int_equal(client(&rig, "[" READ("2", "huge") ",{\"method\":\"x\"}]\n"), LINES_SAME);
	assert_int_equal(rig.reply.length, 0);
	assert_int_equal(client(&rig, "{\"id\":1,\"result\":{\"roots\":[{\"uri\":\"file://@/huge\"}]}}\n"), LINES_SAME);
	assert_int_equal(rig.reply.length, 0);
	assert_int_equal(client(&rig, CALL_A), LINES_SAME);
	stop(&rig);
}

static void an_answer_brings_what_was_made(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	start(&rig, NULL, "{\"outputs\":true}");
	assert_true(relay_writes(rig.relay) && relay_wants_server_lines(rig.relay));
	mem_cleanup char *made = str_printf("%s/new.txt", rig.cwd);
	assert_int_equal(client(&rig, CALL("{\"p\":\"@/new.txt\"}")), LINES_SAME);
	put(rig.files, "new.txt", "new");
	server(&rig, "{\"method\":\"notifications/progress\",\"params\":{}}\n");
	assert_false(file_exists(made));
	server(&rig, "{\"id\":1,\"result\":{}}\n");
	assert_true(file_exists(made));
	put(rig.files, "late.txt", "late");
	relay_finish(rig.relay);
	mem_cleanup char *late = str_printf("%s/late.txt", rig.cwd);
	assert_true(file_exists(late));
	assert_false(relay_is_over(rig.relay));
	stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_named_is_shown_and_the_line_goes_on),
		cmocka_unit_test(what_the_server_said_first_is_not_shown),
		cmocka_unit_test(secrets_and_the_whole_are_shown_only_on_the_users_word),
		cmocka_unit_test(a_schema_makes_bare_names_count),
		cmocka_unit_test(nothing_outside_is_shown_or_refused_unless_asked),
		cmocka_unit_test(its_own_failures_are_answered),
		cmocka_unit_test(an_answer_brings_what_was_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
