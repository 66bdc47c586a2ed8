#include "runtime/probe.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "config/rules.h"
#include "runtime/container.h"
#include "json/parse.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the greeter ---- */

static bool listen_at(in_addr_t address, int *ret_fd, uint16_t *ret_port, struct npxc_error *err)
{
	struct sockaddr_in place = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	socklen_t length = sizeof(place);
	FD_CLEANUP int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&place, sizeof(place)) == -1 || listen(fd, 16) == -1 ||
	    getsockname(fd, (struct sockaddr *)&place, &length) == -1)
		return error_set_errno(err, ERROR_IO, "listen for the probe");
	*ret_port = ntohs(place.sin_port);
	*ret_fd = fd_take(&fd);
	return true;
}

static void greet(int listener, const char *word)
{
	FD_CLEANUP int fd = accept(listener, NULL, NULL);
	struct npxc_error ignored;

	if (fd != -1 && !fd_write_all(fd, word, strlen(word), &ignored))
		return; /* it has gone */
}

static void serve(int life, int loopback, int open_to_all, const char *word)
{
	enum { LINKS = 3 };
	int kept[] = { life, loopback, open_to_all };
	struct npxc_error err;
	mem_cleanup char *line = str_printf("%s\n", word);

	keep_no_handlers();
	signal(SIGPIPE, SIG_IGN);
	keep_no_mask();
	/* Not the standard ones: whoever reads npxc's output waits for its end. */
	if (!keep_only(kept, open_to_all == -1 ? 2 : 3, &err))
		_exit(125);
	alarm(LINKS * LIMIT_PROBE_MS / 1000);
	for (;;) {
		struct pollfd polled[] = { { .fd = life, .events = POLLIN },
			                   { .fd = loopback, .events = POLLIN },
			                   { .fd = open_to_all, .events = POLLIN } };

		if (poll(polled, 3, -1) == -1 && errno != EINTR)
			_exit(125);
		if (polled[0].revents != 0)
			_exit(0);
		for (size_t i = 1; i < 3; i++)
			if (polled[i].revents != 0)
				greet(polled[i].fd, line);
	}
}

bool probe_greeter_start(bool with_open, struct probe_greeter *ret_greeter, struct npxc_error *err)
{
	struct probe_greeter greeter = { .life = -1 };
	FD_CLEANUP int loopback = -1;
	FD_CLEANUP int open_to_all = -1;
	mem_cleanup char *word = random_hex(32);
	sigset_t all, before;
	int life[2];

	if (!listen_at(INADDR_LOOPBACK, &loopback, &greeter.loopback, err) ||
	    (with_open && !listen_at(INADDR_ANY, &open_to_all, &greeter.open, err)) || !fd_pipe(life, err))
		return false;
	memcpy(greeter.word, word, sizeof(greeter.word));
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	greeter.pid = fork();
	if (greeter.pid == 0)
		serve(life[0], loopback, open_to_all, word);
	sigprocmask(SIG_SETMASK, &before, NULL);
	fd_close(&life[0]);
	greeter.life = life[1];
	if (greeter.pid == -1) {
		error_set_errno(err, ERROR_IO, "fork for the probe");
		fd_close(&greeter.life);
		return false;
	}
	*ret_greeter = greeter;
	return true;
}

void probe_greeter_end(struct probe_greeter *greeter)
{
	int status;

	fd_close(&greeter->life);
	while (greeter->pid > 0 && waitpid(greeter->pid, &status, 0) == -1 && errno == EINTR)
		;
	greeter->pid = 0;
}

/* ---- the guest ---- */

/* [[key, host, port], ...] to {key: {connected, said, code}, ...} in one line. */
static const char program[] =
    "const net = require('net');\n"
    "const tries = JSON.parse(process.argv[1]);\n"
    "const seen = {};\n"
    "let left = tries.length;\n"
    "for (const [key, host, port] of tries) {\n"
    "  const one = seen[key] = { connected: false, said: '', code: '' };\n"
    "  const socket = net.connect({ host, port });\n"
    "  const end = (code) => {\n"
    "    if (one.code !== '') return;\n"
    "    one.code = code;\n"
    "    clearTimeout(timer);\n"
    "    socket.destroy();\n"
    "    if (--left === 0) process.stdout.write(JSON.stringify(seen) + '\\n');\n"
    "  };\n"
    "  const timer = setTimeout(() => end('TIMEOUT'), 3000);\n"
    "  socket.on('connect', () => { one.connected = true; });\n"
    "  socket.on('data', (bytes) => { one.said += bytes; if (one.said.endsWith('\\n')) end('SAID'); });\n"
    "  socket.on('end', () => end('EOF'));\n"
    "  socket.on('error', (error) => end(error.code || 'ERROR'));\n"
    "}\n";

/* Of the ranges for documentation (RFC 5737, 3849) and testing (RFC 6761): nobody is there. */
#define NOBODY_V4 "192.0.2.1"
#define NOBODY_V6 "2001:db8::1"
#define NOBODY_NAME "refused.npxc.test"

void probe_command(const struct probe_place *place, struct strv *ret_command)
{
	const unsigned port = place->loopback;

	strv_push(ret_command, "sh");
	strv_push(ret_command, "-c");
	/* `;`: the second is tried whatever became of the first. */
	strv_push(ret_command, "node -e \"$0\" \"$1\"; NODE_OPTIONS= node -e \"$0\" \"$2\"");
	strv_push(ret_command, program);
	strv_pushf(ret_command,
	           "[[\"allowed\",\"" RULES_HOST_ALIAS "\",%u],[\"name\",\"" NOBODY_NAME "\",%u],"
	           "[\"address\",\"" NOBODY_V4 "\",%u]]",
	           port, port, port);
	mem_cleanup char *other = place->link == POLICY_LINK_GATEWAY
	                              ? str_printf(",[\"other\",\"%s\",%u]", place->gateway, place->open)
	                              : str_dup("");
	strv_pushf(ret_command,
	           "[[\"raw4\",\"" NOBODY_V4 "\",80],[\"raw6\",\"" NOBODY_V6
	           "\",80],[\"loopback\",\"127.0.0.1\",%u]%s]",
	           port, other);
}

/* ---- judging ---- */

/* How it fails on each link when it is as it should be; "" : cannot be. */
static const struct row {
	const char *key;
	const char *what;
	const char *netns, *socket, *gateway;
} ROWS[] = {
	{ "name", "a name of no rule is refused", "ENOTFOUND", "EACCES", "EACCES" },
	{ "address", "an address of no rule is refused", "ECONNRESET", "EACCES", "EACCES" },
	{ "raw4", "no way around npxc to " NOBODY_V4, "ECONNREFUSED", "ENETUNREACH",
	  "ENETUNREACH EHOSTUNREACH TIMEOUT" },
	{ "raw6", "no way around npxc to " NOBODY_V6, "ECONNREFUSED ENETUNREACH EADDRNOTAVAIL EAFNOSUPPORT",
	  "ENETUNREACH EADDRNOTAVAIL EAFNOSUPPORT", "ENETUNREACH EHOSTUNREACH TIMEOUT EADDRNOTAVAIL EAFNOSUPPORT" },
	{ "loopback", "this machine's loopback is not the guest's", "ECONNRESET", "ECONNREFUSED", "ECONNREFUSED" },
};

struct tried {
	bool known; /* it was tried and has an outcome */
	bool connected;
	char *said, *code; /* owned, as a message shows them */
};

static void tried_cleanup(struct tried *tried)
{
	mem_cleanup_free(&tried->said);
	mem_cleanup_free(&tried->code);
}

static char *shown(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return text == NULL ? NULL : str_escape(text, strnlen(text, 64));
}

static struct tried look_up(const cJSON *all, const char *key)
{
	const cJSON *one = cJSON_GetObjectItemCaseSensitive(all, key);
	struct tried tried = { .connected = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "connected")),
		               .said = shown(one, "said"),
		               .code = shown(one, "code") };

	tried.known = tried.said != NULL && tried.code != NULL && tried.code[0] != '\0';
	return tried;
}

static bool is_one_of(const char *words, const char *word)
{
	const size_t length = strlen(word);

	for (const char *p = strstr(words, word); p != NULL; p = strstr(p + 1, word))
		if ((p == words || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0'))
			return true;
	return false;
}

static const char *expected(const struct row *row, enum policy_link link)
{
	switch (link) {
	case POLICY_LINK_NETNS:
		return row->netns;
	case POLICY_LINK_SOCKET:
		return row->socket;
	case POLICY_LINK_GATEWAY:
		return row->gateway;
	case POLICY_LINK_AUTO:
		break;
	}
	return "";
}

static const char no_link[] = "do not use this link here; set network.link to another one";

static void judge_refused(const struct probe_place *place, const struct row *row, const cJSON *all,
                          struct runtime_findings *findings)
{
	struct tried tried __attribute__((cleanup(tried_cleanup))) = look_up(all, row->key);
	const char *link = policy_link_word(place->link);
	/* On link netns npxc itself takes a connection before it refuses it. */
	const bool refused = tried.known && is_one_of(expected(row, place->link), tried.code) &&
	                     tried.said[0] == '\0' && (!tried.connected || strcmp(tried.code, "ECONNRESET") == 0);

	if (refused)
		container_add_finding(findings, NULL, "link %s: %s (%s)", link, row->what, tried.code);
	else if (!tried.known)
		container_add_finding(findings, no_link, "link %s: %s: not tried", link, row->what);
	else
		container_add_finding(findings, no_link, "link %s: %s: not so (%s%s)", link, row->what,
		                      tried.connected ? "connected, " : "", tried.code);
}

static bool greeted(const struct tried *tried, const char *word)
{
	const size_t length = strlen(word);

	/* The newline is shown escaped. */
	return tried->known && strncmp(tried->said, word, length) == 0 && strcmp(tried->said + length, "\\x0a") == 0;
}

static void judge_allowed(const struct probe_place *place, const char *word, const cJSON *all,
                          struct runtime_findings *findings)
{
	struct tried tried __attribute__((cleanup(tried_cleanup))) = look_up(all, "allowed");
	const char *link = policy_link_word(place->link);

	if (greeted(&tried, word))
		container_add_finding(findings, NULL,
		                      "link %s: what a rule allows is reached (" RULES_HOST_ALIAS ":%u)", link,
		                      place->loopback);
	else
		container_add_finding(findings, no_link, "link %s: what a rule allows is not reached (%s)", link,
		                      tried.known ? tried.code : "not tried");
}

static void judge_gateway(const struct probe_place *place, const char *word, const cJSON *all,
                          struct runtime_findings *findings)
{
	struct tried tried __attribute__((cleanup(tried_cleanup))) = look_up(all, "other");

	if (!tried.known) {
		container_add_finding(findings, no_link, "link gateway: this machine's other ports: not tried");
	} else if (greeted(&tried, word) || tried.connected) {
		container_add_finding(findings, NULL,
		                      "link gateway: known weakness: the guest reached a port of this machine that "
		                      "listens on all addresses (%s:%u)",
		                      place->gateway, place->open);
		findings->v[findings->count - 1].note = true;
	} else {
		container_add_finding(findings, NULL, "link gateway: this machine's other ports are not reached (%s)",
		                      tried.code);
	}
}

/* The lines that are objects, as one. */
static cJSON *read_output(const char *output)
{
	cJSON *all = cJSON_CreateObject();

	while (*output != '\0') {
		const size_t length = strcspn(output, "\n");
		cJSON *line = parse_text(output, length);

		while (cJSON_IsObject(line) && line->child != NULL) {
			cJSON *member = cJSON_DetachItemViaPointer(line, line->child);
			cJSON_AddItemToObject(all, member->string, member);
		}
		cJSON_Delete(line);
		output += length + (output[length] == '\n');
	}
	return all;
}

void probe_judge(const struct probe_place *place, const char *word, const char *output,
                 struct runtime_findings *findings)
{
	cJSON *all = read_output(output);

	judge_allowed(place, word, all, findings);
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
		judge_refused(place, &ROWS[i], all, findings);
	if (place->link == POLICY_LINK_GATEWAY)
		judge_gateway(place, word, all, findings);
	cJSON_Delete(all);
}
