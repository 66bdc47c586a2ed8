#include "contain/netcount.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* bytes: of one of the files; Linux 6.18 writes 3 KiB. */
enum { TEXT_MAX = 16 * 1024 };

static uint64_t number_at(const char *text)
{
	uint64_t number;
	mem_cleanup char *digits = str_dup_n(text, strspn(text, "0123456789"));

	return str_to_u64(digits, UINT64_MAX, &number) ? number : 0;
}

/* The line that begins with `label`, or NULL. */
static const char *line_of(const char *text, const char *label)
{
	while (text != NULL && !str_starts(text, label)) {
		text = strchr(text, '\n');
		text = text == NULL ? NULL : text + 1;
	}
	return text;
}

/* "Udp: InDatagrams NoPorts\nUdp: 3 4\n": the nth word of the first line names the nth of the second. */
static uint64_t counter_of(const char *text, const char *label, const char *name)
{
	const char *names = line_of(text, label);
	const char *end = names == NULL ? NULL : strchr(names, '\n');
	const char *values = end == NULL || !str_starts(end + 1, label) ? NULL : end + 1;
	const size_t length = strlen(name);

	while (values != NULL && names < end) {
		const size_t name_length = strcspn(names, " \n");
		const size_t value_length = strcspn(values, " \n");

		if (name_length == length && memcmp(names, name, length) == 0)
			return number_at(values);
		if (names[name_length] != ' ' || values[value_length] != ' ')
			return 0;
		names += name_length + 1;
		values += value_length + 1;
	}
	return 0;
}

/* "Ip6OutNoRoutes    \t3\n" */
static uint64_t counter6_of(const char *text, const char *name)
{
	const size_t length = strlen(name);
	const char *line = line_of(text, name);

	if (line == NULL || (line[length] != ' ' && line[length] != '\t'))
		return 0;
	return number_at(line + length + strspn(line + length, " \t"));
}

void netcount_parse(const char *snmp, const char *snmp6, struct netcount_tried *ret_tried)
{
	*ret_tried = (struct netcount_tried){
		.unreachable = counter_of(snmp, "Ip:", "OutNoRoutes") + counter6_of(snmp6, "Ip6OutNoRoutes"),
		.lookups = counter_of(snmp, "Udp:", "NoPorts") + counter6_of(snmp6, "Udp6NoPorts"),
		.refused = counter_of(snmp, "Tcp:", "AttemptFails"),
	};
}

#ifdef __linux__

bool netcount_open(pid_t pid, struct netcount *ret_netcount)
{
	mem_cleanup char *snmp = str_printf("/proc/%ld/net/snmp", (long)pid);
	mem_cleanup char *snmp6 = str_printf("/proc/%ld/net/snmp6", (long)pid);
	struct netcount netcount = { open(snmp, O_RDONLY | O_CLOEXEC), open(snmp6, O_RDONLY | O_CLOEXEC) };

	if (netcount.snmp == -1) {
		netcount_close(&netcount);
		return false;
	}
	*ret_netcount = netcount; /* without snmp6 the kernel has no IPv6 */
	return true;
}

#else

bool netcount_open(pid_t pid, struct netcount *ret_netcount)
{
	(void)pid;
	(void)ret_netcount;
	return false;
}

#endif

void netcount_close(struct netcount *netcount)
{
	fd_close(&netcount->snmp);
	fd_close(&netcount->snmp6);
}

static void read_text(int fd, char text[static TEXT_MAX])
{
	const ssize_t got = fd == -1 ? 0 : pread(fd, text, TEXT_MAX - 1, 0);

	text[got < 0 ? 0 : got] = '\0';
}

bool netcount_read(const struct netcount *netcount, struct netcount_tried *ret_tried)
{
	char snmp[TEXT_MAX], snmp6[TEXT_MAX];

	if (netcount->snmp == -1)
		return false;
	read_text(netcount->snmp, snmp);
	read_text(netcount->snmp6, snmp6);
	netcount_parse(snmp, snmp6, ret_tried);
	return true;
}
