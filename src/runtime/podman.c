#include "runtime/podman.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/container.h"
#include "runtime/engine.h"
#include "runtime/errors.h"
#include "runtime/inspect.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* the next step where crun refuses the host's cgroups */
#define OCI_FIX "install runc and write runtime = \"runc\" below [engine] in /etc/containers/containers.conf"

static const char *const steering[] = { "PATH",
	                                "HOME",
	                                "USER",
	                                "TMPDIR",
	                                "XDG_RUNTIME_DIR",
	                                "XDG_CONFIG_HOME",
	                                "XDG_DATA_HOME",
	                                "XDG_CACHE_HOME",
	                                "DBUS_SESSION_BUS_ADDRESS",
	                                "CONTAINER_HOST",
	                                "CONTAINER_CONNECTION",
	                                "CONTAINER_SSHKEY",
	                                "CONTAINER_PASSPHRASE",
	                                "CONTAINERS_*",
	                                "_CONTAINERS_*",
	                                "PODMAN_*",
	                                "STORAGE_*",
	                                "REGISTRY_AUTH_FILE",
	                                NULL };

/* Started by an ordinary user: its containers are that user's, and the gateway of its networks is not the host. */
static bool is_rootless(const struct runtime *runtime)
{
	return !runtime->is_root;
}

static bool refuses(const char *errors, struct npxc_error *err)
{
	mem_cleanup char *line = errors_line(errors, "Error: ");

	if (line == NULL)
		line = errors_text(errors, strlen(errors));
	if (strstr(line, "container-init binary not found") != NULL || strstr(line, "catatonit") != NULL)
		error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		          "podman has no init for containers; install the package catatonit");
	else if (strstr(line, "cgroups in hybrid mode not supported") != NULL)
		error_set(err, ERROR_RUNTIME_UNAVAILABLE, "crun cannot use this host's hybrid cgroups; " OCI_FIX);
	else
		return false;
	return true;
}

/* ---- the argument list ---- */

char *podman_image_name(const char *image)
{
	size_t first = strcspn(image, "/");
	mem_cleanup char *host = str_dup_n(image, first);

	if (image[first] == '\0')
		return str_printf("docker.io/library/%s", image);
	if (strpbrk(host, ".:") != NULL || strcmp(host, "localhost") == 0)
		return str_dup(image);
	return str_printf("docker.io/%s", image);
}

static void add_flags(const struct runtime *runtime, struct strv *argv)
{
	static const char *const flags[] = { "--unsetenv-all", "--http-proxy=false", "--image-volume",
		                             "ignore",         "--systemd",          "false" };

	strv_push_all(argv, flags, sizeof(flags) / sizeof(flags[0]));
	if (is_rootless(runtime)) {
		strv_push(argv, "--userns");
		strv_push(argv, "keep-id");
	}
}

/* Without notmpcopyup what the image has there is copied into memory. */
static char *tmpfs_owner(const struct runtime *runtime)
{
	(void)runtime;
	return str_dup("notmpcopyup,U");
}

/* ---- doctor ---- */

static const cJSON *member(const cJSON *object, const char *first, const char *second)
{
	return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, first), second);
}

/* Both hierarchies at once: the second version's is mounted beside the first one's controllers. */
static bool has_hybrid_cgroups(void)
{
	return file_is_directory("/sys/fs/cgroup/unified");
}

static void examine_oci_runtime(const cJSON *host, struct runtime_findings *findings)
{
	const char *name = cJSON_GetStringValue(member(host, "ociRuntime", "name"));
	const char *cgroups = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(host, "cgroupVersion"));
	bool hybrid = name != NULL && strcmp(name, "crun") == 0 && cgroups != NULL && strcmp(cgroups, "v1") == 0 &&
	              has_hybrid_cgroups();

	if (hybrid)
		runtime_add_finding(findings, OCI_FIX,
		                    "OCI runtime: crun, which does not start containers where cgroups are hybrid");
	else
		runtime_add_finding(findings, NULL, "OCI runtime: %s, cgroups %s", name != NULL ? name : "unknown",
		                    cgroups != NULL ? cgroups : "unknown");
}

static bool has_controller(const cJSON *controllers, const char *name)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, controllers)
	{
		if (cJSON_IsString(one) && strcmp(one->valuestring, name) == 0)
			return true;
	}
	return false;
}

static void examine_limits(const cJSON *host, struct runtime_findings *findings)
{
	static const char *const needed[] = { "memory", "cpu", "pids" };
	const cJSON *controllers = cJSON_GetObjectItemCaseSensitive(host, "cgroupControllers");
	const char *cgroups = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(host, "cgroupVersion"));
	mem_cleanup char *absent = str_dup("");

	if (cgroups != NULL && strcmp(cgroups, "v1") == 0) {
		runtime_add_finding(findings, "boot with cgroup v2, or run npxc as root",
		                    "limits: podman sets none for an ordinary user on cgroup v1");
		runtime_note_last(findings);
		return;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (has_controller(controllers, needed[i]))
			continue;
		char *longer = str_printf("%s%s%s", absent, absent[0] != '\0' ? ", " : "", needed[i]);
		free(absent);
		absent = longer;
	}
	if (absent[0] != '\0')
		runtime_add_finding(findings, "let systemd delegate them (Delegate=memory pids cpu for user@.service)",
		                    "limits: this user may not use the cgroup controllers %s", absent);
	else
		runtime_add_finding(findings, NULL, "limits: memory, cpu and processes");
	runtime_note_last(findings);
}

static void examine_info(const struct runtime *runtime, const cJSON *info, struct runtime_findings *findings)
{
	const cJSON *host = cJSON_GetObjectItemCaseSensitive(info, "host");

	runtime_add_finding(findings, NULL, "engine: answers%s",
	                    is_rootless(runtime) ? " (rootless: no allowlist with link gateway)" : "");
	examine_oci_runtime(host, findings);
	if (is_rootless(runtime))
		examine_limits(host, findings);
}

/* ---- networks ---- */

void podman_choose_subnet(unsigned attempt, uint32_t draw, char ret_subnet[static PODMAN_ADDRESS_BYTES],
                          char ret_gateway[static PODMAN_ADDRESS_BYTES])
{
	static const struct {
		uint8_t second; /* 10.second.0.0 */
		unsigned prefix;
	} pools[PODMAN_SUBNET_ATTEMPTS] = { { 89, 16 }, { 90, 15 }, { 92, 14 }, { 96, 11 }, { 128, 9 } };
	unsigned second = pools[attempt].second, prefix = pools[attempt].prefix;
	uint32_t place = draw & (((uint32_t)1 << (PODMAN_SUBNET_PREFIX - prefix)) - 1);
	uint32_t base = ((uint32_t)10 << 24 | second << 16) + (place << (32 - PODMAN_SUBNET_PREFIX));

	(void)snprintf(ret_subnet, PODMAN_ADDRESS_BYTES, "10.%u.%u.%u/%d", base >> 16 & 255, base >> 8 & 255,
	               base & 255, PODMAN_SUBNET_PREFIX);
	(void)snprintf(ret_gateway, PODMAN_ADDRESS_BYTES, "10.%u.%u.%u", base >> 16 & 255, base >> 8 & 255,
	               (base & 255) + 1);
}

static bool create_with(const struct runtime *runtime, const char *const *words, bool *ret_is_in_use,
                        struct npxc_error *err)
{
	mem_cleanup char *command = container_command_text(runtime, words);
	struct proc_result result;
	bool ok;

	if (!container_ask(runtime, words, LIMIT_CLI_MS, &result, err))
		return false;
	ok = container_succeeded(&result) || container_call_failed(runtime, command, &result, LIMIT_CLI_MS, err);
	/* said before anything is made, so asking again makes no second network */
	*ret_is_in_use = !ok && result.exit_status != 0 && result.errors.data != NULL &&
	                 strstr(result.errors.data, "is already used on the host or by another config") != NULL;
	proc_result_done(&result);
	return ok;
}

/* It is asked again, with another subnet, when it says that the one it was asked for is in use. */
static bool create_network(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	struct npxc_error last = { 0 };

	for (unsigned attempt = 0; attempt < PODMAN_SUBNET_ATTEMPTS; attempt++) {
		char subnet[PODMAN_ADDRESS_BYTES], gateway[PODMAN_ADDRESS_BYTES];
		/* podman's own resolver would listen on the gateway's port 53, and ask servers outside for the guest */
		const char *const words[] = { "network",  "create", "--internal", "--disable-dns",
			                      "--subnet", subnet,   "--gateway",  gateway,
			                      name,       NULL };
		bool is_in_use = false;
		uuid_t random;
		uint32_t draw;

		uuid_generate_random(random);
		memcpy(&draw, random, sizeof(draw));
		podman_choose_subnet(attempt, draw, subnet, gateway);
		if (create_with(runtime, words, &is_in_use, &last))
			return true;
		if (!is_in_use)
			break;
	}
	*err = last;
	return false;
}

/* No gateway: this host is not in the network, and podman gives the guest that address. */
static bool parse_network(const cJSON *element, struct network *network, struct npxc_error *err)
{
	network->mode = inspect_mode(inspect_member(element, "internal"));
	return inspect_list(inspect_member(element, "subnets"), "subnets", "subnet", "gateway", network, err);
}

static bool check_link(const struct runtime *runtime, enum policy_link link, struct npxc_error *err)
{
	if (link == POLICY_LINK_GATEWAY && is_rootless(runtime))
		return error_set(err, ERROR_CONFIG,
		                 "rootless podman cannot keep an allowlist with link gateway: its gateway is not this "
		                 "host; set network.link to auto");
	return container_check_link(runtime, link, err);
}

/* podman 3 to 5, libpod/define/errors.go: "no such container"; cmd/podman/containers/rm.go */
static const char *const no_container[] = {
	"Error: no container with name or ID \"%\" found: no such container",
	"Error: no container with ID or name \"%\" found: no such container",
	NULL,
};

/* podman 4 and 5, common/libnetwork/netavark: "unable to find network with name or ID %s: network not found" */
static const char *const no_network[] = { "Error: *unable to find network with name or ID %: network not found", NULL };

static const char *const image_look[] = { "image", "exists", NULL };

/* -v: an image's anonymous volumes with it */
static const char *const remove_words[] = { "rm", "-f", "-v", "-t", "0", "--ignore", NULL };

static const struct engine engine = {
	.need_major = 4,
	.no_version_fix = "update podman, or use another runtime",
	.refuses = refuses,
	.image_name = podman_image_name,
	.image_look = image_look,
	.add_flags = add_flags,
	.tmpfs_owner = tmpfs_owner,
	.tmpfs_more = ",notmpcopyup",
	.has_var_tmp = true,
	.examine_info = examine_info,
};

const struct runtime_driver podman_driver = {
	.kind = RUNTIME_PODMAN,
	.word = "podman",
	.boundary = "a container on the host's kernel (podman)",
	.cli = "podman",
	ENGINE_ROW,
	.stop = GROUP_STOP_LEADER_KILL,
	.open_network = "podman",
	.check_link = check_link,
	.create_network = create_network,
};
