/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over YAML events and a libcyaml schema side by side. */
#include "proto/base/conf_values.h"

#include "proto/base/cleanup.h"
#include "proto/base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { PATH_BYTES = 128, DEPTH_MAX = 32, SHOWN_BYTES = 40, CHOICES_BYTES = 200 };

struct walk {
    yaml_parser_t parser;
    const struct conf_source *source;
    struct why *why;
    char path[PATH_BYTES]; /* keys down to here, "privacy/epsilon" */
    bool broken;           /* not YAML from here on: conf_load says why */
};

static bool next(struct walk *w, yaml_event_t *event)
{
    if (!w->broken && yaml_parser_parse(&w->parser, event) == 1)
        return true;
    memset(event, 0, sizeof *event);
    w->broken = true;
    return false;
}

static struct result wrong(const struct walk *w, const yaml_event_t *event, const char *sentence)
{
    return failed(w->why, RESULT_INPUT, "%s line %zu: %s: '%.*s' %s", w->source->name,
                  event->start_mark.line + 1, w->path, SHOWN_BYTES,
                  (const char *)event->data.scalar.value, sentence);
}

static struct result judge_number(const struct walk *w, const yaml_event_t *event, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    bool begins = isdigit((unsigned char)text[0]) || (*text && strchr("+-.", text[0]));
    if (begins && end != text && *end == '\0' && isfinite(value))
        return DONE;
    bool comma = strchr(text, ',') && text[strspn(text, "+-0123456789,")] == '\0';
    return wrong(w, event,
                 comma ? "is not a number: write its decimal sign as a point" : "is not a number");
}

static struct result judge_count(const struct walk *w, const yaml_event_t *event, const char *text,
                                 uint32_t bytes)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0')
        return wrong(w, event, "is not a whole number, 0 or more");
    if (digits > 1 && text[0] == '0')
        return wrong(w, event, "begins with 0: write the number without");
    uint64_t most = bytes >= sizeof(uint64_t) ? UINT64_MAX : (UINT64_C(1) << (8 * bytes)) - 1;
    if (digits > 19 || strtoull(text, NULL, 10) > most)
        return wrong(w, event, "is too large");
    return DONE;
}

static struct result judge_switch(const struct walk *w, const yaml_event_t *event, const char *text)
{
    static const char *const WORDS[] = {"true", "false", "yes", "no", "on", "off"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strcasecmp(text, WORDS[i]) == 0)
            return DONE;
    return wrong(w, event, "is neither true nor false");
}

static struct result judge_word(const struct walk *w, const yaml_event_t *event, const char *text,
                                const cyaml_schema_value_t *schema)
{
    char choices[CHOICES_BYTES] = "is not known here; it is one of ";
    const char *best = NULL;
    int distance = 3;
    for (uint32_t i = 0; i < schema->enumeration.count; i++) {
        const char *word = schema->enumeration.strings[i].str;
        size_t used = strlen(choices);
        if (strcmp(word, text) == 0)
            return DONE;
        snprintf(choices + used, sizeof choices - used, "%s%s", i ? ", " : "", word);
        if (text_distance(text, word) < distance) {
            distance = text_distance(text, word);
            best = word;
        }
    }
    size_t used = strlen(choices);
    if (best)
        snprintf(choices + used, sizeof choices - used, "; did you mean '%s'?", best);
    return wrong(w, event, choices);
}

static struct result judge(const struct walk *w, const yaml_event_t *event,
                           const cyaml_schema_value_t *schema)
{
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.length != strlen(text))
        return wrong(w, event, "holds a zero byte");
    switch (schema->type) {
    case CYAML_FLOAT:
        return judge_number(w, event, text);
    case CYAML_UINT:
        return judge_count(w, event, text, schema->data_size);
    case CYAML_BOOL:
        return judge_switch(w, event, text);
    case CYAML_ENUM:
        return judge_word(w, event, text, schema);
    case CYAML_MAPPING:
        return wrong(w, event,
                     "stands where keys are expected, each as 'name: value' with a blank "
                     "after the colon");
    case CYAML_SEQUENCE:
    case CYAML_SEQUENCE_FIXED:
        return wrong(w, event, "stands where a list is expected: [one, two]");
    default:
        return DONE;
    }
}

static struct result walk_value(struct walk *w, const yaml_event_t *first,
                                const cyaml_schema_value_t *schema, int depth);

/* The key's field, or NULL; twice tells that its bit in seen was set already. */
static const cyaml_schema_value_t *field_of(const cyaml_schema_value_t *schema, const char *key,
                                            uint64_t *seen, bool *twice)
{
    if (!schema || schema->type != CYAML_MAPPING)
        return NULL;
    uint64_t bit = 1;
    for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key; f++, bit <<= 1) {
        if (strcmp(f->key, key) != 0)
            continue;
        *twice = (*seen & bit) != 0;
        *seen |= bit;
        return &f->value;
    }
    return NULL;
}

static struct result walk_pair(struct walk *w, const yaml_event_t *key,
                               const cyaml_schema_value_t *schema, uint64_t *seen, int depth)
{
    size_t length = strlen(w->path);
    const cyaml_schema_value_t *field = NULL;
    if (key->type == YAML_SCALAR_EVENT) {
        const char *name = (const char *)key->data.scalar.value;
        bool twice = false;
        field = field_of(schema, name, seen, &twice);
        if (twice)
            return failed(w->why, RESULT_INPUT, "%s line %zu: key '%s' stands twice: keep one",
                          w->source->name, key->start_mark.line + 1, name);
        snprintf(w->path + length, sizeof w->path - length, "%s%s", length ? "/" : "", name);
    }
    CLEANUP(yaml_event_delete) yaml_event_t value = {0};
    struct result r = next(w, &value) ? walk_value(w, &value, field, depth + 1) : DONE;
    w->path[length] = '\0';
    return r;
}

/* The entries of a mapping or list up to its end. */
static struct result walk_entries(struct walk *w, const cyaml_schema_value_t *schema,
                                  yaml_event_type_t end, int depth)
{
    const cyaml_schema_value_t *entry = NULL;
    if (schema && (schema->type == CYAML_SEQUENCE || schema->type == CYAML_SEQUENCE_FIXED))
        entry = schema->sequence.entry;
    uint64_t seen = 0;
    while (true) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        if (!next(w, &event) || event.type == end)
            return DONE;
        TRY(end == YAML_MAPPING_END_EVENT ? walk_pair(w, &event, schema, &seen, depth)
                                          : walk_value(w, &event, entry, depth + 1));
    }
}

/* One value whose first event is given; schema NULL where the schema knows nothing. */
static struct result walk_value(struct walk *w, const yaml_event_t *first,
                                const cyaml_schema_value_t *schema, int depth)
{
    if (depth > DEPTH_MAX)
        return failed(w->why, RESULT_INPUT, "%s line %zu: nested deeper than %d", w->source->name,
                      first->start_mark.line + 1, DEPTH_MAX);
    switch (first->type) {
    case YAML_SCALAR_EVENT:
        return schema ? judge(w, first, schema) : DONE;
    case YAML_SEQUENCE_START_EVENT:
        return walk_entries(w, schema, YAML_SEQUENCE_END_EVENT, depth);
    case YAML_MAPPING_START_EVENT:
        return walk_entries(w, schema, YAML_MAPPING_END_EVENT, depth);
    default:
        return DONE;
    }
}

/* Past the start of stream and document to the first value, and past it to the end. */
static struct result walk_document(struct walk *w, const cyaml_schema_value_t *schema)
{
    unsigned documents = 0;
    while (true) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        if (!next(w, &event) || event.type == YAML_STREAM_END_EVENT)
            return DONE;
        if (event.type == YAML_DOCUMENT_START_EVENT && documents++ > 0)
            return failed(w->why, RESULT_INPUT,
                          "%s line %zu: a second document begins here ('---'): one file is one",
                          w->source->name, event.start_mark.line + 1);
        if (event.type == YAML_SCALAR_EVENT)
            return failed(w->why, RESULT_INPUT,
                          "%s: the file holds no keys: each line is 'name: value'",
                          w->source->name);
        if (event.type == YAML_SEQUENCE_START_EVENT)
            return failed(w->why, RESULT_INPUT,
                          "%s line %zu: a list stands where keys are expected: 'name: value'",
                          w->source->name, event.start_mark.line + 1);
        if (event.type == YAML_MAPPING_START_EVENT)
            TRY(walk_entries(w, schema, YAML_MAPPING_END_EVENT, 0));
    }
}

struct result conf_check_values(const struct conf_source *source,
                                const cyaml_schema_value_t *schema, struct why *why)
{
    struct walk w = {.source = source, .why = why};
    if (yaml_parser_initialize(&w.parser) != 1)
        return failed(why, RESULT_SYSTEM, "no memory to read %s", source->name);
    yaml_parser_set_input_string(&w.parser, (const unsigned char *)source->text, source->n);
    struct result r = walk_document(&w, schema);
    yaml_parser_delete(&w.parser);
    return r;
}
