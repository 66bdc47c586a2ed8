#include "shim/invocation.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void invocation_done(struct invocation *invocation)
{
	free(invocation->name);
	free(invocation->image);
	free(invocation->directory);
	free(invocation->entrypoint);
	free(invocation->unknown_option);
	strv_done(&invocation->command);
	strv_done(&invocation->networks);
	strv_done(&invocation->env);
	strv_done(&invocation->env_files);
	strv_done(&invocation->labels);
	for (size_t i = 0; i < invocation->mount_count; i++) {
		free(invocation->mounts[i].source);
		free(invocation->mounts[i].target);
	}
	free(invocation->mounts);
	*invocation = (struct invocation){ 0 };
}

static void add_mount(struct invocation *invocation, char *owned_source, char *owned_target, bool read_only)
{
	invocation->mounts = mem_realloc(invocation->mounts, invocation->mount_count + 1, sizeof(*invocation->mounts));
	invocation->mounts[invocation->mount_count++] = (struct invocation_mount){
		.source = owned_source,
		.target = owned_target,
		.read_only = read_only,
	};
}

static bool has_word(const char *list, char separator, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; p != NULL; p = strchr(p, separator), p = p != NULL ? p + 1 : NULL)
		if (strncmp(p, word, length) == 0 && (p[length] == '\0' || p[length] == separator))
			return true;
	return false;
}

/* "source:target[:options]" */
static bool read_volume(struct invocation *invocation, const char *value, struct npxc_error *err)
{
	const char *target = strchr(value, ':');
	const char *options;

	if (value[0] != '/' || target == NULL || target[1] != '/')
		return error_set(err, ERROR_CONFIG, "a volume that is not /source:/target[:options]: %s", value);
	options = strchr(target + 1, ':');
	add_mount(invocation, str_dup_n(value, (size_t)(target - value)),
	          str_dup_n(target + 1, options != NULL ? (size_t)(options - target - 1) : strlen(target + 1)),
	          options != NULL && has_word(options + 1, ',', "ro"));
	return true;
}

/* "type=bind,source=/a,target=/b,readonly" */
static bool read_mount(struct invocation *invocation, const char *value, struct npxc_error *err)
{
	mem_cleanup char *source = NULL;
	mem_cleanup char *target = NULL;
	bool read_only = false;
	bool is_tmpfs = false;
	const char *p = value;

	while (*p != '\0') {
		size_t length = strcspn(p, ",");
		mem_cleanup char *word = str_dup_n(p, length);
		char *equals = strchr(word, '=');

		p += length + (p[length] == ',');
		if (equals != NULL)
			*equals++ = '\0';
		if (str_equal(word, "readonly") || str_equal(word, "ro")) {
			read_only = equals == NULL || str_equal(equals, "true");
		} else if (equals != NULL && str_equal(word, "type")) {
			is_tmpfs = str_equal(equals, "tmpfs");
		} else if (equals != NULL && (str_equal(word, "source") || str_equal(word, "src"))) {
			free(source);
			source = str_dup(equals);
		} else if (equals != NULL &&
		           (str_equal(word, "target") || str_equal(word, "destination") || str_equal(word, "dst"))) {
			free(target);
			target = str_dup(equals);
		}
	}
	if (target == NULL || target[0] != '/' || (!is_tmpfs && (source == NULL || source[0] != '/')))
		return error_set(err, ERROR_CONFIG, "a mount without absolute source and target: %s", value);
	if (is_tmpfs) {
		free(source);
		source = NULL;
	}
	add_mount(invocation, MEM_TAKE(source), MEM_TAKE(target), read_only);
	return true;
}

static void replace(char **text, const char *value)
{
	free(*text);
	*text = str_dup(value);
}

static bool take_value(struct invocation *invocation, const char *option, const char *value, struct npxc_error *err)
{
	if (str_equal(option, "--name")) {
		replace(&invocation->name, value);
	} else if (str_equal(option, "--network") || str_equal(option, "--net")) {
		strv_push_owned(&invocation->networks, str_dup_n(value, strcspn(value, ",:")));
	} else if (str_equal(option, "-v") || str_equal(option, "--volume")) {
		return read_volume(invocation, value, err);
	} else if (str_equal(option, "--mount")) {
		return read_mount(invocation, value, err);
	} else if (str_equal(option, "--tmpfs")) {
		add_mount(invocation, NULL, str_dup_n(value, strcspn(value, ":")), false);
	} else if (str_equal(option, "-e") || str_equal(option, "--env")) {
		strv_push(&invocation->env, value);
	} else if (str_equal(option, "--env-file")) {
		strv_push(&invocation->env_files, value);
	} else if (str_equal(option, "-l") || str_equal(option, "--label")) {
		strv_push(&invocation->labels, value);
	} else if (str_equal(option, "-w") || str_equal(option, "--workdir") || str_equal(option, "--cwd")) {
		replace(&invocation->directory, value);
	} else if (str_equal(option, "--entrypoint")) {
		replace(&invocation->entrypoint, value);
	}
	return true;
}

static void take_flag(struct invocation *invocation, const char *option, bool on)
{
	if (str_equal(option, "-i") || str_equal(option, "--interactive"))
		invocation->interactive = on;
	else if (str_equal(option, "--rm") || str_equal(option, "--remove"))
		invocation->remove = on;
	else if (str_equal(option, "--init"))
		invocation->init = on;
}

/* Single-letter flags in one word: -it. */
static bool take_cluster(struct invocation *invocation, const char *word, const struct strv *flags)
{
	if (word[1] == '-' || word[1] == '\0')
		return false;
	for (const char *p = word + 1; *p != '\0'; p++) {
		char flag[3] = { '-', *p, '\0' };

		if (!strv_contains(flags, flag))
			return false;
	}
	for (const char *p = word + 1; *p != '\0'; p++) {
		char flag[3] = { '-', *p, '\0' };

		take_flag(invocation, flag, true);
	}
	return true;
}

static bool take_option(struct invocation *invocation, const char *const *argv, size_t argc, size_t *at,
                        const struct strv *with_value, const struct strv *flags, struct npxc_error *err)
{
	const char *word = argv[*at];
	const char *equals = str_starts(word, "--") ? strchr(word, '=') : NULL;
	mem_cleanup char *option = equals != NULL ? str_dup_n(word, (size_t)(equals - word)) : str_dup(word);

	if (strv_contains(with_value, option)) {
		if (equals == NULL && ++*at == argc)
			return error_set(err, ERROR_CONFIG, "the option %s lacks its value", option);
		return take_value(invocation, option, equals != NULL ? equals + 1 : argv[*at], err);
	}
	if (strv_contains(flags, option))
		take_flag(invocation, option, equals == NULL || str_equal(equals + 1, "true"));
	else if (!take_cluster(invocation, word, flags))
		invocation->unknown_option = MEM_TAKE(option);
	return true;
}

bool invocation_parse(const char *const *argv, size_t argc, const struct strv *with_value, const struct strv *flags,
                      struct invocation *ret_invocation, struct npxc_error *err)
{
	struct invocation invocation = { 0 };
	size_t at = 0;

	for (; at < argc && argv[at][0] == '-' && invocation.unknown_option == NULL; at++) {
		if (str_equal(argv[at], "--")) {
			at++;
			break;
		}
		if (!take_option(&invocation, argv, argc, &at, with_value, flags, err)) {
			invocation_done(&invocation);
			return false;
		}
	}
	if (invocation.unknown_option == NULL && at < argc) {
		invocation.image = str_dup(argv[at++]);
		if (!str_is_empty(invocation.entrypoint))
			strv_push(&invocation.command, invocation.entrypoint);
		strv_push_all(&invocation.command, argv + at, argc - at);
	}
	*ret_invocation = invocation;
	return true;
}

char *invocation_host_path(const struct invocation *invocation, char *const *tmpfs_sources, const char *path)
{
	mem_cleanup char *clean = str_path_clean(path);
	size_t deepest = SIZE_MAX;
	const char *source;

	for (size_t i = 0; i < invocation->mount_count; i++)
		if (str_path_within(clean, invocation->mounts[i].target) &&
		    (deepest == SIZE_MAX ||
		     strlen(invocation->mounts[i].target) >= strlen(invocation->mounts[deepest].target)))
			deepest = i;
	if (deepest == SIZE_MAX)
		return str_dup(path);
	source = invocation->mounts[deepest].source;
	if (source == NULL)
		source = tmpfs_sources[deepest];
	return str_printf("%s%s", source, clean + strlen(invocation->mounts[deepest].target));
}

/* "/path", and "--option=/path" as a word among options. */
static char *host_word(const struct invocation *invocation, char *const *tmpfs_sources, const char *word)
{
	const char *equals = str_starts(word, "--") ? strchr(word, '=') : NULL;
	const char *path = equals != NULL ? equals + 1 : word;
	mem_cleanup char *host = path[0] == '/' ? invocation_host_path(invocation, tmpfs_sources, path) : str_dup(path);

	return str_printf("%.*s%s", (int)(path - word), word, host);
}

char *invocation_host_text(const struct invocation *invocation, char *const *tmpfs_sources, const char *text)
{
	mem_cleanup char *done = NULL;
	const char *p = strchr(text, '=');
	const char *option = p != NULL && str_starts(p + 1, "--") ? strchr(p, ' ') : NULL;
	const char *end = ":";

	if (text[0] == '/') {
		p = text;
	} else if (p != NULL && p[1] == '/') {
		p++;
	} else if (option != NULL && option[1] == '/') {
		p = option + 1;
		end = " ";
	} else {
		return str_dup(text);
	}
	done = str_dup_n(text, (size_t)(p - text));
	for (;;) {
		size_t length = strcspn(p, end);
		mem_cleanup char *piece = str_dup_n(p, length);
		mem_cleanup char *path = host_word(invocation, tmpfs_sources, piece);
		char *longer = str_printf("%s%s%s", done, path, p[length] == '\0' ? "" : end);

		free(done);
		done = longer;
		if (p[length] == '\0')
			return MEM_TAKE(done);
		p += length + 1;
	}
}
