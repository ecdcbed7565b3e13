/* SPDX-License-Identifier: Apache-2.0 */
/* Topic names: cns/1/<consortium>/<direction>/<member>/<channel>. */
#ifndef CONSILIUM_TOPIC_H
#define CONSILIUM_TOPIC_H

#include "proto/link.h"

enum { TOPIC_NAME_MAX = 63 /* characters of a name */ };

enum topic_direction {
    TOPIC_UP,       /* member to coordinator */
    TOPIC_DOWN,     /* coordinator to member */
    TOPIC_PRESENCE, /* cns/1/<consortium>/stat/<member>: online or offline, retained, will */
};

enum topic_channel { TOPIC_MESSAGE /* signed envelopes: "m" */, TOPIC_CHUNK /* "c" */ };

struct topic {
    enum topic_direction direction;
    char member[TOPIC_NAME_MAX + 1];
    enum topic_channel channel;
};

/* Names of consortia and members: 1 to 63 of a-z 0-9 - and _, starting with a letter. */
bool topic_name_valid(const char *name);

void topic_format(char out[LINK_TOPIC_BYTES], const char *consortium, const struct topic *topic);

/* RESULT_INPUT for anything that topic_format does not produce for this consortium. */
struct result topic_parse(struct topic *topic, const char *consortium, const char *text,
                          struct why *why) MUST_CHECK;

#endif
