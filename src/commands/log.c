#include "commands/commands.h"
#include "commands/print.h"

#include "base/limits.h"
#include "base/mem.h"
#include "session/inputs.h"
#include "store/directory.h"
#include "json/parse.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What the sessions' egress processes wrote down, a record for each decision; what a session was allowed and what it
 * was denied stand in files of their own. With --json each record as it is, session by session in the order of their
 * last change; else in the order of time, and the same refusal once, with how often it was. */

struct log_session {
	char *base; /* owned; the path of its files, without their endings */
	struct timespec changed;
};

struct log_sessions {
	struct log_session *v;
	size_t count;
};

static void sessions_cleanup(struct log_sessions *sessions)
{
	for (size_t i = 0; i < sessions->count; i++)
		free(sessions->v[i].base);
	free(sessions->v);
}

static int by_change(const void *a, const void *b)
{
	const struct timespec *x = &((const struct log_session *)a)->changed,
	                      *y = &((const struct log_session *)b)->changed;
	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Of the files of a session in their order: what was allowed, what was not (egress/audit). */
enum { CHAINS = 2, CHAIN_FILES = 2 };
static const char *const endings[CHAINS][CHAIN_FILES] = { { ".jsonl.1", ".jsonl" },
	                                                  { ".denied.jsonl", ".denied.jsonl.1" } };

/* How long its name is without the ending; 0: it is none of them. */
static size_t base_length(const char *name)
{
	for (size_t c = CHAINS; c-- > 0;) /* ".denied.jsonl" ends in ".jsonl" too */
		for (size_t i = 0; i < CHAIN_FILES; i++)
			if (str_ends(name, endings[c][i]))
				return strlen(name) - strlen(endings[c][i]);
	return 0;
}

static void note_file(struct log_sessions *sessions, char *owned_base, const struct timespec *changed)
{
	mem_cleanup char *base = owned_base;
	const struct log_session found = { .base = base, .changed = *changed };

	for (size_t i = 0; i < sessions->count; i++) {
		if (strcmp(sessions->v[i].base, base) != 0)
			continue;
		if (by_change(&sessions->v[i], &found) < 0)
			sessions->v[i].changed = *changed;
		return;
	}
	sessions->v = mem_realloc(sessions->v, sessions->count + 1, sizeof(*sessions->v));
	sessions->v[sessions->count++] = (struct log_session){ MEM_TAKE(base), *changed };
}

static bool find_sessions(const char *directory, struct log_sessions *sessions, struct npxc_error *err)
{
	DIR *stream = opendir(directory);
	if (stream == NULL)
		return errno == ENOENT || error_set_errno(err, ERROR_IO, "open %s", directory);
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		const size_t length = base_length(entry->d_name);
		if (length == 0)
			continue;
		mem_cleanup char *path = str_printf("%s/%s", directory, entry->d_name);
		struct stat status;
		if (lstat(path, &status) == -1 || !S_ISREG(status.st_mode))
			continue;
#ifdef __APPLE__
		const struct timespec changed = status.st_mtimespec;
#else
		const struct timespec changed = status.st_mtim;
#endif
		note_file(sessions, str_dup_n(path, strlen(directory) + 1 + length), &changed);
	}
	closedir(stream);
	if (sessions->count > 0)
		qsort(sessions->v, sessions->count, sizeof(*sessions->v), by_change);
	return true;
}

static const char *text_of(const cJSON *record, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, key));
	return text == NULL ? "" : text;
}

static double number_of(const cJSON *record, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(record, key);
	return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

/* ---- rows ---- */

struct row {
	char *ts, *text; /* owned; the time is the last one's */
	double times;    /* 0: an allowed flow, which is never joined with others */
	uint64_t hash;
	size_t next; /* of the same bucket, + 1; 0: none */
};

enum { BUCKETS = 4096 };
struct rows {
	struct row *v;
	size_t count, room;
	size_t buckets[BUCKETS]; /* + 1 */
};

static int by_time(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->ts, ((const struct row *)b)->ts);
}

/* Prints and empties. */
static void rows_print(struct rows *rows)
{
	if (rows->count > 0)
		qsort(rows->v, rows->count, sizeof(*rows->v), by_time);
	for (size_t i = 0; i < rows->count; i++) {
		struct row *row = &rows->v[i];
		mem_cleanup char *times = row->times > 1 ? str_printf("  %.0f times", row->times) : str_dup("");

		print_row("%.19sZ  %s%s", row->ts, row->text, times);
		free(row->ts);
		free(row->text);
	}
	free(rows->v);
	*rows = (struct rows){ 0 };
}

static struct row *rows_find(struct rows *rows, const char *text, uint64_t hash)
{
	for (size_t at = rows->buckets[hash % BUCKETS]; at != 0; at = rows->v[at - 1].next)
		if (rows->v[at - 1].hash == hash && strcmp(rows->v[at - 1].text, text) == 0)
			return &rows->v[at - 1];
	return NULL;
}

/* `times` 0: of its own. */
static void rows_add(struct rows *rows, const char *ts, char *owned_text, double times)
{
	const uint64_t hash = str_hash(STR_HASH, owned_text, strlen(owned_text));
	struct row *row = times > 0 ? rows_find(rows, owned_text, hash) : NULL;

	if (row != NULL) {
		row->times += times;
		if (strcmp(row->ts, ts) < 0) {
			free(row->ts);
			row->ts = str_dup(ts);
		}
		free(owned_text);
		return;
	}
	if (rows->count == LIMIT_LOG_ROWS)
		rows_print(rows);
	if (rows->count == rows->room) {
		rows->room = rows->room == 0 ? 64 : 2 * rows->room;
		rows->v = mem_realloc(rows->v, rows->room, sizeof(*rows->v));
	}
	rows->v[rows->count] = (struct row){ .ts = str_dup(ts), .text = owned_text, .times = times, .hash = hash };
	if (times > 0) {
		rows->v[rows->count].next = rows->buckets[hash % BUCKETS];
		rows->buckets[hash % BUCKETS] = rows->count + 1;
	}
	rows->count++;
}

/* ---- records ---- */

/* The file is npxc's own, but what is in it once came from a guest. */
static void add_record(const cJSON *record, struct rows *rows)
{
	const bool allowed = str_equal(text_of(record, "verdict"), "allow");
	const double port = number_of(record, "port");
	/* Asked for by its address, it has no other name. */
	const char *host = text_of(record, cJSON_HasObjectItem(record, "host") ? "host" : "ip");
	mem_cleanup char *target =
	    port >= 1 && port <= UINT16_MAX ? rules_propose(host, (uint16_t)port) : str_dup(host);
	mem_cleanup char *moved = NULL, *repeated = NULL;
	const char *why = text_of(record, "why"), *add = text_of(record, "add");
	const double repeat = number_of(record, "repeat");
	if (allowed)
		moved = str_printf("  %.0f B up, %.0f B down, %.0f ms", number_of(record, "up"),
		                   number_of(record, "down"), number_of(record, "ms"));
	if (allowed && repeat > 0)
		repeated = str_printf("  %.0f times", 1 + repeat);
	/* A look-up and a connection are refused apart: only the second knows its port. */
	char *text =
	    str_printf("%-5s  %-12s  %s  %s%s%s%s%s%s%s%s%s", text_of(record, "verdict"), text_of(record, "code"),
	               text_of(record, "package"), target, moved == NULL ? "" : moved, why[0] == '\0' ? "" : "  (", why,
	               why[0] == '\0' ? "" : ")", add[0] == '\0' ? "" : "  add \"", add, add[0] == '\0' ? "" : "\"",
	               repeated == NULL ? "" : repeated);
	rows_add(rows, text_of(record, "ts"), text, allowed ? 0 : 1 + repeat);
}

/* Whose installation it was ("" when it is not said); NULL: a server's. No package has a blank in its name, and no
 * directory's path begins like that. */
static const char *install_of(const cJSON *record)
{
	static const char word[] = "npm install";
	const char *package = text_of(record, "package");

	if (!str_starts(package, word) || (package[sizeof(word) - 1] != '\0' && package[sizeof(word) - 1] != ' '))
		return NULL;
	return package + sizeof(word) - 1;
}

struct selection {
	const struct strv *packages; /* names; none: all */
	bool denied, json, installs;
	uint64_t seen, shown, hidden; /* hidden: of installations */
	struct rows rows;
};

static bool is_of(const cJSON *record, const struct strv *packages)
{
	const char *install = install_of(record);

	if (packages->count == 0 || strv_contains(packages, text_of(record, "package")))
		return true;
	for (size_t i = 0; i < packages->count && install != NULL; i++) {
		/* one of the words behind " ", of which there may be several */
		mem_cleanup char *word = str_printf(" %s ", packages->v[i]);
		mem_cleanup char *words = str_printf("%s ", install);

		if (strstr(words, word) != NULL)
			return true;
	}
	return false;
}

static void take_line(const char *line, struct selection *selection)
{
	cJSON *record = parse_text(line, strlen(line));
	selection->seen++;
	bool wanted = cJSON_IsObject(record) &&
	              (!selection->denied || strcmp(text_of(record, "verdict"), "allow") != 0) &&
	              is_of(record, selection->packages);
	if (wanted && !selection->installs && install_of(record) != NULL) {
		selection->hidden++;
		wanted = false;
	}
	if (wanted && selection->json) {
		mem_cleanup char *shown = print_json_text(line);
		puts(shown);
	} else if (wanted) {
		add_record(record, &selection->rows);
	}
	selection->shown += wanted;
	cJSON_Delete(record);
}

/* The files of one kind of a session, one after the other, line by line. */
struct chain {
	const char *const *endings;
	size_t at;
	FILE *file;
	char *line; /* owned; without its end; "": there is none any more */
};

/* The next line. One that is longer than any of npxc's own is none; the last one may be half written. */
static bool next_line(struct chain *chain, const char *base, struct npxc_error *err)
{
	for (;;) {
		if (chain->file == NULL) {
			chain->line[0] = '\0';
			if (chain->at == CHAIN_FILES)
				return true;
			mem_cleanup char *path = str_printf("%s%s", base, chain->endings[chain->at++]);
			chain->file = fopen(path, "re");
			if (chain->file == NULL && errno != ENOENT)
				return error_set_errno(err, ERROR_IO, "open %s", path);
			continue;
		}
		if (fgets(chain->line, (int)LIMIT_AUDIT_LINE_BYTES, chain->file) == NULL) {
			fclose(chain->file);
			chain->file = NULL;
			continue;
		}
		const size_t length = strlen(chain->line);
		if (length > 1 && chain->line[length - 1] == '\n') {
			chain->line[length - 1] = '\0';
			return true;
		}
	}
}

/* In the order of time: each line begins with its own, in a form that sorts as text. */
static bool read_session(const char *base, struct selection *selection, struct npxc_error *err)
{
	struct chain chains[CHAINS];
	bool fine = true;

	for (size_t i = 0; i < CHAINS; i++) {
		chains[i] = (struct chain){ .endings = endings[i], .line = mem_alloc(LIMIT_AUDIT_LINE_BYTES) };
		fine = fine && next_line(&chains[i], base, err);
	}
	while (fine && (chains[0].line[0] != '\0' || chains[1].line[0] != '\0')) {
		const bool second = chains[0].line[0] == '\0' ||
		                    (chains[1].line[0] != '\0' && strcmp(chains[1].line, chains[0].line) < 0);

		take_line(chains[second].line, selection);
		fine = next_line(&chains[second], base, err);
	}
	for (size_t i = 0; i < CHAINS; i++) {
		if (chains[i].file != NULL)
			fclose(chains[i].file);
		free(chains[i].line);
	}
	return fine;
}

static bool names_of(const struct inputs *in, struct strv *ret_names, struct npxc_error *err)
{
	for (size_t i = 0; i < in->options->specs.count; i++) {
		struct spec spec;
		if (!spec_parse(in->options->specs.v[i], &spec, err))
			return false;
		mem_cleanup char *name = spec.kind == SPEC_DIRECTORY
		                             ? directory_path(spec.path, in->cwd, in->paths.home)
		                             : str_dup(spec.name);
		spec_done(&spec);
		strv_push(ret_names, name);
	}
	return true;
}

bool log_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct inputs in;
	if (!inputs_read(options, &in, err))
		return false;
	struct log_sessions sessions __attribute__((cleanup(sessions_cleanup))) = { 0 };
	struct strv names = { 0 };
	struct selection selection = {
		.packages = &names, .denied = options->denied, .json = options->json, .installs = options->installs
	};
	mem_cleanup char *directory = str_printf("%s/egress", in.paths.state_directory);
	bool fine = names_of(&in, &names, err) && find_sessions(directory, &sessions, err);
	for (size_t i = 0; fine && i < sessions.count; i++)
		fine = read_session(sessions.v[i].base, &selection, err);
	rows_print(&selection.rows);
	if (fine && selection.shown == 0 && !options->json)
		puts(selection.hidden > 0  ? "nothing but installations is logged; --installs shows them"
		     : selection.seen == 0 ? "nothing is logged; only sessions with `network.mode: allowlist` are"
		                           : "nothing like that is logged");
	strv_done(&names);
	inputs_done(&in);
	*ret_status = 0;
	return fine;
}
