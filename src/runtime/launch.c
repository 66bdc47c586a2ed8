#include "runtime/launch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#else
#include <sys/types.h>
#endif

void launch_add_mount(struct launch *launch, const char *source, const char *target, bool writable)
{
	launch->mounts = mem_realloc(launch->mounts, launch->mount_count + 1, sizeof(*launch->mounts));
	launch->mounts[launch->mount_count++] = (struct launch_mount){
		.source = str_dup(source),
		.target = str_dup(target),
		.writable = writable,
	};
}

void launch_add_judged(struct launch *launch, const char *source, const char *target, bool writable,
                       const struct launch_identity *identity)
{
	launch_add_mount(launch, source, target, writable);
	launch->mounts[launch->mount_count - 1].judged = true;
	launch->mounts[launch->mount_count - 1].identity = *identity;
}

void launch_add_pin(struct launch *launch, const char *directory, const struct launch_identity *identity,
                    const char *name)
{
	launch->pins = mem_realloc(launch->pins, launch->pin_count + 1, sizeof(*launch->pins));
	launch->pins[launch->pin_count++] =
	    (struct launch_pin){ .directory = str_dup(directory), .identity = *identity, .name = str_dup(name) };
}

struct launch_identity launch_identity_of(int fd, const struct stat *info)
{
	return (struct launch_identity){
		.fd = fd,
		.kind = S_ISDIR(info->st_mode)    ? 'd'
		        : S_ISREG(info->st_mode)  ? 'f'
		        : S_ISSOCK(info->st_mode) ? 's'
		                                  : 'o',
		.major = (unsigned)major(info->st_dev),
		.minor = (unsigned)minor(info->st_dev),
		.inode = (uint64_t)info->st_ino,
	};
}

/* In the file system of another mount, which may be written to meanwhile. */
static bool lies_in_a_mount(const struct launch *launch, const char *target)
{
	for (size_t i = 0; i < launch->mount_count; i++)
		if (!str_equal(launch->mounts[i].target, target) && str_path_within(target, launch->mounts[i].target))
			return true;
	return false;
}

static bool is_covered(const struct launch *launch, size_t index)
{
	for (size_t i = index + 1; i < launch->mount_count; i++)
		if (str_equal(launch->mounts[i].target, launch->mounts[index].target))
			return true;
	return false;
}

void launch_checks(const struct launch *launch, size_t bound, char mask_kind, struct strv *ret_words)
{
	for (size_t i = 0; i < launch->mount_count; i++) {
		const struct launch_mount *mount = &launch->mounts[i];
		const struct launch_identity *who = &mount->identity;

		if (!mount->judged)
			continue;
		const bool by_descriptor = bound > 0, nested = lies_in_a_mount(launch, mount->target);
		bound -= by_descriptor;
		if (is_covered(launch, i) || (by_descriptor && !nested))
			continue;
		strv_pushf(ret_words, "%c%c%u:%u:%llu=%s", who->kind,
		           mount->writable ? (nested ? 'W' : 'w') : (nested ? 'R' : 'r'), who->major, who->minor,
		           (unsigned long long)who->inode, mount->target);
	}
	for (size_t i = 0; i < launch->masks.count; i++)
		strv_pushf(ret_words, "%cR-=%s", mask_kind, launch->masks.v[i]);
}

void launch_add_tmpfs(struct launch *launch, const char *target, uint64_t bytes, unsigned mode)
{
	launch->tmpfs = mem_realloc(launch->tmpfs, launch->tmpfs_count + 1, sizeof(*launch->tmpfs));
	launch->tmpfs[launch->tmpfs_count++] = (struct launch_tmpfs){
		.target = str_dup(target),
		.bytes = bytes,
		.mode = mode,
	};
}

void launch_add_spelling(struct launch *launch, const char *path, const char *target)
{
	launch->spellings = mem_realloc(launch->spellings, launch->spelling_count + 1, sizeof(*launch->spellings));
	launch->spellings[launch->spelling_count++] =
	    (struct launch_spelling){ .path = str_dup(path), .target = str_dup(target) };
}

char *launch_real(const struct launch *launch, const char *path)
{
	for (size_t i = 0; i < launch->spelling_count; i++)
		if (str_path_within(path, launch->spellings[i].path))
			return str_printf("%s%s", launch->spellings[i].target,
			                  path + strlen(launch->spellings[i].path));
	return str_dup(path);
}

void launch_add_env(struct launch *launch, const char *name, const char *value)
{
	for (size_t i = 0; i < launch->env_count; i++) {
		if (strcmp(launch->env[i].name, name) == 0) {
			free(launch->env[i].value);
			launch->env[i].value = str_dup(value);
			return;
		}
	}
	launch->env = mem_realloc(launch->env, launch->env_count + 1, sizeof(*launch->env));
	launch->env[launch->env_count++] = (struct launch_variable){ .name = str_dup(name), .value = str_dup(value) };
}

void launch_done(struct launch *launch)
{
	for (size_t i = 0; i < launch->mount_count; i++) {
		free(launch->mounts[i].source);
		free(launch->mounts[i].target);
	}
	for (size_t i = 0; i < launch->tmpfs_count; i++)
		free(launch->tmpfs[i].target);
	for (size_t i = 0; i < launch->env_count; i++) {
		free(launch->env[i].name);
		free(launch->env[i].value);
	}
	for (size_t i = 0; i < launch->pin_count; i++) {
		free(launch->pins[i].directory);
		free(launch->pins[i].name);
	}
	free(launch->pins);
	free(launch->mounts);
	free(launch->tmpfs);
	free(launch->env);
	strv_done(&launch->command);
	strv_done(&launch->masks);
	strv_done(&launch->links);
	free(launch->name);
	free(launch->directory);
	for (size_t i = 0; i < launch->spelling_count; i++) {
		free(launch->spellings[i].path);
		free(launch->spellings[i].target);
	}
	free(launch->spellings);
	free(launch->home);
	free(launch->path_prefix);
	free(launch->term);
	free(launch->lang);
	free(launch->network_name);
	free(launch->image);
	free(launch->first);
	*launch = (struct launch){ 0 };
}
