#include "egress/route.h"

#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "guest/guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 256, BASE_MOST = 60, RELAY_PORTS = 61000 };

/* ---- what is found and drawn ---- */

static void draw_hex(char *text, size_t digits)
{
	mem_cleanup char *random = random_hex(digits);
	memcpy(text, random, digits + 1);
}

void route_means_find(enum policy_link link, struct route_means *ret_means)
{
	struct npxc_error ignored;

	*ret_means = (struct route_means){ 0 };
	if (link == POLICY_LINK_NETNS) {
		const char *path = getenv("PATH");
		mem_cleanup char *search = str_printf("%s:/usr/sbin:/sbin", path == NULL ? "" : path);

		if (!file_find_program("nft", search, &ret_means->nft, &ignored))
			ret_means->nft = NULL;
		return;
	}
	/* The socket's path has to fit into a sockaddr_un (104 bytes on macOS), so a long TMPDIR is not used. */
	const char *base = getenv("TMPDIR");
	const bool fits = base != NULL && base[0] == '/' && strlen(base) <= BASE_MOST && file_is_directory(base);

	ret_means->base = str_path_clean(fits ? base : "/tmp");
	draw_hex(ret_means->directory, ROUTE_DIRECTORY_DIGITS);
	draw_hex(ret_means->token, ROUTE_TOKEN_DIGITS);
	/* Above the ports that Linux hands out by itself: hardly a server's own. */
	random_bytes(&ret_means->relay_port, sizeof(ret_means->relay_port));
	ret_means->relay_port = (uint16_t)(RELAY_PORTS + ret_means->relay_port % (UINT16_MAX - RELAY_PORTS));
}

void route_means_done(struct route_means *means)
{
	free(means->base);
	free(means->nft);
	*means = (struct route_means){ 0 };
}

/* ---- planning ---- */

/* RFC 4648. */
static char *base64(const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const size_t length = strlen(text);
	char *out = mem_alloc((length + 2) / 3 * 4 + 1);
	char *at = out;

	for (size_t i = 0; i < length; i += 3) {
		uint32_t group = 0;
		for (size_t j = 0; j < 3; j++)
			group = group << 8 | (i + j < length ? (unsigned char)text[i + j] : 0U);
		for (size_t j = 0; j < 4; j++)
			*at++ = i + j > length ? '=' : digits[group >> (18 - 6 * j) & 63];
	}
	return out;
}

bool route_plan(const struct route_settings *settings, const struct route_means *means, struct route *ret_route,
                struct npxc_error *err)
{
	struct route route = { .settings = *settings, .listener = -1, .egress = EGRESS_NONE };

	if (settings->link == POLICY_LINK_NETNS) {
		route.nft = str_dup(means->nft);
		if (!netns_request_of(settings->rules, route.nft, &route.request, err)) {
			route_done(&route);
			return false;
		}
		if (settings->learn)
			netns_request_to_learn(&route.request);
	} else {
		route.relay_port = means->relay_port;
		route.directory = str_printf("%s/npxc-%s", means->base, means->directory);
	}
	if (settings->link == POLICY_LINK_GATEWAY) {
		route.token = str_dup(means->token);
		mem_cleanup char *pair = str_printf("npxc:%s", route.token);
		route.credentials = base64(pair);
	}
	*ret_route = route;
	return true;
}

/* ---- listeners ---- */

static bool listen_on_socket(const char *directory, int *ret_fd, struct npxc_error *err)
{
	mem_cleanup char *path = str_printf("%s/egress.sock", directory);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	FD_CLEANUP int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, ERROR_IO, "the path %s is too long for a socket; set TMPDIR to a shorter one",
		                 path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* The mode: the guest is another user. On the host the directory lets nobody through. */
	if (fd == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 || chmod(path, 0666) == -1 ||
	    listen(fd, BACKLOG) == -1)
		return error_set_errno(err, ERROR_IO, "listen on %s", path);
	*ret_fd = fd_take(&fd);
	return true;
}

/*
 * At the gateway's own address, which may come into being only when the container does (podman's bridge): IP_FREEBIND
 * takes it before. Elsewhere at all addresses; then only the look at who connects (egress) and the token stand between.
 */
static bool listen_on_gateway(struct route *route, const struct network *network, struct npxc_error *err)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	FD_CLEANUP int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!ip_parse_prefix(network->subnet, strlen(network->subnet), &route->subnet))
		return error_set(err, ERROR_RUNTIME, "the network's subnet %s is none", network->subnet);
#ifdef IP_FREEBIND
	const int on = 1;
	if (inet_pton(AF_INET, network->gateway, &address.sin_addr) != 1)
		return error_set(err, ERROR_RUNTIME, "the network's gateway %s is no address", network->gateway);
	if (fd != -1 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		return error_set_errno(err, ERROR_IO, "listen at the gateway");
	if (fd != -1 && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) == -1)
		return error_set_errno(err, ERROR_IO, "listen at the gateway");
#endif
	if (fd == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 || listen(fd, BACKLOG) == -1 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) == -1)
		return error_set_errno(err, ERROR_IO, "listen at the gateway %s", network->gateway);
	route->port = ntohs(address.sin_port);
	route->listener = fd_take(&fd);
	return true;
}

static bool make_directory(struct janitor *janitor, struct route *route, struct npxc_error *err)
{
	mem_cleanup char *preload = str_printf("%s/egress.cjs", route->directory);
	unsigned ignored;

	FAULT_POINT("route.hold");
	if (!janitor_hold_path(janitor, RESOURCE_DIRECTORY, route->directory, &ignored, err))
		return false;
	FAULT_POINT("route.held");
	if (mkdir(route->directory, 0700) == -1)
		return error_set_errno(err, ERROR_IO, "make directory %s", route->directory);
	FAULT_POINT("route.made");
	return file_write_atomic(preload, GUEST_EGRESS_JS, GUEST_EGRESS_JS_LENGTH, 0444, err);
}

/* ---- opening ---- */

bool route_open(struct route *route, struct janitor *janitor, const struct network *network, struct npxc_error *err)
{
	const struct route_settings *settings = &route->settings;

	if (route->directory != NULL && !make_directory(janitor, route, err))
		return false;
	if (settings->link == POLICY_LINK_SOCKET && !listen_on_socket(route->directory, &route->listener, err))
		return false;
	if (settings->link == POLICY_LINK_GATEWAY && !listen_on_gateway(route, network, err))
		return false;
	FAULT_POINT("route.listening");
	const struct egress_settings how = {
		.rules = settings->rules,
		.link = settings->link,
		.audit_directory = settings->audit_directory,
		.session = settings->session,
		.package = settings->package,
		.listener = route->listener,
		.subnet = settings->link == POLICY_LINK_GATEWAY ? &route->subnet : NULL,
		.token = route->credentials,
		.learn = settings->learn,
	};
	FAULT_POINT("egress.fork");
	const bool started = egress_start(&how, &route->egress, err);
	/* The process's alone from here on: when it dies, who connects is refused and does not wait in a queue. */
	fd_close(&route->listener);
	if (!started)
		return false;
	FAULT_POINT("egress.hold");
	if (!janitor_hold_process(janitor, route->egress.pid, &route->egress_hold, err))
		return false;
	FAULT_POINT("egress.held");
	route->janitor = janitor;
	return true;
}

/* ---- the sandbox's side ---- */

static const char *variable(const struct launch *launch, const char *name)
{
	for (size_t i = launch->env_count; i > 0; i--)
		if (strcmp(launch->env[i - 1].name, name) == 0)
			return launch->env[i - 1].value;
	return NULL;
}

void route_add(const struct route *route, const struct network_choice *network, struct launch *launch)
{
	const struct route_settings *settings = &route->settings;

	launch->network = settings->link == POLICY_LINK_NETNS ? LAUNCH_NETWORK_NETNS : LAUNCH_NETWORK_NONE;
	if (route->directory == NULL)
		return;
	mem_cleanup char *preload = str_printf("%s/egress.cjs", route->directory);
	launch_add_mount(launch, preload, ROUTE_GUEST_PRELOAD, false);
	if (settings->link == POLICY_LINK_SOCKET) {
		mem_cleanup char *socket_path = str_printf("%s/egress.sock", route->directory);
		launch_add_mount(launch, socket_path, ROUTE_GUEST_SOCKET, false);
		launch_add_env(launch, "NPXC_EGRESS", "unix:" ROUTE_GUEST_SOCKET);
	} else {
		launch->network = LAUNCH_NETWORK_MANAGED;
		free(launch->network_name);
		launch->network_name = str_dup(network->argument);
		launch_add_env(launch, "NPXC_EGRESS", "tcp:<gateway>:0");
		launch_add_env(launch, "NPXC_EGRESS_TOKEN", route->token);
	}
	mem_cleanup char *relay_port = str_printf("%u", route->relay_port);
	launch_add_env(launch, "NPXC_RELAY_PORT", relay_port);
	const char *users = variable(launch, "NODE_OPTIONS");
	mem_cleanup char *options =
	    str_printf("--require " ROUTE_GUEST_PRELOAD "%s%s", users == NULL ? "" : " ", users == NULL ? "" : users);
	launch_add_env(launch, "NODE_OPTIONS", options);
}

void route_fill(const struct route *route, const struct network *network, struct launch *launch)
{
	if (route->settings.link != POLICY_LINK_GATEWAY)
		return;
	mem_cleanup char *place = str_printf("tcp:%s:%u", network->gateway, route->port);
	launch_add_env(launch, "NPXC_EGRESS", place);
}

bool route_await(struct route *route, struct npxc_error *err)
{
	return egress_await(&route->egress, err);
}

void route_stop(struct route *route)
{
	struct npxc_error err = { 0 };

	egress_stop(&route->egress);
	FAULT_POINT("egress.stopped");
	if (route->janitor != NULL && !janitor_release(route->janitor, route->egress_hold, &err))
		log_debug("session", "%s", err.message); /* it has gone all the same */
	route->janitor = NULL;
}

void route_done(struct route *route)
{
	route_stop(route);
	egress_done(&route->egress);
	fd_close(&route->listener);
	free(route->nft);
	free(route->directory);
	free(route->token);
	free(route->credentials);
	*route = (struct route){ .listener = -1, .egress = EGRESS_NONE };
}

const char *route_weakness(enum policy_link link)
{
	switch (link) {
	case POLICY_LINK_GATEWAY:
		return "the guest also reaches this host's services that listen on all addresses, and the runtime's "
		       "resolver";
	case POLICY_LINK_SOCKET:
		return "programs that are neither Node nor take an HTTP proxy reach nothing, allowed or not";
	case POLICY_LINK_NETNS:
	case POLICY_LINK_AUTO:
		break;
	}
	return NULL;
}
