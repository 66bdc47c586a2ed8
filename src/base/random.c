#include "base/random.h"

#include "base/mem.h"

#include <sys/random.h>
#include <unistd.h>

void random_bytes(void *bytes, size_t count)
{
	static const char text[] = "npxc: the kernel gives no random bytes\n";
	unsigned char *next = bytes;

	while (count > 0) {
		size_t piece = count < 256 ? count : 256; /* getentropy's ceiling */

		if (getentropy(next, piece) == -1) {
			ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

			(void)ignored;
			_exit(4);
		}
		next += piece;
		count -= piece;
	}
}

char *random_hex(size_t digits)
{
	static const char hex[] = "0123456789abcdef";
	char *text = mem_alloc(digits + 1);

	for (size_t i = 0; i < digits; i += 2) {
		unsigned char byte;

		random_bytes(&byte, 1);
		text[i] = hex[byte >> 4];
		if (i + 1 < digits)
			text[i + 1] = hex[byte & 15];
	}
	return text;
}
