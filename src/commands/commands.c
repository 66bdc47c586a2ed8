#include "commands/commands.h"

#include "base/mem.h"

bool commands_parse(const struct command *commands, size_t count, int argc, char **argv, struct options *ret_options,
                    struct npxc_error *err)
{
	mem_cleanup struct options_command *words = mem_alloc(count * sizeof(*words));

	for (size_t i = 0; i < count; i++)
		words[i] = commands[i].words;
	return options_parse((const char *const *)(argv + 1), argc < 1 ? 0 : (size_t)argc - 1, words, count,
	                     ret_options, err);
}
