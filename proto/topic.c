/* SPDX-License-Identifier: Apache-2.0 */
/* Topic names: written and parsed, nothing else accepted. */
#include "proto/topic.h"

#include <stdio.h>
#include <string.h>

static const char ROOT[] = "cns/1/";

static bool name_valid(const char *name, size_t n)
{
    if (n < 1 || n > TOPIC_NAME_MAX || name[0] < 'a' || name[0] > 'z')
        return false;
    for (size_t i = 1; i < n; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

bool topic_name_valid(const char *name)
{
    return name_valid(name, strnlen(name, TOPIC_NAME_MAX + 1));
}

static const char *direction_text(enum topic_direction direction)
{
    switch (direction) {
    case TOPIC_UP:
        return "up";
    case TOPIC_DOWN:
        return "down";
    case TOPIC_PRESENCE:
        return "stat";
    }
    return "";
}

static const char *channel_text(const struct topic *topic)
{
    if (topic->direction == TOPIC_PRESENCE)
        return "";
    return topic->channel == TOPIC_CHUNK ? "/c" : "/m";
}

void topic_format(char out[LINK_TOPIC_BYTES], const char *consortium, const struct topic *topic)
{
    snprintf(out, LINK_TOPIC_BYTES, "%s%s/%s/%s%s", ROOT, consortium,
             direction_text(topic->direction), topic->member, channel_text(topic));
}

/* The part of *text before the next '/', moving *text beyond it; n = 0 when nothing is left. */
static const char *next_part(const char **text, size_t *n)
{
    const char *part = *text;
    *n = strcspn(part, "/");
    *text = part + *n + (part[*n] == '/');
    return part;
}

static bool parse_direction(enum topic_direction *direction, const char *part, size_t n)
{
    static const enum topic_direction all[] = {TOPIC_UP, TOPIC_DOWN, TOPIC_PRESENCE};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *text = direction_text(all[i]);
        if (strlen(text) == n && memcmp(text, part, n) == 0) {
            *direction = all[i];
            return true;
        }
    }
    return false;
}

struct result topic_parse(struct topic *topic, const char *consortium, const char *text,
                          struct why *why)
{
    struct topic parsed = {0};
    char again[LINK_TOPIC_BYTES];
    size_t n = 0;
    const char *rest = text;
    if (strnlen(text, LINK_TOPIC_BYTES) >= LINK_TOPIC_BYTES)
        return failed(why, RESULT_INPUT, "topic of more than %d characters", LINK_TOPIC_BYTES - 1);
    if (strncmp(rest, ROOT, sizeof ROOT - 1) != 0)
        return failed(why, RESULT_INPUT, "topic does not start with %s", ROOT);
    rest += sizeof ROOT - 1;
    const char *part = next_part(&rest, &n);
    if (n != strlen(consortium) || memcmp(part, consortium, n) != 0)
        return failed(why, RESULT_INPUT, "topic of another consortium");
    part = next_part(&rest, &n);
    if (!parse_direction(&parsed.direction, part, n))
        return failed(why, RESULT_INPUT, "topic of unknown direction");
    part = next_part(&rest, &n);
    if (!name_valid(part, n))
        return failed(why, RESULT_INPUT, "topic of an invalid member name");
    memcpy(parsed.member, part, n);
    parsed.channel = strcmp(rest, "c") == 0 ? TOPIC_CHUNK : TOPIC_MESSAGE;
    /* What is left is right exactly when writing it again gives the same text. */
    topic_format(again, consortium, &parsed);
    if (strcmp(again, text) != 0)
        return failed(why, RESULT_INPUT, "topic of unknown channel");
    *topic = parsed;
    return DONE;
}
