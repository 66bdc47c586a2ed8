#include "store/refused.h"

#include "base/limits.h"
#include "base/mem.h"
#include "config/rules.h"

#include <stdlib.h>
#include <string.h>

/* npm's go into an error, which is short; there is rarely more than one. */
enum { SHOWN_OF_SCRIPTS = 8, SHOWN_OF_NPM = 2 };
enum { HOST_SHOWN_BYTES = RULES_NAME_BYTES - 1, WHY_SHOWN_BYTES = 120, PORT_OF_HTTPS = 443 };

void refused_add(struct refused *refused, const char *host, uint16_t port, enum refused_wants wants, const char *why,
                 uint64_t times)
{
	for (size_t i = 0; i < refused->count; i++) {
		struct refused_target *there = &refused->v[i];

		if (there->port == port && strcmp(there->host, host) == 0) {
			there->times += times;
			return;
		}
	}
	if (refused->count >= LIMIT_REFUSED_TARGETS) {
		refused->others += times;
		return;
	}
	refused->v = mem_realloc(refused->v, refused->count + 1, sizeof(*refused->v));
	refused->v[refused->count++] =
	    (struct refused_target){ .host = str_dup(host),
		                     .port = port,
		                     .wants = wants,
		                     .why = wants == REFUSED_WANTS_RULE ? NULL : str_dup(why),
		                     .times = times };
}

void refused_done(struct refused *refused)
{
	for (size_t i = 0; i < refused->count; i++) {
		free(refused->v[i].host);
		free(refused->v[i].why);
	}
	free(refused->v);
	*refused = (struct refused){ 0 };
}

/* ---- for people ---- */

/* The rule that would allow it; owned, NULL when there is none to add. */
static char *rule_for(const struct refused_target *target, const struct strv *there)
{
	char *rule = target->wants == REFUSED_WANTS_RAW
	                 ? rules_propose_raw(target->host, target->port)
	                 : rules_propose(target->host, target->port != 0 ? target->port : PORT_OF_HTTPS);
	struct npxc_error ignored = { 0 };

	if (target->wants != REFUSED_FOR_GOOD && rules_check(rule, &ignored) &&
	    (there == NULL || !strv_contains(there, rule)))
		return rule;
	free(rule);
	return NULL;
}

static char *target_text(const struct refused_target *target)
{
	mem_cleanup char *host = str_escape(target->host, strnlen(target->host, HOST_SHOWN_BYTES));
	mem_cleanup char *place = target->port != 0 ? rules_propose(host, target->port) : str_dup(host);
	mem_cleanup char *why = NULL;
	mem_cleanup char *times =
	    target->times > 1 ? str_printf(" (%llu times)", (unsigned long long)target->times) : str_dup("");

	if (target->why == NULL)
		return str_printf("%s%s", place, times);
	why = str_escape(target->why, strnlen(target->why, WHY_SHOWN_BYTES));
	return str_printf("%s%s (%s)", place, times, why);
}

static void append(char **text, const char *separator, const char *more)
{
	mem_cleanup char *before = *text;

	*text = str_is_empty(before) ? str_dup(more) : str_printf("%s%s%s", before, separator, more);
}

/* "a.example:443 (3 times), b.example:80 and 2 others"; owned. */
static char *targets_text(const struct refused *refused, size_t most)
{
	char *text = str_dup("");
	size_t left = 0;

	for (size_t i = 0; i < refused->count; i++) {
		mem_cleanup char *one = target_text(&refused->v[i]);

		if (i < most)
			append(&text, ", ", one);
		else
			left++;
	}
	if (left > 0) {
		mem_cleanup char *more = str_printf("%zu%s others", left, refused->others > 0 ? " or more" : "");

		append(&text, " and ", more);
	}
	return text;
}

/* `add "install": {"allow": ["a.example:443"]} to FILE`; owned, NULL when no rule would help. */
static char *proposal(const struct refused *refused, size_t most, const struct strv *there, const char *file)
{
	const bool some = there != NULL && there->count > 0;
	mem_cleanup char *rules = str_dup("");
	bool any = false;

	for (size_t i = 0; some && i < there->count; i++) {
		mem_cleanup char *quoted = str_printf("\"%s\"", there->v[i]);

		append(&rules, ", ", quoted);
	}
	for (size_t i = 0; i < refused->count && i < most; i++) {
		mem_cleanup char *rule = rule_for(&refused->v[i], there);
		mem_cleanup char *quoted = str_printf("\"%s\"", rule != NULL ? rule : "");

		any = any || rule != NULL;
		/* a name that was asked for and then reached at 443 */
		if (rule != NULL && strstr(rules, quoted) == NULL)
			append(&rules, ", ", quoted);
	}
	if (!any)
		return NULL;
	return str_printf("%s \"install\": {\"allow\": [%s]} %s %s", some ? "set" : "add", rules, some ? "in" : "to",
	                  file != NULL ? file : "the package's file");
}

char *refused_of_scripts(const struct refused *refused, const char *name, const struct strv *there, const char *file,
                         const char *again)
{
	mem_cleanup char *targets = targets_text(refused, SHOWN_OF_SCRIPTS);
	mem_cleanup char *setting = proposal(refused, SHOWN_OF_SCRIPTS, there, file);
	mem_cleanup char *shown = str_escape(name, strnlen(name, HOST_SHOWN_BYTES));

	if (refused->count == 0)
		return NULL;
	if (setting == NULL)
		return str_printf("the install scripts of %s tried to reach %s: refused", shown, targets);
	return str_printf("the install scripts of %s tried to reach %s: refused; to allow it, %s%s%s", shown, targets,
	                  setting, again != NULL ? ", then run " : "", again != NULL ? again : "");
}

char *refused_of_npm(const struct refused *refused, const struct strv *there, const char *file)
{
	mem_cleanup char *targets = targets_text(refused, SHOWN_OF_NPM);
	mem_cleanup char *setting = proposal(refused, SHOWN_OF_NPM, there, file);

	if (refused->count == 0)
		return NULL;
	if (setting == NULL)
		return str_printf("npm was sent to %s, which its configuration does not name: refused", targets);
	return str_printf("npm was sent to %s, which its configuration does not name: refused; if your registry keeps "
	                  "files there, %s",
	                  targets, setting);
}
