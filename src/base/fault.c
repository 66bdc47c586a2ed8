#include "base/fault.h"

#include "base/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef NPXC_FAULTS

/*
 * Memory that all processes of a session share, so that writing into it needs no call: the egress process may make next
 * to none. As a file: the number of entries, the pids of the roles, the session's id, then the entries in their order.
 */
static const char *const roles[] = { "launcher", "janitor", "egress", "sandbox", "sweeper", "installer", "keeper" };
enum { ROLES = sizeof(roles) / sizeof(roles[0]), SEEN_MAX = 1000, ID_SIZE = 40 };

struct seen {
	uint8_t role, known; /* of who reached it; a bit for each role that has a pid */
	uint16_t unused;
	char name[44];
};

struct board {
	_Atomic uint32_t count;
	_Atomic int32_t pids[ROLES];
	char id[ID_SIZE];
	struct seen seen[SEEN_MAX];
	/* When the roles' processes began: a pid may be somebody else's by the time of the strike. */
	_Atomic uint64_t started[ROLES];
};

static struct board *board;
static uint8_t own_role;

static void give_up(const char *why)
{
	fprintf(stderr, "NPXC_FAULT: %s\n", why);
	_exit(125);
}

static void open_board(void)
{
	const char *path = getenv("NPXC_FAULT_BOARD");
	int fd = -1;

	if (path != NULL) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd == -1 || ftruncate(fd, sizeof(*board)) == -1)
			give_up("no board");
	}
	void *memory = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
	                    fd == -1 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		give_up("no memory for the board");
	if (fd != -1)
		close(fd);
	board = memory;
}

void fault_role(const char *role)
{
	if (board == NULL)
		open_board();
	if (strcmp(role, "janitor") == 0 && strcmp(roles[own_role], "installer") == 0)
		role = "keeper"; /* there are two, and both live */
	for (own_role = 0; own_role < ROLES && strcmp(roles[own_role], role) != 0; own_role++)
		;
	if (own_role == ROLES)
		give_up("no such role");
	struct proc_look own;
	board->started[own_role] = proc_look(getpid(), &own) ? own.started : 0;
	board->pids[own_role] = getpid();
}

void fault_session(const char *id)
{
	snprintf(board->id, sizeof(board->id), "%s", id);
}

/* How often it has been reached, this time included. */
static unsigned write_down(const char *name)
{
	const uint32_t index = atomic_fetch_add(&board->count, 1);
	unsigned times = 1;

	if (index >= SEEN_MAX)
		give_up("the board is full");
	for (uint32_t i = 0; i < index; i++)
		times += strcmp(board->seen[i].name, name) == 0;
	struct seen *seen = &board->seen[index];
	seen->role = own_role;
	for (unsigned i = 0; i < ROLES; i++)
		if (board->pids[i] != 0)
			seen->known = (uint8_t)(seen->known | 1U << i);
	snprintf(seen->name, sizeof(seen->name), "%s", name);
	return times;
}

static void send(unsigned role, int signal)
{
	const pid_t pid = board->pids[role];
	struct proc_look look;

	if (proc_look(pid, &look) && !look.zombie && look.started == board->started[role])
		kill(pid, signal);
}

/* The process itself last; when it is to die, by a trap where it may send no signal. */
static void strike(const char *victims, int signal)
{
	const bool is_end = signal == SIGKILL;
	bool self = victims[0] == '\0';

	for (unsigned pass = is_end ? 0 : 1; pass < 2; pass++)
		for (unsigned i = 0; i < ROLES; i++) {
			const pid_t pid = board->pids[i];

			if (strstr(victims, roles[i]) == NULL || pid == 0)
				continue;
			if (pid == getpid())
				self = true;
			else
				send(i, pass == 0 ? SIGSTOP : signal);
		}
	if (self) {
		kill(getpid(), signal);
		if (is_end)
			__builtin_trap();
	}
}

void fault_point(const char *name)
{
	const char *fault = getenv("NPXC_FAULT");

	if (board == NULL) /* a program that is not npxc itself */
		return;
	const unsigned times = write_down(name);
	while (fault != NULL && *fault != '\0') {
		const size_t length = strcspn(fault, ",");
		char one[128];

		snprintf(one, sizeof(one), "%.*s", (int)length, fault);
		fault += length + (fault[length] == ',');
		char none[1] = "", *victims = none;
		char *equals = strchr(one, '=');
		if (equals != NULL) {
			*equals = '\0';
			victims = equals + 1;
		}
		char *slash = strchr(victims, '/');
		const int signal = slash == NULL ? SIGKILL : atoi(slash + 1);
		if (slash != NULL)
			*slash = '\0';
		char *colon = strchr(one, ':');
		const unsigned long wanted = colon == NULL ? 1 : strtoul(colon + 1, NULL, 10);
		if (colon != NULL)
			*colon = '\0';
		if (strcmp(one, name) == 0 && times == wanted)
			strike(victims, signal);
	}
}

bool fault_without(const char *name)
{
	const char *without = getenv("NPXC_WITHOUT");

	return without != NULL && strcmp(without, name) == 0;
}

bool fault_without_nth(const char *name, unsigned number)
{
	char numbered[64];

	snprintf(numbered, sizeof(numbered), "%s-%u", name, number);
	return fault_without(numbered);
}

#endif
