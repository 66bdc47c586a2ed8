/*
 * The replay `container`: answers from a cassette, keeps a journal. Also `podman` and `docker`, by the name under which
 * it is called, which has to be the cassette's. Its configuration: shim/setup.h.
 *
 * Commands of the shim's own, which are neither counted nor written down:
 *   --shim-verify          exit 0 when every interaction was played as often as it has to be, no call was unmatched and
 *                          no container and no network is left; 1 and one line for each that is not so
 *   --shim-end             ends every workload, empties the world of containers
 *   --shim-check CASSETTE  reads a cassette and its transcripts; 0 or 98
 */
#include "base/mem.h"
#include "shim/hole.h"
#include "shim/journal.h"
#include "shim/play.h"
#include "shim/setup.h"
#include "shim/shim.h"
#include "shim/workload.h"
#include "shim/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

/* bytes: what a truncated workload still says. */
enum { CUT_WORKLOAD_BYTES = 20 };

/* One call from its beginning to its end. */
struct call {
	const struct setup *setup;
	const char *const *argv; /* behind the program's name */
	size_t argc;
	struct journal journal;
	struct bindings bindings;
	struct invocation invocation;
	const struct cassette_interaction *interaction;
	const struct cassette_answer *answer; /* what is printed: the interaction's, its busy one, or a refusal */
	struct buf output;
	char *errors;  /* owned; NULL: nothing */
	char *program; /* owned; of the workload; NULL: none is run */
	int64_t number;
	enum fault fault;
	bool made_container;
};

/* For the signal handler only. */
static volatile sig_atomic_t handler_scribe = -1;

static void end_by_signal(int sig)
{
	journal_end_in_handler(handler_scribe, 128 + sig);
	_exit(128 + sig);
}

static void complain(const char *text)
{
	mem_cleanup char *shown = str_escape(text, strlen(text));

	dprintf(STDERR_FILENO, "shim: %s\n", shown);
}

/* ---- matching ---- */

static const char *unset_variable(const struct strv *names)
{
	for (size_t i = 0; i < names->count; i++)
		if (getenv(names->v[i]) == NULL)
			return names->v[i];
	return NULL;
}

static char *near_miss_text(const struct call *call, const struct cassette_interaction *nearest,
                            const struct hole_reach *reach)
{
	const char *unset;

	if (nearest == NULL)
		return str_dup("the cassette is empty");
	if (reach->element < nearest->argv.count)
		return str_printf("nearest is %s, which wants %s where argument %zu is %s", nearest->id,
		                  nearest->argv.v[reach->element], reach->argument + 1,
		                  reach->argument < call->argc ? call->argv[reach->argument] : "missing");
	if (reach->argument < call->argc)
		return str_printf("nearest is %s, which ends before argument %zu, %s", nearest->id, reach->argument + 1,
		                  call->argv[reach->argument]);
	unset = unset_variable(&nearest->env);
	if (unset != NULL)
		return str_printf("nearest is %s, which wants the variable %s", nearest->id, unset);
	return str_printf("nearest is %s, which may be played %lld times and was", nearest->id,
	                  (long long)nearest->most);
}

static bool is_nearer(const struct hole_reach *a, const struct hole_reach *b)
{
	return a->argument > b->argument || (a->argument == b->argument && a->element > b->element);
}

static bool find_interaction(struct call *call, const struct world *world)
{
	const struct cassette *cassette = &call->setup->cassette;
	const struct cassette_interaction *nearest = NULL;
	struct hole_reach nearest_reach = { 0 };

	for (size_t i = 0; i < cassette->count; i++) {
		const struct cassette_interaction *candidate = &cassette->v[i];
		struct hole_reach reach = { .element = candidate->argv.count, .argument = call->argc };

		template_unbind_all(&call->bindings);
		if (hole_match(&candidate->argv, call->argv, call->argc, &call->bindings, &reach) &&
		    unset_variable(&candidate->env) == NULL &&
		    world_count(&world->plays, candidate->id) < candidate->most) {
			call->interaction = candidate;
			return true;
		}
		if (nearest == NULL || is_nearer(&reach, &nearest_reach)) {
			nearest = candidate;
			nearest_reach = reach;
		}
	}
	template_unbind_all(&call->bindings);
	call->journal.near_miss = near_miss_text(call, nearest, &nearest_reach);
	return false;
}

/* ---- the call ---- */

/* The parts of `world` stay locked only as long as one of these functions runs; nothing is forked meanwhile, because a
 * child would hold the lock on. */

static bool prepare_answer(struct call *call, const struct world *world, const struct cassette_answer *answer,
                           struct npxc_error *err)
{
	const struct cassette_text *text = &answer->output;
	int64_t plays = world_count(&world->plays, call->interaction->id);

	call->answer = answer;
	if (text->list != LIST_NONE && !world_print(world, text, &call->bindings, &call->output, err))
		return error_prefix(err, "%s", call->interaction->id);
	if (text->variants.count > 0 &&
	    !template_expand(text->variants.v[(size_t)(plays > 0 ? plays - 1 : 0) % text->variants.count],
	                     &call->bindings, &call->output, err))
		return error_prefix(err, "%s", call->interaction->id);
	if (answer->errors != NULL && !template_text(answer->errors, &call->bindings, &call->errors, err))
		return error_prefix(err, "%s", call->interaction->id);
	return true;
}

/* The world said no: the interaction's answer to that, or the cassette has a hole. */
static bool prepare_refusal(struct call *call, const struct world *world, const char *word, struct npxc_error *err)
{
	const struct cassette_answer *answer = cassette_refusal(call->interaction, word);

	call->journal.refusal = word;
	if (answer != NULL)
		return prepare_answer(call, world, answer, err);
	call->journal.near_miss =
	    str_printf("%s is refused with \"%s\", for which it has no answer", call->interaction->id, word);
	return true;
}

static bool prepare_busy(struct call *call, struct world *world, bool *ret_busy, struct npxc_error *err)
{
	const struct cassette_busy *busy = &call->interaction->busy;
	mem_cleanup char *value = NULL;
	mem_cleanup char *key = NULL;
	struct world_count *count;

	*ret_busy = false;
	if (!busy->on)
		return true;
	if (!template_text(busy->key, &call->bindings, &value, err))
		return false;
	key = str_printf("%s %s", call->interaction->id, value);
	count = world_count_up(&world->busy, key);
	if (busy->times > 0 ? count->count > busy->times
	                    : call->journal.start_us / 1000 - count->first_ms >= busy->for_ms)
		return true;
	*ret_busy = call->journal.busy = true;
	return prepare_answer(call, world, &busy->answer, err);
}

static bool is_reached(const struct cassette_await *await, const struct world *world, const char *name)
{
	return await->network_unused ? !world_network_used(world, name) : world_container(world, name) == NULL;
}

/* Lets go of the world between its looks. */
static bool wait_for(struct call *call, struct world *world, bool *ret_reached, struct npxc_error *err)
{
	const struct cassette_await *await = &call->interaction->await;
	mem_cleanup char *name = NULL;
	int64_t left = await->most_ms;

	*ret_reached = true;
	if (!await->on)
		return true;
	if (!template_text(await->name, &call->bindings, &name, err))
		return false;
	while (!is_reached(await, world, name)) {
		if (left <= 0) {
			*ret_reached = false;
			return true;
		}
		if (!world_close(world, err))
			return false;
		if (call->journal.scribe < 0 && !journal_start_scribe(&call->journal, err))
			return false;
		handler_scribe = call->journal.scribe;
		play_pause(10);
		left -= 10;
		if (!world_open(call->setup->state, &call->setup->cassette, world, err))
			return false;
	}
	return true;
}

static struct workload workload_of(const struct call *call)
{
	return (struct workload){
		.cassette = &call->setup->cassette,
		.answer = &call->interaction->answer,
		.invocation = &call->invocation,
		.bindings = &call->bindings,
		.state = call->setup->state,
		.search_path = call->setup->search_path,
		.call = call->number,
		.scribe = call->journal.scribe,
		.cut_after = call->fault == FAULT_TRUNCATED ? CUT_WORKLOAD_BYTES : -1,
	};
}

/* What has to be known of a `run` before the world is asked. *ret_word: a refusal. */
static bool read_run(struct call *call, const char **ret_word, struct npxc_error *err)
{
	const struct cassette *cassette = &call->setup->cassette;
	size_t at = 0;

	while (at < call->argc && !str_equal(call->argv[at], "run"))
		at++;
	if (at == call->argc)
		return error_set(err, ERROR_CONFIG, "%s: the effect run, but no argument is \"run\"",
		                 call->interaction->id);
	if (!invocation_parse(call->argv + at + 1, call->argc - at - 1, &cassette->run_values, &cassette->run_flags,
	                      &call->invocation, err))
		return false;
	if (call->interaction->answer.exec && call->invocation.unknown_option == NULL &&
	    call->invocation.image != NULL) {
		struct workload workload = workload_of(call);
		mem_cleanup char *wanted = NULL;

		if (!workload_find(&workload, &call->program, &wanted, err))
			return false;
		template_bind(&call->bindings, "program", wanted);
		if (call->program == NULL)
			*ret_word = "missing-program";
	}
	return true;
}

/* One effect, with the ends of workloads that it needs in between. *ret_word stays NULL when it was done. */
static bool do_effect(struct call *call, struct world *world, const struct cassette_effect *effect,
                      const char **ret_word, struct npxc_error *err)
{
	struct world_request request = { .effect = effect, .invocation = &call->invocation };
	mem_cleanup char *name = NULL;
	const char *early = NULL;

	if (effect->name != NULL && !template_text(effect->name, &call->bindings, &name, err))
		return false;
	request.name = name;
	if (effect->kind == EFFECT_RUN && !read_run(call, &early, err))
		return false;
	for (;;) {
		struct world_container *container;
		int64_t made_by = 0;
		pid_t supervisor;

		switch (world_apply(world, &request, &call->bindings, ret_word, &made_by)) {
		case WORLD_REFUSED:
			return true;
		case WORLD_DONE:
			if (early != NULL) {
				/* The service notices only now that the command is not in the image. */
				world_remove_container(world, world_container_of_call(world, call->number));
				*ret_word = early;
			}
			call->made_container = effect->kind == EFFECT_RUN && early == NULL;
			return true;
		case WORLD_WAIT:
			break;
		}
		container = world_container_of_call(world, made_by);
		supervisor = container != NULL ? (pid_t)container->supervisor : 0;
		if (!world_close(world, err))
			return false;
		if (!workload_end(call->setup->state, made_by, supervisor,
		                  effect->kind == EFFECT_CONTAINER_STOP ? effect->grace_ms : 0, err) ||
		    !world_open(call->setup->state, &call->setup->cassette, world, err))
			return false;
		request.waited = true;
	}
}

static void bind_defaults(struct bindings *bindings, int64_t number)
{
	static const char *const names[] = { "octet",  "users", "container", "image", "network",
		                             "option", "mount", "program",   "state", "labels" };
	mem_cleanup char *text = str_printf("%lld", (long long)number);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (template_value(bindings, names[i]) == NULL)
			template_bind(bindings, names[i], "");
	template_bind(bindings, "call", text);
}

/* Everything that happens in the world; `answer` stays NULL when nothing of the cassette answers. */
static bool decide(struct call *call, struct world *world, struct npxc_error *err)
{
	const char *word = NULL;
	bool reached;
	bool busy;

	call->number = call->journal.call = ++world->calls;
	if (call->setup->fault_call == UINT64_MAX || (uint64_t)call->number == call->setup->fault_call) {
		call->fault = call->setup->fault;
		call->journal.fault = setup_fault_word(call->fault);
	}
	if (!find_interaction(call, world)) {
		world->unmatched++;
		return true;
	}
	call->journal.matched = call->interaction->id;
	world_count_up(&world->plays, call->interaction->id);
	bind_defaults(&call->bindings, call->number);
	if (call->fault == FAULT_EXIT1)
		return true;
	if (!prepare_busy(call, world, &busy, err))
		return false;
	if (busy)
		return true;
	if (!wait_for(call, world, &reached, err))
		return false;
	if (!reached)
		word = "not-yet";
	for (size_t i = 0; i < call->interaction->effect_count && word == NULL; i++)
		if (!do_effect(call, world, &call->interaction->effects[i], &word, err))
			return false;
	if (word == NULL)
		return prepare_answer(call, world, &call->interaction->answer, err);
	if (!prepare_refusal(call, world, word, err))
		return false;
	if (call->answer == NULL)
		world->unmatched++;
	return true;
}

/* The process of a container that this call stood for has ended. */
static bool end_container(const struct call *call, struct npxc_error *err)
{
	struct world_container *container;
	struct world world;

	if (!call->made_container)
		return true;
	if (!world_open(call->setup->state, &call->setup->cassette, &world, err))
		return false;
	container = world_container_of_call(&world, call->number);
	if (container != NULL)
		world_end_container(&world, container, call->interaction->answer.linger_ms);
	return world_close(&world, err);
}

static bool play_answer(struct call *call, int *ret_exit_status, int *ret_signal, struct npxc_error *err)
{
	const struct cassette_answer *answer = call->answer;

	if (answer->deaf) {
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
	}
	if (call->program != NULL && answer->exec && call->fault != FAULT_EMPTY) {
		struct workload workload = workload_of(call);

		return workload_run(&workload, call->program, ret_exit_status, &call->journal.workload, err);
	}
	if (call->fault == FAULT_EMPTY) {
		buf_consume(&call->output, call->output.length);
		free(call->errors);
		call->errors = NULL;
	} else if (call->fault == FAULT_TRUNCATED) {
		call->output.length /= 2;
	}
	if (answer->transcript != NULL && call->fault != FAULT_EMPTY) {
		struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);
		struct npxc_error other = { 0 };

		play_pause(answer->delay_ms);
		if (!setup_read_transcript(call->setup->cassette_path, answer->transcript, &text, err))
			return false;
		if (!play_transcript(text.data != NULL ? text.data : "", text.length, &call->bindings, ret_exit_status,
		                     &other)) {
			complain(other.message);
			*ret_exit_status = other.kind == ERROR_RUNTIME ? SHIM_EXIT_UNMATCHED : SHIM_EXIT_BROKEN;
		}
	} else {
		if (!play_output(answer, &call->output, call->errors, err))
			return false;
		*ret_exit_status = answer->exit_status;
		*ret_signal = answer->signal;
	}
	return end_container(call, err);
}

static bool play(struct call *call, int *ret_exit_status, int *ret_signal, struct npxc_error *err)
{
	switch (call->fault) {
	case FAULT_EXIT1:
	case FAULT_EXIT1_DONE:
		complain("injected fault");
		*ret_exit_status = 1;
		return true;
	case FAULT_KILLED:
		*ret_signal = SIGKILL;
		return true;
	case FAULT_HANG:
		play_hang();
	case FAULT_NONE:
	case FAULT_EMPTY:
	case FAULT_TRUNCATED:
		break;
	}
	if (call->answer == NULL) {
		mem_cleanup char *text = str_printf("no interaction answers this call: %s", call->journal.near_miss);

		complain(text);
		*ret_exit_status = SHIM_EXIT_UNMATCHED;
		return true;
	}
	return play_answer(call, ret_exit_status, ret_signal, err);
}

static bool perform(struct call *call, int *ret_exit_status, int *ret_signal, struct npxc_error *err)
{
	struct world world;
	bool ok;

	if (!world_open(call->setup->state, &call->setup->cassette, &world, err))
		return false;
	ok = decide(call, &world, err);
	call->journal.captures = &call->bindings;
	if (!ok) {
		world_discard(&world);
		return false;
	}
	if (!world_close(&world, err))
		return false;
	if (call->journal.scribe < 0 && !journal_start_scribe(&call->journal, err))
		return false;
	handler_scribe = call->journal.scribe;
	signal(SIGTERM, end_by_signal);
	signal(SIGINT, end_by_signal);
	return play(call, ret_exit_status, ret_signal, err);
}

static void call_done(struct call *call)
{
	template_unbind_all(&call->bindings);
	invocation_done(&call->invocation);
	buf_done(&call->output);
	free(call->errors);
	free(call->program);
}

static void die_by(int sig)
{
	const struct rlimit no_core = { 0, 0 };
	sigset_t only;

	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	sigemptyset(&only);
	sigaddset(&only, sig);
	sigprocmask(SIG_UNBLOCK, &only, NULL);
	raise(sig);
}

// cppcheck-suppress constParameter ; ownership is taken
static int answer_call(const struct setup *setup, struct journal *owned_journal, char **argv)
{
	struct call call = {
		.setup = setup,
		.argv = (const char *const *)argv + 1,
		.journal = *owned_journal,
		.output = BUF_INIT(SHIM_MAX_TEXT_BYTES),
	};
	struct npxc_error err = { 0 };
	int exit_status = 0;
	int sig = 0;

	while (call.argv[call.argc] != NULL)
		call.argc++;
	if (!perform(&call, &exit_status, &sig, &err)) {
		complain(err.message);
		exit_status = SHIM_EXIT_BROKEN;
	}
	if (!journal_end(&call.journal, sig != 0 ? -1 : exit_status, sig, &err)) {
		complain(err.message);
		exit_status = SHIM_EXIT_BROKEN;
	}
	call_done(&call);
	if (sig != 0)
		die_by(sig);
	return exit_status;
}

/* ---- the shim's own commands ---- */

static int check_cassette(const char *path)
{
	struct cassette cassette = { 0 };
	struct npxc_error err = { 0 };
	bool ok = setup_read_cassette(path, &cassette, &err);

	for (size_t i = 0; ok && i < cassette.count; i++) {
		struct buf text BUF_CLEANUP = BUF_INIT(SHIM_MAX_FILE_BYTES);
		const char *name = cassette.v[i].answer.transcript;

		if (name != NULL)
			ok = (setup_read_transcript(path, name, &text, &err) &&
			      play_check_transcript(text.data != NULL ? text.data : "", text.length, &err)) ||
			     error_prefix(&err, "%s: %s", path, cassette.v[i].id);
	}
	if (!ok)
		complain(err.message);
	cassette_done(&cassette);
	return ok ? 0 : SHIM_EXIT_BROKEN;
}

static int verify(const struct setup *setup)
{
	struct npxc_error err = { 0 };
	struct world world;
	int exit_status = 0;

	if (!world_open(setup->state, &setup->cassette, &world, &err)) {
		complain(err.message);
		return SHIM_EXIT_BROKEN;
	}
	for (size_t i = 0; i < setup->cassette.count; i++) {
		const struct cassette_interaction *interaction = &setup->cassette.v[i];
		int64_t plays = world_count(&world.plays, interaction->id);

		if (plays >= interaction->least)
			continue;
		printf("unplayed: %s (%lld of %lld)\n", interaction->id, (long long)plays,
		       (long long)interaction->least);
		exit_status = 1;
	}
	if (world.unmatched > 0) {
		printf("unmatched: %lld\n", (long long)world.unmatched);
		exit_status = 1;
	}
	for (size_t i = 0; i < world.container_count; i++) {
		printf("container: %s\n", world.containers[i].name);
		exit_status = 1;
	}
	for (size_t i = 0; i < world.network_count; i++) {
		if (world.networks[i].builtin)
			continue;
		printf("network: %s\n", world.networks[i].name);
		exit_status = 1;
	}
	world_discard(&world);
	return exit_status;
}

static int end_all(const struct setup *setup)
{
	struct npxc_error err = { 0 };
	struct world world;

	for (;;) {
		int64_t made_by;
		pid_t supervisor;

		if (!world_open(setup->state, &setup->cassette, &world, &err))
			break;
		if (world.container_count == 0) {
			world_discard(&world);
			return 0;
		}
		made_by = world.containers[0].call;
		supervisor = (pid_t)world.containers[0].supervisor;
		world_remove_container(&world, &world.containers[0]);
		if (!world_close(&world, &err) ||
		    (supervisor != 0 && !workload_end(setup->state, made_by, supervisor, 0, &err)))
			break;
	}
	complain(err.message);
	return SHIM_EXIT_BROKEN;
}

int main(int argc, char **argv)
{
	struct setup setup = { 0 };
	struct npxc_error err = { 0 };
	struct npxc_error broken = { 0 };
	struct journal journal = { .scribe = -1 };
	int exit_status = SHIM_EXIT_BROKEN;
	bool ok;

	alarm(SHIM_LIFETIME_S);
	if (argc == 3 && str_equal(argv[1], "--shim-check"))
		return check_cassette(argv[2]);
	ok = setup_read(argc > 0 ? argv[0] : NULL, &setup, &broken);
	if (ok && argc == 2 && str_equal(argv[1], "--shim-verify")) {
		exit_status = verify(&setup);
	} else if (ok && argc == 2 && str_equal(argv[1], "--shim-end")) {
		exit_status = end_all(&setup);
	} else if (!journal_begin(setup.journal, argv, environ, &journal, &err)) {
		complain(err.message);
	} else if (ok) {
		exit_status = answer_call(&setup, &journal, argv);
	} else {
		complain(broken.message);
		if (!journal_end(&journal, SHIM_EXIT_BROKEN, 0, &err))
			complain(err.message);
	}
	setup_done(&setup);
	return exit_status;
}
