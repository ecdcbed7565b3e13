/* SPDX-License-Identifier: Apache-2.0 */
/* YAML by libcyaml; its log lines become one sentence with file, line and the nearest known key. */
#include "proto/base/conf.h"

#include "proto/base/conf_values.h"
#include "proto/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_BYTES = 1024, WORD_BYTES = 64 };

/* The first error that libcyaml logs, the line its innermost backtrace entry names, that entry's
 * key and the key around it. */
struct capture {
    char error[LOG_BYTES];
    char field[WORD_BYTES];
    char parent[WORD_BYTES];
    unsigned line;
};

/* Takes the key out of "  in mapping field 'privacy' (line: 3, column: 1)". */
static void capture_field(struct capture *capture, const char *text)
{
    const char *name = strchr(text, '\'');
    if (!name || !strstr(text, "in mapping field"))
        return;
    char *to = capture->field[0] == '\0' ? capture->field : capture->parent;
    if (to[0] == '\0')
        snprintf(to, WORD_BYTES, "%.*s", (int)strcspn(name + 1, "'"), name + 1);
}

__attribute__((format(printf, 3, 0))) static void capture_log(cyaml_log_t level, void *context,
                                                              const char *format, va_list args)
{
    struct capture *capture = context;
    char text[LOG_BYTES];
    (void)level;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    const char *line = strstr(text, "(line: ");
    if (line)
        capture_field(capture, text);
    if (line && capture->line == 0)
        capture->line = (unsigned)strtoul(line + strlen("(line: "), NULL, 10);
    else if (!line && capture->error[0] == '\0' && !strstr(text, "Backtrace"))
        snprintf(capture->error, sizeof capture->error, "%s",
                 strncmp(text, "Load: ", 6) == 0 ? text + 6 : text);
}

static const cyaml_config_t CONFIG = {
    .log_fn = capture_log,
    .mem_fn = cyaml_mem,
    .log_level = CYAML_LOG_WARNING,
    .flags = CYAML_CFG_NO_ALIAS,
};

/* The schema's key that is nearest to word, anywhere in it. */
static void nearest_key(const cyaml_schema_value_t *schema, const char *word, const char **best,
                        int *distance)
{
    if (schema->type == CYAML_SEQUENCE || schema->type == CYAML_SEQUENCE_FIXED)
        nearest_key(schema->sequence.entry, word, best, distance);
    if (schema->type != CYAML_MAPPING)
        return;
    for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key; f++) {
        int d = text_distance(word, f->key);
        if (d < *distance) {
            *distance = d;
            *best = f->key;
        }
        nearest_key(&f->value, word, best, distance);
    }
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.' || c == '+';
}

/* The next place of word as a whole word from at on, or n. */
static size_t find_word(const struct conf_source *s, size_t at, const char *word, size_t length)
{
    for (; at + length <= s->n; at++) {
        if (memcmp(s->text + at, word, length) == 0 && (at == 0 || !is_word(s->text[at - 1])) &&
            (at + length == s->n || !is_word(s->text[at + length])))
            return at;
    }
    return s->n;
}

static unsigned line_of(const struct conf_source *s, size_t at)
{
    unsigned line = 1;
    for (size_t i = 0; i < at && i < s->n; i++)
        line += s->text[i] == '\n';
    return line;
}

struct result conf_wrong(const struct conf_source *source, struct why *why, const char *path,
                         const char *format, ...)
{
    char sentence[WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    size_t at = 0, found = source->n;
    for (const char *word = path; *word;) {
        size_t length = strcspn(word, "/");
        size_t next = find_word(source, at, word, length);
        if (next == source->n)
            break; /* a key that is not written: its parent's line */
        found = next;
        at = next + length;
        word += length + (word[length] == '/');
    }
    if (found == source->n)
        return failed(why, RESULT_INPUT, "%s: %s: %s", source->name, path, sentence);
    return failed(why, RESULT_INPUT, "%s line %u: %s: %s", source->name, line_of(source, found),
                  path, sentence);
}

/* The first line whose indentation holds a tab; 0 when none does. */
static unsigned line_with_tab(const struct conf_source *s)
{
    bool indent = true;
    for (size_t at = 0; at < s->n; at++) {
        if (indent && s->text[at] == '\t')
            return line_of(s, at);
        indent = s->text[at] == '\n' || (indent && s->text[at] == ' ');
    }
    return 0;
}

/* What libcyaml says of the shape of a file, in the words of whoever wrote it. */
static struct result reword(const struct conf_source *source, const struct capture *capture,
                            const char *text, struct why *why)
{
    static const char MISSING[] = "Missing required mapping field: ";
    static const char LONG[] = "STRING length > ";
    unsigned most;
    unsigned has;
    unsigned least;
    if (strncmp(text, "libyaml: ", 9) == 0 && line_with_tab(source))
        return failed(why, RESULT_INPUT, "%s line %u: a tab stands here: indent with blanks",
                      source->name, line_with_tab(source));
    if (strncmp(text, "libyaml: ", 9) == 0)
        return failed(why, RESULT_INPUT,
                      "%s line %u: %s (look there and on the line before for a bracket, a quote, a "
                      "comma or an indent)",
                      source->name, capture->line, text + 9);
    if (strncmp(text, MISSING, strlen(MISSING)) == 0)
        return failed(why, RESULT_INPUT, "%s line %u: key '%s' is missing%s%s", source->name,
                      capture->line, text + strlen(MISSING), *capture->parent ? " from " : "",
                      capture->parent);
    if (strncmp(text, LONG, strlen(LONG)) == 0 && sscanf(text + strlen(LONG), "%u", &most) == 1)
        return failed(why, RESULT_INPUT, "%s line %u: %s: longer than %u bytes", source->name,
                      capture->line, capture->field, most);
    if (sscanf(text, "Insufficient entries (%u of %u min)", &has, &least) == 2)
        return failed(why, RESULT_INPUT, "%s line %u: %s: has %u entries and needs %u",
                      source->name, capture->line, capture->field, has, least);
    return failed(why, RESULT_INPUT, "%s line %u: %s", source->name, capture->line, text);
}

static struct result explain(const struct conf_source *source, const cyaml_schema_value_t *schema,
                             const struct capture *capture, cyaml_err_t error, struct why *why)
{
    const char *text = capture->error[0] ? capture->error : cyaml_strerror(error);
    static const char UNKNOWN[] = "Unexpected key: ";
    if (strncmp(text, UNKNOWN, strlen(UNKNOWN)) == 0) {
        const char *word = text + strlen(UNKNOWN), *best = NULL;
        int distance = 4;
        nearest_key(schema, word, &best, &distance);
        if (best)
            return failed(why, RESULT_INPUT,
                          "%s line %u: key '%s' is not known here; did you mean '%s'?",
                          source->name, capture->line, word, best);
        return failed(why, RESULT_INPUT, "%s line %u: key '%s' is not known here", source->name,
                      capture->line, word);
    }
    if (capture->line == 0)
        return failed(why, RESULT_INPUT, "%s: %s", source->name, text);
    return reword(source, capture, text, why);
}

struct result conf_load(const struct conf_source *source, const cyaml_schema_value_t *schema,
                        void **ret_data, struct why *why)
{
    if (source->n == 0)
        return failed(why, RESULT_INPUT, "%s: the file is empty", source->name);
    if (memchr(source->text, '\0', source->n))
        return failed(why, RESULT_INPUT, "%s: the file holds a zero byte: it is not a text",
                      source->name);
    TRY(conf_check_values(source, schema, why));
    struct capture capture = {0};
    cyaml_config_t config = CONFIG;
    config.log_ctx = &capture;
    cyaml_data_t *data = NULL;
    cyaml_err_t error =
        cyaml_load_data((const uint8_t *)source->text, source->n, &config, schema, &data, NULL);
    if (error != CYAML_OK)
        return explain(source, schema, &capture, error, why);
    if (!data)
        return failed(why, RESULT_INPUT, "%s: the file holds no keys", source->name);
    *ret_data = data;
    return DONE;
}

void conf_free(const cyaml_schema_value_t *schema, void *data)
{
    struct capture capture = {0};
    cyaml_config_t config = CONFIG;
    config.log_ctx = &capture;
    (void)cyaml_free(&config, schema, data, 0);
}
