#include "commands/commands.h"
#include "commands/prepare.h"
#include "commands/print.h"

#include "base/limits.h"
#include "base/mem.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What the sessions' egress processes wrote down: one line per decision, files in the order of their last change. */

struct log_file {
	char *path;
	struct timespec changed;
};

struct log_files {
	struct log_file *v;
	size_t count;
};

static void files_cleanup(struct log_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->v[i].path);
	free(files->v);
}

static int by_change(const void *a, const void *b)
{
	const struct timespec *x = &((const struct log_file *)a)->changed, *y = &((const struct log_file *)b)->changed;
	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static bool find_files(const char *directory, struct log_files *files, struct npxc_error *err)
{
	DIR *stream = opendir(directory);
	if (stream == NULL)
		return errno == ENOENT || error_set_errno(err, ERROR_IO, "open %s", directory);
	for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
		if (!str_ends(entry->d_name, ".jsonl") && !str_ends(entry->d_name, ".jsonl.1"))
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
		files->v = mem_realloc(files->v, files->count + 1, sizeof(*files->v));
		files->v[files->count++] = (struct log_file){ MEM_TAKE(path), changed };
	}
	closedir(stream);
	if (files->count > 0)
		qsort(files->v, files->count, sizeof(*files->v), by_change);
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

/* The file is npxc's own, but what is in it once came from a guest. */
static void print_record(const cJSON *record)
{
	const double port = number_of(record, "port");
	/* Asked for by its address, it has no other name. */
	const char *host = text_of(record, cJSON_HasObjectItem(record, "host") ? "host" : "ip");
	mem_cleanup char *target =
	    port >= 1 && port <= UINT16_MAX ? rules_propose(host, (uint16_t)port) : str_dup(host);
	mem_cleanup char *moved = NULL, *repeated = NULL;
	const char *why = text_of(record, "why");
	/* What was refused or failed at once took nothing with it. */
	if (str_equal(text_of(record, "verdict"), "allow") || number_of(record, "up") + number_of(record, "down") > 0)
		moved = str_printf("  %.0f B up, %.0f B down, %.0f ms", number_of(record, "up"),
		                   number_of(record, "down"), number_of(record, "ms"));
	if (number_of(record, "repeat") > 0)
		repeated = str_printf("  and %.0f more", number_of(record, "repeat"));
	print_row("%.19sZ  %-5s  %-12s  %s  %s%s%s%s%s%s", text_of(record, "ts"), text_of(record, "verdict"),
	          text_of(record, "code"), text_of(record, "package"), target, moved == NULL ? "" : moved,
	          why[0] == '\0' ? "" : "  (", why, why[0] == '\0' ? "" : ")", repeated == NULL ? "" : repeated);
}

struct wish {
	const struct strv *packages; /* names; none: all */
	bool denied, json;
	uint64_t seen, shown;
};

static void take_line(const char *line, struct wish *wish)
{
	cJSON *record = cJSON_Parse(line);
	wish->seen++;
	const bool wanted = cJSON_IsObject(record) &&
	                    (!wish->denied || strcmp(text_of(record, "verdict"), "allow") != 0) &&
	                    (wish->packages->count == 0 || strv_contains(wish->packages, text_of(record, "package")));
	if (wanted && wish->json) {
		mem_cleanup char *shown = print_json_text(line);
		puts(shown);
	} else if (wanted) {
		print_record(record);
	}
	wish->shown += wanted;
	cJSON_Delete(record);
}

/* A line that is longer than any of npxc's own is none; the last one may be half written. */
static bool read_file(const char *path, struct wish *wish, struct npxc_error *err)
{
	mem_cleanup char *line = mem_alloc(LIMIT_AUDIT_LINE_BYTES);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return errno == ENOENT || error_set_errno(err, ERROR_IO, "open %s", path);
	while (fgets(line, (int)LIMIT_AUDIT_LINE_BYTES, file) != NULL) {
		const size_t length = strlen(line);
		if (length == 0 || line[length - 1] != '\n')
			continue;
		line[length - 1] = '\0';
		take_line(line, wish);
	}
	fclose(file);
	return true;
}

static bool names_of(const struct prepared *p, struct strv *ret_names, struct npxc_error *err)
{
	for (size_t i = 0; i < p->options->specs.count; i++) {
		struct spec spec;
		if (!spec_parse(p->options->specs.v[i], &spec, err))
			return false;
		mem_cleanup char *name = spec.kind == SPEC_DIRECTORY
		                             ? store_directory_name(spec.path, p->cwd, p->paths.home)
		                             : str_dup(spec.name);
		spec_done(&spec);
		if (name == NULL)
			return error_set(err, ERROR_CONFIG, "%s: no package.json with a name", p->options->specs.v[i]);
		strv_push(ret_names, name);
	}
	return true;
}

bool log_command(const struct options *options, int *ret_status, struct npxc_error *err)
{
	struct prepared p;
	if (!prepare_config(options, &p, err))
		return false;
	struct log_files files __attribute__((cleanup(files_cleanup))) = { 0 };
	struct strv names = { 0 };
	struct wish wish = { .packages = &names, .denied = options->denied, .json = options->json };
	mem_cleanup char *directory = str_printf("%s/egress", p.paths.state_directory);
	bool fine = names_of(&p, &names, err) && find_files(directory, &files, err);
	for (size_t i = 0; fine && i < files.count; i++)
		fine = read_file(files.v[i].path, &wish, err);
	if (fine && wish.shown == 0 && !options->json)
		puts(wish.seen == 0 ? "nothing is logged; only sessions with `network.mode: allowlist` are"
		                    : "nothing like that is logged");
	strv_done(&names);
	prepare_done(&p);
	*ret_status = 0;
	return fine;
}
