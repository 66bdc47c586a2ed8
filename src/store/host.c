#include "store/host.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"

void host_base_launch(struct launch *launch)
{
	mem_cleanup char *random = random_hex(8);

	*launch = (struct launch){ .network = LAUNCH_NETWORK_NONE };
	launch->name = str_printf("npxc-install-%s", random);
	launch->home = str_dup("/home/npxc");
	launch->directory = str_dup(STORE_GUEST_PACKAGE);
}

unsigned host_time_left(const struct store_host *host)
{
	const int64_t left = host->deadline_ms == 0 ? LIMIT_INSTALL_MS : host->deadline_ms - clock_now_ms();

	return left < 1 ? 1 : (unsigned)left;
}
