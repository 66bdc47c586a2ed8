#include "contain/cgroup.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The pure half: from the texts of /proc to directories. */

/* Cuts `text` at the first `separator` and moves it behind; NULL when nothing is left. */
static char *next_part(char **text, char separator)
{
	char *part = *text;
	char *end;

	if (part == NULL || *part == '\0')
		return NULL;
	end = strchr(part, separator);
	if (end != NULL)
		*end++ = '\0';
	*text = end;
	return part;
}

static bool list_holds(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p != '\0';) {
		size_t length = strcspn(p, ",");

		if (length == n && strncmp(p, word, n) == 0)
			return true;
		p += length + (p[length] == ',');
	}
	return false;
}

/* Path of npxc's cgroup for a controller ("" is the v2 hierarchy), owned; NULL when there is none. */
static char *own_path(const char *self_cgroup, const char *controller)
{
	mem_cleanup char *copy = str_dup(self_cgroup);
	char *rest = copy;
	char *line;

	while ((line = next_part(&rest, '\n')) != NULL) {
		const char *controllers = strchr(line, ':');
		char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

		if (path == NULL)
			continue;
		*path++ = '\0';
		controllers++;
		if (controller[0] == '\0' ? controllers[0] != '\0' : !list_holds(controllers, controller))
			continue;
		/* A removed cgroup, or one above the root of npxc's cgroup namespace, has no directory here. */
		if (path[0] != '/' || str_ends(path, " (deleted)") || str_starts(path, "/.."))
			return NULL;
		return str_dup(path);
	}
	return NULL;
}

/* Blank, tab, line break and backslash stand in mountinfo as a backslash and three octal digits. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p != '\0'; to++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' &&
		    p[3] <= '7') {
			*to = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
}

struct mount_line {
	char *root, *point, *type, *options;
};

/* "id parent device root point options [tag...] - type source super-options" */
static bool read_mount(char *line, struct mount_line *ret_mount)
{
	char *second = strstr(line, " - ");
	char *first = line;
	char *fields[5];
	char *type;
	char *source;
	char *options;

	if (second == NULL)
		return false;
	*second = '\0';
	second += 3;
	for (size_t i = 0; i < 5; i++) {
		fields[i] = next_part(&first, ' ');
		if (fields[i] == NULL)
			return false;
	}
	type = next_part(&second, ' ');
	source = next_part(&second, ' ');
	options = next_part(&second, ' ');
	if (type == NULL || source == NULL || options == NULL)
		return false;
	unescape(fields[3]);
	unescape(fields[4]);
	*ret_mount = (struct mount_line){ .root = fields[3], .point = fields[4], .type = type, .options = options };
	return true;
}

/*
 * The directory of cgroup `path` in the hierarchy of `controller` ("": v2), owned, and the mount point (owned, may be
 * left out). A mount shows the part of the hierarchy below its root only.
 */
static char *directory_of(const char *mountinfo, const char *controller, const char *path, char **ret_point)
{
	mem_cleanup char *copy = str_dup(mountinfo);
	char *rest = copy;
	char *line;

	while ((line = next_part(&rest, '\n')) != NULL) {
		struct mount_line mount;
		bool v2 = controller[0] == '\0';

		if (!read_mount(line, &mount) || strcmp(mount.type, v2 ? "cgroup2" : "cgroup") != 0 ||
		    (!v2 && !list_holds(mount.options, controller)) || !str_path_within(path, mount.root))
			continue;
		if (ret_point != NULL)
			*ret_point = str_dup(mount.point);
		return str_path_join(mount.point, strcmp(mount.root, "/") == 0
		                                      ? path + 1
		                                      : path + strlen(mount.root) + (path[strlen(mount.root)] == '/'));
	}
	return NULL;
}

/* `seen` becomes true when the controller is in a v1 hierarchy, whether or not that can be seen here. */
static char *v1_directory(const char *self_cgroup, const char *mountinfo, const char *controller, bool *seen)
{
	mem_cleanup char *path = own_path(self_cgroup, controller);

	if (path == NULL)
		return NULL;
	*seen = true;
	return directory_of(mountinfo, controller, path, NULL);
}

void cgroup_layout_parse(const char *self_cgroup, const char *mountinfo, struct cgroup_layout *ret_layout)
{
	struct cgroup_layout layout = { .version = CGROUP_NONE };
	mem_cleanup char *path = own_path(self_cgroup, "");
	bool v1 = false;

	layout.memory = v1_directory(self_cgroup, mountinfo, "memory", &v1);
	layout.cpu = v1_directory(self_cgroup, mountinfo, "cpu", &v1);
	layout.pids = v1_directory(self_cgroup, mountinfo, "pids", &v1);
	if (v1) {
		layout.version = CGROUP_V1;
	} else if (path != NULL) {
		layout.own = directory_of(mountinfo, "", path, &layout.top);
		if (layout.own != NULL)
			layout.version = CGROUP_V2;
	}
	*ret_layout = layout;
}

void cgroup_layout_done(struct cgroup_layout *layout)
{
	free(layout->memory);
	free(layout->cpu);
	free(layout->pids);
	free(layout->own);
	free(layout->top);
	*layout = (struct cgroup_layout){ .version = CGROUP_NONE };
}
