#include "shim/journal.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "json/texts.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* What the call tells its scribe: it wrote the line itself, or the exit status of a signal handler. */
enum { WORD_WRITTEN = 'w', WORD_STATUS = 's' };

static void add_text(cJSON *line, const char *key, const char *text)
{
	if (text != NULL)
		cJSON_AddStringToObject(line, key, text);
	else
		cJSON_AddNullToObject(line, key);
}

static void add_texts(cJSON *line, const char *key, const struct strv *texts)
{
	cJSON_AddItemToObject(line, key, texts_to_json(texts));
}

static void add_number(cJSON *line, const char *key, bool known, int64_t number)
{
	if (known)
		cJSON_AddNumberToObject(line, key, (double)number);
	else
		cJSON_AddNullToObject(line, key);
}

static char *line_text(const struct journal *journal, int exit_status, int sig, bool cut)
{
	cJSON *line = cJSON_CreateObject();
	cJSON *captures;
	char *printed;
	char *text;

	cJSON_AddNumberToObject(line, "call", (double)journal->call);
	add_texts(line, "argv", &journal->argv);
	add_texts(line, "env", &journal->env);
	add_text(line, "cwd", journal->cwd);
	cJSON_AddNumberToObject(line, "pid", (double)journal->pid);
	cJSON_AddNumberToObject(line, "start_us", (double)journal->start_us);
	cJSON_AddNumberToObject(line, "end_us", (double)clock_now_us());
	add_text(line, "matched", journal->matched);
	add_text(line, "refusal", journal->refusal);
	cJSON_AddBoolToObject(line, "busy", journal->busy);
	add_text(line, "fault", journal->fault);
	captures = cJSON_AddObjectToObject(line, "captures");
	for (size_t i = 0; journal->captures != NULL && i < journal->captures->count; i++)
		if (journal->captures->v[i].value[0] != '\0')
			cJSON_AddStringToObject(captures, journal->captures->v[i].name, journal->captures->v[i].value);
	add_text(line, "near_miss", journal->near_miss);
	add_number(line, "workload", journal->workload != 0, journal->workload);
	add_number(line, "exit", exit_status >= 0, exit_status);
	add_number(line, "signal", sig != 0, sig);
	cJSON_AddBoolToObject(line, "cut", cut);
	printed = cJSON_PrintUnformatted(line);
	cJSON_Delete(line);
	text = str_printf("%s\n", printed != NULL ? printed : "{}");
	free(printed);
	return text;
}

/* Under a lock besides O_APPEND: a line may be longer than what one write takes in. */
static bool append(const struct journal *journal, int exit_status, int sig, bool cut, struct npxc_error *err)
{
	mem_cleanup char *line = line_text(journal, exit_status, sig, cut);
	int fd FD_CLEANUP = open(journal->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, ERROR_IO, "%s", journal->path);
	while (flock(fd, LOCK_EX) != 0)
		if (errno != EINTR)
			return error_set_errno(err, ERROR_IO, "%s: lock", journal->path);
	return fd_write_all(fd, line, strlen(line), err) || error_prefix(err, "%s", journal->path);
}

static void release(struct journal *journal)
{
	fd_close(&journal->scribe);
	free(journal->path);
	free(journal->cwd);
	free(journal->near_miss);
	strv_done(&journal->argv);
	strv_done(&journal->env);
	*journal = (struct journal){ .scribe = -1 };
}

bool journal_begin(const char *path, char *const *argv, char *const *environment, struct journal *ret_journal,
                   struct npxc_error *err)
{
	struct journal journal = {
		.path = str_dup(path),
		.scribe = -1,
		.start_us = clock_now_us(),
		.pid = getpid(),
		.cwd = getcwd(NULL, 0),
	};

	for (size_t i = 0; argv[i] != NULL; i++)
		strv_push(&journal.argv, argv[i]);
	for (size_t i = 0; environment[i] != NULL; i++)
		strv_push_owned(&journal.env, str_dup_n(environment[i], strcspn(environment[i], "=")));
	if (path != NULL) {
		int fd FD_CLEANUP = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		if (fd < 0) {
			error_set_errno(err, ERROR_IO, "%s", path);
			release(&journal);
			return false;
		}
	}
	*ret_journal = journal;
	return true;
}

/* `ready` tells the call that a signal to its process group does not reach the scribe any more. */
static void scribe(struct journal *journal, int from_call, int ready)
{
	struct npxc_error err = { 0 };
	unsigned char words[2] = { 0 };
	ssize_t count;

	setsid();
	for (int signal_number = 1; signal_number <= 15; signal_number++)
		signal(signal_number, SIG_IGN);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	close(ready);
	do
		count = read(from_call, words, sizeof(words));
	while (count < 0 && errno == EINTR);
	if (count <= 0)
		(void)!append(journal, -1, 0, true, &err);
	else if (words[0] == WORD_STATUS && count == 2)
		(void)!append(journal, words[1], 0, true, &err);
	_exit(0);
}

static void await_end_of_file(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

bool journal_start_scribe(struct journal *journal, struct npxc_error *err)
{
	int ends[2];
	int ready[2];
	int to_scribe FD_CLEANUP = -1;
	int from_call FD_CLEANUP = -1;
	int when_ready FD_CLEANUP = -1;
	pid_t pid;

	if (journal->path == NULL)
		return true;
	if (!fd_pipe(ends, err))
		return false;
	from_call = ends[0];
	to_scribe = ends[1];
	if (!fd_pipe(ready, err))
		return false;
	when_ready = ready[0];
	pid = fork();
	if (pid == 0) {
		fd_close(&to_scribe);
		fd_close(&when_ready);
		scribe(journal, from_call, ready[1]);
	}
	fd_close(&ready[1]);
	if (pid < 0)
		return error_set_errno(err, ERROR_IO, "fork");
	await_end_of_file(when_ready);
	journal->scribe = fd_take(&to_scribe);
	return true;
}

bool journal_end(struct journal *journal, int exit_status, int sig, struct npxc_error *err)
{
	static const char word = WORD_WRITTEN;
	struct npxc_error ignored = { 0 };
	bool ok = journal->path == NULL || append(journal, exit_status, sig, false, err);

	if (journal->scribe >= 0)
		(void)!fd_write_all(journal->scribe, &word, 1, &ignored);
	release(journal);
	return ok;
}

void journal_end_in_handler(int scribe_fd, int exit_status)
{
	const unsigned char words[2] = { WORD_STATUS, (unsigned char)exit_status };
	ssize_t count;

	if (scribe_fd < 0)
		return;
	do
		count = write(scribe_fd, words, sizeof(words));
	while (count < 0 && errno == EINTR);
}
