#include "base/mem.h"
#include "runtime/container.h"
#include "runtime/driver.h"
#include "runtime/engine.h"
#include "runtime/inspect.h"

#include <cjson/cJSON.h>
#include <string.h>

static const char *const steering[] = { "PATH", "HOME", "USER", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_*", NULL };

static bool is_daemon_down(const char *errors)
{
	return strstr(errors, "Cannot connect to the Docker daemon") != NULL ||
	       strstr(errors, "failed to connect to the docker API") != NULL;
}

static bool is_daemon_closed(const char *errors)
{
	return strcasestr(errors, "permission denied while trying to connect to the docker") != NULL;
}

static bool refuses(const char *errors, struct npxc_error *err)
{
	if (is_daemon_closed(errors))
		error_set(err, ERROR_RUNTIME_UNAVAILABLE,
		          "this user may not talk to the docker daemon; add the user to the group docker, or use "
		          "another runtime");
	else if (is_daemon_down(errors))
		error_set(err, ERROR_RUNTIME_UNAVAILABLE, "the docker daemon is not running; start it");
	else
		return false;
	return true;
}

static const char *next_step(const struct runtime *runtime, const char *errors)
{
	(void)runtime;
	return strstr(errors, "Cannot connect to the Docker daemon") != NULL ? "; start the docker daemon" : NULL;
}

/*
 * docker's CLI adds the proxies of its configuration file (`proxies`), passwords included, to the variables of every
 * container that names none of them. A name alone, which its own environment has not, stands for "unset" (docker/cli,
 * ParseProxyConfig; the engine removes what has no value). podman has --http-proxy=false.
 */
static void leave_out_proxies(const struct launch *launch, struct strv *argv)
{
	static const char *const names[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
		                             "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (container_is_configured(launch, names[i]))
			continue;
		strv_push(argv, "-e");
		strv_push(argv, names[i]);
	}
}

/* The kernel's own options, which docker passes on. */
static char *tmpfs_owner(const struct runtime *runtime)
{
	return str_printf("uid=%u,gid=%u", runtime->uid, runtime->gid);
}

static void examine_info(const struct runtime *runtime, const cJSON *info, struct runtime_findings *findings)
{
	(void)runtime;
	(void)info;
	runtime_add_finding(findings, NULL, "engine: answers");
}

static bool parse_network(const cJSON *element, struct network *network, struct npxc_error *err)
{
	const cJSON *ipam = inspect_member(element, "IPAM");

	network->mode = inspect_mode(inspect_member(element, "Internal"));
	if (ipam == NULL)
		return inspect_missing("IPAM", err);
	if (!cJSON_IsObject(ipam))
		return inspect_ill_typed("IPAM", "an object", err);
	return inspect_list(inspect_member(ipam, "Config"), "IPAM.Config", "Subnet", "Gateway", network, err);
}

/* moby, daemon/container: "No such container: %s"; before 20.10 without the daemon's words */
static const char *const no_container[] = {
	"Error response from daemon: No such container: %",
	"Error: No such container: %",
	NULL,
};

static const char *const no_network[] = {
	"Error response from daemon: network % not found",
	"Error: No such network: %",
	NULL,
};

static const char *const image_look[] = { "image", "inspect", "--format", "{{.Id}}", NULL };

/* -v: an image's anonymous volumes with it; it kills at once */
static const char *const remove_words[] = { "rm", "-f", "-v", NULL };

static const struct engine engine = {
	.need_major = 20,
	.need_minor = 10,
	.may_be_remote = true,
	.no_version_fix = "start or update docker (systemctl start docker), or use another runtime",
	.refuses = refuses,
	.image_name = str_dup,
	.image_look = image_look,
	.add_variables = leave_out_proxies,
	.tmpfs_owner = tmpfs_owner,
	.tmpfs_more = "",
	.examine_info = examine_info,
};

const struct runtime_driver docker_driver = {
	.kind = RUNTIME_DOCKER,
	.word = "docker",
	.boundary = "a container on the host's kernel (docker)",
	.cli = "docker",
	ENGINE_ROW,
	.stop = GROUP_STOP_LEADER,
	.open_network = "bridge",
	.replaced_note = " (an engine in a machine of its own, such as Docker Desktop, cannot be used with mounts)",
	.check_link = container_check_link,
	.next_step = next_step,
	.create_network = container_create_network,
};
