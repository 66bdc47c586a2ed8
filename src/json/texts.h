#ifndef NPXC_JSON_TEXTS_H
#define NPXC_JSON_TEXTS_H

#include "base/str.h"

struct cJSON;

/* A list of strings; owned. */
struct cJSON *texts_to_json(const struct strv *texts);

#endif
