#include "relay/beside.h"

#include "base/mem.h"
#include "base/str.h"

char *beside_text(const struct config_package *package)
{
	mem_cleanup char *way =
	    package->storage_persist
	        ? str_dup("/data is kept")
	        : str_printf("\"storage\": { \"persist\": true } in %s gives it /data", package->file);

	return str_printf("npxc: the server could not write beside its package, which is read-only; %s: name a file "
	                  "there in the variable (\"env\") or argument that says where it keeps its files",
	                  way);
}
