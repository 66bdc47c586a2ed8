#include "base/limits.h"
#include "base/mem.h"
#include "runtime/container.h"

#include <errno.h>

bool container_is_down(const struct npxc_error *err)
{
	return err->kind == ERROR_RUNTIME_UNAVAILABLE || err->sys_errno == ETIMEDOUT;
}

bool container_remove(const struct runtime *runtime, const char *name, struct npxc_error *err)
{
	struct strv argv = { 0 };
	struct proc_result result = { 0 };
	bool ok;

	runtime_remove_argv(runtime, name, &argv);
	const char *const *words = (const char *const *)argv.v + 1;
	ok = container_ask(runtime, words, LIMIT_REMOVE_MS, &result, err);
	if (ok) {
		mem_cleanup char *shown = container_command_text(runtime, words);

		ok = (result.exit_status == 0 && !result.timed_out) ||
		     (!result.timed_out && container_says_no_container(runtime->kind, result.errors.data, name)) ||
		     container_call_failed(runtime, shown, &result, LIMIT_REMOVE_MS, err);
		proc_result_done(&result);
	}
	strv_done(&argv);
	return ok;
}

void container_kill(const struct runtime *runtime, const char *name)
{
	const char *const words[] = { "kill", "-s", "KILL", name, NULL };
	struct npxc_error ignored = { 0 };
	struct proc_result result = { 0 };

	if (container_ask(runtime, words, LIMIT_REMOVE_MS, &result, &ignored))
		proc_result_done(&result);
}
