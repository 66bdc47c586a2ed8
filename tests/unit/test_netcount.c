#include "unit.h"

#include "base/fd.h"
#include "contain/netcount.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void reads_the_counters_by_their_names(void **state)
{
	static const struct {
		const char *snmp, *snmp6;
		unsigned unreachable, lookups, refused;
	} CASES[] = {
		{ "", "", 0, 0, 0 },
		{ "Ip: A OutNoRoutes B\nIp: 1 2 3\n", "", 2, 0, 0 },
		{ "Ip: OutNoRoutes\nIp: 7", "Ip6OutNoRoutes                  \t5\n", 12, 0, 0 },
		{ "Udp: InDatagrams NoPorts InErrors\nUdp: 9 4 1\nUdpLite: InDatagrams NoPorts\nUdpLite: 8 8\n",
		  "Udp6InDatagrams 9\nUdp6NoPorts 3\nUdpLite6NoPorts 8\n", 0, 7, 0 },
		{ "Ip: Forwarding\nIp: 1\nTcp: ActiveOpens AttemptFails\nTcp: 6 -1\n", "", 0, 0, 0 },
		{ "Tcp: ActiveOpens AttemptFails\nTcp: 6 1\n", "", 0, 0, 1 },
		{ "Tcp: ActiveOpens AttemptFails\nTcp: 6\n", "", 0, 0, 0 },
		{ "Tcp: AttemptFails\nUdp: 6\n", "Ip6OutNoRoutesX 5\nIp6OutNoRoutes", 0, 0, 0 },
		{ "Tcp: AttemptFails\nTcp: 99999999999999999999999\n", "Ip6OutNoRoutes x", 0, 0, 0 },
		{ "Tcp: AttemptFails", "Ip6OutNoRoutes", 0, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct netcount_tried tried;

		netcount_parse(CASES[i].snmp, CASES[i].snmp6, &tried);
		assert_int_equal(tried.unreachable, CASES[i].unreachable);
		assert_int_equal(tried.lookups, CASES[i].lookups);
		assert_int_equal(tried.refused, CASES[i].refused);
	}
}

static void tells_nothing_of_a_process_that_is_not_there(void **state)
{
	struct netcount netcount = NETCOUNT_NONE;
	struct netcount_tried tried;

	(void)state;
	assert_false(netcount_open(-1, &netcount));
	assert_false(netcount_read(&netcount, &tried));
	netcount_close(&netcount);
}

#ifdef __linux__
static void the_kernel_counts_what_found_no_listener(void **state)
{
	const struct sockaddr_in nobody = { .sin_family = AF_INET,
		                            .sin_port = htons(1),
		                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct netcount netcount = NETCOUNT_NONE;
	struct netcount_tried before, after;
	int one = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(netcount_open(getpid(), &netcount));
	assert_true(netcount_read(&netcount, &before));
	assert_int_equal(sendto(one, "x", 1, 0, (const struct sockaddr *)&nobody, sizeof(nobody)), 1);
	assert_true(netcount_read(&netcount, &after));
	assert_true(after.lookups > before.lookups);
	fd_close(&one);
	netcount_close(&netcount);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_counters_by_their_names),
		cmocka_unit_test(tells_nothing_of_a_process_that_is_not_there),
#ifdef __linux__
		cmocka_unit_test(the_kernel_counts_what_found_no_listener),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
