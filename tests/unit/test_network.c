#include "unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "network/network.h"
#include "runtime/driver.h"
#include "runtime/errors.h"
#include "runtime/podman.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES "fixtures/apple-container"
#define MANAGED "npxc-0123456789ab4def8123456789abcdef"

static char *fixture(const char *version, const char *name)
{
	mem_cleanup char *path = str_printf(FIXTURES "/%s/%s", version, name);
	struct buf bytes = BUF_INIT(MIB);
	struct npxc_error err = { 0 };

	if (!file_read(path, &bytes, &err))
		fail_msg("%s", err.message);
	return buf_take(&bytes);
}

/* ---- names and policies ---- */

static void names_are_random_uuids(void **state)
{
	enum { COUNT = 1000 };
	char *names[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		names[i] = network_new_name();
		assert_int_equal(strlen(names[i]), NETWORK_NAME_BYTES);
		assert_true(network_is_managed_name(names[i]));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	}
	for (size_t i = 0; i < COUNT; i++)
		free(names[i]);
}

static void names_that_are_not_ours(void **state)
{
	static const char *const cases[] = {
		"",
		"default",
		"npxc-",
		"podman",
		"<network>",
		"npxc-0123456789ab4def8123456789abcde",   /* short */
		"npxc-0123456789ab4def8123456789abcdef0", /* long */
		"npxc-0123456789AB4DEF8123456789ABCDEF",  /* capitals */
		"npxc-0123456789ab1def8123456789abcdef",  /* version 1 */
		"npxc-0123456789ab4def0123456789abcdef",  /* no variant 1 */
		"npxd-0123456789ab4def8123456789abcdef",  /* another prefix */
		"npxc-0123456789ab4def8123456789abcde/",
	};

	(void)state;
	assert_true(network_is_managed_name(MANAGED));
	assert_false(network_is_managed_name(NULL));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (network_is_managed_name(cases[i]))
			fail_msg("\"%s\"", cases[i]);
}

static void policies_that_a_runtime_can_keep(void **state)
{
	static const struct {
		enum runtime_kind kind;
		bool is_root;
		enum policy_kind policy;
		enum policy_link link;
		const char *refusal;
	} cases[] = {
		{ RUNTIME_APPLE, false, POLICY_NONE, POLICY_LINK_AUTO, NULL },
		{ RUNTIME_PODMAN, false, POLICY_NONE, POLICY_LINK_AUTO, NULL },
		{ RUNTIME_PODMAN, false, POLICY_NAMED, POLICY_LINK_AUTO, NULL },
		{ RUNTIME_PODMAN, false, POLICY_OPEN, POLICY_LINK_GATEWAY, NULL },
		{ RUNTIME_BWRAP, false, POLICY_OPEN, POLICY_LINK_AUTO, NULL },
		{ RUNTIME_APPLE, false, POLICY_ALLOWLIST, POLICY_LINK_GATEWAY, NULL },
		{ RUNTIME_DOCKER, false, POLICY_ALLOWLIST, POLICY_LINK_GATEWAY, NULL },
		{ RUNTIME_PODMAN, true, POLICY_ALLOWLIST, POLICY_LINK_GATEWAY, NULL },
		{ RUNTIME_PODMAN, false, POLICY_ALLOWLIST, POLICY_LINK_GATEWAY, "rootless podman" },
		{ RUNTIME_PODMAN, false, POLICY_ALLOWLIST, POLICY_LINK_SOCKET, NULL },
		{ RUNTIME_DOCKER, false, POLICY_ALLOWLIST, POLICY_LINK_SOCKET, NULL },
		{ RUNTIME_BWRAP, false, POLICY_ALLOWLIST, POLICY_LINK_SOCKET, NULL },
		{ RUNTIME_BWRAP, true, POLICY_ALLOWLIST, POLICY_LINK_NETNS, NULL },
		{ RUNTIME_APPLE, false, POLICY_ALLOWLIST, POLICY_LINK_SOCKET, "needs Apple container 1.1.0" },
		{ RUNTIME_APPLE, false, POLICY_ALLOWLIST, POLICY_LINK_NETNS, "is bubblewrap's" },
		{ RUNTIME_PODMAN, true, POLICY_ALLOWLIST, POLICY_LINK_NETNS, "is bubblewrap's" },
		{ RUNTIME_DOCKER, true, POLICY_ALLOWLIST, POLICY_LINK_NETNS, "is bubblewrap's" },
		{ RUNTIME_BWRAP, true, POLICY_ALLOWLIST, POLICY_LINK_GATEWAY, "no networks of its own" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char version[] = "1.0.0";
		struct runtime runtime = {
			.kind = cases[i].kind, .is_root = cases[i].is_root, .version = version, .number = { 1, 0, 0 }
		};
		struct policy policy = { .kind = cases[i].policy, .link = cases[i].link };
		struct npxc_error err = { 0 };

		if (network_check_policy(&runtime, &policy, &err) != (cases[i].refusal == NULL))
			fail_msg("case %zu: %s", i, err.message);
		if (cases[i].refusal == NULL)
			continue;
		assert_int_equal(err.kind, ERROR_CONFIG);
		assert_non_null(strstr(err.message, cases[i].refusal));
	}
}

static void links_that_auto_chooses(void **state)
{
	static const struct {
		enum runtime_kind kind;
		unsigned minor; /* of version 1 */
		bool restricted, seen;
		enum policy_kind policy;
		enum policy_link link, chosen;
		const char *why;
	} cases[] = {
		{ RUNTIME_BWRAP, 0, false, false, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_NETNS,
		  "no code inside" },
		{ RUNTIME_BWRAP, 0, true, false, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_SOCKET,
		  "no capabilities" },
		{ RUNTIME_PODMAN, 0, false, false, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_SOCKET,
		  "no network" },
		{ RUNTIME_DOCKER, 0, false, false, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_SOCKET,
		  "no network" },
		{ RUNTIME_APPLE, 0, false, false, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_GATEWAY, "1.1.0" },
		{ RUNTIME_APPLE, 0, false, true, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_GATEWAY, "1.1.0" },
		{ RUNTIME_APPLE, 1, false, false, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_GATEWAY,
		  "doctor --probe" },
		{ RUNTIME_APPLE, 1, false, true, POLICY_ALLOWLIST, POLICY_LINK_AUTO, POLICY_LINK_SOCKET,
		  "seen it work" },
		{ RUNTIME_BWRAP, 0, true, false, POLICY_ALLOWLIST, POLICY_LINK_NETNS, POLICY_LINK_NETNS, NULL },
		{ RUNTIME_APPLE, 1, false, true, POLICY_ALLOWLIST, POLICY_LINK_GATEWAY, POLICY_LINK_GATEWAY, NULL },
		{ RUNTIME_BWRAP, 0, false, false, POLICY_NONE, POLICY_LINK_AUTO, POLICY_LINK_AUTO, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runtime runtime = { .kind = cases[i].kind, .number = { 1, cases[i].minor, 0 } };
		struct policy policy = { .kind = cases[i].policy, .link = cases[i].link };
		const char *why = "untouched";

		network_choose_link(&runtime, cases[i].restricted, cases[i].seen, &policy, &why);
		if (policy.link != cases[i].chosen || (why == NULL) != (cases[i].why == NULL) ||
		    (why != NULL && strstr(why, cases[i].why) == NULL))
			fail_msg("case %zu: %s, %s", i, policy_link_word(policy.link), why);
	}
}

/* ---- reading inspect ---- */

static void every_released_shape_of_apple(void **state)
{
	static const struct {
		const char *version;
		enum network_mode mode;
	} cases[] = {
		{ "0.6.0", NETWORK_MODE_OTHER },      { "0.9.0", NETWORK_MODE_HOST_ONLY },
		{ "0.12.3", NETWORK_MODE_HOST_ONLY }, { "1.0.0", NETWORK_MODE_HOST_ONLY },
		{ "1.2.2", NETWORK_MODE_HOST_ONLY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *text = fixture(cases[i].version, "network-inspect.json");
		struct npxc_error err = { 0 };
		struct network network;

		if (!network_parse(RUNTIME_APPLE, text, strlen(text), &network, &err))
			fail_msg("%s: %s", cases[i].version, err.message);
		assert_string_equal(network.subnet, "192.168.128.0/24");
		assert_string_equal(network.gateway, "192.168.128.1");
		assert_int_equal(network.mode, cases[i].mode);
		network_done(&network);
	}
}

static void other_shapes_that_are_read(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *text, *subnet, *gateway;
		enum network_mode mode;
	} cases[] = {
		{ RUNTIME_APPLE, "[{\"status\":{\"ipv4Subnet\":\"10.0.0.0/8\",\"ipv4Gateway\":\"10.9.8.7\"}}]",
		  "10.0.0.0/8", "10.9.8.7", NETWORK_MODE_UNKNOWN },
		/* a gateway may be absent on a host-only network (a change proposed after 1.2.2) */
		{ RUNTIME_APPLE,
		  "[{\"configuration\":{\"mode\":\"hostOnly\"},\"status\":{\"ipv4Subnet\":\"192.168.128.0\\/24\"}}]",
		  "192.168.128.0/24", "192.168.128.1", NETWORK_MODE_HOST_ONLY },
		{ RUNTIME_APPLE,
		  "[{\"config\":{\"mode\":\"hostOnly\"},\"status\":{\"address\":\"192.168.65.128/25\"}}]",
		  "192.168.65.128/25", "192.168.65.129", NETWORK_MODE_HOST_ONLY },
		/* both generations of keys at once: the newer ones */
		{ RUNTIME_APPLE,
		  "[{\"status\":{\"address\":\"1.0.0.0/8\",\"gateway\":\"1.0.0.1\",\"ipv4Subnet\":\"2.0.0.0/8\","
		  "\"ipv4Gateway\":\"2.0.0.1\"}}]",
		  "2.0.0.0/8", "2.0.0.1", NETWORK_MODE_UNKNOWN },
		/* the first element counts */
		{ RUNTIME_APPLE,
		  "[{\"status\":{\"ipv4Subnet\":\"10.1.0.0/16\",\"ipv4Gateway\":\"10.1.0.1\"}},"
		  "{\"status\":{\"ipv4Subnet\":\"10.2.0.0/16\",\"ipv4Gateway\":\"10.2.0.1\"}}]",
		  "10.1.0.0/16", "10.1.0.1", NETWORK_MODE_UNKNOWN },
		{ RUNTIME_PODMAN,
		  "[\n {\n  \"name\": \"n\",\n  \"id\": \"0\",\n  \"driver\": \"bridge\",\n  \"network_interface\": "
		  "\"podman1\",\n  \"created\": \"2026-01-01T00:00:00Z\",\n  \"subnets\": [\n   {\n    \"subnet\": "
		  "\"10.89.0.0/24\",\n    \"gateway\": \"10.89.0.1\"\n   }\n  ],\n  \"ipv6_enabled\": false,\n  "
		  "\"internal\": true,\n  \"dns_enabled\": false,\n  \"ipam_options\": {\n   \"driver\": "
		  "\"host-local\"\n  }\n }\n]\n",
		  "10.89.0.0/24", "10.89.0.1", NETWORK_MODE_HOST_ONLY },
		{ RUNTIME_PODMAN,
		  "[{\"subnets\":[{\"subnet\":\"fd00::/64\",\"gateway\":\"fd00::1\"},{\"subnet\":\"10.89.1.0/24\","
		  "\"gateway\":\"10.89.1.1\"}],\"internal\":true}]",
		  "10.89.1.0/24", "10.89.1.1", NETWORK_MODE_HOST_ONLY },
		{ RUNTIME_PODMAN,
		  "[{\"subnets\":[{\"subnet\":\"10.88.0.0/16\",\"gateway\":\"10.88.0.1\"}],\"internal\":false}]",
		  "10.88.0.0/16", "10.88.0.1", NETWORK_MODE_OTHER },
		{ RUNTIME_DOCKER,
		  "[{\"Name\":\"n\",\"Internal\":true,\"IPAM\":{\"Driver\":\"default\",\"Options\":{},\"Config\":"
		  "[{\"Subnet\":\"172.18.0.0/16\",\"Gateway\":\"172.18.0.1\"}]}}]",
		  "172.18.0.0/16", "172.18.0.1", NETWORK_MODE_HOST_ONLY },
		{ RUNTIME_DOCKER,
		  "[{\"Internal\":true,\"IPAM\":{\"Config\":[{\"Subnet\":\"172.18.0.0/16\",\"Gateway\":"
		  "\"172.18.0.1/16\"}]}}]",
		  "172.18.0.0/16", "172.18.0.1", NETWORK_MODE_HOST_ONLY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct network network;

		if (!network_parse(cases[i].kind, cases[i].text, strlen(cases[i].text), &network, &err))
			fail_msg("case %zu: %s", i, err.message);
		assert_string_equal(network.subnet, cases[i].subnet);
		assert_string_equal(network.gateway, cases[i].gateway);
		assert_int_equal(network.mode, cases[i].mode);
		assert_null(network.name);
		network_done(&network);
	}
}

#define STATUS(fields) "[{\"config\":{\"mode\":\"hostOnly\"},\"status\":{" fields "}}]"

static void inspect_output_that_is_refused(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *text;
		enum npxc_error_kind error;
		const char *why;
	} cases[] = {
		{ RUNTIME_APPLE, "[]", ERROR_RUNTIME, "empty `network inspect` output" },
		{ RUNTIME_APPLE, "[\n\n]\n", ERROR_RUNTIME, "empty `network inspect` output" },
		{ RUNTIME_PODMAN, "[]\n", ERROR_RUNTIME, "empty `network inspect` output" },
		{ RUNTIME_DOCKER, "[]\n", ERROR_RUNTIME, "empty `network inspect` output" },
		{ RUNTIME_APPLE, "", ERROR_JSON, "is not JSON" },
		{ RUNTIME_APPLE, "not json", ERROR_JSON, "not json" },
		{ RUNTIME_APPLE, "[{\"status\":{\"ipv4Subnet\":\"10.0.0.0/8\"", ERROR_JSON, "is not JSON" },
		{ RUNTIME_APPLE, "[] trailing", ERROR_JSON, "is not JSON" },
		{ RUNTIME_APPLE, "{}", ERROR_JSON, "not an array" },
		{ RUNTIME_APPLE, "null", ERROR_JSON, "not an array" },
		{ RUNTIME_APPLE, "[1]", ERROR_JSON, "not an array of objects" },
		{ RUNTIME_APPLE, "[null]", ERROR_JSON, "not an array of objects" },
		{ RUNTIME_APPLE, "[{}]", ERROR_JSON, "no \"status\"" },
		{ RUNTIME_APPLE, "[{\"Status\":{}}]", ERROR_JSON, "no \"status\"" },
		{ RUNTIME_APPLE, "[{\"status\":\"running\"}]", ERROR_JSON, "\"status\"" },
		{ RUNTIME_APPLE, "[{\"status\":null}]", ERROR_JSON, "\"status\"" },
		{ RUNTIME_APPLE, STATUS(""), ERROR_JSON, "no \"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Gateway\":\"10.0.0.1\""), ERROR_JSON, "no \"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"gateway\":\"10.0.0.1\""), ERROR_JSON, "no \"address\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":7"), ERROR_JSON, "\"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":null,\"ipv4Gateway\":\"10.0.0.1\""), ERROR_JSON,
		  "\"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0.0\""), ERROR_JSON, "\"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0.0/33\""), ERROR_JSON, "\"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0/8\""), ERROR_JSON, "\"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"fd00::/64\""), ERROR_JSON, "\"ipv4Subnet\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0.0/31\""), ERROR_JSON, "room for a gateway" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0.0/8\",\"ipv4Gateway\":1"), ERROR_JSON,
		  "\"ipv4Gateway\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0.0/8\",\"ipv4Gateway\":null"), ERROR_JSON,
		  "\"ipv4Gateway\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0.0/8\",\"ipv4Gateway\":\"host\""), ERROR_JSON,
		  "\"ipv4Gateway\"" },
		{ RUNTIME_APPLE, STATUS("\"ipv4Subnet\":\"10.0.0.0/8\",\"ipv4Gateway\":\"11.0.0.1\""), ERROR_JSON,
		  "address of the subnet" },
		/* without proof that it is host-only, a missing gateway is not guessed */
		{ RUNTIME_APPLE, "[{\"status\":{\"ipv4Subnet\":\"10.0.0.0/8\"}}]", ERROR_JSON, "no \"ipv4Gateway\"" },
		{ RUNTIME_APPLE, "[{\"config\":{\"mode\":\"nat\"},\"status\":{\"ipv4Subnet\":\"10.0.0.0/8\"}}]",
		  ERROR_JSON, "no \"ipv4Gateway\"" },
		/* podman's and docker's networks without a gateway do not have this host in them */
		{ RUNTIME_PODMAN, "[{\"internal\":true,\"subnets\":[{\"subnet\":\"10.89.0.0/24\"}]}]", ERROR_JSON,
		  "no \"gateway\"" },
		{ RUNTIME_DOCKER, "[{\"Internal\":true,\"IPAM\":{\"Config\":[{\"Subnet\":\"172.19.0.0/16\"}]}}]",
		  ERROR_JSON, "no \"Gateway\"" },
		{ RUNTIME_PODMAN, "[{\"internal\":true}]", ERROR_JSON, "no \"subnets\"" },
		{ RUNTIME_PODMAN, "[{\"internal\":true,\"subnets\":null}]", ERROR_JSON, "\"subnets\"" },
		{ RUNTIME_PODMAN, "[{\"internal\":true,\"subnets\":[]}]", ERROR_JSON, "no \"subnet\"" },
		{ RUNTIME_PODMAN, "[{\"internal\":true,\"subnets\":[1]}]", ERROR_JSON, "\"subnets\"" },
		{ RUNTIME_PODMAN, "[{\"internal\":true,\"subnets\":[{}]}]", ERROR_JSON, "no \"subnet\"" },
		{ RUNTIME_PODMAN, "[{\"subnets\":[{\"subnet\":\"10.89.0.0/24\"}]}]", ERROR_JSON, "no \"gateway\"" },
		{ RUNTIME_PODMAN, "[{\"internal\":true,\"subnets\":[{\"subnet\":\"fd00::/64\"}]}]", ERROR_JSON,
		  "\"subnet\"" },
		{ RUNTIME_DOCKER, "[{}]", ERROR_JSON, "no \"IPAM\"" },
		{ RUNTIME_DOCKER, "[{\"IPAM\":[]}]", ERROR_JSON, "\"IPAM\"" },
		{ RUNTIME_DOCKER, "[{\"IPAM\":{}}]", ERROR_JSON, "no \"IPAM.Config\"" },
		{ RUNTIME_DOCKER, "[{\"IPAM\":{\"Config\":{}}}]", ERROR_JSON, "\"IPAM.Config\"" },
		{ RUNTIME_DOCKER, "[{\"IPAM\":{\"Config\":[]}}]", ERROR_JSON, "no \"Subnet\"" },
		{ RUNTIME_DOCKER, "[{\"IPAM\":{\"Config\":[{\"Subnet\":1}]}}]", ERROR_JSON, "\"Subnet\"" },
		{ RUNTIME_DOCKER, "[{\"IPAM\":{\"Config\":[{\"subnet\":\"172.18.0.0/16\"}]}}]", ERROR_JSON,
		  "no \"Subnet\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct npxc_error err = { 0 };
		struct network network;

		if (network_parse(cases[i].kind, cases[i].text, strlen(cases[i].text), &network, &err))
			fail_msg("case %zu was accepted: %s", i, cases[i].text);
		if (err.kind != cases[i].error || strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu (%s): %s: %s", i, cases[i].text, error_kind_text(err.kind), err.message);
	}
}

static void refused_fixtures_depth_and_nul(void **state)
{
	static const char *const without_status[] = { "0.9.0", "0.12.3" };
	static const char with_nul[] = "[]\0[]";
	struct npxc_error err = { 0 };
	struct network network;
	char deep[2 * LIMIT_JSON_DEPTH + 3];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		mem_cleanup char *created = fixture(without_status[i], "network-inspect.created.json");
		mem_cleanup char *unknown = fixture(without_status[i], "network-inspect.unknown.json");

		assert_false(network_parse(RUNTIME_APPLE, created, strlen(created), &network, &err));
		assert_int_equal(err.kind, ERROR_JSON);
		assert_false(network_parse(RUNTIME_APPLE, unknown, strlen(unknown), &network, &err));
		assert_int_equal(err.kind, ERROR_RUNTIME);
	}
	assert_false(network_parse(RUNTIME_APPLE, with_nul, sizeof(with_nul) - 1, &network, &err));
	assert_int_equal(err.kind, ERROR_JSON);
	memset(deep, '[', LIMIT_JSON_DEPTH + 1);
	memset(deep + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
	assert_false(network_parse(RUNTIME_APPLE, deep, 2 * LIMIT_JSON_DEPTH + 2, &network, &err));
	assert_int_equal(err.kind, ERROR_JSON);
	assert_non_null(strstr(err.message, "is not JSON"));
}

/*
 * ---- a CLI made of a shell script ----
 * It writes each call into `calls`. What it answers is decided by the
 * snippet, which sees the words of the call as $* and counts deletes in $n.
 */

struct fake {
	char *directory;
	struct runtime runtime;
};

static struct fake make_fake(enum runtime_kind kind, const char *snippet)
{
	struct fake fake = { .runtime = { .kind = kind, .is_root = true } };
	struct npxc_error err = { 0 };
	mem_cleanup char *text = str_printf(
	    "#!/bin/sh\n"
	    "PATH=/usr/bin:/bin\n"
	    "d=$(dirname \"$0\")\n"
	    "echo \"$*\" >>\"$d/calls\"\n"
	    "case \"$2\" in delete|rm) echo x >>\"$d/deletes\"; n=$(wc -l <\"$d/deletes\"); n=$((n)) ;; esac\n"
	    "%s\n",
	    snippet);

	if (!file_make_temporary_directory("/tmp", "npxc-test-", &fake.directory, &err))
		fail_msg("%s", err.message);
	fake.runtime.cli = str_printf("%s/cli", fake.directory);
	if (!file_write_atomic(fake.runtime.cli, text, strlen(text), 0755, &err))
		fail_msg("%s", err.message);
	return fake;
}

static char *calls_of(const struct fake *fake)
{
	mem_cleanup char *path = str_printf("%s/calls", fake->directory);
	struct buf bytes = BUF_INIT(MIB);
	struct npxc_error err = { 0 };

	if (!file_exists(path))
		return str_dup("");
	if (!file_read(path, &bytes, &err))
		fail_msg("%s", err.message);
	return buf_take(&bytes);
}

static void fake_done(struct fake *fake)
{
	struct npxc_error err = { 0 };

	if (!file_remove_tree(fake->directory, &err))
		fail_msg("%s", err.message);
	free(fake->directory);
	runtime_done(&fake->runtime);
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (const char *p = strstr(text, part); p != NULL; p = strstr(p + 1, part))
		count++;
	return count;
}

/* ---- provisioning ---- */

struct announced {
	char *name;
	const struct fake *fake;
	bool refuse;
	size_t calls_before;
};

static bool note(void *context, const char *name, struct npxc_error *err)
{
	struct announced *announced = context;
	mem_cleanup char *calls = calls_of(announced->fake);

	free(announced->name);
	announced->name = str_dup(name);
	announced->calls_before = strlen(calls);
	return announced->refuse ? error_set(err, ERROR_IO, "no janitor") : true;
}

/* A policy to a network, as a session goes about it. */
static bool provision(const struct runtime *runtime, const struct policy *policy, struct announced *announced,
                      struct network_choice *ret_choice, struct npxc_error *err)
{
	mem_cleanup char *name = network_new_name();
	struct network_choice choice;

	if (!network_choose(runtime, policy, name, &choice, err))
		return false;
	if (!network_provision(runtime, &choice, note, announced, err)) {
		network_choice_done(&choice);
		return false;
	}
	*ret_choice = choice;
	return true;
}

#define APPLE_INSPECT                                                                                    \
	"[{\"configuration\":{\"mode\":\"hostOnly\"},\"status\":{\"ipv4Subnet\":\"192.168.128.0\\/24\"," \
	"\"ipv4Gateway\":\"192.168.128.1\"}}]"

static void policies_without_a_network(void **state)
{
	static const struct {
		enum policy_kind kind;
		const char *network, *argument;
	} cases[] = {
		{ POLICY_NONE, NULL, "none" },
		{ POLICY_NAMED, "backend", "backend" },
		{ POLICY_OPEN, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = make_fake(RUNTIME_APPLE, "exit 1");
		struct announced announced = { .fake = &fake };
		struct policy policy = { .kind = cases[i].kind, .network = str_dup(cases[i].network) };
		struct network_choice choice;
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;

		assert_true(provision(&fake.runtime, &policy, &announced, &choice, &err));
		assert_true(str_equal(choice.argument, cases[i].argument));
		assert_false(choice.managed);
		assert_null(announced.name);
		calls = calls_of(&fake);
		assert_string_equal(calls, "");
		network_choice_done(&choice);
		free(policy.network);
		fake_done(&fake);
	}
}

/* "... --subnet 10.89.3.16/28 --gateway 10.89.3.17 NAME" -> "... NAME", after a look that they belong together. */
static void forget_the_subnet(char *calls)
{
	char *start = strstr(calls, "--subnet ");
	unsigned a[4], b[4], prefix;
	int length = 0;

	assert_non_null(start);
	assert_int_equal(sscanf(start, "--subnet %u.%u.%u.%u/%u --gateway %u.%u.%u.%u %n", &a[0], &a[1], &a[2], &a[3],
	                        &prefix, &b[0], &b[1], &b[2], &b[3], &length),
	                 9);
	assert_true(length > 0);
	assert_int_equal(a[0], 10);
	assert_memory_equal(a, b, 3 * sizeof(a[0]));
	assert_int_equal(a[3] + 1, b[3]);
	memmove(start, start + length, strlen(start + length) + 1);
}

static void subnets_lie_in_podmans_own_pools(void **state)
{
	static const struct {
		unsigned attempt;
		uint32_t draw;
		const char *subnet, *gateway;
	} cases[] = {
		{ 0, 0, "10.89.0.0/28", "10.89.0.1" },
		{ 0, 1, "10.89.0.16/28", "10.89.0.17" },
		{ 0, 0x1000, "10.89.0.0/28", "10.89.0.1" },
		{ 0, UINT32_MAX, "10.89.255.240/28", "10.89.255.241" },
		{ 1, 0, "10.90.0.0/28", "10.90.0.1" },
		{ 1, UINT32_MAX, "10.91.255.240/28", "10.91.255.241" },
		{ 2, UINT32_MAX, "10.95.255.240/28", "10.95.255.241" },
		{ 3, 0, "10.96.0.0/28", "10.96.0.1" },
		{ 3, UINT32_MAX, "10.127.255.240/28", "10.127.255.241" },
		{ 4, 0, "10.128.0.0/28", "10.128.0.1" },
		{ 4, UINT32_MAX, "10.255.255.240/28", "10.255.255.241" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char subnet[PODMAN_ADDRESS_BYTES], gateway[PODMAN_ADDRESS_BYTES];

		podman_choose_subnet(cases[i].attempt, cases[i].draw, subnet, gateway);
		assert_string_equal(subnet, cases[i].subnet);
		assert_string_equal(gateway, cases[i].gateway);
	}
}

/* A subnet in use is tried elsewhere, so often and no oftener, and nothing but that is tried again. */
static void a_subnet_in_use(void **state)
{
	static const struct {
		enum runtime_kind kind;
		unsigned busy;
		const char *said;
		unsigned creates;
		bool ok;
	} cases[] = {
		{ RUNTIME_PODMAN, 1, "Error: subnet 10.89.0.0/28 is already used on the host or by another config", 2,
		  true },
		{ RUNTIME_PODMAN, 4, "Error: subnet 10.89.0.0/28 is already used on the host or by another config", 5,
		  true },
		{ RUNTIME_PODMAN, 99, "Error: subnet 10.89.0.0/28 is already used on the host or by another config", 5,
		  false },
		{ RUNTIME_PODMAN, 1, "Error: network name already used", 1, false },
		{ RUNTIME_DOCKER, 1, "Error: subnet 10.89.0.0/28 is already used on the host or by another config", 1,
		  false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *snippet = str_printf(
		    "echo x >>\"$d/creates\"; [ $(wc -l <\"$d/creates\") -gt %u ] || { echo '%s' >&2; exit 125; }",
		    cases[i].busy, cases[i].said);
		struct fake fake = make_fake(cases[i].kind, snippet);
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;

		if (network_create(&fake.runtime, MANAGED, &err) != cases[i].ok)
			fail_msg("case %zu: %s", i, err.message);
		assert_int_equal(err.kind, cases[i].ok ? ERROR_NONE : ERROR_RUNTIME);
		if (!cases[i].ok)
			assert_non_null(strstr(err.message, cases[i].said));
		calls = calls_of(&fake);
		assert_int_equal(count_of(calls, "network create --internal "), cases[i].creates);
		assert_int_equal(count_of(calls, MANAGED), cases[i].creates);
		fake_done(&fake);
	}
}

static void an_allowlist_makes_one_network(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *create, *inspect;
	} cases[] = {
		{ RUNTIME_APPLE, "network create --internal ", "printf '%s' '" APPLE_INSPECT "'" },
		{ RUNTIME_PODMAN, "network create --internal --disable-dns ",
		  "echo '[{\"internal\":true,\"subnets\":[{\"subnet\":\"192.168.128.0/24\",\"gateway\":"
		  "\"192.168.128.1\"}]}]'" },
		{ RUNTIME_DOCKER, "network create --internal ",
		  "echo '[{\"Internal\":true,\"IPAM\":{\"Config\":[{\"Subnet\":\"192.168.128.0/24\",\"Gateway\":"
		  "\"192.168.128.1\"}]}}]'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *snippet =
		    str_printf("case \"$2\" in create) exit 0 ;; inspect) %s ;; *) exit 97 ;; esac", cases[i].inspect);
		struct fake fake = make_fake(cases[i].kind, snippet);
		struct announced announced = { .fake = &fake };
		struct policy policy = { .kind = POLICY_ALLOWLIST, .link = POLICY_LINK_GATEWAY };
		struct network_choice choice;
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;
		mem_cleanup char *expected = NULL;

		if (!provision(&fake.runtime, &policy, &announced, &choice, &err))
			fail_msg("%s", err.message);
		assert_true(choice.managed);
		assert_true(network_is_managed_name(choice.argument));
		assert_string_equal(choice.argument, announced.name);
		assert_string_equal(choice.network.name, announced.name);
		assert_string_equal(choice.network.subnet, "192.168.128.0/24");
		assert_string_equal(choice.network.gateway, "192.168.128.1");
		assert_int_equal(announced.calls_before, 0); /* announced before anything was asked */
		calls = calls_of(&fake);
		if (cases[i].kind == RUNTIME_PODMAN)
			forget_the_subnet(calls);
		expected = str_printf("%s%s\nnetwork inspect %s\n", cases[i].create, choice.argument, choice.argument);
		assert_string_equal(calls, expected);
		free(announced.name);
		network_choice_done(&choice);
		fake_done(&fake);
	}
}

/* Each ends with an error; `deletes` says how often the half-made network was deleted. */
static void provisioning_that_fails(void **state)
{
	static const struct {
		const char *create, *inspect;
		enum npxc_error_kind kind;
		const char *why;
		size_t inspects;
	} cases[] = {
		{ "echo '  Error: no  ' >&2; exit 1", "exit 0", ERROR_RUNTIME, "failed (exit status 1): Error: no", 0 },
		{ "kill -9 $$", "exit 0", ERROR_RUNTIME, "signal 9", 0 },
		{ "exit 0", "echo 'Error: broken' >&2; exit 1", ERROR_RUNTIME, "Error: broken", 1 },
		{ "exit 0", "kill -9 $$", ERROR_RUNTIME, "signal 9", 1 },
		{ "exit 0", ":", ERROR_JSON, "is not JSON", 1 },
		{ "exit 0", "echo '[]'", ERROR_RUNTIME, "empty `network inspect` output", 1 },
		{ "exit 0", "echo text", ERROR_JSON, "is not JSON", 1 },
		{ "exit 0", "echo '[{\"status\":{\"ipv4Sub'", ERROR_JSON, "is not JSON", 1 },
		{ "exit 0", "echo '[{\"status\":[]}]'", ERROR_JSON, "\"status\"", 1 },
		{ "exit 0", "echo '[{}]'", ERROR_JSON, "no \"status\"", 1 },
		{ "exit 0",
		  "echo '[{\"configuration\":{\"mode\":\"nat\"},\"status\":{\"ipv4Subnet\":\"10.0.0.0/8\","
		  "\"ipv4Gateway\":\"10.0.0.1\"}}]'",
		  ERROR_RUNTIME, "not host-only", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *snippet =
		    str_printf("case \"$1 $2\" in\n'network create') %s ;;\n'network inspect') %s ;;\n"
		               "'network delete') echo \"$3\" ;;\n*) exit 97 ;;\nesac",
		               cases[i].create, cases[i].inspect);
		struct fake fake = make_fake(RUNTIME_APPLE, snippet);
		struct announced announced = { .fake = &fake };
		struct policy policy = { .kind = POLICY_ALLOWLIST, .link = POLICY_LINK_GATEWAY };
		struct network_choice choice;
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;

		assert_false(provision(&fake.runtime, &policy, &announced, &choice, &err));
		if (err.kind != cases[i].kind || strstr(err.message, cases[i].why) == NULL)
			fail_msg("case %zu: %s: %s", i, error_kind_text(err.kind), err.message);
		calls = calls_of(&fake);
		assert_int_equal(count_of(calls, "network create --internal npxc-"), 1);
		assert_int_equal(count_of(calls, "network inspect "), cases[i].inspects);
		assert_int_equal(count_of(calls, "network delete "), 0); /* that is the janitor's */
		if (cases[i].inspects == 0) {
			mem_cleanup char *command = str_printf("`cli network create --internal %s`", announced.name);

			assert_non_null(strstr(err.message, command));
		}
		free(announced.name);
		fake_done(&fake);
	}
}

static void nothing_is_made_when_it_cannot_be_written_down(void **state)
{
	struct fake fake = make_fake(RUNTIME_APPLE, "exit 0");
	struct announced announced = { .fake = &fake, .refuse = true };
	struct policy policy = { .kind = POLICY_ALLOWLIST, .link = POLICY_LINK_GATEWAY };
	struct network_choice choice;
	struct npxc_error err = { 0 };
	mem_cleanup char *calls = NULL;

	(void)state;
	assert_false(provision(&fake.runtime, &policy, &announced, &choice, &err));
	assert_int_equal(err.kind, ERROR_IO);
	calls = calls_of(&fake);
	assert_string_equal(calls, "");
	free(announced.name);
	fake_done(&fake);
}

static void a_cli_that_cannot_be_started(void **state)
{
	struct fake fake = make_fake(RUNTIME_APPLE, "exit 0");
	struct network network;
	struct npxc_error err = { 0 };

	(void)state;
	free(fake.runtime.cli);
	fake.runtime.cli = str_dup("/nowhere/container");
	assert_false(network_create(&fake.runtime, MANAGED, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
	assert_non_null(strstr(err.message, "/nowhere/container"));
	assert_false(network_inspect(&fake.runtime, MANAGED, &network, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
	assert_false(network_delete(&fake.runtime, MANAGED, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME_UNAVAILABLE);
	fake_done(&fake);
}

static void a_service_that_is_down(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *snippet;
		enum npxc_error_kind expected;
	} cases[] = {
		{ RUNTIME_APPLE,
		  "[ $1 = system ] && { echo '{\"status\":\"unregistered\"}'; exit 1; }\n"
		  "echo 'Error: interrupted: \"XPC connection error: Connection invalid\"' >&2; exit 1",
		  ERROR_RUNTIME_UNAVAILABLE },
		{ RUNTIME_APPLE,
		  "[ $1 = system ] && { echo '{\"status\":\"running\"}'; exit 0; }\n"
		  "echo 'Error: interrupted: \"XPC connection error: Connection invalid\"' >&2; exit 1",
		  ERROR_RUNTIME },
		{ RUNTIME_DOCKER, "echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2; exit 1",
		  ERROR_RUNTIME_UNAVAILABLE },
		{ RUNTIME_PODMAN, "echo 'Error: cannot connect' >&2; exit 125", ERROR_RUNTIME },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = make_fake(cases[i].kind, cases[i].snippet);
		struct npxc_error err = { 0 };

		assert_false(network_create(&fake.runtime, MANAGED, &err));
		if (err.kind != cases[i].expected)
			fail_msg("case %zu: %s", i, err.message);
		fake_done(&fake);
	}
}

/* ---- looking ---- */

static void what_inspect_says_about_existence(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *snippet;
		enum network_state expected;
	} cases[] = {
		{ RUNTIME_APPLE, "echo '[]'", NETWORK_STATE_GONE },
		{ RUNTIME_APPLE, "echo \"Error: network not found: $3\" >&2; exit 1", NETWORK_STATE_GONE },
		{ RUNTIME_APPLE, "echo '[{}]'", NETWORK_STATE_THERE },
		{ RUNTIME_APPLE, "echo '{}'", NETWORK_STATE_UNKNOWN },
		{ RUNTIME_APPLE, "echo \"Error: Plugin 'container-network' not found.\" >&2; exit 64",
		  NETWORK_STATE_UNKNOWN },
		{ RUNTIME_APPLE, "echo 'Error: interrupted: \"XPC connection error\"' >&2; exit 1",
		  NETWORK_STATE_UNKNOWN },
		{ RUNTIME_APPLE, "kill -9 $$", NETWORK_STATE_UNKNOWN },
		{ RUNTIME_APPLE, ":", NETWORK_STATE_UNKNOWN },
		{ RUNTIME_PODMAN,
		  "echo '[]'; echo \"Error: network $3: unable to find network with name or ID $3: network "
		  "not found\" >&2; exit 1",
		  NETWORK_STATE_GONE },
		{ RUNTIME_PODMAN, "echo '[]'; echo 'Error: database is locked' >&2; exit 125", NETWORK_STATE_UNKNOWN },
		{ RUNTIME_DOCKER, "echo '[]'; echo \"Error response from daemon: network $3 not found\" >&2; exit 1",
		  NETWORK_STATE_GONE },
		{ RUNTIME_DOCKER, "echo '[]'; echo \"Error: No such network: $3\" >&2; exit 1", NETWORK_STATE_GONE },
		{ RUNTIME_DOCKER, "echo \"Error response from daemon: $3: driver plugin not found\" >&2; exit 1",
		  NETWORK_STATE_UNKNOWN },
		{ RUNTIME_PODMAN, "echo \"Error: network $3: /usr/lib/cni: not found\" >&2; exit 125",
		  NETWORK_STATE_UNKNOWN },
		{ RUNTIME_DOCKER, "echo '[]'; echo 'Cannot connect to the Docker daemon' >&2; exit 1",
		  NETWORK_STATE_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = make_fake(cases[i].kind, cases[i].snippet);

		if (network_look(&fake.runtime, MANAGED, LIMIT_CLI_MS) != cases[i].expected)
			fail_msg("case %zu: %s", i, cases[i].snippet);
		fake_done(&fake);
	}
}

/* Recorded answers (fixtures/cassettes, fixtures/apple-container), and lines that only have their words in them. */
static void only_a_runtimes_own_words_say_that_something_is_not_there(void **state)
{
	static const struct {
		enum runtime_kind kind;
		bool network;
		const char *errors;
		bool gone;
	} cases[] = {
		{ RUNTIME_PODMAN, false, "Error: no container with name or ID \"x-1\" found: no such container\n",
		  true },
		{ RUNTIME_DOCKER, false, "Error response from daemon: No such container: x-1\n", true },
		{ RUNTIME_APPLE, false,
		  "Error: internalError: \"failed to delete container\" (cause: \"notFound: \"container with ID x-1 "
		  "not "
		  "found\"\")\n",
		  true },
		{ RUNTIME_APPLE, false, "Error: notFound: \"failed to delete one or more containers: [\"x-1\"]\"\n",
		  true },
		{ RUNTIME_APPLE, false, "Error: container not found: x-1\n", true },
		{ RUNTIME_PODMAN, true, "Error: unable to find network with name or ID x-1: network not found\n",
		  true },
		{ RUNTIME_PODMAN, true,
		  "Error: inspecting object: network x-1: unable to find network with name or ID x-1: network not "
		  "found\n",
		  true },
		{ RUNTIME_DOCKER, true, "Error response from daemon: network x-1 not found\nexit status 1\n", true },
		{ RUNTIME_APPLE, true, "Error: network not found: x-1\n", true },
		{ RUNTIME_APPLE, true, "Error: network x-1 not found\n", true },
		{ RUNTIME_APPLE, true, "Error: notFound: \"network x-1 not found\"\n", true },
		{ RUNTIME_APPLE, true,
		  "failed to delete network: [\"error\": notFound: \"no network for id x-1\", \"id\": x-1]\nError: "
		  "delete "
		  "failed for one or more networks: [\"x-1\"]\n",
		  true },
		{ RUNTIME_APPLE, true,
		  "2025-11-03T09:15:42-0800 error com.apple.container: [ContainerCommands] failed to delete network "
		  "x-1: "
		  "notFound: \"no network for id x-1\"\nError: internalError: \"delete failed\"\n",
		  true },
		{ RUNTIME_PODMAN, false, "", false },
		{ RUNTIME_PODMAN, false, "Error: x-1: unmounting: fusermount3: executable file not found in $PATH\n",
		  false },
		{ RUNTIME_PODMAN, false, "Error: container x-1: no such container runtime \"crun\"\n", false },
		{ RUNTIME_PODMAN, false, "Error: no container with name or ID \"x-12\" found: no such container\n",
		  false },
		{ RUNTIME_PODMAN, false, "Error response from daemon: No such container: x-1\n", false },
		{ RUNTIME_DOCKER, false, "Error response from daemon: No such container: x-12\n", false },
		{ RUNTIME_DOCKER, false, "Error response from daemon: driver x-1 not found\n", false },
		{ RUNTIME_DOCKER, false, "note: Error response from daemon: No such container: x-1\n", false },
		{ RUNTIME_DOCKER, true, "Error response from daemon: network x-1 not found in scope\n", false },
		{ RUNTIME_APPLE, true, "Error: network not found: another, x-1\n", false },
		{ RUNTIME_APPLE, true, "Error: Plugin 'container-network' not found. x-1\n", false },
		{ RUNTIME_APPLE, false, "Error: (cause: \"notFound: \"container with ID x-1 not found\"\") and more\n",
		  false },
		{ RUNTIME_BWRAP, false, "Error: No such container: x-1\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool gone = cases[i].network
		                      ? errors_say(runtime_driver(cases[i].kind)->no_network, cases[i].errors, "x-1")
		                      : errors_say(runtime_driver(cases[i].kind)->no_container, cases[i].errors, "x-1");

		if (gone != cases[i].gone)
			fail_msg("case %zu: %s", i, cases[i].errors);
	}
}

/* ---- deleting ---- */

static void the_schedule_is_the_one_that_was_promised(void **state)
{
	(void)state;
	assert_int_equal(NETWORK_DELETE_ATTEMPTS, 5);
	for (unsigned i = 0; i + 1 < NETWORK_DELETE_ATTEMPTS; i++)
		assert_int_equal(network_schedule.pause_ms[i], 150 * (i + 1));
	assert_int_equal(network_schedule.background_pause_ms, 2000);
	assert_int_equal(network_schedule.background_ms, 60000);
}

static void verbs_of_each_runtime(void **state)
{
	static const struct {
		enum runtime_kind kind;
		const char *call;
	} cases[] = {
		{ RUNTIME_APPLE, "network delete " MANAGED "\n" },
		{ RUNTIME_PODMAN, "network rm " MANAGED "\n" },
		{ RUNTIME_DOCKER, "network rm " MANAGED "\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake fake = make_fake(cases[i].kind, "exit 0");
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;

		assert_true(network_delete_with_retry(&fake.runtime, MANAGED, &err));
		calls = calls_of(&fake);
		assert_string_equal(calls, cases[i].call);
		fake_done(&fake);
	}
}

#define BUSY "echo 'Error: busy' >&2; exit 1"

/* Busy k times, then free: k + 1 deletes, and at least the pauses of the table between them. */
static void it_stops_at_the_first_success(void **state)
{
	(void)state;
	for (unsigned busy = 1; busy < NETWORK_DELETE_ATTEMPTS; busy++) {
		mem_cleanup char *snippet = str_printf(
		    "case $2 in delete) [ $n -gt %u ] || { " BUSY "; } ;; inspect) echo '[{}]' ;; esac", busy);
		struct fake fake = make_fake(RUNTIME_APPLE, snippet);
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;
		int64_t start = clock_now_ms();
		int64_t least = 0;

		for (unsigned i = 0; i < busy; i++)
			least += network_schedule.pause_ms[i];
		if (!network_delete_with_retry(&fake.runtime, MANAGED, &err))
			fail_msg("%s", err.message);
		assert_true(clock_now_ms() - start >= least);
		assert_int_equal(err.kind, ERROR_NONE);
		calls = calls_of(&fake);
		assert_int_equal(count_of(calls, "network delete "), busy + 1);
		fake_done(&fake);
	}
}

static void it_gives_up_after_five(void **state)
{
	struct fake fake = make_fake(RUNTIME_APPLE, "case $2 in delete) " BUSY " ;; inspect) echo '[{}]' ;; esac");
	struct npxc_error err = { 0 };
	mem_cleanup char *calls = NULL;

	(void)state;
	assert_false(network_delete_with_retry(&fake.runtime, MANAGED, &err));
	assert_int_equal(err.kind, ERROR_RUNTIME);
	assert_non_null(strstr(err.message, MANAGED));
	assert_non_null(strstr(err.message, "5 attempts"));
	assert_non_null(strstr(err.message, "Error: busy"));
	calls = calls_of(&fake);
	assert_int_equal(count_of(calls, "network delete "), 5);
	fake_done(&fake);
}

/* A delete that fails although the network is gone: inspect decides, and that is success. */
static void gone_is_success(void **state)
{
	static const struct {
		const char *inspect;
		unsigned deletes; /* attempts before inspect says so */
	} cases[] = {
		{ "echo '[]'", 1 },
		{ "echo \"Error: network not found: $3\" >&2; exit 1", 1 },
		{ "[ $(wc -l <\"$d/deletes\") -ge 3 ] && echo '[]' || echo '[{}]'", 3 },
		{ "[ $(wc -l <\"$d/deletes\") -ge 5 ] && echo '[]' || echo '[{}]'", 5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mem_cleanup char *snippet =
		    str_printf("case $2 in delete) " BUSY " ;; inspect) %s ;; esac", cases[i].inspect);
		struct fake fake = make_fake(RUNTIME_APPLE, snippet);
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;

		if (!network_delete_with_retry(&fake.runtime, MANAGED, &err))
			fail_msg("case %zu: %s", i, err.message);
		calls = calls_of(&fake);
		/* on a busy machine a look may be cut off with its pause, and the next one says so */
		assert_in_range(count_of(calls, "network delete "), cases[i].deletes, NETWORK_DELETE_ATTEMPTS);
		fake_done(&fake);
	}
}

/* An inspect that never answers does not make a pause longer: it is cut off with it. */
static void a_hanging_inspect_is_bounded_by_the_pause(void **state)
{
	struct fake fake = make_fake(RUNTIME_APPLE, "case $2 in delete) [ $n -gt 2 ] || { " BUSY
	                                            "; } ;; inspect) exec sleep 300 ;; esac");
	struct npxc_error err = { 0 };
	mem_cleanup char *calls = NULL;
	int64_t start = clock_now_ms();

	(void)state;
	assert_true(network_delete_with_retry(&fake.runtime, MANAGED, &err));
	/* two pauses; two ordinary deadlines of an inspect would be far more */
	assert_true(clock_now_ms() - start < LIMIT_CLI_MS);
	calls = calls_of(&fake);
	assert_int_equal(count_of(calls, "network delete "), 3);
	fake_done(&fake);
}

static void a_hanging_delete_is_cut_off_and_counts(void **state)
{
	struct fake fake = make_fake(
	    RUNTIME_APPLE, "case $2 in delete) [ $n -gt 1 ] || exec sleep 300 ;; inspect) echo '[{}]' ;; esac");
	struct npxc_error err = { 0 };
	mem_cleanup char *calls = NULL;

	(void)state;
	assert_true(network_delete_with_retry(&fake.runtime, MANAGED, &err));
	calls = calls_of(&fake);
	assert_int_equal(count_of(calls, "network delete "), 2);
	fake_done(&fake);
}

static bool delete_again(void *context)
{
	const struct fake *fake = context;
	struct npxc_error ignored = { 0 };

	return network_delete_again(&fake->runtime, MANAGED, &ignored);
}

static bool sleep_ms(void *context, unsigned ms)
{
	(void)context;
	poll(NULL, 0, (int)ms);
	return true;
}

static void blocking_goes_on_in_the_background(void **state)
{
	struct fake fake =
	    make_fake(RUNTIME_PODMAN, "case $2 in rm) [ $n -gt 5 ] || { " BUSY "; } ;; inspect) echo '[{}]' ;; esac");
	struct npxc_error err = { 0 };
	mem_cleanup char *calls = NULL;

	(void)state;
	const struct network_background background = { delete_again, sleep_ms, &fake };
	assert_false(network_delete_with_retry(&fake.runtime, MANAGED, &err));
	assert_true(network_delete_blocking(&background));
	calls = calls_of(&fake);
	assert_int_equal(count_of(calls, "network rm "), 6);
	fake_done(&fake);
}

static void foreign_networks_are_not_touched(void **state)
{
	static const char *const names[] = { "default", "podman", "npxc-mine", "", "--all" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct fake fake = make_fake(RUNTIME_APPLE, "exit 0");
		struct npxc_error err = { 0 };
		mem_cleanup char *calls = NULL;

		assert_false(network_delete(&fake.runtime, names[i], &err));
		assert_int_equal(err.kind, ERROR_RUNTIME);
		assert_false(network_delete_with_retry(&fake.runtime, names[i], &err));
		assert_false(network_delete_again(&fake.runtime, names[i], &err));
		assert_false(network_delete_once(&fake.runtime, names[i], &err));
		calls = calls_of(&fake);
		assert_string_equal(calls, "");
		fake_done(&fake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_random_uuids),
		cmocka_unit_test(names_that_are_not_ours),
		cmocka_unit_test(policies_that_a_runtime_can_keep),
		cmocka_unit_test(links_that_auto_chooses),
		cmocka_unit_test(every_released_shape_of_apple),
		cmocka_unit_test(other_shapes_that_are_read),
		cmocka_unit_test(inspect_output_that_is_refused),
		cmocka_unit_test(refused_fixtures_depth_and_nul),
		cmocka_unit_test(policies_without_a_network),
		cmocka_unit_test(subnets_lie_in_podmans_own_pools),
		cmocka_unit_test(a_subnet_in_use),
		cmocka_unit_test(an_allowlist_makes_one_network),
		cmocka_unit_test(provisioning_that_fails),
		cmocka_unit_test(nothing_is_made_when_it_cannot_be_written_down),
		cmocka_unit_test(a_cli_that_cannot_be_started),
		cmocka_unit_test(a_service_that_is_down),
		cmocka_unit_test(what_inspect_says_about_existence),
		cmocka_unit_test(only_a_runtimes_own_words_say_that_something_is_not_there),
		cmocka_unit_test(the_schedule_is_the_one_that_was_promised),
		cmocka_unit_test(verbs_of_each_runtime),
		cmocka_unit_test(it_stops_at_the_first_success),
		cmocka_unit_test(it_gives_up_after_five),
		cmocka_unit_test(gone_is_success),
		cmocka_unit_test(a_hanging_inspect_is_bounded_by_the_pause),
		cmocka_unit_test(a_hanging_delete_is_cut_off_and_counts),
		cmocka_unit_test(blocking_goes_on_in_the_background),
		cmocka_unit_test(foreign_networks_are_not_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
