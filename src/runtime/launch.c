#include "runtime/runtime.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void launch_add_mount(struct launch *launch, const char *source, const char *target, bool writable)
{
	launch->mounts = mem_realloc(launch->mounts, launch->mount_count + 1, sizeof(*launch->mounts));
	launch->mounts[launch->mount_count++] = (struct launch_mount){
		.source = str_dup(source),
		.target = str_dup(target),
		.writable = writable,
	};
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
	free(launch->mounts);
	free(launch->tmpfs);
	free(launch->env);
	strv_done(&launch->command);
	strv_done(&launch->masks);
	free(launch->name);
	free(launch->directory);
	free(launch->home);
	free(launch->path_prefix);
	free(launch->term);
	free(launch->lang);
	free(launch->network_name);
	free(launch->image);
	*launch = (struct launch){ 0 };
}

void runtime_start_add_data(struct runtime_start *start, int fd, const void *bytes, size_t length)
{
	char *copy = mem_alloc(length + 1);

	if (length > 0)
		memcpy(copy, bytes, length);
	start->data = mem_realloc(start->data, start->data_count + 1, sizeof(*start->data));
	start->data[start->data_count++] = (struct runtime_data){ .fd = fd, .bytes = copy, .length = length };
}

void runtime_start_done(struct runtime_start *start)
{
	for (size_t i = 0; i < start->data_count; i++)
		free(start->data[i].bytes);
	free(start->data);
	strv_done(&start->argv);
	strv_done(&start->env);
	strv_done(&start->reach);
	*start = (struct runtime_start){ .status_fd = -1 };
}
