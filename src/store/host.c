#include "store/host.h"

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
