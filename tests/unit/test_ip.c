#include "unit.h"

#include "base/ip.h"

#include <netinet/in.h>
#include <string.h>

static struct ip ip(const char *text)
{
	struct ip ip = { 0 };

	if (!ip_parse(text, strlen(text), &ip))
		fail_msg("%s is no address", text);
	return ip;
}

static void addresses_are_read_in_their_strict_form_only(void **state)
{
	static const char *const good[][2] = {
		{ "1.2.3.4", "1.2.3.4" },
		{ "::", "::" },
		{ "2001:DB8::1", "2001:db8::1" },
		{ "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
	};
	static const char *const bad[] = { "",
		                           "1.2.3",
		                           "1.2.3.4.5",
		                           "01.2.3.4",
		                           "0x1.2.3.4",
		                           "256.1.1.1",
		                           "1.2.3.4 ",
		                           ":::",
		                           "1::2::3",
		                           "fe80::1%lo",
		                           "[::1]",
		                           "12345::",
		                           "2130706433",
		                           "::g",
		                           "1:2:3:4:5:6:7:8:9",
		                           "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111" };
	struct ip unused;
	char text[IP_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct ip address = ip(good[i][0]);

		ip_text(&address, text);
		assert_string_equal(text, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ip_parse(bad[i], strlen(bad[i]), &unused))
			fail_msg("\"%s\" was taken", bad[i]);
	assert_false(ip_parse("1.2.3.4\0x", 9, &unused));
}

static void prefixes_are_read_without_bits_behind_them(void **state)
{
	static const char *const good[] = { "10.0.0.0/8", "1.2.3.4", "0.0.0.0/0",   "1.2.3.5/32",   "2001:db8::/32",
		                            "::1",        "::/0",    "128.0.0.0/1", "10.0.0.128/25" };
	static const char *const bad[] = { "10.0.0.1/8",    "10.0.0.0/33",    "10.0.0.0/",
		                           "10.0.0.0/08",   "10.0.0.0/-1",    "/8",
		                           "::/129",        "2001:db8::1/64", "10.0.0.0/8/8",
		                           "10.0.0.0/0008", "64.0.0.0/1" };
	struct ip_prefix prefix;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[IP_PREFIX_TEXT_BYTES];

		assert_true(ip_parse_prefix(good[i], strlen(good[i]), &prefix));
		ip_prefix_text(&prefix, text);
		if (strcmp(good[i], "1.2.3.5/32") != 0)
			assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ip_parse_prefix(bad[i], strlen(bad[i]), &prefix))
			fail_msg("\"%s\" was taken", bad[i]);
}

static void an_address_is_in_a_prefix_of_its_own_family(void **state)
{
	static const struct {
		const char *ip, *prefix;
		bool in;
	} cases[] = {
		{ "10.1.2.3", "10.0.0.0/8", true },
		{ "11.0.0.0", "10.0.0.0/8", false },
		{ "172.31.255.255", "172.16.0.0/12", true },
		{ "172.32.0.0", "172.16.0.0/12", false },
		{ "1.2.3.4", "0.0.0.0/0", true },
		{ "::1", "0.0.0.0/0", false },
		{ "1.2.3.4", "::/0", false },
		{ "2001:db8:ffff::1", "2001:db8::/32", true },
		{ "2001:db9::1", "2001:db8::/32", false },
		{ "::ffff:10.1.2.3", "10.0.0.0/8", false },
		{ "1.2.3.4", "1.2.3.4", true },
		{ "1.2.3.5", "1.2.3.4", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip address = ip(cases[i].ip);
		struct ip_prefix prefix;

		assert_true(ip_parse_prefix(cases[i].prefix, strlen(cases[i].prefix), &prefix));
		if (ip_within(&address, &prefix) != cases[i].in)
			fail_msg("%s in %s", cases[i].ip, cases[i].prefix);
	}
}

static void an_address_is_the_same_in_each_of_its_forms(void **state)
{
	struct ip mapped = ip("::ffff:127.0.0.1"), other = ip("::fffe:127.0.0.1"), four = ip("127.0.0.1");
	struct ip plain = ip_plain(&mapped), same = ip_plain(&other), number = ip_v4(0x7f000001);
	struct sockaddr_storage storage;
	struct sockaddr unix_address = { .sa_family = AF_UNIX };
	uint16_t port = 0;

	(void)state;
	assert_true(ip_equal(&plain, &four));
	assert_true(ip_equal(&number, &four));
	assert_true(ip_equal(&same, &other));
	assert_int_equal(ip_to_sockaddr(&mapped, 443, &storage), sizeof(struct sockaddr_in6));
	assert_true(ip_of_sockaddr((struct sockaddr *)&storage, &plain, &port));
	assert_true(ip_equal(&plain, &mapped) && port == 443);
	assert_int_equal(ip_to_sockaddr(&four, 80, &storage), sizeof(struct sockaddr_in));
	assert_true(ip_of_sockaddr((struct sockaddr *)&storage, &plain, &port));
	assert_true(ip_equal(&plain, &four) && port == 80);
	assert_false(ip_of_sockaddr(&unix_address, &plain, &port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_in_their_strict_form_only),
		cmocka_unit_test(prefixes_are_read_without_bits_behind_them),
		cmocka_unit_test(an_address_is_in_a_prefix_of_its_own_family),
		cmocka_unit_test(an_address_is_the_same_in_each_of_its_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
