#include "unit.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "relay/pump.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* In pieces of `piece` bytes; owned. */
static char *filtered(const char *in, size_t length, size_t piece)
{
	struct terminal_filter filter = { 0 };
	char *out = mem_alloc(TERMINAL_ROOM(length) + 1);
	size_t used = 0;

	for (size_t at = 0; at < length; at += piece)
		used += terminal_filter(&filter, in + at, length - at < piece ? length - at : piece, out + used);
	used += terminal_filter_end(&filter, out + used);
	assert_true(used <= TERMINAL_ROOM(length));
	out[used] = '\0';
	return out;
}

#define TEXT(text) text, sizeof(text) - 1

static void a_guest_moves_no_terminal_however_its_bytes_are_cut(void **state)
{
	static const struct {
		const char *in;
		size_t length;
		const char *out;
	} cases[] = {
		{ TEXT("plain\n"), "| plain\n" },
		{ TEXT("no end"), "| no end" },
		{ TEXT(""), "" },
		{ TEXT("\n\n"), "| \n| \n" },
		{ TEXT("a\tb\n"), "| a\tb\n" },
		{ TEXT("gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \xe2\x9a\xa0\xef\xb8\x8f\n"),
		  "| gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \xe2\x9a\xa0\xef\xb8\x8f\n" },
		/* every line has its label, whatever it begins with */
		{ TEXT("npxc: forged\n"), "| npxc: forged\n" },
		{ TEXT("x\nnpxc: forged\n"), "| x\n| npxc: forged\n" },
		{ TEXT("  \tnpxc: forged\n"), "|   \tnpxc: forged\n" },
		{ TEXT("\033[2Knpxc: forged\n"), "| \\x1b[2Knpxc: forged\n" },
		{ TEXT("x\033Enpxc: forged\n"), "| x\\x1bEnpxc: forged\n" },
		{ TEXT("x\vnpxc: forged\n"), "| x\\x0bnpxc: forged\n" },
		{ TEXT("x\fnpxc: forged\n"), "| x\\x0cnpxc: forged\n" },
		{ TEXT("x\xc2\x85npxc: forged\n"), "| x\\xc2\\x85npxc: forged\n" }, /* NEL */
		{ TEXT("\b\b\b\bnpxc: forged\n"), "| \\x08\\x08\\x08\\x08npxc: forged\n" },
		{ TEXT("\xe2\x80\xa8npxc: forged\n"), "| \\xe2\\x80\\xa8npxc: forged\n" }, /* line separator */
		/* carriage returns */
		{ TEXT("a\r\nb\r\n"), "| a\n| b\n" },
		{ TEXT("10%\r20%\r\n"), "| 10%\n| 20%\n" },
		{ TEXT("x\rnpxc: forged\n"), "| x\n| npxc: forged\n" },
		{ TEXT("\r\rnpxc: forged"), "| npxc: forged" },
		{ TEXT("a\r"), "| a" },
		{ TEXT("a\r\r\nb"), "| a\n| b" },
		{ TEXT("\r\n"), "| \n" },
		/* the sequences that do most harm */
		{ TEXT("\033]0;t\007"), "| \\x1b]0;t\\x07" },
		{ TEXT("\033]52;c;eA==\033\\"), "| \\x1b]52;c;eA==\\x1b\\" },
		{ TEXT("\033[8mhidden"), "| \\x1b[8mhidden" },
		{ TEXT("\033P+q544e\033\\"), "| \\x1bP+q544e\\x1b\\" },
		{ TEXT("\x9b"
		       "2J"),
		  "| \\x9b2J" },
		{ TEXT("\xc2\x9b"
		       "2J"),
		  "| \\xc2\\x9b2J" },
		{ TEXT("\xc2\x9d"
		       "0;t\xc2\x9c"),
		  "| \\xc2\\x9d0;t\\xc2\\x9c" },
		{ TEXT("\x0e\x0f\x7f"), "| \\x0e\\x0f\\x7f" },
		{ TEXT("nul\0x"), "| nul\\x00x" },
		{ TEXT("\033[\033[2J"), "| \\x1b[\\x1b[2J" },
		/* what is not seen, or changes the order */
		{ TEXT("\xe2\x80\xae"
		       "cxpn"),
		  "| \\xe2\\x80\\xaecxpn" },
		{ TEXT("\xe2\x81\xa6"
		       "x\xe2\x81\xa9"),
		  "| \\xe2\\x81\\xa6x\\xe2\\x81\\xa9" },
		{ TEXT("a\xe2\x80\x8b"
		       "b\xe2\x80\x8d"
		       "c"),
		  "| a\\xe2\\x80\\x8bb\\xe2\\x80\\x8dc" },
		{ TEXT("a\xc2\xad"
		       "b\xef\xbb\xbf"
		       "c"),
		  "| a\\xc2\\xadb\\xef\\xbb\\xbfc" },
		{ TEXT("\xd8\x9c\xe3\x85\xa4"), "| \\xd8\\x9c\\xe3\\x85\\xa4" },
		{ TEXT("\xf3\xa0\x80\x81\xf3\xa0\x84\x80"), "| \\xf3\\xa0\\x80\\x81\\xf3\\xa0\\x84\\x80" },
		/* what is no UTF-8 */
		{ TEXT("\xc0\x9b\xe0\x80\x9b"), "| \\xc0\\x9b\\xe0\\x80\\x9b" },
		{ TEXT("\xed\xa0\x80\xf5\x80\x80\x80"), "| \\xed\\xa0\\x80\\xf5\\x80\\x80\\x80" },
		{ TEXT("\xe2\x80"), "| \\xe2\\x80" },
		{ TEXT("\xe2\x80\nx"), "| \\xe2\\x80\n| x" },
		{ TEXT("\xf0\x9f\x98\x1b[2J"), "| \\xf0\\x9f\\x98\\x1b[2J" },
		{ TEXT("\xe2\xe2\x80\xae"), "| \\xe2\\xe2\\x80\\xae" },
		{ TEXT("\xf0\x9f\xf0\x9f\x98\x80"), "| \\xf0\\x9f\xf0\x9f\x98\x80" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t piece = 1; piece <= cases[i].length + 1; piece++) {
			mem_cleanup char *out = filtered(cases[i].in, cases[i].length, piece);

			assert_string_equal(out, cases[i].out);
		}
	}
}

/* ---- on a real one ---- */

struct terminal {
	int outer, inner;
};

static void terminal_open(struct terminal *terminal)
{
	struct termios raw;

	terminal->outer = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(terminal->outer != -1);
	assert_int_equal(grantpt(terminal->outer), 0);
	assert_int_equal(unlockpt(terminal->outer), 0);
	terminal->inner = open(ptsname(terminal->outer), O_RDWR | O_NOCTTY);
	assert_true(terminal->inner != -1);
	assert_int_equal(tcgetattr(terminal->inner, &raw), 0);
	raw.c_oflag &= ~(tcflag_t)OPOST;
	assert_int_equal(tcsetattr(terminal->inner, TCSANOW, &raw), 0);
	assert_int_equal(fcntl(terminal->outer, F_SETFL, O_NONBLOCK), 0);
}

static char *terminal_read(const struct terminal *terminal)
{
	static char text[65536];
	size_t used = 0;
	ssize_t got;

	while ((got = read(terminal->outer, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	return text;
}

static void terminal_close(struct terminal *terminal)
{
	close(terminal->inner);
	close(terminal->outer);
}

struct relay {
	struct pump *pump;
	int server_in, server_out, server_err;
};

static void relay_open(struct relay *relay, int client_err, int aside, bool (*on_aside)(void *), void *context)
{
	int in[2], out[2], errors[2];
	struct npxc_error err = { 0 };
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(errors), 0);
	const struct pump_ends ends = { .client_in = -1,
		                        .client_out = -1,
		                        .client_err = client_err,
		                        .server_in = in[1],
		                        .server_out = out[0],
		                        .server_err = errors[0],
		                        .wake = -1,
		                        .server_exit = -1,
		                        .aside = aside,
		                        .on_aside = on_aside,
		                        .aside_context = context };
	assert_true(pump_new(&ends, 1000, &relay->pump, &err));
	*relay = (struct relay){ relay->pump, in[0], out[1], errors[1] };
}

/* stderr is relayed by lines as soon as any direction is; there are none on stdout here. */
static void take_lines(struct relay *relay)
{
	const struct lines_rules nothing = { 0 };

	pump_set_lines(relay->pump, NULL, &nothing);
}

static void relay_end(struct relay *relay)
{
	enum pump_end end;
	struct npxc_error err = { 0 };

	close(relay->server_out);
	close(relay->server_err);
	assert_true(pump_run(relay->pump, &end, &err));
	assert_int_equal(end, PUMP_SERVER_ENDED);
	close(relay->server_in);
	pump_free(relay->pump);
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void a_servers_stderr_is_filtered_for_a_terminal_and_for_nothing_else(void **state)
{
	static const char said[] = "\033]0;owned\007npxc: forged\nrest\xe2\x80";
	struct terminal terminal;

	(void)state;
	for (int by_lines = 0; by_lines < 2; by_lines++) {
		struct relay relay = { 0 };
		char plain[128] = { 0 };
		int ends[2];

		terminal_open(&terminal);
		relay_open(&relay, terminal.inner, -1, NULL, NULL);
		if (by_lines == 1)
			take_lines(&relay);
		say(relay.server_err, said);
		relay_end(&relay);
		assert_string_equal(terminal_read(&terminal), "| \\x1b]0;owned\\x07npxc: forged\n| rest\\xe2\\x80");
		terminal_close(&terminal);

		assert_int_equal(pipe(ends), 0);
		relay_open(&relay, ends[1], -1, NULL, NULL);
		if (by_lines == 1)
			take_lines(&relay);
		say(relay.server_err, said);
		relay_end(&relay);
		assert_true(read(ends[0], plain, sizeof(plain) - 1) > 0);
		assert_string_equal(plain, said);
		close(ends[0]);
		close(ends[1]);
	}
}

static void what_strays_is_labelled_and_filtered(void **state)
{
	struct terminal terminal;
	struct relay relay = { 0 };

	(void)state;
	terminal_open(&terminal);
	relay_open(&relay, terminal.inner, -1, NULL, NULL);
	take_lines(&relay);
	pump_pass_on(relay.pump, "x", "\033[2Ja\rnpxc: forged", strlen("\033[2Ja\rnpxc: forged"));
	relay_end(&relay);
	assert_string_equal(terminal_read(&terminal), "| x: \\x1b[2Ja\n| npxc: forged\n");
	terminal_close(&terminal);
}

struct interruption {
	struct terminal *terminal;
	struct relay *relay;
	char seen[256];
};

/* Once the first half is on the screen npxc says something, and then the guest goes on. */
static bool interrupt(void *context)
{
	struct interruption *one = context;

	strcat(one->seen, terminal_read(one->terminal));
	if (one->seen[0] == '\0')
		return true;
	log_notice("own %s", "\033[8m");
	say(one->relay->server_err, "npxc: forged\n");
	close(one->relay->server_err);
	close(one->relay->server_out);
	return false;
}

static void a_line_that_npxc_cuts_in_two_goes_on_with_a_label(void **state)
{
	struct terminal terminal;
	struct relay relay = { 0 };
	struct interruption one = { .terminal = &terminal, .relay = &relay };
	struct npxc_error err = { 0 };
	enum pump_end end;
	int aside[2];
	const int saved = dup(STDERR_FILENO);

	(void)state;
	setenv("TERM", "xterm", 1);
	terminal_open(&terminal);
	assert_int_equal(dup2(terminal.inner, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(pipe(aside), 0);
	say(aside[1], "!");
	relay_open(&relay, STDERR_FILENO, aside[0], interrupt, &one);
	say(relay.server_err, "first half ");
	const bool ran = pump_run(relay.pump, &end, &err);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	assert_true(ran);
	assert_string_equal(one.seen, "| first half ");
	assert_string_equal(terminal_read(&terminal), "\n\033[0;1mnpxc: own \\x1b[8m\033[0m\n| npxc: forged\n");
	close(relay.server_in);
	pump_free(relay.pump);
	close(saved);
	close(aside[0]);
	close(aside[1]);
	terminal_close(&terminal);
}

static void own_lines_are_plain_where_no_terminal_obeys(void **state)
{
	struct terminal terminal;
	const int saved = dup(STDERR_FILENO);

	(void)state;
	terminal_open(&terminal);
	assert_int_equal(dup2(terminal.inner, STDERR_FILENO), STDERR_FILENO);
	setenv("TERM", "dumb", 1);
	log_notice("one");
	unsetenv("TERM");
	log_notice("two");
	setenv("TERM", "xterm", 1);
	log_notice("three");
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	assert_string_equal(terminal_read(&terminal), "npxc: one\nnpxc: two\n\033[0;1mnpxc: three\033[0m\n");
	close(saved);
	terminal_close(&terminal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_moves_no_terminal_however_its_bytes_are_cut),
		cmocka_unit_test(a_servers_stderr_is_filtered_for_a_terminal_and_for_nothing_else),
		cmocka_unit_test(what_strays_is_labelled_and_filtered),
		cmocka_unit_test(a_line_that_npxc_cuts_in_two_goes_on_with_a_label),
		cmocka_unit_test(own_lines_are_plain_where_no_terminal_obeys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
