#include "fuzz.h"

#include "base/limits.h"
#include "egress/connect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct connect_request request;
	enum connect_state before = CONNECT_MORE;
	char again[RULES_NAME_BYTES];

	for (size_t i = 0; i <= size; i++) {
		const enum connect_state state = connect_read((const char *)data, i, &request);

		REQUIRE(before == CONNECT_MORE || state == before);
		before = state;
		if (state == CONNECT_BAD)
			REQUIRE(request.reason != REASON_NONE && (request.status == 400 || request.status == 431));
		if (state != CONNECT_DONE)
			continue;
		REQUIRE(request.length <= i && request.length <= LIMIT_EGRESS_CONNECT_BYTES && request.port != 0);
		REQUIRE(memcmp(data + request.length - 4, "\r\n\r\n", 4) == 0);
		if (!request.is_ip)
			REQUIRE(rules_canonical_name(request.name, strlen(request.name), again) &&
			        strcmp(again, request.name) == 0);
	}
	return 0;
}
