#include "session.h"

#include "base/mem.h"
#include "base/proc.h"
#include "teardown/orphans.h"
#include "teardown/sweep.h"

#include <sys/file.h>

enum { MANY = 1000 };

static char *header_of(const char *id)
{
	return str_printf(
	    "{\"lease\":1,\"npxc\":\"0.4.0\",\"id\":\"%s\",\"boot\":\"another\",\"started_at\":1,"
	    "\"started_boot\":1,\"launcher\":{\"pid\":2,\"started\":3},\"janitor\":{\"pid\":2,\"started\":3},"
	    "\"client\":{\"pid\":2,\"started\":3,\"name\":\"\"}}\n",
	    id);
}

/* A dead session's lease, with a directory that it left. */
static void leave(const char *base, const char *id)
{
	char *path = lease_path(base, id), *held = str_printf("%s/npxc-x-%s", base, id);
	char *header = header_of(id);
	char *text = str_printf("%s{\"hold\":{\"id\":1,\"kind\":\"directory\",\"path\":\"%s\"}}\n", header, held);

	assert_int_equal(mkdir(held, 0700), 0);
	write_file(path, text, 0600);
	free(path), free(held), free(header), free(text);
}

static void leave_container(const char *base, const char *id, const char *cli)
{
	char *path = lease_path(base, id);
	char *header = header_of(id);
	char *text = str_printf("%s{\"hold\":{\"id\":1,\"kind\":\"container\",\"cli\":\"%s\",\"runtime\":\"docker\","
	                        "\"name\":\"npxc-x-%s\",\"environment\":[]}}\n",
	                        header, cli, id);

	write_file(path, text, 0600);
	free(path), free(header), free(text);
}

static size_t entries_of(const char *directory)
{
	DIR *stream = opendir(directory);
	size_t count = 0;

	assert_non_null(stream);
	while (readdir(stream) != NULL)
		count++;
	closedir(stream);
	return count - 2;
}

struct counted {
	size_t released, down, kept, alien, ending;
	char *said;
};

static void count(void *context, const struct lease_seen *seen, enum successor_result released, const struct strv *said)
{
	struct counted *counted = context;

	counted->alien += seen->state == LEASE_ALIEN;
	counted->ending += seen->state == LEASE_ENDING;
	if (seen->state != LEASE_DEAD)
		return;
	counted->released += released == SUCCESSOR_RELEASED;
	counted->down += released == SUCCESSOR_UNAVAILABLE;
	counted->kept += released == SUCCESSOR_INCOMPLETE;
	if (said->count > 0) {
		free(counted->said);
		counted->said = str_dup(said->v[0]);
	}
}

static struct counted swept(const char *base)
{
	struct counted counted = { 0 };
	const struct sweep_listener listener = { .on_lease = count, .context = &counted };
	struct npxc_error err = { 0 };

	if (!sweep(base, &listener, &err))
		fail_msg("%s", err.message);
	return counted;
}

static void the_dead_go_and_the_living_stay(void **state)
{
	char *base = make_directory();
	char *live = lease_path(base, "cccccccc"), *future = lease_path(base, "dddddddd");
	struct npxc_error err = { 0 };
	struct counted counted;
	int fd;

	(void)state;
	leave(base, "aaaaaaaa");
	leave(base, "bbbbbbbb");
	leave(base, "cccccccc");
	assert_true(lease_share(live, &fd, &err)); /* somebody's */
	write_file(future, "{\"lease\":99}\n", 0600);
	counted = swept(base);
	assert_int_equal(counted.released, 2);
	assert_int_equal(counted.alien, 1);
	assert_int_equal(counted.down + counted.kept, 0);
	assert_int_equal(entries_of(base), 3); /* the live one's lease and directory, and the future's */
	close(fd);
	counted = swept(base);
	assert_int_equal(counted.released, 1);
	assert_int_equal(entries_of(base), 1);
	assert_true(file_exists(future));
	assert_true(file_remove_tree(base, &err));
	counted = swept(base); /* no directory: nothing to do */
	assert_int_equal(counted.released + counted.alien, 0);
	free(base), free(live), free(future);
}

static void a_janitor_that_is_about_to_end_is_waited_for(void **state)
{
	char *base = make_directory(), *path = lease_path(base, "0123abcd");
	struct lease lease = { .npxc = str_dup("1"), .id = str_dup("0123abcd"), .boot = proc_boot_id() };
	struct npxc_error err = { 0 };
	struct counted counted;
	int start[2], fd;
	char byte;

	(void)state;
	assert_int_equal(pipe(start), 0);
	assert_true(lease_create(path, "", &fd, &err));
	pid_t pid = fork_with_test(); /* holds the lock until it has ended */
	if (pid == 0) {
		if (read(start[0], &byte, 1) == 1)
			poll(NULL, 0, 200);
		_exit(0);
	}
	lease.janitor = lease_process_of(pid);
	char *line = lease_line_header(&lease);
	assert_true(lease_append(fd, line, false, &err));
	close(fd);
	counted = swept(base);
	assert_int_equal(counted.ending, 1);
	assert_int_equal(counted.released, 0);
	assert_int_equal(write(start[1], "", 1), 1);
	counted = swept(base);
	assert_int_equal(counted.ending, 0);
	assert_int_equal(counted.released, 1);
	assert_int_equal(entries_of(base), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(file_remove_tree(base, &err));
	close(start[0]), close(start[1]);
	lease_done(&lease);
	free(base), free(path), free(line);
}

/* What docker says when its daemon is down, and how often it was asked. */
static void a_runtime_that_is_down_is_asked_once(void **state)
{
	char *base = make_directory(), *leases = str_printf("%s/sessions", base), *cli = str_printf("%s/docker", base);
	char *calls = str_printf("%s/calls", base);
	char *text = str_printf(
	    "#!/bin/sh\necho x >>%s\necho 'Cannot connect to the Docker daemon at unix:///x.' >&2\nexit 1\n", calls);
	struct npxc_error err = { 0 };
	struct counted counted;

	(void)state;
	assert_int_equal(mkdir(leases, 0700), 0);
	write_file(cli, text, 0700);
	for (int i = 0; i < 5; i++) {
		char *id = str_printf("aaaaaaa%d", i);

		leave_container(leases, id, cli);
		free(id);
	}
	leave(leases, "bbbbbbbb");
	counted = swept(leases);
	assert_int_equal(counted.down, 5);
	assert_int_equal(counted.released, 1);
	assert_non_null(strstr(counted.said, "could not be asked"));
	char *asked = read_text(calls);
	assert_string_equal(asked, "x\n");
	assert_int_equal(entries_of(leases), 5);

	free(text);
	text = str_printf("#!/bin/sh\necho \"$*\" >>%s\n", calls);
	write_file(cli, text, 0700);
	assert_int_equal(unlink(calls), 0);
	free(counted.said);
	counted = swept(leases);
	assert_int_equal(counted.released, 5);
	assert_int_equal(entries_of(leases), 0);
	free(asked);
	asked = read_text(calls);
	assert_non_null(strstr(asked, "rm -f -v npxc-x-aaaaaaa3\n"));
	assert_true(file_remove_tree(base, &err));
	free(base), free(leases), free(cli), free(calls), free(text), free(asked);
}

static bool all_gone(const char *directory)
{
	int64_t deadline = clock_now_ms() + PATIENCE_MS;

	while (entries_of(directory) > 0) {
		if (clock_now_ms() >= deadline)
			return false;
		poll(NULL, 0, 5);
	}
	return true;
}

static void a_start_does_not_wait_for_the_sweep(void **state)
{
	char *base = make_directory();
	struct npxc_error err = { 0 };
	int ends[2];
	char byte;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		char *id = str_printf("%08x", i);

		leave(base, id);
		free(id);
	}
	assert_int_equal(pipe(ends), 0); /* inheritable, as a client's pipes are */
	/* Somebody sweeps already. */
	int lock = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	sweep_in_background(base);
	assert_int_equal(entries_of(base), 2 * MANY);
	close(lock);

	int64_t began = clock_now_us();
	sweep_in_background(base);
	int64_t took = clock_now_us() - began;
	close(ends[1]);
	/* The end of file comes although the sweep goes on. */
	assert_int_equal(read(ends[0], &byte, 1), 0);
	assert_true(all_gone(base));
	print_message("%d dead leases: the start took %lld us\n", MANY, (long long)took);
	assert_true(all_children_end());

	began = clock_now_us();
	sweep_in_background(base);
	print_message("none: %lld us\n", (long long)(clock_now_us() - began));
	close(ends[0]);
	assert_true(file_remove_tree(base, &err));
	free(base);
}

/* A start that comes while another one's sweep is at it leaves that one what it has seen. */
static void what_dies_during_a_sweep_is_swept_by_it(void **state)
{
	char *base = make_directory(), *leases = str_printf("%s/sessions", base), *cli = str_printf("%s/docker", base);
	char *asked = str_printf("%s/asked", base), *go = str_printf("%s/go", base);
	char *text = str_printf("#!/bin/sh\n[ -e %s ] && exit 0\n: >%s\nread -r line <%s\nexit 0\n", asked, asked, go);
	const int64_t deadline = clock_now_ms() + PATIENCE_MS;
	struct npxc_error err = { 0 };

	(void)state;
	assert_int_equal(mkdir(leases, 0700), 0);
	assert_int_equal(mkfifo(go, 0600), 0);
	write_file(cli, text, 0700);
	leave_container(leases, "bbbbbbbb", cli);
	sweep_in_background(leases);
	while (access(asked, F_OK) == -1) {
		assert_true(clock_now_ms() < deadline);
		poll(NULL, 0, 5);
	}
	leave(leases, "aaaaaaaa");
	leave(leases, "cccccccc");
	sweep_in_background(leases);
	assert_int_equal(entries_of(leases), 5);
	close(open(go, O_WRONLY | O_CLOEXEC));
	assert_true(all_gone(leases));
	assert_true(all_children_end());
	assert_true(file_remove_tree(base, &err));
	free(base), free(leases), free(cli), free(asked), free(go), free(text);
}

/* ---- what has no lease ---- */

static void orphans_are_what_stands_on_no_lease(void **state)
{
	static const char *const NAMES[] = { "npxc-x-00000001", "npxc-x-00000002", "npxc-x-00000003", "npxc-x-0000000",
		                             "other" };
	char *base = make_directory();
	char *future = lease_path(base, "dddddddd"), *script = str_printf("%s/podman", base);
	struct npxc_error err = { 0 };
	struct orphans orphans;
	struct strv unasked = { 0 };
	size_t directories = 0, containers = 0, networks = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		char *path = str_printf("%s/%s", base, NAMES[i]);

		assert_int_equal(mkdir(path, 0700), 0);
		free(path);
	}
	char *first = lease_path(base, "00000001"), *header = header_of("00000001");
	char *text = str_printf("%s{\"hold\":{\"id\":1,\"kind\":\"directory\",\"path\":\"%s/npxc-x-00000001\"}}\n",
	                        header, base);
	write_file(first, text, 0600);
	write_file(future, "{\"lease\":99,\"has\":\"npxc-x-00000002\"}\n", 0600);
	write_file(script,
	           "#!/bin/sh\ncase $1 in\n"
	           "ps) printf '%s\\n' npxc-x-00000001 npxc-x-00000009 database npxc-strange;;\n"
	           "network) printf '%s\\n' podman npxc-00112233445546778899aabbccddeeff npxc-x;;\n"
	           "esac\n",
	           0700);
	const struct runtime runtimes[] = { { .kind = RUNTIME_PODMAN, .cli = script },
		                            { .kind = RUNTIME_DOCKER, .cli = future } };
	assert_true(orphans_find(base, runtimes, 2, &orphans, &unasked, &err));
	for (size_t i = 0; i < orphans.count; i++) {
		const struct orphan *one = &orphans.v[i];

		directories += one->kind == RESOURCE_DIRECTORY && orphans_is_called(one, "npxc-x-00000003");
		containers += one->kind == RESOURCE_CONTAINER && orphans_is_called(one, "npxc-x-00000009");
		networks +=
		    one->kind == RESOURCE_NETWORK && orphans_is_called(one, "npxc-00112233445546778899aabbccddeeff");
	}
	assert_int_equal(directories, 1);
	assert_int_equal(containers, 1);
	assert_int_equal(networks, 1);
	size_t cgroups = 0; /* of sessions that run on this machine meanwhile, whose leases lie elsewhere */
	for (size_t i = 0; i < orphans.count; i++)
		cgroups += orphans.v[i].kind == RESOURCE_CGROUP;
	assert_int_equal(orphans.count, 3 + cgroups);
	assert_int_equal(unasked.count, 1);
	assert_non_null(strstr(unasked.v[0], "docker"));
	char *of = orphans_lease_of(base, "npxc-x-00000001");
	assert_string_equal(of, "00000001.lease");
	free(of);
	of = orphans_lease_of(base, "npxc-x-00000002");
	assert_string_equal(of, "dddddddd.lease");
	free(of);
	assert_null(orphans_lease_of(base, "npxc-x-00000003"));
	assert_true(orphans_is_name("npxc-x-00000003"));
	assert_true(orphans_is_name("npxc-00112233445546778899aabbccddeeff"));
	assert_false(orphans_is_name("database"));
	assert_false(orphans_is_name("/tmp/npxc-x-00000003"));

	const struct orphan *chosen[1] = { 0 };
	for (size_t i = 0; i < orphans.count; i++)
		if (orphans_is_called(&orphans.v[i], "npxc-x-00000003"))
			chosen[0] = &orphans.v[i];
	assert_true(orphans_remove(base, runtimes, 2, chosen, 1, &err));
	assert_false(file_exists(chosen[0]->name));
	assert_true(all_children_end());
	orphans_done(&orphans);
	strv_done(&unasked);
	assert_true(file_remove_tree(base, &err));
	free(base), free(future), free(script), free(first), free(header), free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_dead_go_and_the_living_stay),
		cmocka_unit_test(a_janitor_that_is_about_to_end_is_waited_for),
		cmocka_unit_test(a_runtime_that_is_down_is_asked_once),
		cmocka_unit_test(a_start_does_not_wait_for_the_sweep),
		cmocka_unit_test(what_dies_during_a_sweep_is_swept_by_it),
		cmocka_unit_test(orphans_are_what_stands_on_no_lease),
	};
	return cmocka_run_group_tests(tests, adopt_orphans, NULL);
}
