#include "shim/cassette.h"

#include "base/mem.h"
#include "shim/fields.h"
#include "shim/hole.h"
#include "shim/shim.h"
#include "shim/template.h"

#include <stdlib.h>
#include <string.h>

/* What each effect is called, what it can be refused for, and what it binds for the templates behind it. */
static const struct {
	const char *word;
	enum cassette_effect_kind kind;
	const char *refusals;
	const char *binds;
} effect_kinds[] = {
	{ "network-add", EFFECT_NETWORK_ADD, "exists", "octet" },
	{ "network-remove", EFFECT_NETWORK_REMOVE, "unknown builtin in-use", "users" },
	{ "network-find", EFFECT_NETWORK_FIND, "unknown", "octet" },
	{ "run", EFFECT_RUN, "unknown-option no-image exists unknown-network missing-mount missing-program",
	  "container image network option mount program octet" },
	{ "container-find", EFFECT_CONTAINER_FIND, "unknown", "state network image labels octet" },
	{ "container-remove", EFFECT_CONTAINER_REMOVE, "unknown running", "" },
	{ "container-force-remove", EFFECT_CONTAINER_FORCE_REMOVE, "unknown", "" },
	{ "container-stop", EFFECT_CONTAINER_STOP, "unknown", "" },
	{ "container-kill", EFFECT_CONTAINER_KILL, "unknown stopped", "" },
};
enum { EFFECT_KINDS = sizeof(effect_kinds) / sizeof(effect_kinds[0]) };

static void text_done(struct cassette_text *text)
{
	strv_done(&text->variants);
	free(text->before);
	free(text->each);
	free(text->each_builtin);
	free(text->between);
	free(text->after);
	free(text->attachment);
}

static void answer_done(struct cassette_answer *answer)
{
	free(answer->from);
	text_done(&answer->output);
	free(answer->errors);
	free(answer->transcript);
	strv_done(&answer->exec_argv);
	strv_done(&answer->programs);
}

static void interaction_done(struct cassette_interaction *interaction)
{
	free(interaction->id);
	strv_done(&interaction->argv);
	strv_done(&interaction->env);
	free(interaction->busy.key);
	answer_done(&interaction->busy.answer);
	free(interaction->await.name);
	for (size_t i = 0; i < interaction->effect_count; i++)
		free(interaction->effects[i].name);
	free(interaction->effects);
	for (size_t i = 0; i < interaction->refusal_count; i++) {
		free(interaction->refusals[i].word);
		answer_done(&interaction->refusals[i].answer);
	}
	free(interaction->refusals);
	answer_done(&interaction->answer);
}

void cassette_done(struct cassette *cassette)
{
	free(cassette->cli);
	free(cassette->version);
	free(cassette->kind);
	strv_done(&cassette->networks);
	strv_done(&cassette->run_values);
	strv_done(&cassette->run_flags);
	for (size_t i = 0; i < cassette->count; i++)
		interaction_done(&cassette->v[i]);
	free(cassette->v);
	*cassette = (struct cassette){ 0 };
}

const struct cassette_answer *cassette_refusal(const struct cassette_interaction *interaction, const char *word)
{
	for (size_t i = 0; i < interaction->refusal_count; i++)
		if (str_equal(interaction->refusals[i].word, word))
			return &interaction->refusals[i].answer;
	return NULL;
}

/* ---- reading; every function fills a structure that its caller releases, also after a failure ---- */

struct reader {
	const char *kind;   /* of the cassette's origin */
	struct strv *names; /* that templates may use at this place */
};

static void read_words(struct strv *list, const char *words)
{
	while (*words != '\0') {
		size_t length = strcspn(words, " ");

		strv_push_owned(list, str_dup_n(words, length));
		words += length + strspn(words + length, " ");
	}
}

static bool check_template(const char *text, const struct strv *names, const char *where, struct npxc_error *err)
{
	return template_check(text, names, err) || error_prefix(err, "%s", where);
}

/* A template under `key`; owned by *ret_text, NULL when it is missing. */
static bool read_template(const cJSON *object, const char *key, const struct strv *names, const char *where,
                          char **ret_text, struct npxc_error *err)
{
	const char *text = NULL;

	if (!fields_text(object, key, where, &text, err) || (text != NULL && !check_template(text, names, where, err)))
		return false;
	*ret_text = str_dup(text);
	return true;
}

static bool read_list(const cJSON *value, const struct reader *reader, const char *where, struct cassette_text *text,
                      struct npxc_error *err)
{
	static const char keys[] = "list only before each each_builtin between after attachment";
	struct strv names = { 0 };
	const char *list = NULL;
	const char *only = NULL;
	bool ok;

	if (!fields_check(value, keys, where, err) || !fields_text(value, "list", where, &list, err) ||
	    !fields_text(value, "only", where, &only, err))
		return false;
	if (!str_equal(list, "containers") && !str_equal(list, "networks"))
		return error_set(err, ERROR_CONFIG, "%s: \"list\" is containers or networks", where);
	if (only != NULL && (!str_equal(only, "running") || !str_equal(list, "containers")))
		return error_set(err, ERROR_CONFIG, "%s: \"only\" is running, and for containers", where);
	text->list = str_equal(list, "containers") ? LIST_CONTAINERS : LIST_NETWORKS;
	text->running_only = only != NULL;
	read_words(&names,
	           text->list == LIST_CONTAINERS ? "name state network image labels octet attachments" : "name octet");
	ok = read_template(value, "before", reader->names, where, &text->before, err) &&
	     read_template(value, "each", &names, where, &text->each, err) &&
	     read_template(value, "each_builtin", &names, where, &text->each_builtin, err) &&
	     read_template(value, "between", reader->names, where, &text->between, err) &&
	     read_template(value, "after", reader->names, where, &text->after, err);
	strv_done(&names);
	if (ok && text->each == NULL)
		ok = error_set(err, ERROR_CONFIG, "%s: a list needs \"each\"", where);
	read_words(&names, "name network octet");
	ok = ok && read_template(value, "attachment", &names, where, &text->attachment, err);
	strv_done(&names);
	return ok;
}

static bool read_text(const cJSON *answer, const struct reader *reader, const char *where, struct cassette_text *text,
                      struct npxc_error *err)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(answer, "stdout");

	if (value == NULL)
		return true;
	if (cJSON_IsString(value))
		strv_push(&text->variants, value->valuestring);
	else if (cJSON_GetObjectItemCaseSensitive(value, "one_of") != NULL) {
		if (!fields_check(value, "one_of", where, err) ||
		    !fields_texts(value, "one_of", where, &text->variants, err))
			return false;
		if (text->variants.count == 0)
			return error_set(err, ERROR_CONFIG, "%s: \"one_of\" is empty", where);
	} else if (cJSON_IsObject(value)) {
		return read_list(value, reader, where, text, err);
	} else {
		return error_set(err, ERROR_CONFIG, "%s: \"stdout\" is a text, {one_of} or {list}", where);
	}
	for (size_t i = 0; i < text->variants.count; i++)
		if (!check_template(text->variants.v[i], reader->names, where, err))
			return false;
	return true;
}

static bool read_exec(const cJSON *exec, const struct reader *reader, const char *where, struct cassette_answer *answer,
                      struct npxc_error *err)
{
	const cJSON *programs = NULL;

	if (!fields_check(exec, "argv programs", where, err) ||
	    !fields_texts(exec, "argv", where, &answer->exec_argv, err) ||
	    !fields_member(exec, "programs", cJSON_Object, where, &programs, err))
		return false;
	for (size_t i = 0; i < answer->exec_argv.count; i++)
		if (!check_template(answer->exec_argv.v[i], reader->names, where, err))
			return false;
	for (const cJSON *p = programs != NULL ? programs->child : NULL; p != NULL; p = p->next) {
		if (!cJSON_IsString(p))
			return error_set(err, ERROR_CONFIG, "%s: \"programs\" maps names to names", where);
		strv_pushf(&answer->programs, "%s=%s", p->string, p->valuestring);
	}
	answer->exec = true;
	return true;
}

static bool read_answer(const cJSON *value, const struct reader *reader, const char *where,
                        struct cassette_answer *answer, struct npxc_error *err)
{
	static const char keys[] =
	    "from stdout stderr exit signal delay_ms hang deaf truncate_bytes drip exec transcript "
	    "linger_ms";
	static const char *const printing[] = {
		"stdout", "stderr", "exit", "signal", "hang", "truncate_bytes", "drip"
	};
	const cJSON *drip = NULL;
	const cJSON *exec = NULL;
	const char *from = NULL;
	const char *transcript = NULL;
	int64_t exit_status = 0;
	int64_t sig = 0;

	answer->truncate_bytes = -1;
	if (!fields_check(value, keys, where, err) || !fields_text(value, "from", where, &from, err) ||
	    !read_text(value, reader, where, &answer->output, err) ||
	    !read_template(value, "stderr", reader->names, where, &answer->errors, err) ||
	    !fields_number(value, "exit", where, 0, 255, &exit_status, err) ||
	    !fields_number(value, "signal", where, 1, 15, &sig, err) ||
	    !fields_number(value, "delay_ms", where, 0, SHIM_MAX_PAUSE_MS, &answer->delay_ms, err) ||
	    !fields_number(value, "linger_ms", where, 0, SHIM_MAX_PAUSE_MS, &answer->linger_ms, err) ||
	    !fields_flag(value, "hang", where, &answer->hang, err) ||
	    !fields_flag(value, "deaf", where, &answer->deaf, err) ||
	    !fields_number(value, "truncate_bytes", where, 0, SHIM_MAX_TEXT_BYTES, &answer->truncate_bytes, err) ||
	    !fields_text(value, "transcript", where, &transcript, err) ||
	    !fields_member(value, "drip", cJSON_Object, where, &drip, err) ||
	    !fields_member(value, "exec", cJSON_Object, where, &exec, err))
		return false;
	answer->from = str_dup(from);
	answer->transcript = str_dup(transcript);
	answer->exit_status = (int)exit_status;
	answer->signal = (int)sig;
	if (str_is_empty(from) && !str_equal(reader->kind, "recorded"))
		return error_set(err, ERROR_CONFIG, "%s does not say \"from\" what it comes", where);
	if (drip != NULL) {
		answer->drip_bytes = answer->drip_ms = 1;
		if (!fields_check(drip, "bytes every_ms", where, err) ||
		    !fields_number(drip, "bytes", where, 1, SHIM_MAX_TEXT_BYTES, &answer->drip_bytes, err) ||
		    !fields_number(drip, "every_ms", where, 1, SHIM_MAX_PAUSE_MS, &answer->drip_ms, err))
			return false;
	}
	if (exec != NULL && !read_exec(exec, reader, where, answer, err))
		return false;
	if (answer->exec || answer->transcript != NULL)
		for (size_t i = 0; i < sizeof(printing) / sizeof(printing[0]); i++)
			if (cJSON_GetObjectItemCaseSensitive(value, printing[i]) != NULL)
				return error_set(err, ERROR_CONFIG, "%s: \"%s\" does not go with exec or transcript",
				                 where, printing[i]);
	if (answer->exec && answer->transcript != NULL)
		return error_set(err, ERROR_CONFIG, "%s: exec and transcript exclude each other", where);
	if (answer->signal != 0 && (exit_status != 0 || answer->hang))
		return error_set(err, ERROR_CONFIG, "%s: a call ends by a signal, an exit status or not at all", where);
	return true;
}

static bool read_plays(const cJSON *value, const char *where, struct cassette_interaction *interaction,
                       struct npxc_error *err)
{
	const cJSON *plays = NULL;

	interaction->least = interaction->most = 1;
	if (!fields_member(value, "plays", cJSON_Object, where, &plays, err))
		return false;
	if (plays == NULL)
		return true;
	interaction->least = 0;
	interaction->most = INT32_MAX;
	if (!fields_check(plays, "least most", where, err) ||
	    !fields_number(plays, "least", where, 0, INT32_MAX, &interaction->least, err) ||
	    !fields_number(plays, "most", where, 1, INT32_MAX, &interaction->most, err))
		return false;
	if (interaction->least > interaction->most)
		return error_set(err, ERROR_CONFIG, "%s: \"least\" is more than \"most\"", where);
	return true;
}

static bool read_busy(const cJSON *value, const struct reader *reader, const char *where,
                      struct cassette_interaction *interaction, struct npxc_error *err)
{
	struct cassette_busy *busy = &interaction->busy;
	mem_cleanup char *inside = str_printf("%s.busy.answer", where);
	const cJSON *member = NULL;
	const cJSON *answer = NULL;

	if (!fields_member(value, "busy", cJSON_Object, where, &member, err))
		return false;
	if (member == NULL)
		return true;
	if (!fields_check(member, "times for_ms key answer", where, err) ||
	    !fields_number(member, "times", where, 1, 1000000, &busy->times, err) ||
	    !fields_number(member, "for_ms", where, 1, SHIM_MAX_PAUSE_MS, &busy->for_ms, err) ||
	    !read_template(member, "key", reader->names, where, &busy->key, err) ||
	    !fields_member(member, "answer", cJSON_Object, where, &answer, err))
		return false;
	if ((busy->times == 0) == (busy->for_ms == 0))
		return error_set(err, ERROR_CONFIG, "%s: \"busy\" needs either \"times\" or \"for_ms\"", where);
	if (answer == NULL)
		return error_set(err, ERROR_CONFIG, "%s: \"busy\" needs an \"answer\"", where);
	if (busy->key == NULL)
		busy->key = str_dup("");
	busy->on = true;
	if (!read_answer(answer, reader, inside, &busy->answer, err))
		return false;
	if (busy->answer.exec || busy->answer.transcript != NULL)
		return error_set(err, ERROR_CONFIG, "%s runs nothing", inside);
	return true;
}

static bool read_await(const cJSON *value, const struct reader *reader, const char *where,
                       struct cassette_interaction *interaction, struct npxc_error *err)
{
	struct cassette_await *await = &interaction->await;
	const cJSON *member = NULL;
	const char *is = NULL;

	if (!fields_member(value, "await", cJSON_Object, where, &member, err))
		return false;
	if (member == NULL)
		return true;
	if (!fields_check(member, "is name most_ms", where, err) || !fields_text(member, "is", where, &is, err) ||
	    !read_template(member, "name", reader->names, where, &await->name, err) ||
	    !fields_number(member, "most_ms", where, 0, SHIM_MAX_PAUSE_MS, &await->most_ms, err))
		return false;
	if ((!str_equal(is, "container-gone") && !str_equal(is, "network-unused")) || await->name == NULL)
		return error_set(err, ERROR_CONFIG,
		                 "%s: \"await\" is {is: container-gone or network-unused, name, most_ms}", where);
	await->network_unused = str_equal(is, "network-unused");
	await->on = true;
	return true;
}

/* Appends what the effect binds to the names and what it may be refused for to `refusals`. */
static bool read_effect(const cJSON *value, struct reader *reader, const char *where, struct cassette_effect *effect,
                        struct strv *refusals, struct npxc_error *err)
{
	const char *word = NULL;
	size_t i;

	effect->grace_ms = 5000;
	if (!fields_check(value, "do name grace_ms", where, err) ||
	    !fields_number(value, "grace_ms", where, 0, SHIM_MAX_PAUSE_MS, &effect->grace_ms, err) ||
	    !fields_text(value, "do", where, &word, err) ||
	    !read_template(value, "name", reader->names, where, &effect->name, err))
		return false;
	for (i = 0; i < EFFECT_KINDS && !str_equal(word, effect_kinds[i].word); i++)
		;
	if (i == EFFECT_KINDS)
		return error_set(err, ERROR_CONFIG, "%s: unknown effect \"%s\"", where, word != NULL ? word : "");
	if ((effect->name == NULL) != (effect_kinds[i].kind == EFFECT_RUN))
		return error_set(err, ERROR_CONFIG, "%s: every effect but run has a \"name\"", where);
	effect->kind = effect_kinds[i].kind;
	read_words(reader->names, effect_kinds[i].binds);
	read_words(refusals, effect_kinds[i].refusals);
	return true;
}

static bool read_effects(const cJSON *value, struct reader *reader, const char *where,
                         struct cassette_interaction *interaction, struct strv *refusals, struct npxc_error *err)
{
	const cJSON *list = NULL;

	if (!fields_member(value, "effects", cJSON_Array, where, &list, err))
		return false;
	for (const cJSON *child = list != NULL ? list->child : NULL; child != NULL; child = child->next) {
		struct cassette_effect *effect;

		interaction->effects =
		    mem_realloc(interaction->effects, interaction->effect_count + 1, sizeof(*interaction->effects));
		effect = &interaction->effects[interaction->effect_count++];
		*effect = (struct cassette_effect){ 0 };
		if (!read_effect(child, reader, where, effect, refusals, err))
			return false;
	}
	return true;
}

static bool read_refusals(const cJSON *value, const struct reader *reader, const char *where,
                          struct cassette_interaction *interaction, const struct strv *words, struct npxc_error *err)
{
	const cJSON *list = NULL;

	if (!fields_member(value, "refusals", cJSON_Object, where, &list, err))
		return false;
	for (const cJSON *child = list != NULL ? list->child : NULL; child != NULL; child = child->next) {
		mem_cleanup char *inside = str_printf("%s.refusals.%s", where, child->string);
		struct cassette_refusal *refusal;

		if (!strv_contains(words, child->string))
			return error_set(err, ERROR_CONFIG, "%s: nothing here is refused with that word", inside);
		interaction->refusals =
		    mem_realloc(interaction->refusals, interaction->refusal_count + 1, sizeof(*interaction->refusals));
		refusal = &interaction->refusals[interaction->refusal_count++];
		*refusal = (struct cassette_refusal){ .word = str_dup(child->string) };
		if (!read_answer(child, reader, inside, &refusal->answer, err))
			return false;
		if (refusal->answer.exec || refusal->answer.transcript != NULL)
			return error_set(err, ERROR_CONFIG, "%s runs nothing", inside);
	}
	return true;
}

static bool has_run(const struct cassette_interaction *interaction)
{
	for (size_t i = 0; i < interaction->effect_count; i++)
		if (interaction->effects[i].kind == EFFECT_RUN)
			return true;
	return false;
}

static bool read_interaction(const cJSON *value, const char *kind, const char *where, struct strv *names,
                             struct strv *words, struct cassette_interaction *interaction, struct npxc_error *err)
{
	static const char keys[] = "id note argv env plays busy await effects refusals answer";
	struct reader reader = { .kind = kind, .names = names };
	mem_cleanup char *inside = str_printf("%s.answer", where);
	const cJSON *answer = NULL;
	const char *note = NULL;
	const char *id = NULL;

	if (!fields_check(value, keys, where, err) || !fields_text(value, "id", where, &id, err) ||
	    !fields_text(value, "note", where, &note, err) ||
	    !fields_texts(value, "argv", where, &interaction->argv, err) ||
	    !fields_texts(value, "env", where, &interaction->env, err) || !read_plays(value, where, interaction, err))
		return false;
	if (str_is_empty(id) || strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(id))
		return error_set(err, ERROR_CONFIG, "%s: \"id\" is made of a-z, 0-9 and '-'", where);
	interaction->id = str_dup(id);
	if (interaction->argv.count == 0)
		return error_set(err, ERROR_CONFIG, "%s: \"argv\" is missing or empty", where);
	read_words(names, "call");
	if (!hole_check(&interaction->argv, names, err))
		return error_prefix(err, "%s", where);
	if (!read_busy(value, &reader, where, interaction, err) || !read_await(value, &reader, where, interaction, err))
		return false;
	if (interaction->await.on)
		strv_push(words, "not-yet");
	if (!read_effects(value, &reader, where, interaction, words, err) ||
	    !read_refusals(value, &reader, where, interaction, words, err) ||
	    !fields_member(value, "answer", cJSON_Object, where, &answer, err))
		return false;
	if (answer == NULL)
		return error_set(err, ERROR_CONFIG, "%s: \"answer\" is missing", where);
	if (!read_answer(answer, &reader, inside, &interaction->answer, err))
		return false;
	if ((interaction->answer.exec || interaction->answer.linger_ms != 0) && !has_run(interaction))
		return error_set(err, ERROR_CONFIG, "%s: exec and linger_ms need the effect run", inside);
	return true;
}

static bool read_origin(const cJSON *root, struct cassette *cassette, struct npxc_error *err)
{
	static const char *const required[] = { "kind", "from", "cli", "os", "date" };
	const cJSON *origin = NULL;

	if (!fields_member(root, "origin", cJSON_Object, "cassette", &origin, err))
		return false;
	if (origin == NULL)
		return error_set(err, ERROR_CONFIG, "cassette: \"origin\" is missing");
	if (!fields_check(origin, "kind from cli os date", "origin", err))
		return false;
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		const char *text = NULL;

		if (!fields_text(origin, required[i], "origin", &text, err))
			return false;
		if (str_is_empty(text))
			return error_set(err, ERROR_CONFIG, "origin: \"%s\" is missing", required[i]);
		if (i == 0)
			cassette->kind = str_dup(text);
	}
	if (!str_equal(cassette->kind, "recorded") && !str_equal(cassette->kind, "source-derived") &&
	    !str_equal(cassette->kind, "edited"))
		return error_set(err, ERROR_CONFIG, "origin: \"kind\" is recorded, source-derived or edited");
	return true;
}

static bool read_head(const cJSON *root, struct cassette *cassette, struct npxc_error *err)
{
	static const char keys[] = "schema cli version origin redactions world run_options interactions";
	const cJSON *member = NULL;
	struct strv redactions = { 0 };
	const char *cli = NULL;
	const char *version = NULL;
	int64_t schema = 0;
	bool ok;

	if (!fields_check(root, keys, "cassette", err) ||
	    !fields_number(root, "schema", "cassette", 1, 1, &schema, err) ||
	    !fields_text(root, "cli", "cassette", &cli, err) ||
	    !fields_text(root, "version", "cassette", &version, err))
		return false;
	if (schema != 1)
		return error_set(err, ERROR_CONFIG, "cassette: \"schema\" is missing (this shim plays 1)");
	if (!str_equal(cli, "container") && !str_equal(cli, "podman") && !str_equal(cli, "docker"))
		return error_set(err, ERROR_CONFIG, "cassette: \"cli\" is container, podman or docker");
	if (str_is_empty(version))
		return error_set(err, ERROR_CONFIG, "cassette: \"version\" is missing");
	cassette->cli = str_dup(cli);
	cassette->version = str_dup(version);
	if (!read_origin(root, cassette, err))
		return false;
	ok = fields_texts(root, "redactions", "cassette", &redactions, err);
	strv_done(&redactions);
	if (!ok || !fields_member(root, "world", cJSON_Object, "cassette", &member, err))
		return false;
	cassette->first_octet = 65;
	if (member != NULL && (!fields_check(member, "networks first_octet", "world", err) ||
	                       !fields_texts(member, "networks", "world", &cassette->networks, err) ||
	                       !fields_number(member, "first_octet", "world", 0, 254, &cassette->first_octet, err)))
		return false;
	if (!fields_member(root, "run_options", cJSON_Object, "cassette", &member, err))
		return false;
	return member == NULL || (fields_check(member, "values flags", "run_options", err) &&
	                          fields_texts(member, "values", "run_options", &cassette->run_values, err) &&
	                          fields_texts(member, "flags", "run_options", &cassette->run_flags, err));
}

static bool read_interactions(const cJSON *root, struct cassette *cassette, struct npxc_error *err)
{
	const cJSON *list = NULL;

	if (!fields_member(root, "interactions", cJSON_Array, "cassette", &list, err))
		return false;
	if (list == NULL || list->child == NULL)
		return error_set(err, ERROR_CONFIG, "cassette: \"interactions\" is missing or empty");
	for (const cJSON *child = list->child; child != NULL; child = child->next) {
		mem_cleanup char *where = NULL;
		struct strv names = { 0 };
		struct strv words = { 0 };
		const char *id = NULL;
		struct cassette_interaction *interaction;
		bool ok;

		if (cJSON_IsObject(child) && !fields_text(child, "id", "interaction", &id, err))
			return false;
		where = id != NULL ? str_dup(id) : str_printf("interaction %zu", cassette->count + 1);
		for (size_t i = 0; i < cassette->count; i++)
			if (str_equal(cassette->v[i].id, id))
				return error_set(err, ERROR_CONFIG, "two interactions are called %s", id);
		cassette->v = mem_realloc(cassette->v, cassette->count + 1, sizeof(*cassette->v));
		interaction = &cassette->v[cassette->count++];
		*interaction = (struct cassette_interaction){ 0 };
		ok = read_interaction(child, cassette->kind, where, &names, &words, interaction, err);
		strv_done(&names);
		strv_done(&words);
		if (!ok)
			return false;
	}
	return true;
}

bool cassette_parse(const char *text, size_t length, struct cassette *ret_cassette, struct npxc_error *err)
{
	cJSON *root JSON_CLEANUP = NULL;
	struct cassette cassette = { 0 };

	if (!fields_parse(text, length, &root, err))
		return false;
	if (!read_head(root, &cassette, err) || !read_interactions(root, &cassette, err)) {
		cassette_done(&cassette);
		return false;
	}
	*ret_cassette = cassette;
	return true;
}
