#include "egress/egress.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/keep.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "egress/note.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long the launcher waits for the process to be ready, and for its end, before it kills it. */
enum { READY_MS = 5000, END_MS = 1000 };

bool egress_start(const struct egress_settings *settings, struct egress *ret_egress, struct npxc_error *err)
{
	int control[2] = { -1, -1 }, handoff[2] = { -1, -1 };
	pid_t pid;

	if (!fd_socket_pair(control, err) || (settings->link == POLICY_LINK_NETNS && !fd_socket_pair(handoff, err))) {
		fd_close(&control[0]);
		fd_close(&control[1]);
		return false;
	}
	pid = keep_fork();
	if (pid == 0)
		process_serve(settings, control[1], handoff[1]);
	fd_close(&control[1]);
	fd_close(&handoff[1]);
	if (pid == -1) {
		error_set_errno(err, ERROR_IO, "fork the egress process");
		fd_close(&control[0]);
		fd_close(&handoff[0]);
		return false;
	}
	*ret_egress = (struct egress){ .pid = pid,
		                       .control = control[0],
		                       .handoff = handoff[0],
		                       .end_ms = settings->end_ms != 0 ? settings->end_ms : END_MS };
	return true;
}

/* What has come, without waiting. False: nothing is left to come. */
static bool read_more(struct egress *egress)
{
	const size_t room = sizeof(egress->partial) - egress->partial_length;
	ssize_t got;

	if (egress->control == -1 || room == 0)
		return egress->control != -1;
	do
		got = recv(egress->control, egress->partial + egress->partial_length, room, MSG_DONTWAIT);
	while (got == -1 && errno == EINTR);
	if (got > 0)
		egress->partial_length += (size_t)got;
	return got > 0 || (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* The next whole line into `ret_line`, without its end. A line that fills the room is cut. */
static bool take_line(struct egress *egress, char ret_line[static LIMIT_EGRESS_NOTE_BYTES])
{
	const char *end = memchr(egress->partial, '\n', egress->partial_length);
	size_t length, used;

	if (end == NULL && egress->partial_length < sizeof(egress->partial))
		return false;
	used = end == NULL ? egress->partial_length : (size_t)(end - egress->partial) + 1;
	length = end == NULL ? used : used - 1;
	if (length > LIMIT_EGRESS_NOTE_BYTES - 1)
		length = LIMIT_EGRESS_NOTE_BYTES - 1;
	memcpy(ret_line, egress->partial, length);
	ret_line[length] = '\0';
	egress->partial_length -= used;
	memmove(egress->partial, egress->partial + used, egress->partial_length);
	return true;
}

bool egress_await(struct egress *egress, struct npxc_error *err)
{
	const int64_t deadline = clock_now_ms() + READY_MS;
	char line[LIMIT_EGRESS_NOTE_BYTES];

	for (;;) {
		const bool open = read_more(egress);

		if (take_line(egress, line)) {
			struct note note = { .kind = NOTE_FAILED, .text = "" };

			if (note_read(line, &note) && note.kind == NOTE_READY)
				return true;
			mem_cleanup char *shown = str_escape(note.text, strlen(note.text));
			return error_set(err, ERROR_RUNTIME, "the egress process cannot start: %.300s",
			                 note.kind == NOTE_FAILED && *shown != '\0' ? shown : "unexpected message");
		}
		const int64_t left = deadline - clock_now_ms();
		struct pollfd polled = { .fd = egress->control, .events = POLLIN };
		if (!open || left <= 0)
			return error_set(err, ERROR_RUNTIME, "the egress process %s",
			                 open ? "was not ready in time" : "ended before it was ready");
		if (poll(&polled, 1, (int)left) == -1 && errno != EINTR)
			return error_set_errno(err, ERROR_RUNTIME, "wait for the egress process");
	}
}
char *egress_denial_rule(const struct egress_denial *denial)
{
	/* A name that was looked up and not allowed has not come to a port. */
	mem_cleanup char *rule = denial->add == AUDIT_ADD_RAW
	                             ? rules_propose_raw(denial->host, denial->port)
	                             : rules_propose(denial->host, denial->port == 0 ? 443 : denial->port);
	struct npxc_error ignored;

	if (!denial->is_host || denial->add == AUDIT_ADD_NOTHING || !rules_check(rule, &ignored))
		return NULL;
	return MEM_TAKE(rule);
}

static void take_denial(const struct note *note, struct egress_denial *ret_denial)
{
	static char host[4 * LIMIT_EGRESS_NOTE_BYTES + 1];
	char name[RULES_NAME_BYTES];
	const size_t length = strlen(note->text);
	mem_cleanup char *shown = str_escape(note->text, length);
	struct ip ip;

	snprintf(host, sizeof(host), "%s", shown);
	*ret_denial = (struct egress_denial){
		.host = host,
		.port = note->port,
		.reason = note->reason,
		.add = note->add,
		.is_host = rules_canonical_name(note->text, length, name) || ip_parse(note->text, length, &ip),
	};
}

static void warn(const struct note *note)
{
	mem_cleanup char *shown = str_escape(note->text, strlen(note->text));

	if (note->kind == NOTE_LOG)
		log_warn("egress", "the audit log cannot be written: %s; what finds no room is counted in it",
		         note->trouble == AUDIT_TROUBLE_SPACE ? "no space is left"
		                                              : "a file of it cannot be opened or written");
	else if (note->kind == NOTE_FAILED)
		log_warn("egress", "%s", shown);
}

enum egress_news egress_read(struct egress *egress, struct egress_denial *ret_denial)
{
	char line[LIMIT_EGRESS_NOTE_BYTES];
	struct note note;

	for (;;) {
		const bool open = read_more(egress);

		if (!take_line(egress, line))
			return open ? EGRESS_NOTHING : EGRESS_ENDED;
		if (!note_read(line, &note)) {
			log_warn("egress", "unexpected message from the egress process");
		} else if (note.kind == NOTE_DENIED) {
			take_denial(&note, ret_denial);
			return EGRESS_DENIED;
		} else {
			warn(&note);
		}
	}
}

void egress_stop(struct egress *egress)
{
	const int64_t deadline = clock_now_ms() + egress->end_ms;

	if (egress->pid <= 0)
		return;
	/* The process reads an end then; what it has still to say can be read here. */
	(void)shutdown(egress->control, SHUT_WR);
	fd_close(&egress->handoff);
	for (;;) {
		struct pollfd polled = { .fd = egress->control }; /* its closing alone: POLLHUP */
		const int64_t left = deadline - clock_now_ms();

		if (left <= 0) {
			kill(egress->pid, SIGKILL);
			break;
		}
		if (poll(&polled, 1, (int)left) == 1)
			break;
	}
	proc_reap(egress->pid);
	egress->pid = 0;
}

void egress_done(struct egress *egress)
{
	egress_stop(egress);
	fd_close(&egress->control);
	fd_close(&egress->handoff);
}
