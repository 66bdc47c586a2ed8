#include "runtime/bwrap.h"

#include "base/limits.h"
#include "base/mem.h"
#include "contain/reach.h"
#include "guest/first.h"
#include "guest/guest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The pure part of the driver that makes arguments of plain structs. */

static const char ordinary_path[] = "/usr/local/bin:/usr/bin:/bin";

bool bwrap_knows_descriptors(const char *program, size_t length)
{
	static const char elf[] = "\177ELF", option[] = "--ro-bind-fd";

	/* With its NUL, or a longer one would do, or a text that speaks of it. */
	return length > sizeof(elf) && memcmp(program, elf, sizeof(elf) - 1) == 0 &&
	       memmem(program, length, option, sizeof(option)) != NULL;
}

/* ---- what is mounted where ---- */

/* One entry of the file system that is laid over the bare root. A size means tmpfs. */
struct layer {
	char *target;       /* owned, cleaned */
	const char *source; /* borrowed; NULL: tmpfs */
	const char *link;   /* borrowed; where a symbolic link leads, and this is one */
	bool writable;
	int fd; /* the number of the descriptor to be bound; -1: the source by its name */
	uint64_t bytes;
	unsigned mode;
};

struct layers {
	struct layer *v;
	size_t count;
};

static void layers_cleanup(struct layers *layers)
{
	for (size_t i = 0; i < layers->count; i++)
		free(layers->v[i].target);
	free(layers->v);
}

static size_t depth_of(const char *path)
{
	size_t depth = 0;

	for (const char *p = path; *p != '\0'; p++)
		depth += *p == '/';
	return depth;
}

/* Keeps them sorted by depth, equal ones in the order of their coming: what lies beneath another is mounted after it,
 * or it would be covered. */
static void layers_add(struct layers *layers, struct layer layer)
{
	size_t at = layers->count;

	layers->v = mem_realloc(layers->v, layers->count + 1, sizeof(*layers->v));
	while (at > 0 && depth_of(layers->v[at - 1].target) > depth_of(layer.target)) {
		layers->v[at] = layers->v[at - 1];
		at--;
	}
	layers->v[at] = layer;
	layers->count++;
}

static bool check_target(const char *what, const char *target, struct npxc_error *err)
{
	static const char *const protected_trees[] = { "/proc", "/dev" };
	static const char *const protected_roots[] = { "/", "/etc", "/usr" };
	mem_cleanup char *shown = str_escape(target, strlen(target));
	mem_cleanup char *clean = NULL;

	if (target[0] != '/')
		return error_set(err, ERROR_CONFIG, "%s \"%s\" is not an absolute path", what, shown);
	clean = str_path_clean(target);
	for (size_t i = 0; i < sizeof(protected_trees) / sizeof(protected_trees[0]); i++)
		if (str_path_within(clean, protected_trees[i]))
			return error_set(err, ERROR_CONFIG,
			                 "%s \"%s\" lies in %s, which is the sandbox's own; choose another path inside",
			                 what, shown, protected_trees[i]);
	for (size_t i = 0; i < sizeof(protected_roots) / sizeof(protected_roots[0]); i++)
		if (strcmp(clean, protected_roots[i]) == 0)
			return error_set(err, ERROR_CONFIG,
			                 "%s \"%s\" would cover the sandbox's own %s; choose another path inside", what,
			                 shown, protected_roots[i]);
	return true;
}

static bool add_tmpfs(struct layers *layers, const char *what, const char *target, uint64_t bytes, unsigned mode,
                      struct npxc_error *err)
{
	if (!check_target(what, target, err))
		return false;
	if (bytes == 0)
		return error_set(err, ERROR_CONFIG, "%s \"%s\" has no size", what, target);
	layers_add(layers, (struct layer){ .target = str_path_clean(target), .bytes = bytes, .mode = mode });
	return true;
}

/* So many of the judged mounts are bound by descriptor; who has more gets the rest compared from inside. */
static size_t bound_count(const struct runtime *runtime)
{
	return runtime->binds_descriptors ? LIMIT_MOUNT_DESCRIPTORS : 0;
}

static int first_source(const struct runtime *runtime, const struct launch *launch)
{
	return BWRAP_FD_MASKS + (int)(runtime->system_masks.count + launch->masks.count);
}

static bool collect_layers(const struct runtime *runtime, const struct launch *launch, struct layers *layers,
                           struct npxc_error *err)
{
	int next = first_source(runtime, launch);
	const int end = next + (int)bound_count(runtime);
	mem_cleanup char *home = launch_real(launch, launch->home);
	uint64_t tmp = launch->tmp_bytes != 0 ? launch->tmp_bytes : LIMIT_TMPFS_TMP_BYTES;

	if (!add_tmpfs(layers, "tmpfs", "/tmp", tmp, 01777, err) ||
	    !add_tmpfs(layers, "tmpfs", "/run", LIMIT_TMPFS_RUN_BYTES, 0755, err) ||
	    !add_tmpfs(layers, "HOME", home, LIMIT_TMPFS_HOME_BYTES, 0700, err))
		return false;
	for (size_t i = 0; i < launch->spelling_count; i++)
		layers_add(layers, (struct layer){ .target = str_path_clean(launch->spellings[i].path),
		                                   .link = launch->spellings[i].target });
	for (size_t i = 0; i < launch->tmpfs_count; i++) {
		const struct launch_tmpfs *tmpfs = &launch->tmpfs[i];

		if (!add_tmpfs(layers, "writable path", tmpfs->target, tmpfs->bytes, tmpfs->mode, err))
			return false;
	}
	for (size_t i = 0; i < launch->mount_count; i++) {
		const struct launch_mount *mount = &launch->mounts[i];

		if (!check_target("mount target", mount->target, err))
			return false;
		if (mount->source[0] != '/')
			return error_set(err, ERROR_CONFIG, "mount source \"%s\" is not an absolute path",
			                 mount->source);
		layers_add(layers, (struct layer){ .target = str_path_clean(mount->target),
		                                   .source = mount->source,
		                                   .writable = mount->writable,
		                                   .fd = mount->judged && next < end ? next++ : -1 });
	}
	return true;
}

static void push(struct strv *argv, const char *option)
{
	strv_push(argv, option);
}

static void push2(struct strv *argv, const char *option, const char *value)
{
	strv_push(argv, option);
	strv_push(argv, value);
}

static void push3(struct strv *argv, const char *option, const char *source, const char *target)
{
	push2(argv, option, source);
	strv_push(argv, target);
}

static void push_number(struct strv *argv, const char *option, unsigned number)
{
	strv_push(argv, option);
	strv_pushf(argv, "%u", number);
}

static void push_tmpfs(struct strv *argv, const char *target, uint64_t bytes, unsigned mode)
{
	strv_push(argv, "--perms");
	strv_pushf(argv, "%04o", mode);
	strv_push(argv, "--size");
	strv_pushf(argv, "%" PRIu64, bytes);
	push2(argv, "--tmpfs", target);
}

static void push_data(struct strv *argv, unsigned fd, const char *target)
{
	push2(argv, "--perms", "0644");
	push_number(argv, "--ro-bind-data", fd);
	strv_push(argv, target);
}

static void push_layers(struct strv *argv, const struct layers *layers)
{
	for (size_t i = 0; i < layers->count; i++) {
		const struct layer *layer = &layers->v[i];

		if (layer->link != NULL) {
			push3(argv, "--symlink", layer->link, layer->target);
		} else if (layer->source == NULL) {
			push_tmpfs(argv, layer->target, layer->bytes, layer->mode);
		} else if (layer->fd != -1) {
			push_number(argv, layer->writable ? "--bind-fd" : "--ro-bind-fd", (unsigned)layer->fd);
			strv_push(argv, layer->target);
		} else
			push3(argv, layer->writable ? "--bind" : "--ro-bind", layer->source, layer->target);
	}
}

static void push_links(struct strv *argv, const struct strv *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		const char *equals = strchr(pairs->v[i], '=');
		mem_cleanup char *to = str_dup_n(pairs->v[i], (size_t)(equals - pairs->v[i]));

		push3(argv, "--symlink", to, equals + 1);
	}
}

bool bwrap_is_hidden(const struct runtime *runtime, const char *path)
{
	for (size_t i = 0; i < runtime->system_hidden.count; i++)
		if (str_path_within(path, runtime->system_hidden.v[i]))
			return true;
	return false;
}

/* Those that lie in a hidden directory, or the others. */
static void push_system_mounts(struct strv *argv, const struct runtime *runtime, bool hidden)
{
	for (size_t i = 0; i < runtime->system_mounts.count; i++)
		if (bwrap_is_hidden(runtime, runtime->system_mounts.v[i]) == hidden)
			push3(argv, "--ro-bind", runtime->system_mounts.v[i], runtime->system_mounts.v[i]);
}

static void push_system(struct strv *argv, const struct runtime *runtime, const struct launch *launch)
{
	push_system_mounts(argv, runtime, false);
	push_links(argv, &runtime->system_links);
	for (size_t i = 0; i < runtime->system_hidden.count; i++)
		push_tmpfs(argv, runtime->system_hidden.v[i], LIMIT_TMPFS_HIDDEN_BYTES, 0755);
	push_system_mounts(argv, runtime, true);
	push_data(argv, BWRAP_FD_PASSWD, "/etc/passwd");
	push_data(argv, BWRAP_FD_GROUP, "/etc/group");
	if (launch->network == LAUNCH_NETWORK_OPEN) {
		/* bubblewrap follows the host's symlinks; a machine may have neither file */
		push3(argv, "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf");
		push3(argv, "--ro-bind-try", "/etc/hosts", "/etc/hosts");
	} else {
		push_data(argv, BWRAP_FD_HOSTS, "/etc/hosts");
		if (launch->network == LAUNCH_NETWORK_NETNS)
			push_data(argv, BWRAP_FD_RESOLV, "/etc/resolv.conf");
	}
	push2(argv, "--proc", "/proc");
	/* /proc/sys must come after --proc. Started by root, uid 1000 inside may still be uid 0 to the kernel's
	 * sysctls. */
	push3(argv, "--ro-bind", "/proc/sys", "/proc/sys");
	/* bubblewrap makes /dev a tmpfs without a size: read-only, it cannot be filled. */
	push2(argv, "--dev", "/dev");
	push_tmpfs(argv, "/dev/shm", LIMIT_TMPFS_SHM_BYTES, 01777);
	push2(argv, "--remount-ro", "/dev");
}

/* The number of a pin's descriptor, after those of the judged mounts; -1: by its name. */
static int pin_fd(const struct runtime *runtime, const struct launch *launch, size_t pin)
{
	size_t judged = 0;

	for (size_t i = 0; i < launch->mount_count; i++)
		judged += launch->mounts[i].judged;
	return judged + pin < bound_count(runtime) ? first_source(runtime, launch) + (int)(judged + pin) : -1;
}

/*
 * A server has no name for what lies beneath the cover, and what is mounted there stays. A pin that is put elsewhere by
 * a race pins nothing, and shows nothing.
 */
static void push_pins(struct strv *argv, const struct runtime *runtime, const struct launch *launch)
{
	enum { PIN_BYTES = 4096 };

	for (size_t i = 0; i < launch->pin_count; i++) {
		const int fd = pin_fd(runtime, launch, i);
		mem_cleanup char *place = str_printf(LAUNCH_PINS "/%zu", i);
		mem_cleanup char *point = str_printf("%s/%s", place, launch->pins[i].name);

		if (fd != -1) {
			push_number(argv, "--ro-bind-fd", (unsigned)fd);
			push(argv, place);
		} else {
			push3(argv, "--ro-bind", launch->pins[i].directory, place);
		}
		push_tmpfs(argv, point, PIN_BYTES, 0);
	}
	if (launch->pin_count == 0)
		return;
	push_tmpfs(argv, LAUNCH_PINS, PIN_BYTES, 0555);
	push2(argv, "--remount-ro", LAUNCH_PINS);
}

static void push_masks(struct strv *argv, const struct strv *paths, unsigned first_fd, struct runtime_start *start)
{
	for (size_t i = 0; i < paths->count; i++) {
		unsigned fd = first_fd + (unsigned)i;

		push_data(argv, fd, paths->v[i]);
		runtime_start_add_data(start, (int)fd, "", 0);
	}
}

/* ---- data ---- */

static void add_text(struct runtime_start *start, int fd, char *owned)
{
	runtime_start_add_data(start, fd, owned, strlen(owned));
	free(owned);
}

static void add_accounts(const struct runtime *runtime, const struct launch *launch, struct runtime_start *start)
{
	add_text(start, BWRAP_FD_PASSWD,
	         str_printf("npxc:x:%u:%u:npxc:%s:/bin/sh\n"
	                    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	                    runtime->uid, runtime->gid, launch->home));
	add_text(start, BWRAP_FD_GROUP, str_printf("npxc:x:%u:\nnogroup:x:65534:\n", runtime->gid));
	if (launch->network != LAUNCH_NETWORK_OPEN)
		add_text(start, BWRAP_FD_HOSTS,
		         str_dup("127.0.0.1\tlocalhost npxc\n::1\tlocalhost ip6-localhost ip6-loopback\n"));
	/* Any address would do: whatever is asked, npxc's resolver answers. */
	if (launch->network == LAUNCH_NETWORK_NETNS)
		add_text(start, BWRAP_FD_RESOLV, str_dup("nameserver 198.18.0.1\n"));
}

/* NUL-separated arguments for --args, as many as there are strings in the list. */
static void add_arguments(struct runtime_start *start, const struct strv *words)
{
	size_t length = 0;
	size_t used = 0;
	char *bytes;

	for (size_t i = 0; i < words->count; i++)
		length += strlen(words->v[i]) + 1;
	bytes = mem_alloc(length);
	for (size_t i = 0; i < words->count; i++) {
		size_t n = strlen(words->v[i]) + 1;

		memcpy(bytes + used, words->v[i], n);
		used += n;
	}
	runtime_start_add_data(start, BWRAP_FD_ARGS, bytes, length);
	free(bytes);
}

static bool check_variable(const struct launch_variable *variable, struct npxc_error *err)
{
	mem_cleanup char *shown = str_escape(variable->name, strlen(variable->name));

	if (variable->name[0] == '\0' || strchr(variable->name, '=') != NULL)
		return error_set(err, ERROR_CONFIG, "\"%s\" cannot be the name of an environment variable", shown);
	return true;
}

/* The driver's own first: bubblewrap takes the last of equal names, so a configured one wins. */
static bool add_environment(const struct launch *launch, struct runtime_start *start, struct npxc_error *err)
{
	struct strv words = { 0 };
	mem_cleanup char *path = str_is_empty(launch->path_prefix)
	                             ? str_dup(ordinary_path)
	                             : str_printf("%s:%s", launch->path_prefix, ordinary_path);
	bool ok = true;

	push3(&words, "--setenv", "PATH", path);
	push3(&words, "--setenv", "HOME", launch->home);
	push3(&words, "--setenv", "TMPDIR", "/tmp");
	push3(&words, "--setenv", "LANG", str_is_empty(launch->lang) ? "C.UTF-8" : launch->lang);
	if (!str_is_empty(launch->term))
		push3(&words, "--setenv", "TERM", launch->term);
	for (size_t i = 0; i < launch->env_count && ok; i++) {
		ok = check_variable(&launch->env[i], err);
		if (ok)
			push3(&words, "--setenv", launch->env[i].name, launch->env[i].value);
	}
	if (ok)
		add_arguments(start, &words);
	strv_done(&words);
	return ok;
}

/* ---- the start ---- */

/* Judged mounts in the order in which collect_layers numbered them. */
static void add_sources(const struct runtime *runtime, const struct launch *launch, struct runtime_start *start)
{
	int next = first_source(runtime, launch);
	const int end = next + (int)bound_count(runtime);

	for (size_t i = 0; i < launch->mount_count && next < end; i++)
		if (launch->mounts[i].judged)
			runtime_start_add_source(start, next++, launch->mounts[i].identity.fd);
	for (size_t i = 0; i < launch->pin_count; i++)
		if (pin_fd(runtime, launch, i) != -1)
			runtime_start_add_source(start, pin_fd(runtime, launch, i), launch->pins[i].identity.fd);
}

static void add_reach(const struct runtime *runtime, const struct launch *launch, struct runtime_start *start)
{
	size_t bound = 0;

	start->drop_to_uid = true;
	/* Those first that have to be a certain file: equal paths are reached once. */
	for (size_t i = 0; i < launch->mount_count; i++)
		if (launch->mounts[i].judged)
			runtime_start_add_reach(start, launch->mounts[i].source,
			                        bound < start->source_count ? start->sources[bound++].fd : -1);
	/* Pins lie in what is reached already. */
	if (!str_path_within(runtime->cli, "/usr"))
		runtime_start_add_reach(start, runtime->cli, -1);
	for (size_t i = 0; i < launch->mount_count; i++)
		runtime_start_add_reach(start, launch->mounts[i].source, -1);
}

/* The first program and the command that it starts; the command alone on a processor that has no first program. */
static bool push_command(const struct launch *launch, const struct strv *checks, struct strv *argv,
                         struct npxc_error *err)
{
	push(argv, "--");
	if (checks->count > 0 && GUEST_FIRST_LENGTH == 0)
		return error_set(
		    err, ERROR_RUNTIME_UNAVAILABLE,
		    "on this processor npxc cannot compare what was mounted with what was meant; mount fewer "
		    "files, none in another, with bubblewrap 0.10.0 or later");
	if (GUEST_FIRST_LENGTH > 0) {
		push(argv, LAUNCH_FIRST);
		strv_push_all(argv, (const char *const *)checks->v, checks->count);
		push(argv, "--");
	}
	strv_push_all(argv, (const char *const *)launch->command.v, launch->command.count);
	return true;
}

static void push_first(struct strv *argv, struct runtime_start *start)
{
	if (GUEST_FIRST_LENGTH == 0)
		return;
	push2(argv, "--perms", "0555");
	push_number(argv, "--ro-bind-data", BWRAP_FD_FIRST);
	push(argv, LAUNCH_FIRST);
	runtime_start_add_data(start, BWRAP_FD_FIRST, GUEST_FIRST, GUEST_FIRST_LENGTH);
}

static bool check_launch(const struct runtime *runtime, const struct launch *launch, struct npxc_error *err)
{
	if (launch->network == LAUNCH_NETWORK_NAMED || launch->network == LAUNCH_NETWORK_MANAGED)
		return error_set(err, ERROR_CONFIG,
		                 "bubblewrap knows no network \"%s\"; use none or open, or another runtime",
		                 launch->network_name);
	if (runtime->filter == NULL || runtime->filter_bytes == 0)
		return error_set(err, ERROR_RUNTIME, "no seccomp filter: nothing is started without one");
	if (runtime->uid == 0 || runtime->gid == 0)
		return error_set(err, ERROR_RUNTIME, "the user inside a sandbox must not be 0");
	if (launch->command.count == 0 || launch->command.v[0][0] == '\0')
		return error_set(err, ERROR_CONFIG, "no command to run");
	/* The home directory stands in a line of /etc/passwd. */
	if (strpbrk(launch->home, ":\n") != NULL)
		return error_set(err, ERROR_CONFIG,
		                 "a home directory with a colon or a line break cannot be used inside a sandbox");
	if (launch->masks.count > LIMIT_SOCKET_MASKS)
		return error_set(err, ERROR_CONFIG, "more than %d sockets to hide", LIMIT_SOCKET_MASKS);
	return true;
}

static void push_isolation(struct strv *argv, const struct runtime *runtime, const struct launch *launch)
{
	/* Before --args: bubblewrap clears at once, and would clear what --setenv has set. */
	push(argv, "--clearenv");
	push_number(argv, "--args", BWRAP_FD_ARGS);
	push(argv, "--unshare-user");
	push(argv, "--disable-userns");
	push(argv, "--unshare-pid");
	push(argv, "--unshare-ipc");
	push(argv, "--unshare-uts");
	push(argv, "--unshare-cgroup");
	if (launch->network != LAUNCH_NETWORK_OPEN && launch->network != LAUNCH_NETWORK_NETNS)
		push(argv, "--unshare-net");
	push_number(argv, "--uid", runtime->uid);
	push_number(argv, "--gid", runtime->gid);
	push2(argv, "--hostname", "npxc");
	push(argv, "--die-with-parent");
	push2(argv, "--cap-drop", "ALL");
	push_number(argv, "--seccomp", BWRAP_FD_SECCOMP);
	push_number(argv, "--json-status-fd", BWRAP_FD_STATUS);
}

/* One of somebody else's, in which sockets and FIFOs may appear later. */
static bool shows_directory(const struct launch *launch)
{
	for (size_t i = 0; i < launch->mount_count; i++)
		if (launch->mounts[i].judged && launch->mounts[i].identity.kind == 'd')
			return true;
	return false;
}

static bool make_argv(const struct runtime *runtime, const struct launch *launch, const struct layers *layers,
                      struct runtime_start *start, struct npxc_error *err)
{
	struct strv checks __attribute__((cleanup(strv_done))) = { 0 };
	mem_cleanup char *directory = launch_real(launch, launch->directory);
	struct strv *argv = &start->argv;

	launch_checks(launch, bound_count(runtime), 'f', &checks);
	if (GUEST_FIRST_LENGTH > 0 && (shows_directory(launch) || launch->network == LAUNCH_NETWORK_OPEN))
		strv_push(&checks, FIRST_SEAL);
	strv_push(argv, runtime->cli);
	push_isolation(argv, runtime, launch);
	push_system(argv, runtime, launch);
	push_layers(argv, layers);
	push_links(argv, &launch->links);
	push_masks(argv, &runtime->system_masks, BWRAP_FD_MASKS, start);
	push_masks(argv, &launch->masks, BWRAP_FD_MASKS + (unsigned)runtime->system_masks.count, start);
	push_pins(argv, runtime, launch);
	push_first(argv, start);
	/* Last of all: every mount point before it has been made in this root. */
	/* Where nothing of the working directory is mounted it is an empty directory, read-only like all of the root.
	 */
	push2(argv, "--dir", directory);
	for (size_t i = 0; i < runtime->system_hidden.count; i++)
		push2(argv, "--remount-ro", runtime->system_hidden.v[i]);
	push2(argv, "--remount-ro", "/");
	push2(argv, "--chdir", launch->directory);
	if (!push_command(launch, &checks, argv, err))
		return false;
	/* --setenv takes three words of --args each; PATH, HOME, TMPDIR, LANG and TERM are the driver's own. */
	if (argv->count + 3 * (launch->env_count + 5) > LIMIT_BWRAP_WORDS)
		return error_set(
		    err, ERROR_CONFIG,
		    "%zu arguments for the server: bubblewrap takes at most %d words, its own included; give "
		    "the server fewer, or a file that holds them",
		    launch->command.count - 1, LIMIT_BWRAP_WORDS);
	return true;
}

bool bwrap_make_start(const struct runtime *runtime, const struct launch *launch, struct runtime_start *ret_start,
                      struct npxc_error *err)
{
	struct layers layers __attribute__((cleanup(layers_cleanup))) = { 0 };
	struct runtime_start start = { .status_fd = BWRAP_FD_STATUS,
		                       .enters_netns = launch->network == LAUNCH_NETWORK_NETNS };

	if (!check_launch(runtime, launch, err) || !collect_layers(runtime, launch, &layers, err))
		return false;
	if (!add_environment(launch, &start, err)) {
		runtime_start_done(&start);
		return false;
	}
	runtime_start_add_data(&start, BWRAP_FD_SECCOMP, runtime->filter, runtime->filter_bytes);
	add_accounts(runtime, launch, &start);
	add_sources(runtime, launch, &start);
	if (!make_argv(runtime, launch, &layers, &start, err)) {
		runtime_start_done(&start);
		return false;
	}
	if (runtime->is_root)
		add_reach(runtime, launch, &start);
	*ret_start = start;
	return true;
}

/* ---- links ---- */

static enum policy_link choose_link(const struct runtime *runtime, bool restricted, bool socket_seen,
                                    const char **ret_why)
{
	(void)runtime;
	(void)socket_seen;
	*ret_why = restricted ? "user namespaces get no capabilities here, so not netns" : "no code inside takes part";
	return restricted ? POLICY_LINK_SOCKET : POLICY_LINK_NETNS;
}

static bool check_link(const struct runtime *runtime, enum policy_link link, struct npxc_error *err)
{
	(void)runtime;
	return link != POLICY_LINK_GATEWAY ||
	       error_set(err, ERROR_CONFIG,
	                 "bubblewrap has no networks of its own, so no gateway; set network.link to auto");
}

const struct runtime_driver bwrap_driver = {
	.kind = RUNTIME_BWRAP,
	.word = "bwrap",
	.boundary = "user namespaces and seccomp on the host's kernel (bubblewrap)",
	.cli = "bwrap",
	.makes_links = true,
	.stop = GROUP_STOP_INNER,
	.find = bwrap_find,
	.examine = bwrap_examine,
	.make_start = bwrap_make_start,
	.judge_end = bwrap_judge_start,
	.first_pid = bwrap_first_pid,
	.choose_link = choose_link,
	.check_link = check_link,
};
