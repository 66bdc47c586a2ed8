#include "base/landlock.h"

#ifdef __linux__

#include <sys/syscall.h>
#include <unistd.h>

int landlock_abi(void)
{
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

bool landlock_make(const struct landlock_rules *rules, int abi, int *ret_ruleset, struct npxc_error *err)
{
	/* Older kernels take a longer one only when the rest of it is zero. */
	const size_t size = abi >= LANDLOCK_ABI_SCOPED ? sizeof(*rules) : sizeof(rules->handled_access_fs);
	const int ruleset = (int)syscall(SYS_landlock_create_ruleset, rules, size, 0);

	if (ruleset == -1)
		return error_set_errno(err, ERROR_RUNTIME, "make a Landlock ruleset");
	*ret_ruleset = ruleset;
	return true;
}

bool landlock_enter(int ruleset, struct npxc_error *err)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		return error_set_errno(err, ERROR_RUNTIME, "restrict the process by Landlock");
	return true;
}

#else

int landlock_abi(void)
{
	return 0;
}

bool landlock_make(const struct landlock_rules *rules, int abi, int *ret_ruleset, struct npxc_error *err)
{
	(void)rules;
	(void)abi;
	(void)ret_ruleset;
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "Landlock exists on Linux only");
}

bool landlock_enter(int ruleset, struct npxc_error *err)
{
	(void)ruleset;
	return error_set(err, ERROR_RUNTIME_UNAVAILABLE, "Landlock exists on Linux only");
}

#endif
