#include "unit.h"

#include "base/str.h"
#include "egress/address.h"

#include <string.h>

static struct ip ip(const char *text)
{
	struct ip address = { 0 };

	if (!ip_parse(text, strlen(text), &address))
		fail_msg("%s is no address", text);
	return address;
}

static void a_name_may_stand_for_public_addresses_only(void **state)
{
	static const struct {
		const char *ip;
		const char *why; /* NULL: fit for a name */
	} cases[] = {
		{ "0.0.0.0", "no host" },
		{ "0.1.2.3", "no host" },
		{ "1.0.0.0", NULL },
		{ "9.255.255.255", NULL },
		{ "10.0.0.0", "private" },
		{ "10.255.255.255", "private" },
		{ "11.0.0.0", NULL },
		{ "100.63.255.255", NULL },
		{ "100.64.0.1", "carriers" },
		{ "100.127.255.255", "carriers" },
		{ "100.128.0.0", NULL },
		{ "127.0.0.1", "loopback" },
		{ "127.255.0.1", "loopback" },
		{ "169.254.169.254", "link-local" },
		{ "172.15.255.255", NULL },
		{ "172.16.0.1", "private" },
		{ "172.31.255.255", "private" },
		{ "172.32.0.0", NULL },
		{ "192.0.0.8", "protocols" },
		{ "192.0.1.0", NULL },
		{ "192.0.2.1", "documentation" },
		{ "192.88.99.1", "6to4" },
		{ "192.168.1.1", "private" },
		{ "198.17.255.255", NULL },
		{ "198.18.0.1", "benchmarks" },
		{ "198.19.255.255", "benchmarks" },
		{ "198.20.0.0", NULL },
		{ "198.51.100.7", "documentation" },
		{ "203.0.113.9", "documentation" },
		{ "224.0.0.1", "multicast" },
		{ "239.255.255.255", "multicast" },
		{ "240.0.0.1", "reserved" },
		{ "255.255.255.255", "reserved" },
		{ "93.184.216.34", NULL },
		{ "2606:4700::1", NULL },
		{ "2a00:1450:4001::1", NULL },
		{ "::", "no global" },
		{ "::1", "no global" },
		{ "fe80::1", "no global" },
		{ "fc00::1", "no global" },
		{ "fd12:3456::1", "no global" },
		{ "ff02::1", "no global" },
		{ "100::1", "no global" },
		{ "2001::1", "protocols" },
		{ "2001:1ff::1", "protocols" },
		{ "2001:200::1", NULL },
		{ "2001:db8::1", "documentation" },
		{ "2002:7f00:1::", "6to4" },
		{ "3ffe::1", NULL },
		{ "3fff:0fff::1", "documentation" },
		{ "3fff:1000::1", NULL },
		{ "::ffff:127.0.0.1", "loopback" },
		{ "::ffff:10.0.0.1", "private" },
		{ "::ffff:93.184.216.34", NULL },
		{ "::127.0.0.1", "no global" }, /* the old "compatible" form leads nowhere */
		{ "64:ff9b::10.0.0.1", "private" },
		{ "64:ff9b::169.254.169.254", "link-local" },
		{ "64:ff9b::93.184.216.34", NULL },
		{ "64:ff9b:1::10.0.0.1", "no global" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ip address = ip(cases[i].ip);
		const char *why = reason_text(address_refusal(&address, NULL));

		if (cases[i].why == NULL ? why != NULL : why == NULL || strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].ip, why == NULL ? "taken" : why);
	}
}

static void a_name_may_not_stand_for_this_machine_or_its_neighbours(void **state)
{
	static const struct {
		const char *ip;
		bool fit;
	} cases[] = {
		{ "81.2.3.4", false }, /* an interface */
		{ "81.2.3.5", false }, /* its neighbour */
		{ "81.2.4.1", true },           { "::ffff:81.2.3.4", false },  { "64:ff9b::81.2.3.9", false },
		{ "2a02:8070:1:2::77", false }, { "2a02:8070:1:3::77", true }, { "85.1.1.1", false },
		{ "85.1.1.2", true },
	};
	struct address_own own = { 0 };
	const struct ip four = ip("81.2.3.4"), six = ip("2a02:8070:1:2::5"), peer = ip("85.1.1.1");

	(void)state;
	address_add_own(&own, &four, 24);
	address_add_own(&own, &six, 64);
	address_add_own(&own, &peer, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ip address = ip(cases[i].ip);

		if ((address_refusal(&address, &own) == REASON_NONE) != cases[i].fit)
			fail_msg("%s", cases[i].ip);
		assert_int_equal(address_refusal(&address, NULL),
		                 REASON_NONE); /* so it was the machine's own that decided */
	}
	address_own_done(&own);
}

static void no_rule_leads_there(void **state)
{
	static const char *const never[] = {
		"127.0.0.1",          "127.9.9.9", "0.0.0.0",         "::",      "::1",     "::ffff:127.0.0.1",
		"64:ff9b::127.0.0.1", "224.0.0.1", "255.255.255.255", "ff02::1", "fe80::1", "198.18.0.1"
	};
	static const char *const maybe[] = { "10.0.0.1", "192.168.1.1", "fd00::1", "169.254.169.254", "8.8.8.8" };

	(void)state;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		const struct ip address = ip(never[i]);

		if (address_refusal_always(&address) == REASON_NONE)
			fail_msg("%s", never[i]);
	}
	for (size_t i = 0; i < sizeof(maybe) / sizeof(maybe[0]); i++) {
		const struct ip address = ip(maybe[i]);

		if (address_refusal_always(&address) != REASON_NONE)
			fail_msg("%s", maybe[i]);
	}
}

static void this_machine_has_a_loopback(void **state)
{
	struct address_own own;
	struct npxc_error err = { 0 };
	const struct ip loopback = ip("127.0.0.1");
	bool seen = false;

	(void)state;
	if (!address_read_own(&own, &err))
		fail_msg("%s", err.message);
	for (size_t i = 0; i < own.address_count; i++)
		seen = seen || ip_equal(&own.addresses[i], &loopback);
	assert_true(seen);
	seen = false;
	for (size_t i = 0; i < own.link_count; i++)
		seen = seen || (ip_within(&loopback, &own.links[i]) && own.links[i].length == 8);
	assert_true(seen);
	address_own_done(&own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_may_stand_for_public_addresses_only),
		cmocka_unit_test(a_name_may_not_stand_for_this_machine_or_its_neighbours),
		cmocka_unit_test(no_rule_leads_there),
		cmocka_unit_test(this_machine_has_a_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
