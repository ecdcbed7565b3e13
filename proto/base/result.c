/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as values. */
#include "proto/base/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct result failed(struct why *why, enum result_code code, const char *format, ...)
{
    if (why) {
        va_list args;
        va_start(args, format);
        vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
    }
    return (struct result){code};
}

struct result failed_in(struct why *why, struct result r, const char *format, ...)
{
    if (why) {
        char context[WHY_BYTES / 2];
        struct why inner = *why;
        va_list args;
        va_start(args, format);
        vsnprintf(context, sizeof context, format, args);
        va_end(args);
        int used = snprintf(why->text, sizeof why->text, "%s: ", context);
        int left = (int)sizeof why->text - used;
        snprintf(why->text + used, (size_t)left, "%.*s", left - 1, inner.text);
    }
    return r;
}
