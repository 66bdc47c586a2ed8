#include "json/texts.h"

#include <cjson/cJSON.h>

cJSON *texts_to_json(const struct strv *texts)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < texts->count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(texts->v[i]));
	return list;
}
