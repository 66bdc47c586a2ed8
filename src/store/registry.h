#ifndef NPXC_STORE_REGISTRY_H
#define NPXC_STORE_REGISTRY_H

#include "base/error.h"
#include "base/str.h"
#include "config/rules.h"
#include "store/npmrc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What an installation may reach: the registries of npm's configuration, the proxy on the way to them, and what
 * install.allow adds. Pure.
 *
 * The user chose these hosts by name, so an entry is consent to a private address and to a neighbour too, unlike a rule
 * for a name (config/rules.h). Link-local addresses, where clouds serve credentials, stay refused.
 */
struct reach_entry {
	char *host; /* owned; a canonical name, or an address without brackets (never a v4-mapped one) */
	uint16_t port;
	/* A service of this machine's own loopback, which has to be found inside at the same address and port. Its host
	 * is an address of 127.0.0.0/8, ::1, localhost or a name below it. */
	bool loopback;
	/* npm speaks to it as to a proxy (CONNECT, absolute-form requests, SOCKS): what is said there names other
	 * hosts, so nothing on the wire can agree with `host`, and what it reaches is the proxy's decision. */
	bool proxy;
};

struct store_reach {
	struct reach_entry *v; /* each once */
	size_t count;
	const struct rules *allow; /* borrowed; of install.allow; may be NULL */
};

/*
 * One address of a registry, or of a proxy. The port is the scheme's when none is written.
 * Should: refuse whatever npm's own parser (WHATWG URL) might read as another host than this one does: blanks,
 *   backslashes, percent-encoded or non-ASCII names, numbers such as 127.1, a missing or other scheme.
 * Mustn't: show a user name or password in an error.
 * ERROR_INSTALL.
 */
bool registry_parse(const char *url, bool proxy, struct reach_entry *ret_entry, struct npxc_error *err) NPXC_MUST_CHECK;

/*
 * From npm's effective configuration; `variable` gives the proxies of the environment. `scripts`: for install scripts,
 * which get no proxy unless `allow` has a rule for it: it would let them reach all that the proxy does.
 *
 * The proxy is npm's choice for each registry (@npmcli/agent, lib/proxy.js, the same since npm 7): https-proxy or else
 * proxy of the configuration, then https_proxy, and for http registries http_proxy and proxy, of the environment; none
 * for hosts of noproxy, else of no_proxy.
 *
 * ERROR_INSTALL, with the key, for a default registry or a proxy that is none. A scope's registry that is none, or is
 * one too many (LIMIT_REACH_ENTRIES), is left out, and `ret_notes` (to be freed; may be NULL) says so: npm may not need
 * it.
 */
bool registry_reach(const struct npmrc *config, npmrc_lookup *variable, void *context, const struct rules *allow,
                    bool scripts, struct store_reach *ret_reach, struct strv *ret_notes,
                    struct npxc_error *err) NPXC_MUST_CHECK;
void registry_reach_done(struct store_reach *reach);

#endif
