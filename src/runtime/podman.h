#ifndef NPXC_RUNTIME_PODMAN_H
#define NPXC_RUNTIME_PODMAN_H

#include "runtime/driver.h"

#include <stdint.h>

/* The driver for podman, beside what runtime/engine has. Pure, but for the driver's own functions. */

/*
 * "node:lts" -> "docker.io/library/node:lts": podman would try its list of registries for a short name, and any of them
 * could answer. A name with a registry (or localhost/) stays. Owned.
 */
char *podman_image_name(const char *image);

/*
 * The subnet that podman is asked for, and this host's address in it. An internal network without podman's resolver
 * gets no gateway of podman's own accord (4.3.1: the bridge has no address then, and the guest takes the first one), so
 * one is named, and podman takes a gateway only together with a subnet. `attempt` below PODMAN_SUBNET_ATTEMPTS chooses
 * among podman's own default pools, in its order (containers.conf(5), default_subnet_pools), `draw` a place in it.
 */
enum { PODMAN_SUBNET_ATTEMPTS = 5, PODMAN_SUBNET_PREFIX = 28, PODMAN_ADDRESS_BYTES = sizeof("255.255.255.255/32") };
void podman_choose_subnet(unsigned attempt, uint32_t draw, char ret_subnet[static PODMAN_ADDRESS_BYTES],
                          char ret_gateway[static PODMAN_ADDRESS_BYTES]);

#endif
