#include "config/edit.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/rules.h"
#include "json/json.h"
#include "json/jsonc.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char allowlist[] = "\"allowlist\"";

/* ---- where things stand in a text that jsonc has read: so the walk needs no errors, only bounds ---- */

struct text {
	const char *bytes;
	size_t length;
};

struct container {
	size_t open, close;   /* its brackets */
	size_t first;         /* where its first member or element begins; 0: it is empty */
	size_t value_end;     /* behind its last value */
	size_t last_end;      /* behind its last value or comment; then come only blanks */
	size_t found, length; /* the value of the member that was looked for; 0: there is none */
	bool flat;            /* written in one line */
};

static struct json_reader reader_at(const struct text *t, size_t at)
{
	struct json_reader reader;

	json_start(&reader, t->bytes, t->length);
	reader.at = at;
	reader.comments = true;
	return reader;
}

/* An object, or a list when `key` is NULL. A key that is written with escapes is not found. */
static struct container look(const struct text *t, size_t open, const char *key, bool within_flat)
{
	struct container c = { .open = open, .last_end = open + 1 };
	struct json_reader r = reader_at(t, open);
	struct json_span name = { 0 };
	struct json_span value;

	json_enter(&r, key != NULL ? JSON_OBJECT : JSON_ARRAY);
	while (key != NULL ? json_member(&r, &name) : json_element(&r)) {
		json_peek(&r);
		if (c.first == 0)
			c.first = key != NULL ? name.offset : r.at;
		if (!json_skip(&r, &value))
			break;
		if (key != NULL && name.length == strlen(key) + 2 &&
		    memcmp(t->bytes + name.offset + 1, key, strlen(key)) == 0) {
			c.found = value.offset;
			c.length = value.length;
		}
		c.value_end = c.last_end = r.at;
	}
	if (r.comment_end > c.last_end)
		c.last_end = r.comment_end;
	c.close = r.at - 1;
	c.flat = within_flat || (c.first != 0 && memchr(t->bytes + open, '\n', c.close - open) == NULL);
	return c;
}

/* ---- how the file is written ---- */

struct style {
	const char *newline;
	char *unit; /* owned; one level of indentation */
};

/* The blanks at the beginning of the line that holds `at`; owned. */
static char *line_indent(const struct text *t, size_t at)
{
	size_t start = at, end;

	while (start > 0 && t->bytes[start - 1] != '\n')
		start--;
	for (end = start; end < at && (t->bytes[end] == ' ' || t->bytes[end] == '\t'); end++)
		;
	return str_dup_n(t->bytes + start, end - start);
}

static bool begins_line(const struct text *t, size_t at)
{
	while (at > 0 && (t->bytes[at - 1] == ' ' || t->bytes[at - 1] == '\t'))
		at--;
	return at > 0 && t->bytes[at - 1] == '\n';
}

static struct style style_of(const struct text *t, const struct container *root)
{
	const char *newline = memchr(t->bytes, '\n', t->length);
	mem_cleanup char *unit =
	    root->first != 0 && begins_line(t, root->first) ? line_indent(t, root->first) : str_dup("");

	return (struct style){ .newline = newline != NULL && newline > t->bytes && newline[-1] == '\r' ? "\r\n" : "\n",
		               .unit = unit[0] != '\0' ? MEM_TAKE(unit) : str_dup("  ") };
}

/* Where the members of a container stand; owned. */
static char *inner_indent(const struct text *t, const struct style *style, const struct container *c)
{
	if (c->first != 0 && begins_line(t, c->first))
		return line_indent(t, c->first);
	mem_cleanup char *outer = line_indent(t, c->open);
	return str_printf("%s%s", outer, style->unit);
}

/* ---- edits: collected in the order of their places, then made ---- */

struct edit {
	size_t at, removed;
	char *text; /* owned */
};

struct edits {
	struct edit v[16];
	size_t count;
};

static void edits_cleanup(struct edits *edits)
{
	for (size_t i = 0; i < edits->count; i++)
		free(edits->v[i].text);
}

static void add(struct edits *edits, size_t at, size_t removed, char *owned)
{
	edits->v[edits->count++] = (struct edit){ at, removed, owned };
}

/* Members or elements, each in its final text, behind what is there. */
static void insert(struct edits *edits, const struct text *t, const struct style *style, const struct container *c,
                   const struct strv *pieces)
{
	mem_cleanup char *indent = inner_indent(t, style, c);
	mem_cleanup char *text = str_dup("");

	for (size_t i = 0; i < pieces->count; i++) {
		const bool first = i == 0 && c->first == 0;
		mem_cleanup char *so_far = MEM_TAKE(text);
		mem_cleanup char *gap =
		    c->flat ? str_dup(first ? "" : " ") : str_printf("%s%s", style->newline, indent);
		text = str_printf("%s%s%s%s", so_far, i == 0 ? "" : ",", gap, pieces->v[i]);
	}
	if (c->first != 0)
		add(edits, c->value_end, 0, str_dup(","));
	add(edits, c->last_end, 0, MEM_TAKE(text));
	if (!c->flat && c->first == 0 && memchr(t->bytes + c->last_end, '\n', c->close - c->last_end) == NULL) {
		mem_cleanup char *outer = line_indent(t, c->open);
		add(edits, c->close, 0, str_printf("%s%s", style->newline, outer));
	}
}

/* "allow": [ ... ] as it stands at `indent`; owned. */
static char *allow_piece(const struct style *style, const struct strv *rules, bool flat, const char *indent)
{
	mem_cleanup char *list = str_dup("");

	for (size_t i = 0; i < rules->count; i++) {
		mem_cleanup char *so_far = MEM_TAKE(list);
		mem_cleanup char *gap =
		    flat ? str_dup(i == 0 ? "" : " ") : str_printf("%s%s%s", style->newline, indent, style->unit);
		list = str_printf("%s%s%s\"%s\"", so_far, i == 0 ? "" : ",", gap, rules->v[i]);
	}
	return flat ? str_printf("\"allow\": [%s]", list)
	            : str_printf("\"allow\": [%s%s%s]", list, style->newline, indent);
}

/* "network": { ... } likewise. */
static char *network_piece(const struct style *style, const struct strv *rules, bool flat, const char *indent)
{
	mem_cleanup char *inner = str_printf("%s%s", indent, style->unit);
	mem_cleanup char *allow = allow_piece(style, rules, flat, inner);

	if (flat)
		return str_printf("\"network\": {\"mode\": %s, %s}", allowlist, allow);
	return str_printf("\"network\": {%s%s\"mode\": %s,%s%s%s%s%s}", style->newline, inner, allowlist,
	                  style->newline, inner, allow, style->newline, indent);
}

static void edit_network(struct edits *edits, const struct text *t, const struct style *style, const struct strv *rules,
                         size_t open, bool within_flat)
{
	const struct container mode = look(t, open, "mode", within_flat);
	const struct container allow = look(t, open, "allow", within_flat);
	mem_cleanup char *indent = inner_indent(t, style, &mode);
	struct strv pieces = { 0 }, quoted = { 0 };
	const bool same_mode =
	    mode.length == strlen(allowlist) && memcmp(t->bytes + mode.found, allowlist, strlen(allowlist)) == 0;

	if (mode.found == 0)
		strv_pushf(&pieces, "\"mode\": %s", allowlist);
	else if (!same_mode)
		add(edits, mode.found, mode.length, str_dup(allowlist));
	if (rules->count > 0 && allow.found == 0)
		strv_push_owned(&pieces, allow_piece(style, rules, allow.flat, indent));
	if (rules->count > 0 && allow.found != 0) {
		const struct container list = look(t, allow.found, NULL, allow.flat);
		for (size_t i = 0; i < rules->count; i++)
			strv_pushf(&quoted, "\"%s\"", rules->v[i]);
		insert(edits, t, style, &list, &quoted);
	}
	if (pieces.count > 0)
		insert(edits, t, style, &mode, &pieces);
	strv_done(&pieces);
	strv_done(&quoted);
}

static int by_place(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static bool make_edits(struct edits *edits, const struct text *t, struct buf *ret_bytes, struct npxc_error *err)
{
	size_t at = 0;

	/* At most two stand at one place, a comma and what follows it: kept in the order of their coming. */
	for (size_t i = 1; i < edits->count; i++)
		for (size_t k = i; k > 0 && by_place(&edits->v[k - 1], &edits->v[k]) > 0; k--) {
			const struct edit moved = edits->v[k];
			edits->v[k] = edits->v[k - 1];
			edits->v[k - 1] = moved;
		}
	for (size_t i = 0; i < edits->count; i++) {
		const struct edit *edit = &edits->v[i];
		if (!buf_append(ret_bytes, t->bytes + at, edit->at - at, err) ||
		    !buf_append_text(ret_bytes, edit->text, err))
			return false;
		at = edit->at + edit->removed;
	}
	return buf_append(ret_bytes, t->bytes + at, t->length - at, err);
}

/* ---- what the result has to say ---- */

static cJSON *member_or_new(cJSON *object, const char *key, cJSON *(*make)(void))
{
	cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

	if (member == NULL) {
		member = make();
		cJSON_AddItemToObject(object, key, member);
	}
	return member;
}

/* The tree before becomes the one that is wanted after. */
static void expect(cJSON *root, const struct strv *rules)
{
	cJSON *network = member_or_new(root, "network", cJSON_CreateObject);

	cJSON_DeleteItemFromObjectCaseSensitive(network, "mode");
	cJSON_AddStringToObject(network, "mode", "allowlist");
	if (rules->count == 0)
		return;
	cJSON *allow = member_or_new(network, "allow", cJSON_CreateArray);
	for (size_t i = 0; i < rules->count; i++)
		cJSON_AddItemToArray(allow, cJSON_CreateString(rules->v[i]));
}

static bool says_so(cJSON *before, const struct strv *rules, const struct buf *bytes, const char *file)
{
	struct config_package package;
	struct jsonc after;
	struct npxc_error ignored;

	if (!config_parse_package(bytes->data, bytes->length, file, &package, &ignored))
		return false;
	config_package_done(&package);
	if (!jsonc_parse(bytes->data, bytes->length, file, &after, &ignored))
		return false;
	expect(before, rules);
	const bool same = cJSON_Compare(before, after.root, true);
	jsonc_done(&after);
	return same;
}

static bool by_hand(const char *file, const struct strv *rules, struct npxc_error *err)
{
	mem_cleanup char *list = str_dup("");
	mem_cleanup char *shown = str_escape(file, strlen(file));

	for (size_t i = 0; i < rules->count; i++) {
		mem_cleanup char *so_far = MEM_TAKE(list);
		list = str_printf("%s%s\"%s\"", so_far, i == 0 ? "" : ", ", rules->v[i]);
	}
	return error_set(err, ERROR_CONFIG,
	                 "%.150s cannot be edited without changing what else it says; by hand, set network.mode to "
	                 "\"allowlist\" and add to network.allow: %s",
	                 shown, list);
}

bool edit_allow(const char *text, size_t length, const char *file, const struct strv *rules, char **ret_text,
                struct npxc_error *err)
{
	static const char empty[] = "{}\n";
	const struct text t = { text != NULL ? text : empty, text != NULL ? length : sizeof(empty) - 1 };
	struct buf bytes BUF_CLEANUP = BUF_INIT(LIMIT_CONFIG_BYTES);
	struct edits edits __attribute__((cleanup(edits_cleanup))) = { 0 };
	struct config_package package;
	struct jsonc before;
	struct json_reader start = reader_at(&t, 0);
	struct npxc_error ignored;

	for (size_t i = 0; i < rules->count; i++)
		if (!rules_check(rules->v[i], err))
			return false;
	if (!config_parse_package(t.bytes, t.length, file, &package, err))
		return false;
	config_package_done(&package);
	if (!jsonc_parse(t.bytes, t.length, file, &before, err))
		return false;
	json_peek(&start);
	const struct container root = look(&t, start.at, "network", false);
	const struct style style = style_of(&t, &root);
	if (root.found != 0) {
		edit_network(&edits, &t, &style, rules, root.found, root.flat);
	} else {
		struct strv pieces = { 0 };
		mem_cleanup char *indent = inner_indent(&t, &style, &root);
		strv_push_owned(&pieces, network_piece(&style, rules, root.flat, indent));
		insert(&edits, &t, &style, &root, &pieces);
		strv_done(&pieces);
	}
	const bool fine = make_edits(&edits, &t, &bytes, &ignored) && says_so(before.root, rules, &bytes, file);
	free(style.unit);
	jsonc_done(&before);
	if (!fine)
		return by_hand(file, rules, err);
	*ret_text = buf_take(&bytes);
	return true;
}

/* ---- what changed ---- */

struct line {
	const char *bytes;
	size_t length; /* with its newline; the last one may have none */
};

struct lines {
	struct line *v;
	size_t count;
};

static struct lines split(const char *text)
{
	struct lines lines = { 0 };

	for (const char *p = text == NULL ? "" : text; *p != '\0';) {
		const size_t length = strcspn(p, "\n") + (strchr(p, '\n') != NULL);
		if ((lines.count & (lines.count + 1)) == 0) /* at 2^n - 1 the room has gone */
			lines.v = mem_realloc(lines.v, 2 * lines.count + 1, sizeof(*lines.v));
		lines.v[lines.count++] = (struct line){ p, length };
		p += length;
	}
	return lines;
}

static bool same_line(const struct line *a, const struct line *b)
{
	return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

struct step {
	char what; /* ' ', '-', '+' */
	struct line line;
};

struct script {
	struct step *v;
	size_t count;
};

static void push(struct script *script, char what, const struct line *line)
{
	script->v[script->count++] = (struct step){ what, *line };
}

/* The longest common subsequence of a[] and b[], as steps; in quadratic space, which the caller bounds. */
static void align(struct script *script, const struct line *a, size_t n, const struct line *b, size_t m)
{
	const size_t width = m + 1;
	mem_cleanup uint16_t *best = mem_alloc((n + 1) * width * sizeof(*best));
	size_t i = 0, k = 0;

	for (size_t x = n; x-- > 0;)
		for (size_t y = m; y-- > 0;) {
			const uint16_t down = best[(x + 1) * width + y], right = best[x * width + y + 1];
			best[x * width + y] = same_line(&a[x], &b[y]) ? (uint16_t)(best[(x + 1) * width + y + 1] + 1)
			                      : down > right          ? down
			                                              : right;
		}
	while (i < n || k < m) {
		if (i < n && k < m && same_line(&a[i], &b[k])) {
			push(script, ' ', &a[i++]);
			k++;
		} else if (i < n && (k == m || best[(i + 1) * width + k] >= best[i * width + k + 1])) {
			push(script, '-', &a[i++]);
		} else {
			push(script, '+', &b[k++]);
		}
	}
}

static struct script compare(const struct lines *before, const struct lines *after)
{
	enum { CELLS_MAX = 1000 * 1000, SIDE_MAX = 60000 };
	struct script script = { .v = mem_alloc((before->count + after->count + 1) * sizeof(*script.v)) };
	size_t head = 0, tail = 0;

	while (head < before->count && head < after->count && same_line(&before->v[head], &after->v[head]))
		push(&script, ' ', &before->v[head++]);
	while (tail < before->count - head && tail < after->count - head &&
	       same_line(&before->v[before->count - 1 - tail], &after->v[after->count - 1 - tail]))
		tail++;
	const size_t n = before->count - head - tail, m = after->count - head - tail;
	if (n < SIDE_MAX && m < SIDE_MAX && (n + 1) * (m + 1) <= CELLS_MAX) {
		align(&script, before->v + head, n, after->v + head, m);
	} else {
		for (size_t i = 0; i < n; i++)
			push(&script, '-', &before->v[head + i]);
		for (size_t i = 0; i < m; i++)
			push(&script, '+', &after->v[head + i]);
	}
	for (size_t i = 0; i < tail; i++)
		push(&script, ' ', &before->v[head + n + i]);
	return script;
}

/* Steps first to last - 1 as one hunk; `old` and `new` are how many lines came before them. False: no room. */
static bool write_hunk(struct buf *text, const struct step *steps, size_t first, size_t last, size_t old, size_t new)
{
	struct npxc_error ignored;
	size_t removed = 0, added = 0;

	for (size_t i = first; i < last; i++) {
		removed += steps[i].what != '+';
		added += steps[i].what != '-';
	}
	if (!buf_appendf(text, &ignored, "@@ -%zu,%zu +%zu,%zu @@\n", old + (removed > 0), removed, new + (added > 0),
	                 added))
		return false;
	for (size_t i = first; i < last; i++) {
		const struct line *line = &steps[i].line;
		if (!buf_append(text, &steps[i].what, 1, &ignored) ||
		    !buf_append(text, line->bytes, line->length, &ignored) ||
		    (line->bytes[line->length - 1] != '\n' &&
		     !buf_append_text(text, "\n\\ No newline at end of file\n", &ignored)))
			return false;
	}
	return true;
}

char *edit_diff(const char *before, const char *after, const char *file)
{
	enum { AROUND = 3 };
	struct lines a = split(before), b = split(after);
	struct script script = compare(&a, &b);
	struct buf text = BUF_INIT(8 * LIMIT_CONFIG_BYTES);
	struct npxc_error ignored;
	size_t old = 0, new = 0, at = 0;
	bool fine = true;

	for (size_t i = 0; i < script.count && fine; i++) {
		if (script.v[i].what == ' ')
			continue;
		const size_t first = i - at > AROUND ? i - AROUND : at;
		size_t last = i + 1; /* behind its last change */
		for (size_t k = last; k < script.count && k < last + 2 * AROUND + 1; k++)
			if (script.v[k].what != ' ')
				last = k + 1;
		const size_t end = last + AROUND < script.count ? last + AROUND : script.count;
		old += first - at;
		new += first - at;
		if (text.length == 0)
			fine =
			    buf_appendf(&text, &ignored, "--- %s\n+++ %s\n", before == NULL ? "/dev/null" : file, file);
		fine = fine && write_hunk(&text, script.v, first, end, old, new);
		for (size_t k = first; k < end; k++) {
			old += script.v[k].what != '+';
			new += script.v[k].what != '-';
		}
		at = end;
		i = end - 1;
	}
	free(script.v);
	free(a.v);
	free(b.v);
	return buf_take(&text);
}
