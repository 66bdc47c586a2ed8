#include "unit.h"

#include "relay/failure.h"
#include "relay/notice.h"

#include <string.h>

static void words_tell_what_failed(void **state)
{
	static const struct {
		const char *words;
		bool names_path;
		enum failure failure;
	} CASES[] = {
		{ "", true, FAILURE_NONE },
		{ "all is well", true, FAILURE_NONE },
		{ "EROFS: read-only file system, open '/x'", false, FAILURE_READ_ONLY },
		{ "OSError: [Errno 30] Read-only file system: '/x'", false, FAILURE_READ_ONLY },
		{ "ENOENT: no such file or directory, mkdir '/x'", true, FAILURE_READ_ONLY },
		{ "ENOENT: no such file or directory, mkdir '/x'", false, FAILURE_NONE },
		{ "SqliteError: unable to open database file", false, FAILURE_READ_ONLY },
		{ "ENOSPC: no space left on device, write", false, FAILURE_SPACE },
		{ "write /x: No space left on device", false, FAILURE_SPACE },
		{ "getaddrinfo EAI_AGAIN example.com", false, FAILURE_NETWORK },
		{ "getaddrinfo ENOTFOUND example.com", false, FAILURE_NETWORK },
		{ "dial tcp: connect: network is unreachable", false, FAILURE_NETWORK },
		{ "[Errno -3] Temporary failure in name resolution", false, FAILURE_NETWORK },
		{ "connect ECONNREFUSED 127.0.0.1:5432", false, FAILURE_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_int_equal(failure_in(CASES[i].words, strlen(CASES[i].words), CASES[i].names_path),
		                 CASES[i].failure);
}

static void each_is_told_once_and_none_of_nothing(void **state)
{
	struct notices notices = { .label = "pkg" };

	(void)state;
	failure_tell(&notices, FAILURE_NONE, "/work", false);
	assert_int_equal(notices.told.count, 0);
	for (int i = 0; i < 2; i++) {
		failure_tell(&notices, FAILURE_NETWORK, "/work", false);
		failure_tell(&notices, FAILURE_SPACE, "/work", false);
		failure_tell(&notices, FAILURE_READ_ONLY, "/work", false);
		failure_tell(&notices, FAILURE_READ_ONLY, "/work", true);
	}
	assert_int_equal(notices.told.count, 3);
	notice_done(&notices);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_tell_what_failed),
		cmocka_unit_test(each_is_told_once_and_none_of_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
