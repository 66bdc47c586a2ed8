#include "config/hazard.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>
#include <strings.h>

/* "*" at one end of a pattern stands for any bytes, also none. A pattern with a slash wants both components. */
static const struct {
	const char *pattern;
	unsigned flags;
} rows[] = {
	/* version control: hooks, and programs that a configuration names (core.fsmonitor, hgrc's [hooks]) */
	{ ".git", HAZARD_RUN },
	{ ".gitconfig", HAZARD_RUN },
	{ ".hg", HAZARD_RUN },
	{ ".hgrc", HAZARD_RUN },
	{ ".jj", HAZARD_RUN },
	{ ".githooks", HAZARD_RUN },
	{ ".husky", HAZARD_RUN },
	{ ".lefthook", HAZARD_RUN },
	{ ".lefthook.yml", HAZARD_RUN },
	{ ".pre-commit-config.yaml", HAZARD_RUN },
	/* editors and agents: tasks, debuggers, language servers, MCP servers, hooks */
	{ ".vscode", HAZARD_RUN },
	{ "*.code-workspace", HAZARD_RUN },
	{ ".idea", HAZARD_RUN },
	{ ".fleet", HAZARD_RUN },
	{ ".zed", HAZARD_RUN },
	{ ".cursor", HAZARD_RUN },
	{ ".windsurf", HAZARD_RUN },
	{ ".devcontainer", HAZARD_RUN },
	{ ".devcontainer.json", HAZARD_RUN },
	{ ".claude", HAZARD_RUN },
	{ ".gemini", HAZARD_RUN },
	{ ".codex", HAZARD_RUN },
	{ ".mcp.json", HAZARD_RUN },
	{ ".exrc", HAZARD_RUN },
	{ ".vimrc", HAZARD_RUN },
	{ ".nvimrc", HAZARD_RUN },
	{ ".nvim.lua", HAZARD_RUN },
	{ ".dir-locals.el", HAZARD_RUN },
	{ ".gdbinit", HAZARD_RUN },
	{ ".lldbinit", HAZARD_RUN },
	/* what a shell reads when it starts, or when it enters a directory */
	{ ".profile", HAZARD_RUN },
	{ ".bashrc", HAZARD_RUN },
	{ ".bash_profile", HAZARD_RUN },
	{ ".bash_login", HAZARD_RUN },
	{ ".bash_logout", HAZARD_RUN },
	{ ".bash_aliases", HAZARD_RUN },
	{ ".zshrc", HAZARD_RUN },
	{ ".zshenv", HAZARD_RUN },
	{ ".zprofile", HAZARD_RUN },
	{ ".zlogin", HAZARD_RUN },
	{ ".zlogout", HAZARD_RUN },
	{ ".kshrc", HAZARD_RUN },
	{ ".cshrc", HAZARD_RUN },
	{ ".tcshrc", HAZARD_RUN },
	{ ".login", HAZARD_RUN },
	{ ".logout", HAZARD_RUN },
	{ ".xinitrc", HAZARD_RUN },
	{ ".xprofile", HAZARD_RUN },
	{ ".xsession", HAZARD_RUN },
	{ ".config/fish", HAZARD_RUN },
	{ ".config/autostart", HAZARD_RUN },
	{ ".config/git", HAZARD_RUN },
	{ ".config/systemd", HAZARD_RUN },
	{ "Library/LaunchAgents", HAZARD_RUN },
	{ ".envrc", HAZARD_RUN | HAZARD_SECRET },
	{ ".direnv", HAZARD_RUN },
	{ ".autoenv", HAZARD_RUN },
	{ ".mise.toml", HAZARD_RUN },
	{ "mise.toml", HAZARD_RUN },
	{ ".mise", HAZARD_RUN },
	/* package managers: programs and wrappers that a configuration names, programs that are found first */
	{ ".npmrc", HAZARD_RUN | HAZARD_SECRET },
	{ ".yarnrc", HAZARD_RUN },
	{ ".yarnrc.yml", HAZARD_RUN | HAZARD_SECRET },
	{ ".yarn", HAZARD_RUN },
	{ ".pnpmfile.cjs", HAZARD_RUN },
	{ "node_modules/.bin", HAZARD_RUN },
	{ ".cargo", HAZARD_RUN | HAZARD_SECRET },
	/* credentials */
	{ ".ssh", HAZARD_RUN | HAZARD_SECRET },
	{ ".env*", HAZARD_SECRET },
	{ ".netrc", HAZARD_SECRET },
	{ "_netrc", HAZARD_SECRET },
	{ ".pypirc", HAZARD_SECRET },
	{ ".git-credentials", HAZARD_SECRET },
	{ ".gnupg", HAZARD_SECRET },
	{ ".aws", HAZARD_SECRET },
	{ ".azure", HAZARD_SECRET },
	{ ".kube", HAZARD_SECRET },
	{ ".docker", HAZARD_SECRET },
	{ ".pgpass", HAZARD_SECRET },
	{ "*.pem", HAZARD_SECRET },
	{ "*.key", HAZARD_SECRET },
	{ "*.p12", HAZARD_SECRET },
	{ "*.pfx", HAZARD_SECRET },
	{ "*.keystore", HAZARD_SECRET },
	{ "id_*", HAZARD_SECRET },
};

static int matches(const char *pattern, const char *text, size_t length)
{
	const size_t size = strlen(pattern);

	if (pattern[0] == '*')
		return length >= size - 1 && strncasecmp(text + length - (size - 1), pattern + 1, size - 1) == 0;
	if (pattern[size - 1] == '*')
		return length >= size - 1 && strncasecmp(text, pattern, size - 1) == 0;
	return length == size && strncasecmp(text, pattern, size) == 0;
}

unsigned hazard_of(const char *path)
{
	size_t end = strlen(path);
	unsigned flags = 0;

	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t name = end;
	while (name > 0 && path[name - 1] != '/')
		name--;
	/* The component before it, with the slash between. */
	size_t pair = name > 0 ? name - 1 : name;
	while (pair > 0 && path[pair - 1] != '/')
		pair--;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t start = strchr(rows[i].pattern, '/') != NULL ? pair : name;

		if (matches(rows[i].pattern, path + start, end - start))
			flags |= rows[i].flags;
	}
	return flags;
}

unsigned hazard_along(const char *path, size_t skip)
{
	unsigned flags = 0;

	for (size_t end = skip + 1; skip < strlen(path) && path[end - 1] != '\0'; end++) {
		mem_cleanup char *part = path[end] == '/' || path[end] == '\0' ? str_dup_n(path, end) : NULL;

		if (part != NULL)
			flags |= hazard_of(part);
	}
	return flags;
}
