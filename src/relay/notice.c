#include "relay/notice.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "relay/pump.h"
#include "json/json.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* bytes: of what others chose, in each place of a line. */
enum { SHOWN_BYTES = 1024 };

/* bytes: of what waits for a client that does not read its stderr before more is thrown away. */
#define WAITING_BYTES (64 * KIB)

/* `@` stands for the member of struct notice with the same name; in `what` for the subject, and `^` for why. */
static const struct words {
	const char *kind, *what, *wish, *flag, *key; /* NULL: there is none */
} WORDS[NOTICE_KINDS] = {
	[NOTICE_VARIABLES] = { "variables", "set here and named by the package, but not forwarded: @", "forward", "@",
	                       "\"env_passthrough\": [@]" },
	[NOTICE_NETWORK] = { "network", "the server has no network (policy none) and tried: ^", "allow it",
	                     "--network open, or an allowlist (npxc learn finds its rules)",
	                     "\"network\": {\"mode\": \"open\"}" },
	[NOTICE_FILE] = { "file", "the server cannot see @: ^", "show it", "--mount @", "\"mounts\": [{\"host\": @}]" },
	[NOTICE_READ_ONLY] = { "read_only", "the server could not write; its package and @ are read-only to it",
	                       "keep what it makes there", "--mount DIR:rw", "\"outputs\": true" },
	[NOTICE_READ_ONLY_MOUNT] = { "read_only", "the server could not write; its package and @ are read-only to it",
	                             "let it write there", "--mount DIR:rw or --project=rw", "\"project\": \"rw\"" },
	[NOTICE_BESIDE] = { "read_only",
	                    "the server could not write beside its package, which is read-only; the variable or "
	                    "argument "
	                    "that says where it keeps its files can name /data then",
	                    "have /data kept", NULL, "\"storage\": {\"persist\": true}" },
	[NOTICE_BESIDE_DATA] = { "read_only",
	                         "the server could not write beside its package, which is read-only; name a file in "
	                         "/data, "
	                         "which is kept, in the variable or argument that says where it keeps its files",
	                         NULL, NULL, NULL },
	[NOTICE_SPACE] = { "space", "no space is left for it: its HOME and its /tmp take @ each, out of its memory",
	                   "give it a place of the host's", "--mount DIR:rw",
	                   "\"mounts\": [{\"host\": \"DIR\", \"mode\": \"rw\"}]" },
	[NOTICE_MEMORY] = { "memory", "killed at the memory ceiling of @, against which /tmp and HOME count",
	                    "raise it", "--memory @", "\"runtime\": {\"memory\": \"@\"}" },
	[NOTICE_KILLED] = { "memory",
	                    "killed, most likely at the memory ceiling of @, against which /tmp and HOME count",
	                    "raise it", "--memory @", "\"runtime\": {\"memory\": \"@\"}" },
	[NOTICE_PROCESSES] = { "processes", "no more than @ processes and threads may run at once, and it tried to",
	                       NULL, NULL, NULL },
	[NOTICE_NO_LIMIT] = { "no_limit", "not all limits hold on this machine: @", NULL, NULL, NULL },
	[NOTICE_LOST] = { "lost", "what it wrote to its HOME goes with the session: @", "keep directories", NULL,
	                  "\"storage\": {\"home\": [@]}" },
	[NOTICE_LOST_FILES] = { "lost", "what it wrote to its HOME goes with the session: @", "keep it",
	                        "--mount DIR:rw, and the server told to write there", NULL },
	[NOTICE_UNANSWERED] = { "unanswered", "the session ended with @ unanswered: ^", NULL, NULL, NULL },
};

/* The words with what stands for its marks; owned. NULL for NULL. */
static char *filled(const char *words, const char *at, const char *hat)
{
	struct buf text BUF_CLEANUP = BUF_INIT(SIZE_MAX);
	struct npxc_error ignored;
	bool fine = true;

	if (words == NULL)
		return NULL;
	for (const char *c = words; *c != '\0' && fine; c++) {
		const char *value = *c == '@' ? at : *c == '^' ? hat : NULL;
		const size_t length = value == NULL ? 1 : strlen(value);
		mem_cleanup char *shown =
		    str_escape(value == NULL ? c : value, length < SHOWN_BYTES ? length : SHOWN_BYTES);

		fine = buf_append_text(&text, shown, &ignored);
	}
	return fine && text.data != NULL ? buf_take(&text) : str_dup("");
}

static void add(cJSON *object, const char *key, const char *value)
{
	if (!str_is_empty(value))
		cJSON_AddStringToObject(object, key, value);
}

static char *json_text(const struct notices *notices, const struct words *words, const char *subject, const char *what,
                       const char *flag, const char *key)
{
	cJSON *object = cJSON_CreateObject();
	cJSON *inner = cJSON_AddObjectToObject(object, "notice");
	mem_cleanup char *printed = NULL;
	mem_cleanup char *shown = str_escape(subject, strlen(subject));
	mem_cleanup char *label = str_escape(notices->label, strlen(notices->label));
	mem_cleanup char *file = notices->file == NULL ? NULL : str_escape(notices->file, strlen(notices->file));

	add(inner, "kind", words->kind);
	add(inner, "package", label);
	add(inner, "subject", shown);
	add(inner, "text", what);
	add(inner, "flag", flag);
	add(inner, "key", key);
	add(inner, "file", key == NULL ? NULL : file);
	printed = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	return str_dup(printed == NULL ? "{}" : printed);
}

char *notice_text(const struct notices *notices, enum notice_kind kind, const struct notice *notice)
{
	const struct words *words = &WORDS[kind];
	mem_cleanup char *what = filled(words->what, notice->subject, notice->why == NULL ? "" : notice->why);
	mem_cleanup char *flag = filled(words->flag, notice->flag == NULL ? notice->subject : notice->flag, "");
	mem_cleanup char *key = filled(words->key, notice->key == NULL ? notice->subject : notice->key, "");
	mem_cleanup char *grant = NULL;
	mem_cleanup char *line = NULL;

	if (notices->json)
		return json_text(notices, words, notice->subject, what, flag, key);
	grant = words->wish == NULL ? str_dup("")
	                            : str_printf("; to %s: %s%s%s%s%s", words->wish, flag == NULL ? "" : flag,
	                                         flag == NULL || key == NULL ? "" : ", or ", key == NULL ? "" : key,
	                                         key == NULL || notices->file == NULL ? "" : " in ",
	                                         key == NULL || notices->file == NULL ? "" : notices->file);
	line = str_printf("npxc: %s: %s%s", notices->label, what, grant);
	return str_escape(line, strlen(line));
}

void notice_line(const struct notices *notices, const char *line)
{
	mem_cleanup char *whole = str_printf("%s\n", line);
	struct npxc_error ignored;
	struct buf *said;

	if (notices->pump == NULL || !pump_has_lines(notices->pump)) {
		log_line(whole);
		return;
	}
	said = pump_say(notices->pump);
	mem_cleanup char *dressed = log_dress(whole);
	if (said->length < WAITING_BYTES && !buf_append_text(said, dressed, &ignored))
		log_debug("relay", "%s", ignored.message);
}

void notice_tell(struct notices *notices, enum notice_kind kind, const struct notice *notice)
{
	mem_cleanup char *once = str_printf("%s %s", WORDS[kind].kind, notice->subject);
	mem_cleanup char *line = NULL;

	if (notices->quiet || notices->told.count >= NOTICE_TOLD_MAX || strv_contains(&notices->told, once))
		return;
	strv_push(&notices->told, once);
	line = notice_text(notices, kind, notice);
	notice_line(notices, line);
}

void notice_tell_path(struct notices *notices, const char *path, const char *why)
{
	struct strv words __attribute__((cleanup(strv_done))) = { 0 };
	struct buf quoted BUF_CLEANUP = BUF_INIT(SIZE_MAX);
	struct npxc_error ignored;

	strv_push(&words, path);
	mem_cleanup char *word = strv_shell(&words);
	if (json_append_string(&quoted, path, strlen(path), &ignored))
		notice_tell(notices, NOTICE_FILE,
		            &(struct notice){ .subject = path, .why = why, .flag = word, .key = quoted.data });
}

void notice_done(struct notices *notices)
{
	strv_done(&notices->told);
	*notices = (struct notices){ 0 };
}
