#include "teardown/successor.h"

enum successor_result successor_release(const char *path, int fd, struct lease *lease, const char *boot,
                                        struct teardown_report report)
{
	enum successor_result result = SUCCESSOR_RELEASED;
	struct teardown teardown;

	teardown_init(&teardown, path, report);
	teardown_inherit(&teardown, fd, lease, boot);
	teardown_run(&teardown);
	if (teardown.lease.count > 0 || teardown.sandbox.pid != 0)
		result = teardown.is_down ? SUCCESSOR_UNAVAILABLE : SUCCESSOR_INCOMPLETE;
	*lease = teardown.lease;
	teardown.lease = (struct lease){ 0 };
	teardown_done(&teardown);
	return result;
}
