#include "unit.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "mcp/publish.h"
#include "mcp/translate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * ROOT/work is the working directory, ROOT/outside not in scope, ROOT/shown mounted at its own path, ROOT/moved at
 * /elsewhere. In texts `$` stands for ROOT, and in what comes out `@` for /workspace/<any id>.
 */
struct world {
	char *root, *cwd, *files, *outputs;
	struct config config;
	struct config_package package;
	struct translate_mount mounts[2];
	struct translate *translate;
	struct buf out, reply;
};

static char *at(const struct world *w, const char *path)
{
	return str_printf("%s/%s", w->root, path);
}

static void put(const struct world *w, const char *path, const char *text)
{
	mem_cleanup char *whole = at(w, path);
	FILE *file = fopen(whole, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void make(const struct world *w, const char *path)
{
	mem_cleanup char *whole = at(w, path);

	assert_int_equal(mkdir(whole, 0755), 0);
}

static char *content(const struct world *w, const char *path)
{
	mem_cleanup char *whole = at(w, path);
	struct buf bytes BUF_CLEANUP = BUF_INIT(MIB);
	struct npxc_error err;

	return file_read(whole, &bytes, &err) ? buf_take(&bytes) : NULL;
}

static void start(struct world *w, const char *package, bool in_scope)
{
	struct npxc_error err;

	config_package_done(&w->package);
	if (!config_parse_package(package, strlen(package), "p.json", &w->package, &err))
		fail_msg("%s", err.message);
	const struct translate_settings settings = {
		.config = &w->config,
		.package = &w->package,
		.label = "server",
		.place = { .cwd = w->cwd, .real = w->cwd, .home = w->root },
		.in_scope = in_scope,
		.mounts = w->mounts,
		.mount_count = 2,
		.workspace = w->files,
		.outputs = w->package.outputs || w->package.output_arguments != NULL ? w->outputs : NULL,
	};
	translate_free(w->translate);
	if (!translate_start(&settings, &w->translate, &err))
		fail_msg("%s", err.message);
}

static const char ORDINARY[] =
    "{\"path_arguments\":{\"*\":[\"path\",\"list\"]},\"non_path_arguments\":{\"*\":[\"no\"]}}";
static const char MAKING[] = "{\"path_arguments\":{\"*\":[\"path\",\"list\"]},\"outputs\":true}";

static int set_up(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct npxc_error err;

	assert_true(file_make_temporary_directory("/tmp", "test-translate-", &w->root, &err));
	w->cwd = at(w, "work");
	w->files = at(w, "files");
	w->outputs = at(w, "out");
	make(w, "work");
	make(w, "work/sub");
	make(w, "files");
	make(w, "out");
	make(w, "outside");
	make(w, "shown");
	make(w, "moved");
	put(w, "work/a.txt", "content of a");
	put(w, "work/sub/b \"c\".txt", "content of b");
	put(w, "outside/secret", "SECRET");
	put(w, "moved/m", "m");
	w->mounts[0] = (struct translate_mount){ .source = at(w, "shown"), .target = at(w, "shown") };
	w->mounts[1] = (struct translate_mount){ .source = at(w, "moved"), .target = "/elsewhere" };
	w->out = w->reply = BUF_INIT(64 * MIB);
	assert_true(config_parse(NULL, 0, "npxc.json", &w->config, &err));
	start(w, ORDINARY, true);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	struct npxc_error err;

	translate_free(w->translate);
	config_package_done(&w->package);
	config_done(&w->config);
	if (!file_remove_tree(w->root, &err))
		fail_msg("%s", err.message);
	free((char *)w->mounts[0].source);
	free((char *)w->mounts[0].target);
	free((char *)w->mounts[1].source);
	buf_done(&w->out);
	buf_done(&w->reply);
	free(w->root);
	free(w->cwd);
	free(w->files);
	free(w->outputs);
	free(w);
	return 0;
}

/* `text` with each `$` replaced by the root; owned. */
static char *expand(const struct world *w, const char *text)
{
	struct buf to = BUF_INIT(MIB);
	struct npxc_error err;

	for (const char *c = text; *c != '\0'; c++)
		assert_true(*c == '$' ? buf_append_text(&to, w->root, &err) : buf_append(&to, c, 1, &err));
	return buf_take(&to);
}

/* The other way: root and ids out of it; owned. */
static char *shorten(const struct world *w, const char *text)
{
	struct buf to = BUF_INIT(MIB);
	struct npxc_error err;

	for (const char *c = text; *c != '\0';) {
		if (str_starts(c, w->root)) {
			assert_true(buf_append_text(&to, "$", &err));
			c += strlen(w->root);
		} else if (str_starts(c, PUBLISH_INSIDE "/") && strlen(c) > 27 && c[27] == '/') {
			assert_true(buf_append_text(&to, "@", &err));
			c += strlen(PUBLISH_INSIDE "/") + PUBLISH_ID_DIGITS;
		} else {
			assert_true(buf_append(&to, c++, 1, &err));
		}
	}
	return buf_take(&to);
}

/* What is forwarded for the line, "" for nothing; w->reply holds the answer. Owned. */
static char *client(struct world *w, const char *text)
{
	mem_cleanup char *line = expand(w, text);

	w->out.length = w->reply.length = 0;
	if (w->reply.data != NULL)
		w->reply.data[0] = '\0';
	switch (translate_client_line(w->translate, line, strlen(line), &w->out, &w->reply)) {
	case LINES_SAME:
		assert_int_equal(w->out.length, 0);
		return shorten(w, line);
	case LINES_CHANGED:
		assert_true(w->out.length > 0);
		return shorten(w, w->out.data);
	case LINES_DROPPED:
		assert_int_equal(w->out.length, 0);
		return str_dup("");
	}
	return NULL;
}

static char *server(struct world *w, const char *text)
{
	mem_cleanup char *line = expand(w, text);

	w->out.length = 0;
	if (translate_server_line(w->translate, line, strlen(line), &w->out) == LINES_SAME)
		return shorten(w, line);
	return shorten(w, w->out.data);
}

static const char *replied(const struct world *w)
{
	return w->reply.length == 0 ? "" : w->reply.data;
}

#define CALL(arguments)                                                                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":" arguments \
	"}}\n"
#define READ(uri) "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"resources/read\",\"params\":{\"uri\":\"" uri "\"}}\n"

struct passage {
	const char *in, *out; /* out NULL: the same */
};

/* What changes is the span alone. */
static const struct passage passages[] = {
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n", NULL },
	{ "{ \"method\" : \"tools/call\" ,\"id\":1, \"params\":{\"name\":\"t\",\"arguments\":{\"n\":9007199254740993}} "
	  "}\r\n",
	  NULL },
	{ CALL("{\"x\":\"text\"}"), NULL },
	{ CALL("{\"path\":\"\"}"), NULL },
	{ CALL("{\"path\":12}"), NULL },
	{ CALL("{\"path\":\"https://example.org/a\"}"), NULL },
	{ CALL("{\"no\":\"/etc/passwd\"}"), NULL },
	{ CALL("{\"no\":{\"deep\":[\"/etc/passwd\"]}}"), NULL },
	{ CALL("{\"text\":\"say /etc/passwd\"}"), NULL },
	{ CALL("{\"text\":\"/no-such-thing-on-this-machine/users\"}"), NULL },
	{ CALL("{\"x\":\"/workspace/0123456789abcde/a\"}"), NULL },
	{ CALL("{\"x\":\"$/shown/anything\"}"), NULL },
	{ CALL("{\"x\":\"$/shown\"}"), NULL },
	{ CALL("{\"x\":\"$/moved/m\"}"), CALL("{\"x\":\"/elsewhere/m\"}") },
	{ CALL("{\"x\":\"file://$/moved/m\"}"), CALL("{\"x\":\"file:///elsewhere/m\"}") },
	{ CALL("{\"x\":\"$/work/a.txt\"}"), CALL("{\"x\":\"@/a.txt\"}") },
	{ CALL("{ \"x\" : \"$\\/work\\u002fa.txt\" , \"z\":1.0 }"), CALL("{ \"x\" : \"@/a.txt\" , \"z\":1.0 }") },
	{ CALL("{\"path\":\"a.txt\"}"), CALL("{\"path\":\"@/a.txt\"}") },
	{ CALL("{\"path\":\"./sub/../a.txt\"}"), CALL("{\"path\":\"@/a.txt\"}") },
	{ CALL("{\"x\":\"~/work/a.txt\"}"), CALL("{\"x\":\"@/a.txt\"}") },
	{ CALL("{\"list\":[\"a.txt\",{\"deep\":\"$/work/a.txt\"}]}"),
	  CALL("{\"list\":[\"@/a.txt\",{\"deep\":\"@/a.txt\"}]}") },
	{ CALL("{\"path\":\"sub/b \\\"c\\\".txt\"}"), CALL("{\"path\":\"@/b \\\"c\\\".txt\"}") },
	{ CALL("{\"x\":\"file://$/work/sub/b%20%22c%22.txt\"}"), CALL("{\"x\":\"file://@/b%20%22c%22.txt\"}") },
	{ CALL("{\"x\":\"file://localhost$/work/a.txt\"}"), CALL("{\"x\":\"file://@/a.txt\"}") },
	{ CALL("{\"path\":\"sub\"}"), CALL("{\"path\":\"@/sub\"}") },
	{ CALL("{\"path\":\"sub/\"}"), CALL("{\"path\":\"@/sub/\"}") },
	{ CALL("{\"path\":\".\"}"), CALL("{\"path\":\"@/work\"}") },
	{ READ("file://$/work/a.txt"), READ("file://@/a.txt") },
	{ READ("other://thing"), NULL },
	{ "["
	  "{\"method\":\"n\"}"
	  "]\n",
	  NULL },
	{ "[ {\"method\":\"n\"} , 5 ]\n", NULL },
	/* Not for npxc to judge. */
	{ "{\"method\":\"tools/call\",}\n", NULL },
	{ "tools/call\n", NULL },
	{ "\n", NULL },
	{ "{\"id\":7,\"method\":\"resources/unsubscribe\",\"params\":{\"uri\":\"file:///etc/passwd\"}}\n", NULL },
	{ "{\"id\":7,\"result\":{\"roots\":[{\"uri\":\"file:///etc\"}]}}\n", NULL },
	{ "{\"id\":7,\"result\":{\"action\":\"accept\",\"content\":{\"f\":\"/etc/passwd\"}}}\n", NULL },
	{ "{\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":{\"x\":\"/etc/passwd\"}}}\n", NULL },
};

static void test_passages(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(passages) / sizeof(passages[0]); i++) {
		mem_cleanup char *got = client(w, passages[i].in);

		if (strcmp(got, passages[i].out != NULL ? passages[i].out : passages[i].in) != 0)
			fail_msg("%s: %s", passages[i].in, got);
		/* Nothing that is forwarded is answered too. */
		assert_string_equal(replied(w), "");
	}
}

struct refusal {
	const char *in;
	const char *code;
	const char *words[3];
};

static const struct refusal refusals[] = {
	{ CALL("{\"x\":\"/etc/passwd\"}"),
	  "-32602",
	  { "outside the working directory", "\"path\":\"/etc/passwd\"", "--mount" } },
	{ CALL("{\"x\":\"file:///etc/passwd\"}"), "-32602", { "outside", "\"path\":\"file:///etc/passwd\"" } },
	{ CALL("{\"x\":\"~/outside/secret\"}"), "-32602", { "outside" } },
	{ CALL("{\"x\":\"$/outside/secret\"}"), "-32602", { "outside" } },
	{ CALL("{\"x\":\"$/workshop/x\"}"), "-32602", { "outside" } },
	{ CALL("{\"path\":\"../outside/secret\"}"), "-32602", { "leads out" } },
	{ CALL("{\"path\":\"/no-such-thing-on-this-machine/users\"}"), "-32602", { "outside" } },
	{ CALL("{\"list\":[\"a.txt\",\"../outside/secret\"]}"),
	  "-32602",
	  { "leads out", "\"path\":\"../outside/secret\"" } },
	{ CALL("{\"path\":\"new.txt\"}"), "-32602", { "does not exist", "outputs", "non_path_arguments" } },
	{ CALL("{\"path\":\"nothing/new.txt\"}"), "-32602", { "does not exist" } },
	{ CALL("{\"path\":\"a.txt/x\"}"), "-32602", { "no directory", "non_path_arguments" } },
	{ CALL("{\"path\":\"a\\u0000b\"}"), "-32602", { "NUL" } },
	{ CALL("{\"path\":\"a\",\"p\\u0061th\":\"b\"}"), "-32602", { "path" } },
	{ CALL("{\"path\":\"a\\ud800\"}"), "-32602", { "" } },
	{ READ("file:///etc/passwd"), "-32602", { "outside" } },
	{ READ("file://evil.example/etc/passwd"), "-32602", { "another host" } },
	{ READ("file://$/work/..%2foutside%2fsecret"), "-32602", { "encoded slash" } },
	{ "{\"id\":7,\"method\":\"resources/subscribe\",\"params\":{\"uri\":\"file:///etc/passwd\"}}\n",
	  "-32602",
	  { "outside" } },
	{ "{\"id\":7,\"method\":\"prompts/get\",\"params\":{\"name\":\"t\",\"arguments\":{\"x\":\"/etc/passwd\"}}}\n",
	  "-32602",
	  { "outside" } },
};

static void test_refusals(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		mem_cleanup char *got = client(w, refusals[i].in);
		mem_cleanup char *reply = shorten(w, replied(w));
		mem_cleanup char *begin =
		    str_printf("{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":%s,", refusals[i].code);

		if (strcmp(got, "") != 0 || !str_starts(reply, begin) || !str_ends(reply, "}}}\n"))
			fail_msg("%s: forwarded %s, answered %s", refusals[i].in, got, reply);
		for (size_t k = 0; k < 3 && refusals[i].words[k] != NULL; k++)
			if (strstr(reply, refusals[i].words[k]) == NULL)
				fail_msg("%s: no \"%s\" in %s", refusals[i].in, refusals[i].words[k], reply);
		assert_null(strstr(reply, "SECRET"));
	}
	mem_cleanup char *left = content(w, "files/x");
	assert_null(left);
}

static void test_own_failures(void **state)
{
	struct world *w = *state;

	/* A ceiling is npxc's own affair, and the client cannot put it right. */
	make(w, "work/deep");
	mem_cleanup char *path = str_dup("work/deep");
	for (int i = 0; i <= LIMIT_PUBLISH_DEPTH; i++) {
		char *longer = str_printf("%s/d", path);

		free(path);
		path = longer;
		make(w, path);
	}
	mem_cleanup char *got = client(w, CALL("{\"path\":\"deep\"}"));
	assert_string_equal(got, "");
	assert_non_null(strstr(replied(w), "\"code\":-32603"));
	assert_non_null(strstr(replied(w), "\"source\":\"npxc\""));
}

static void test_batches(void **state)
{
	static const char good[] =
	    "{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":{\"x\":\"$/work/a.txt\"}}}";
	static const char bad[] =
	    "{\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":{\"x\":\"/etc/passwd\"}}}";
	static const char other[] = "{\"id\":3, \"method\":\"ping\"}";
	struct world *w = *state;

	mem_cleanup char *mixed = str_printf("[%s, %s ,%s]\n", good, bad, other);
	mem_cleanup char *got = client(w, mixed);
	assert_string_equal(
	    got, "[{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":{\"x\":\"@/a.txt\"}}},"
	         "{\"id\":3, \"method\":\"ping\"}]\n");
	assert_true(str_starts(replied(w), "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\""));
	mem_cleanup char *refused = str_printf("[%s]\n", bad);
	mem_cleanup char *nothing = client(w, refused);
	assert_string_equal(nothing, "");
	assert_non_null(strstr(replied(w), "\"id\":2"));
	mem_cleanup char *harmless = str_printf("[ %s ]", other);
	mem_cleanup char *same = client(w, harmless);
	assert_string_equal(same, harmless);
}

static void test_nothing_in_scope(void **state)
{
	struct world *w = *state;

	start(w, ORDINARY, false);
	mem_cleanup char *got = client(w, CALL("{\"x\":\"$/work/a.txt\"}"));
	assert_string_equal(got, "");
	assert_non_null(strstr(replied(w), "-32602"));
	assert_non_null(strstr(replied(w), "--cwd DIR"));
	mem_cleanup char *mounted = client(w, CALL("{\"x\":\"$/shown/f\"}"));
	assert_string_equal(mounted, CALL("{\"x\":\"$/shown/f\"}"));
}

static void test_learning(void **state)
{
	struct world *w = *state;

	start(w, "{}", true);
	mem_cleanup char *before = client(w, CALL("{\"file\":\"a.txt\"}"));
	assert_string_equal(before, CALL("{\"file\":\"a.txt\"}"));
	assert_false(translate_wants_server_lines(w->translate));
	mem_cleanup char *asked = client(w, "{\"id\":\"a\\/b\",\"method\":\"tools/list\"}\n");
	assert_string_equal(asked, "{\"id\":\"a\\/b\",\"method\":\"tools/list\"}\n");
	assert_true(translate_wants_server_lines(w->translate));
	/* Not the answer; then the answer, its id written otherwise. */
	free(server(w, "{\"id\":\"a\",\"result\":{\"tools\":[]}}\n"));
	assert_true(translate_wants_server_lines(w->translate));
	static const char tools[] =
	    "{\"id\":\"a/"
	    "b\",\"result\":{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"type\":\"object\",\"properties\":"
	    "{\"file\":{\"type\":\"string\",\"description\":\"Path to the file\"}}}}]}}\n";
	mem_cleanup char *answered = server(w, tools);
	assert_string_equal(answered, tools);
	assert_false(translate_wants_server_lines(w->translate));
	mem_cleanup char *after = client(w, CALL("{\"file\":\"a.txt\"}"));
	assert_string_equal(after, CALL("{\"file\":\"@/a.txt\"}"));
}

static void test_the_way_back(void **state)
{
	struct world *w = *state;
	free(client(w, CALL("{\"path\":\"sub/b \\\"c\\\".txt\"}")));
	const char *inside = strstr(w->out.data, PUBLISH_INSIDE);
	mem_cleanup char *directory = str_dup_n(inside, strlen(PUBLISH_INSIDE "/") + PUBLISH_ID_DIGITS);
	mem_cleanup char *line = str_printf(
	    "{\"id\":7,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"read %s/b \\\"c\\\".txt, n 1.0\"}],"
	    "\"requestState\":\"%s\",\"%s\":1}}\n",
	    directory, directory, directory);
	mem_cleanup char *back = server(w, line);
	mem_cleanup char *expected = str_printf("{\"id\":7,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"read "
	                                        "$/work/sub/b \\\"c\\\".txt, n 1.0\"}],"
	                                        "\"requestState\":\"%s\",\"%s\":1}}\n",
	                                        directory, directory);
	assert_string_equal(back, expected);
	assert_true(translate_wants_server_lines(w->translate));
}

/* What a server would write to. */
static char *private_path(const struct world *w)
{
	const char *inside = strstr(w->out.data, PUBLISH_INSIDE "/");
	const char *end = strchr(inside, '"');

	assert_non_null(end);
	return str_printf("%s%.*s", w->outputs, (int)(end - inside - (long)strlen(PUBLISH_INSIDE)),
	                  inside + strlen(PUBLISH_INSIDE));
}

static void test_outputs(void **state)
{
	struct world *w = *state;
	struct stat info;

	start(w, MAKING, true);
	mem_cleanup char *got = client(w, CALL("{\"path\":\"sub/new.txt\"}"));
	assert_string_equal(got, CALL("{\"path\":\"@/new.txt\"}"));
	mem_cleanup char *path = private_path(w);
	mem_cleanup char *host = at(w, "work/sub/new.txt");
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("made", file);
	fflush(file);
	assert_int_not_equal(stat(host, &info), 0);
	free(server(w, "{\"id\":8,\"result\":{}}\n"));
	assert_int_not_equal(stat(host, &info), 0);
	mem_cleanup char *answer = server(w, "{\"id\":7,\"result\":{}}\n");
	assert_string_equal(answer, "{\"id\":7,\"result\":{}}\n");
	mem_cleanup char *made = content(w, "work/sub/new.txt");
	assert_string_equal(made, "made");
	/* The server's own handle leads to nothing that the host uses. */
	fputs(" and more", file);
	fclose(file);
	mem_cleanup char *still = content(w, "work/sub/new.txt");
	assert_string_equal(still, "made");
	/* From now on it is a file like others: read-only. */
	mem_cleanup char *again = client(w, CALL("{\"path\":\"sub/new.txt\"}"));
	assert_string_equal(again, CALL("{\"path\":\"@/new.txt\"}"));
	mem_cleanup char *none = private_path(w);
	assert_int_not_equal(stat(none, &info), 0);
}

enum deed { MAKE_NOTHING, MAKE_LINK, MAKE_DIRECTORY, MAKE_FIFO, TOO_LATE, DANGLING };

static void test_outputs_that_are_none(void **state)
{
	struct world *w = *state;
	mem_cleanup char *host = at(w, "work/new.txt");
	mem_cleanup char *secret = at(w, "outside/secret");
	struct stat info;

	start(w, MAKING, true);
	for (enum deed deed = MAKE_NOTHING; deed <= DANGLING; deed++) {
		free(client(w, CALL("{\"path\":\"new.txt\"}")));
		mem_cleanup char *path = private_path(w);
		FILE *file;

		switch (deed) {
		case MAKE_NOTHING:
			break;
		case MAKE_LINK:
			assert_int_equal(symlink(secret, path), 0);
			break;
		case MAKE_DIRECTORY:
			assert_int_equal(mkdir(path, 0755), 0);
			break;
		case MAKE_FIFO:
			assert_int_equal(mkfifo(path, 0644), 0);
			break;
		case TOO_LATE:
		case DANGLING:
			file = fopen(path, "w");
			fputs("late", file);
			fclose(file);
			if (deed == TOO_LATE)
				put(w, "work/new.txt", "theirs");
			else
				assert_int_equal(symlink("nothing", host), 0);
			break;
		}
		mem_cleanup char *answer = server(w, "{\"id\":7,\"result\":{}}\n");
		if (deed == MAKE_NOTHING)
			assert_string_equal(answer, "{\"id\":7,\"result\":{}}\n");
		else if (!str_starts(answer, "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32602"))
			fail_msg("deed %d: %s", (int)deed, answer);
		if (deed == TOO_LATE) {
			mem_cleanup char *kept = content(w, "work/new.txt");
			assert_string_equal(kept, "theirs");
		} else if (deed == DANGLING) {
			assert_true(lstat(host, &info) == 0 && S_ISLNK(info.st_mode));
			mem_cleanup char *followed = content(w, "work/nothing");
			assert_null(followed);
		} else {
			assert_int_not_equal(lstat(host, &info), 0);
		}
		unlink(host);
		/* Nothing stays in the private place either. */
		*strrchr(path, '/') = '\0';
		assert_int_not_equal(lstat(path, &info), 0);
	}
}

/* By its own name, by that of a directory above it, and by a link that leads there. */
static void test_outputs_that_this_machine_would_execute(void **state)
{
	struct world *w = *state;
	static const char *const NAMES[] = { ".envrc",        "sub/.npmrc",       ".vscode/tasks.json",
		                             "ed/tasks.json", "sub/../.zshrc",    ".vscode/../.bashrc",
		                             ".mcp.json",     "a.code-workspace", ".vscode/deep/x" };
	mem_cleanup char *vscode = at(w, "work/.vscode");
	mem_cleanup char *deep = at(w, "work/.vscode/deep");
	mem_cleanup char *link = at(w, "work/ed");

	assert_int_equal(mkdir(vscode, 0755), 0);
	assert_int_equal(mkdir(deep, 0755), 0);
	assert_int_equal(symlink(".vscode", link), 0);
	start(w, MAKING, true);
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		mem_cleanup char *call = str_printf(CALL("{\"path\":\"%s\"}"), NAMES[i]);

		free(client(w, call));
		const char *said = replied(w);
		if (strstr(said, "-32602") == NULL || strstr(said, "tools execute") == NULL ||
		    strstr(said, "move it yourself") == NULL)
			fail_msg("%s: %s", NAMES[i], said);
	}
	mem_cleanup char *plain = client(w, CALL("{\"path\":\"ed/../plain\"}"));
	assert_string_equal(plain, CALL("{\"path\":\"@/plain\"}"));
}

static void test_outputs_are_asked_for_by_name(void **state)
{
	struct world *w = *state;

	start(w, "{\"path_arguments\":{\"*\":[\"path\"]},\"output_arguments\":{\"t\":[\"to\"]}}", true);
	mem_cleanup char *made = client(w, CALL("{\"to\":\"new.txt\"}"));
	assert_string_equal(made, CALL("{\"to\":\"@/new.txt\"}"));
	mem_cleanup char *refused = client(w, CALL("{\"path\":\"new.txt\"}"));
	assert_string_equal(refused, "");
	mem_cleanup char *outside = client(w, CALL("{\"to\":\"../outside/new.txt\"}"));
	assert_string_equal(outside, "");
	assert_non_null(strstr(replied(w), "leads out"));
	mem_cleanup char *nowhere = client(w, CALL("{\"to\":\"nothing/new.txt\"}"));
	assert_string_equal(nowhere, "");
	/* One refused argument, and nothing is made for the others. */
	mem_cleanup char *half = client(w, CALL("{\"to\":\"other.txt\",\"x\":\"/etc/passwd\"}"));
	assert_string_equal(half, "");
}

/* A call that is not wanted any more puts nothing in place. */
static void test_a_cancelled_output(void **state)
{
	struct world *w = *state;
	struct stat info;
	mem_cleanup char *host = at(w, "work/new.txt");

	start(w, MAKING, true);
	free(client(w, CALL("{\"path\":\"new.txt\"}")));
	mem_cleanup char *path = private_path(w);
	FILE *file = fopen(path, "w");
	fclose(file);
	mem_cleanup char *sent = client(w, "{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7}}\n");
	assert_string_equal(sent, "{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7}}\n");
	free(server(w, "{\"id\":7,\"result\":{}}\n"));
	assert_int_not_equal(lstat(host, &info), 0);
	assert_int_not_equal(lstat(path, &info), 0);
}

/* Roots and the like: what is visible is translated, nothing is published for them. */
static void test_translated_only(void **state)
{
	static const char roots[] =
	    "{\"id\":7,\"result\":{\"roots\":[{\"uri\":\"file://$/work/sub\",\"name\":\"n\"}]}}\n";
	struct world *w = *state;

	mem_cleanup char *before = client(w, roots);
	assert_string_equal(before, roots);
	free(client(w, CALL("{\"path\":\"sub\"}")));
	mem_cleanup char *after = client(w, roots);
	/* The same path in another notation is the same file. */
	assert_string_equal(after, "{\"id\":7,\"result\":{\"roots\":[{\"uri\":\"file://@/sub\",\"name\":\"n\"}]}}\n");
}

#define COMPLETE(value)                                                                                              \
	"{\"id\":7,\"method\":\"completion/complete\",\"params\":{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"p\"}," \
	"\"argument\":{\"name\":\"x\",\"value\":\"" value "\"},\"context\":{\"arguments\":{\"y\":\"" value "\"}}}}\n"

/* What is being typed leads into what the server has, and publishes nothing. */
static void test_what_is_typed(void **state)
{
	static const struct passage typed[] = {
		{ COMPLETE("$/work/a.t"), NULL },
		{ COMPLETE("$/work/a.txt"), COMPLETE("@/a.txt") },
		{ COMPLETE("$/work/a.txt/x"), NULL },
		{ COMPLETE("$/work/su"), NULL },
		{ COMPLETE("$/work/sub"), COMPLETE("@/sub") },
		{ COMPLETE("$/work/sub/"), COMPLETE("@/sub/") },
		{ COMPLETE("$/work/sub/b"), COMPLETE("@/sub/b") },
		{ COMPLETE("~/work/sub/not/there"), COMPLETE("@/sub/not/there") },
		{ COMPLETE("file://$/work/sub/b%20"), COMPLETE("file://@/sub/b%20") },
		{ COMPLETE("$/work/sub/../a"), NULL },
		{ COMPLETE("$/work/subway"), NULL },
		{ COMPLETE("$/moved/m"), COMPLETE("/elsewhere/m") },
		{ COMPLETE("$/shown/m"), NULL },
		{ COMPLETE("/etc/pass"), NULL },
		{ COMPLETE("text"), NULL },
	};
	struct world *w = *state;
	mem_cleanup char *not_yet = client(w, COMPLETE("$/work/sub/b"));

	assert_string_equal(not_yet, COMPLETE("$/work/sub/b"));
	free(client(w, CALL("{\"list\":[\"a.txt\",\"sub\"]}")));
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
		mem_cleanup char *got = client(w, typed[i].in);

		if (strcmp(got, typed[i].out != NULL ? typed[i].out : typed[i].in) != 0)
			fail_msg("%s: %s", typed[i].in, got);
		assert_string_equal(replied(w), "");
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_passages),
		CASE(test_refusals),
		CASE(test_own_failures),
		CASE(test_batches),
		CASE(test_nothing_in_scope),
		CASE(test_learning),
		CASE(test_the_way_back),
		CASE(test_outputs),
		CASE(test_outputs_that_are_none),
		CASE(test_outputs_that_this_machine_would_execute),
		CASE(test_outputs_are_asked_for_by_name),
		CASE(test_a_cancelled_output),
		CASE(test_translated_only),
		CASE(test_what_is_typed),
	};

	return cmocka_run_group_tests_name("translate", tests, NULL, NULL);
}
