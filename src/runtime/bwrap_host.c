#include "runtime/bwrap.h"

#include "base/mem.h"

#include <stdlib.h>

/* The part of the driver that looks at this machine. */

#ifdef __linux__

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/proc.h"
#include "base/userns.h"
#include "contain/cgroup.h"
#include "contain/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char install_advice[] = "install it: apt-get install bubblewrap, dnf install bubblewrap or the like";

/*
 * What of the host's /etc a program needs to start, to load libraries, to speak TLS and to tell the time. Nothing here
 * is secret, and directories that hold private keys (/etc/ssl/private, /etc/pki/tls/private) are passed over.
 * resolv.conf and hosts come with the network; passwd and group are npxc's own.
 */
static const char *const etc_entries[] = {
	"/etc/ld.so.cache",
	"/etc/ld.so.conf",
	"/etc/ld.so.conf.d",
	"/etc/ssl/certs",
	"/etc/ssl/cert.pem",
	"/etc/ssl/openssl.cnf",
	"/etc/ca-certificates",
	"/etc/pki/ca-trust",
	"/etc/pki/tls/certs",
	"/etc/pki/tls/cert.pem",
	"/etc/pki/tls/openssl.cnf",
	"/etc/crypto-policies",
	"/etc/alternatives",
	"/etc/localtime",
	"/etc/nsswitch.conf",
	"/etc/protocols",
	"/etc/services",
	"/etc/mime.types",
	"/etc/fonts",
	"/etc/os-release",
};

/* On a merged-usr system these are symlinks into /usr, elsewhere directories. */
static const char *const root_entries[] = { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };

/*
 * A symlink into /usr is made anew as it is (ICU reads the zone's name from where /etc/localtime points), anything else
 * that is there is mounted under its name; bubblewrap follows other symlinks.
 */
static void add_entry(struct runtime *runtime, const char *path)
{
	char to[PATH_MAX];
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	if (n > 0) {
		mem_cleanup char *parent = str_path_join(path, "..");
		mem_cleanup char *lands = NULL;

		to[n] = '\0';
		lands = str_path_join(parent, to);
		if (str_path_within(lands, "/usr") && strchr(to, '=') == NULL) {
			strv_pushf(&runtime->system_links, "%s=%s", to, path);
			return;
		}
	}
	if (file_exists(path))
		strv_push(&runtime->system_mounts, path);
}

/*
 * /usr holds programs and what they need, and on some systems more. Configuration for all users is hidden as that of
 * /etc is: npm's global one may hold a registry's token, git's a password in an address.
 */
static const char *const hidden_entries[] = { "/usr/etc", "/usr/local/etc" };

/* Where package managers look beside their own program, in each of these; and what they and others look for there. */
static const char *const credential_places[] = {
	"/usr",
	"/usr/local",
	"/usr/share",
	"/usr/local/share",
	"/usr/lib/node_modules",
	"/usr/lib/node_modules/npm",
	"/usr/local/lib/node_modules",
	"/usr/local/lib/node_modules/npm",
	"/usr/share/nodejs/npm",
	"/usr/share/npm",
};
static const char *const credential_files[] = { "npmrc",  ".npmrc",     ".yarnrc",          ".yarnrc.yml",
	                                        ".netrc", ".gitconfig", ".git-credentials", ".pypirc" };

_Static_assert(sizeof(credential_places) / sizeof(credential_places[0]) *
                       (sizeof(credential_files) / sizeof(credential_files[0])) <=
                   LIMIT_SYSTEM_MASKS,
               "each of them has a descriptor");

/* The real path of something that the sandbox has because it lies in /usr; owned, NULL for everything else. */
static char *real_in_usr(const char *path)
{
	struct npxc_error ignored;
	char *real = NULL;

	if (!file_real_path(path, &real, &ignored) || !str_path_within(real, "/usr")) {
		free(real);
		return NULL;
	}
	return real;
}

static void add_mask(struct runtime *runtime, const char *path)
{
	mem_cleanup char *real = real_in_usr(path);

	if (real != NULL && file_is_regular(real) && !bwrap_is_hidden(runtime, real) &&
	    !strv_contains(&runtime->system_masks, real))
		strv_push(&runtime->system_masks, real);
}

/* What of a hidden directory is public, as in /etc: some systems keep it there. */
static void add_public(struct runtime *runtime, const char *directory)
{
	for (size_t i = 0; i < sizeof(etc_entries) / sizeof(etc_entries[0]); i++) {
		mem_cleanup char *path = str_path_join(directory, etc_entries[i] + strlen("/etc/"));
		mem_cleanup char *real = real_in_usr(path);

		if (str_equal(real, path))
			strv_push(&runtime->system_mounts, path);
	}
}

static void look_for_credentials(struct runtime *runtime)
{
	for (size_t i = 0; i < sizeof(hidden_entries) / sizeof(hidden_entries[0]); i++) {
		mem_cleanup char *real = real_in_usr(hidden_entries[i]);

		if (real == NULL || !file_is_directory(real) || bwrap_is_hidden(runtime, real))
			continue;
		strv_push(&runtime->system_hidden, real);
		add_public(runtime, real);
	}
	for (size_t i = 0; i < sizeof(credential_places) / sizeof(credential_places[0]); i++) {
		for (size_t k = 0; k < sizeof(credential_files) / sizeof(credential_files[0]); k++) {
			mem_cleanup char *path = str_printf("%s/%s", credential_places[i], credential_files[k]);

			if (file_exists(path))
				add_mask(runtime, path);
		}
	}
}

static void look_at_system(struct runtime *runtime)
{
	add_entry(runtime, "/usr");
	for (size_t i = 0; i < sizeof(root_entries) / sizeof(root_entries[0]); i++)
		add_entry(runtime, root_entries[i]);
	for (size_t i = 0; i < sizeof(etc_entries) / sizeof(etc_entries[0]); i++)
		add_entry(runtime, etc_entries[i]);
	look_for_credentials(runtime);
}

/* A program of 70 KiB; what is many times larger is another one. */
static bool knows_descriptors(const char *cli)
{
	struct buf program BUF_CLEANUP = BUF_INIT(4 * MIB);
	struct npxc_error ignored = { 0 };

	return file_read(cli, &program, &ignored) && program.data != NULL &&
	       bwrap_knows_descriptors(program.data, program.length);
}

bool bwrap_find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                struct runtime *ret_runtime, struct npxc_error *err)
{
	const char *name = str_is_empty(cli_name) ? driver->cli : cli_name;
	struct runtime runtime = { .kind = driver->kind, .is_root = geteuid() == 0, .uid = 1000, .gid = 1000 };
	struct npxc_error why = { 0 };
	struct buf filter = BUF_INIT(0);
	mem_cleanup char *cli = NULL;

	if (!file_find_program(name, path_variable != NULL ? path_variable : "", &cli, &why))
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "bubblewrap (%s) is not on PATH; %s", name,
		                 install_advice);
	if (cli[0] != '/')
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "%s is not an absolute path", cli);
	if (!seccomp_program(&filter, err))
		return false;
	runtime.binds_descriptors = knows_descriptors(cli);
	/* Package managers link it; whoever looks whether another user may reach it follows no link. */
	if (!file_real_path(cli, &runtime.cli, &why))
		runtime.cli = MEM_TAKE(cli);
	runtime.filter_bytes = filter.length;
	runtime.filter = buf_take(&filter);
	if (geteuid() != 0)
		runtime.uid = (unsigned)geteuid();
	if (getegid() != 0)
		runtime.gid = (unsigned)getegid();
	look_at_system(&runtime);
	*ret_runtime = runtime;
	return true;
}

/* ---- what refuses user namespaces ---- */

static const struct refusal {
	const char *path, *name;
	const char *value; /* with which it refuses */
	const char *fix;
} REFUSALS[] = {
	{ "/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", "0",
	  "sysctl -w user.max_user_namespaces=10000" },
	{ "/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", "0",
	  "sysctl -w kernel.unprivileged_userns_clone=1" },
	{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "kernel.apparmor_restrict_unprivileged_userns", "1",
	  "load AppArmor's profile for bwrap: apt-get install apparmor-profiles; cp "
	  "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/; apparmor_parser -r "
	  "/etc/apparmor.d/bwrap-userns-restrict" },
};
enum { REFUSAL_COUNT = sizeof(REFUSALS) / sizeof(REFUSALS[0]) };

/* Owned; NULL: this kernel has no such setting. */
static char *setting(const struct refusal *refusal)
{
	struct buf text BUF_CLEANUP = BUF_INIT(64);
	struct npxc_error ignored = { 0 };

	if (!file_exists(refusal->path) || !file_read(refusal->path, &text, &ignored) || text.data == NULL)
		return NULL;
	return str_dup(str_trim(text.data));
}

/* The setting that refuses, or NULL. */
static const struct refusal *find_refusal(void)
{
	for (size_t i = 0; i < REFUSAL_COUNT; i++) {
		mem_cleanup char *value = setting(&REFUSALS[i]);

		if (str_equal(value, REFUSALS[i].value))
			return &REFUSALS[i];
	}
	return NULL;
}

/* In a child: AppArmor lets a namespace be made, in which nothing may be done then. */
static bool may_use_namespaces(bool drop)
{
	if (drop && (setgroups(0, NULL) != 0 || setresgid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) != 0 ||
	             setresuid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) != 0))
		return true; /* nothing is known then */
	return userns_enter(CLONE_NEWNS) == NULL && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Asks the kernel, in a process that ends then. */
static bool refuses_namespaces(bool drop)
{
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0)
		_exit(may_use_namespaces(drop) ? 0 : 1);
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

bool bwrap_judge_start(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                       const char *errors, int *ret_status, struct npxc_error *err)
{
	struct npxc_error why = { 0 };

	if (bwrap_judge_end(runtime, exit_status, term_signal, status_text, errors, ret_status, &why))
		return true;
	*err = why;
	if (term_signal != 0 || !refuses_namespaces(runtime->is_root))
		return false;
	const struct refusal *refusal = find_refusal();
	mem_cleanup char *line = str_dup_n(errors == NULL ? "" : errors, strcspn(errors == NULL ? "" : errors, "\n"));
	mem_cleanup char *shown = str_escape(line, strnlen(line, 160));
	if (refusal != NULL)
		return error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		                 "bubblewrap may not make user namespaces here (%s): %s = %s; as root: %s", shown,
		                 refusal->name, refusal->value, refusal->fix);
	return error_set(
	    err, ERROR_RUNTIME_UNAVAILABLE,
	    "bubblewrap may not make user namespaces here (%s): the kernel or the container that this runs in "
	    "refuses them; allow them there, or use another runtime",
	    shown);
}

/* ---- doctor ---- */

static void add_finding(struct runtime_findings *findings, bool ok, char *owned_what, const char *fix)
{
	findings->v = mem_realloc(findings->v, findings->count + 1, sizeof(*findings->v));
	findings->v[findings->count++] = (struct runtime_finding){
		.ok = ok,
		.what = owned_what,
		.fix = ok ? NULL : str_dup(fix),
	};
}

/* A trial hides no sockets. Higher numbers may be more than `ulimit -n` allows. */
enum { ABOVE_TARGETS = BWRAP_FD_MASKS + LIMIT_SYSTEM_MASKS };

/* A sandbox that is started only to see whether it starts. */
struct trial {
	const struct runtime_start *start;
	int *data_fds; /* of its data, in its order; like the next above every target, so that none is overwritten */
	int status_fd;
};

static bool trial_prepare(const void *context)
{
	const struct trial *trial = context;
	const struct runtime_start *start = trial->start;

	for (size_t i = 0; i < start->data_count; i++)
		if (dup2(trial->data_fds[i], start->data[i].fd) == -1)
			return false;
	if (start->status_fd != -1 && dup2(trial->status_fd, start->status_fd) == -1)
		return false;
	return !start->drop_to_uid ||
	       (setgroups(0, NULL) == 0 && setresgid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) == 0 &&
	        setresuid(SANDBOX_DROP_UID, SANDBOX_DROP_UID, SANDBOX_DROP_UID) == 0);
}

static bool raise_fd(int *fd, struct npxc_error *err)
{
	int above = fcntl(*fd, F_DUPFD_CLOEXEC, ABOVE_TARGETS);

	if (above == -1)
		return error_set_errno(err, ERROR_IO, "duplicate a descriptor");
	fd_close(fd);
	*fd = above;
	return true;
}

static bool open_data(const struct runtime_start *start, int *fds, struct npxc_error *err)
{
	for (size_t i = 0; i < start->data_count; i++)
		if (!fd_of_data(start->data[i].bytes, start->data[i].length, &fds[i], err) || !raise_fd(&fds[i], err))
			return false;
	return true;
}

/* `trial` NULL: a plain call. */
static bool run(struct strv *argv, struct strv *environment, const struct trial *trial, struct proc_result *ret_result,
                struct npxc_error *err)
{
	const struct proc_command command = {
		.argv = strv_argv(argv),
		.environment = strv_argv(environment),
		.timeout_ms = LIMIT_CLI_MS,
		.max_output_bytes = 64 * KIB,
		.prepare = trial != NULL ? trial_prepare : NULL,
		.prepare_context = trial,
		.placed_below = trial != NULL ? ABOVE_TARGETS : 0,
	};

	return proc_run(&command, ret_result, err);
}

/* Runs it to its end. What comes through the status pipe is a few hundred bytes: they wait in it. */
static bool run_trial(struct runtime_start *start, struct proc_result *ret_result, struct buf *status,
                      struct npxc_error *err)
{
	int ends[2] = { -1, -1 };
	struct trial trial = { .start = start,
		               .data_fds = mem_alloc((start->data_count + 1) * sizeof(*trial.data_fds)) };
	bool ok;

	for (size_t i = 0; i < start->data_count; i++)
		trial.data_fds[i] = -1;
	ok = fd_pipe(ends, err) && raise_fd(&ends[1], err) && open_data(start, trial.data_fds, err);
	trial.status_fd = ends[1];
	ok = ok && run(&start->argv, &start->env, &trial, ret_result, err);
	fd_close(&ends[1]);
	if (ok && !fd_read_all(ends[0], status, err)) {
		proc_result_done(ret_result);
		ok = false;
	}
	fd_close(&ends[0]);
	for (size_t i = 0; i < start->data_count; i++)
		fd_close(&trial.data_fds[i]);
	free(trial.data_fds);
	return ok;
}

static void examine_version(const struct runtime *runtime, struct runtime_findings *findings)
{
	struct strv argv = { 0 };
	struct strv environment = { 0 };
	struct proc_result result;
	struct npxc_error err = { 0 };
	unsigned major = 0;
	unsigned minor = 0;

	strv_push(&argv, runtime->cli);
	strv_push(&argv, "--version");
	if (!run(&argv, &environment, NULL, &result, &err)) {
		add_finding(findings, false, str_printf("%s --version: %s", runtime->cli, err.message), install_advice);
	} else {
		const char *said = result.output.length != 0 ? result.output.data : result.errors.data;
		mem_cleanup char *shown = str_escape(said, strcspn(said, "\n"));

		const bool known = sscanf(shown, "bubblewrap %u.%u", &major, &minor) == 2;
		add_finding(findings, known && (major > 0 || minor >= 8),
		            str_printf("%s says \"%s\" (0.8.0 or later is needed)", runtime->cli, shown),
		            "install bubblewrap 0.8.0 or later");
		proc_result_done(&result);
	}
	strv_done(&argv);
	strv_done(&environment);
}

/* The same start as a server's, with `true` for the server. */
static bool try_sandbox(const struct runtime *runtime, struct npxc_error *err)
{
	struct launch launch = { .network = LAUNCH_NETWORK_NONE };
	struct runtime_start start = { .status_fd = -1 };
	struct buf said BUF_CLEANUP = BUF_INIT(64 * KIB);
	struct proc_result result;
	int status = 0;
	bool ok;

	launch.home = str_dup("/home/npxc");
	launch.directory = str_dup("/tmp");
	strv_push(&launch.command, "true");
	ok = bwrap_make_start(runtime, &launch, &start, err) && run_trial(&start, &result, &said, err);
	if (ok) {
		ok = bwrap_judge_start(runtime, result.exit_status, result.signal, said.data != NULL ? said.data : "",
		                       result.errors.data, &status, err);
		proc_result_done(&result);
	}
	if (ok && status != 0)
		ok = error_set(err, ERROR_RUNTIME, "\"true\" ended with status %d inside a sandbox", status);
	runtime_start_done(&start);
	launch_done(&launch);
	return ok;
}

static void examine_namespaces(bool works, struct runtime_findings *findings)
{
	for (size_t i = 0; i < REFUSAL_COUNT; i++) {
		mem_cleanup char *value = setting(&REFUSALS[i]);

		/* One that this kernel does not have is no finding. Where a profile or root's rights allow what a
		 * setting refuses, that does no harm. */
		if (value != NULL)
			add_finding(findings, works || strcmp(value, REFUSALS[i].value) != 0,
			            str_printf("%s = %s", REFUSALS[i].name, value), REFUSALS[i].fix);
	}
}

/* Whether limits of memory, processors and processes could be set for a sandbox started now. */
static void examine_limits(struct runtime_findings *findings)
{
	const struct cgroup_limits limits = { .memory_bytes = 512 * MIB,
		                              .cpu_millis = 1000,
		                              .pids = LIMIT_SANDBOX_PIDS };
	struct cgroup_plan plan;
	mem_cleanup char *text = NULL;

	cgroup_plan_make("npxc-doctor", &plan);
	text = cgroup_text(&plan, &limits);
	/* A start without them is no failure: it is told there too. */
	add_finding(
	    findings, plan.memory && plan.cpu && plan.pids, str_printf("limits: %s", text),
	    "with cgroup v2, start npxc in a systemd user session (systemd-run --user --scope npxc ...); with v1 "
	    "only root can limit");
	runtime_note_last(findings);
	cgroup_plan_done(&plan);
}

void bwrap_examine(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                   const char *image, struct runtime_findings *ret_findings)
{
	struct runtime_findings findings = { 0 };
	struct runtime runtime = { .kind = driver->kind };
	struct npxc_error err = { 0 };

	(void)image;
	if (!bwrap_find(driver, cli_name, path_variable, &runtime, &err)) {
		add_finding(&findings, false, str_dup(err.message), install_advice);
	} else {
		bool works;

		add_finding(&findings, true, str_printf("bubblewrap is %s", runtime.cli), NULL);
		examine_version(&runtime, &findings);
		works = try_sandbox(&runtime, &err);
		add_finding(&findings, works,
		            works ? str_dup("a sandbox with all its namespaces starts") : str_dup(err.message),
		            err.kind == ERROR_RUNTIME_UNAVAILABLE
		                ? "allow unprivileged user namespaces (a line below says which setting refuses them, "
		                  "if one does)"
		                : "mend what it says, or use another runtime (npxc doctor --runtime podman)");
		examine_namespaces(works, &findings);
		examine_limits(&findings);
		runtime_done(&runtime);
	}
	*ret_findings = findings;
}

#else

bool bwrap_find(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                struct runtime *ret_runtime, struct npxc_error *err)
{
	(void)driver;
	(void)cli_name;
	(void)path_variable;
	(void)ret_runtime;
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "bubblewrap exists on Linux only; use apple");
}

bool bwrap_judge_start(const struct runtime *runtime, int exit_status, int term_signal, const char *status_text,
                       const char *errors, int *ret_status, struct npxc_error *err)
{
	return bwrap_judge_end(runtime, exit_status, term_signal, status_text, errors, ret_status, err);
}

void bwrap_examine(const struct runtime_driver *driver, const char *cli_name, const char *path_variable,
                   const char *image, struct runtime_findings *ret_findings)
{
	(void)driver;
	(void)cli_name;
	(void)path_variable;
	(void)image;
	*ret_findings = (struct runtime_findings){ .v = mem_alloc(sizeof(*ret_findings->v)), .count = 1 };
	ret_findings->v[0].what = str_dup("bubblewrap exists on Linux only");
	ret_findings->v[0].fix = str_dup("use the runtime apple");
}

#endif
