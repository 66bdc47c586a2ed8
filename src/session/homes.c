#include "session/homes.h"

#include "base/limits.h"
#include "base/mem.h"
#include "files/data.h"

#include <stdlib.h>
#include <string.h>

char *homes_name(const char *path)
{
	char *name = mem_alloc(strlen(path) * 3 + 1);
	size_t length = 0;

	for (; *path != '\0'; path++) {
		if (*path != '/' && *path != '%') {
			name[length++] = *path;
			continue;
		}
		memcpy(name + length, *path == '/' ? "%2F" : "%25", 3);
		length += 3;
	}
	name[length] = '\0';
	return name;
}

char *homes_path(const char *name)
{
	mem_cleanup char *path = mem_alloc(strlen(name) + 1);
	size_t length = 0;

	for (; *name != '\0'; name++) {
		if (*name != '%') {
			path[length++] = *name;
			continue;
		}
		if (strncmp(name, "%2F", 3) != 0 && strncmp(name, "%25", 3) != 0)
			return NULL;
		path[length++] = name[2] == 'F' ? '/' : '%';
		name += 2;
	}
	path[length] = '\0';
	return MEM_TAKE(path);
}

bool homes_open(const char *directory, const struct strv *paths, const struct strv *written, bool make, int owner,
                struct homes *ret_homes, struct npxc_error *err)
{
	struct homes homes = { .v = mem_alloc((paths->count + 1) * sizeof(*homes.v)) };

	for (size_t i = 0; i < paths->count; i++) {
		mem_cleanup char *name = homes_name(paths->v[i]);
		struct home *home = &homes.v[homes.count++];

		*home = (struct home){ .path = str_dup(paths->v[i]),
			               .directory = str_path_join(directory, name),
			               .source = SOURCE_NONE };
		if (!data_open(home->directory, written, make, owner, &home->source, err)) {
			homes_done(&homes);
			return error_prefix(err, "storage.home");
		}
		if (home->source.path == NULL)
			continue;
		free(home->directory);
		home->directory = str_dup(home->source.path);
	}
	*ret_homes = homes;
	return true;
}

static bool meet(const char *a, const char *b)
{
	return str_path_within(a, b) || str_path_within(b, a);
}

static bool refuse(const char *path, const char *what, const char *other, struct npxc_error *err)
{
	return error_set(err, ERROR_CONFIG,
	                 "storage.home: \"%s\" and %s %s cannot both be shown, as one lies in the other; "
	                 "leave one of them out",
	                 path, what, other);
}

static bool check(const char *path, const char *target, const struct mounts *mounts, const char *cwd,
                  const struct launch *launch, struct npxc_error *err)
{
	for (size_t i = 0; i < mounts->count; i++) {
		mem_cleanup char *other = launch_real(launch, mounts->v[i].target);

		if (meet(target, other))
			return refuse(path, "the mount at", mounts->v[i].target, err);
	}
	for (size_t i = 0; i < launch->tmpfs_count; i++)
		if (meet(target, launch->tmpfs[i].target))
			return refuse(path, "storage.writable's", launch->tmpfs[i].target, err);
	return cwd == NULL || !meet(target, cwd) || refuse(path, "the working directory", cwd, err);
}

/* A container runtime makes what lies between as root's. */
static void add_parents(struct launch *launch, const char *target, size_t home_length)
{
	for (size_t end = home_length + 1; target[end] != '\0'; end++) {
		if (target[end] != '/')
			continue;
		mem_cleanup char *parent = str_dup_n(target, end);
		bool known = false;

		for (size_t i = 0; i < launch->tmpfs_count; i++)
			known = known || str_equal(launch->tmpfs[i].target, parent);
		if (!known)
			launch_add_tmpfs(launch, parent, LIMIT_TMPFS_HOME_BYTES, 0700);
	}
}

bool homes_add(const struct homes *homes, const struct mounts *mounts, const char *cwd, bool parents,
               struct launch *launch, struct npxc_error *err)
{
	mem_cleanup char *home = launch_real(launch, launch->home);

	/* All of them before the first parent is a tmpfs of its own. */
	for (size_t i = 0; i < homes->count; i++) {
		mem_cleanup char *target = str_path_join(home, homes->v[i].path);

		if (!check(homes->v[i].path, target, mounts, cwd, launch, err))
			return false;
	}
	for (size_t i = 0; i < homes->count; i++) {
		const struct source *source = &homes->v[i].source;
		/* Before a first start it is not there yet: then nothing is known of it but its kind. */
		const struct launch_identity identity = source->path != NULL
		                                            ? launch_identity_of(source->fd, &source->info)
		                                            : (struct launch_identity){ .fd = -1, .kind = 'd' };
		mem_cleanup char *target = str_path_join(home, homes->v[i].path);

		launch_add_judged(launch, homes->v[i].directory, target, true, &identity);
		if (parents)
			add_parents(launch, target, strlen(home));
	}
	return true;
}

void homes_done(struct homes *homes)
{
	for (size_t i = 0; i < homes->count; i++) {
		free(homes->v[i].path);
		free(homes->v[i].directory);
		source_done(&homes->v[i].source);
	}
	free(homes->v);
	*homes = (struct homes){ 0 };
}
