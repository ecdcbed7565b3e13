/* SPDX-License-Identifier: Apache-2.0 */
/* Escaped text and readable numbers. */
#include "coordinator/cli/html.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

double number_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *string_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void put_char(FILE *out, unsigned char c)
{
    switch (c) {
    case '&':
        fputs("&amp;", out);
        return;
    case '<':
        fputs("&lt;", out);
        return;
    case '>':
        fputs("&gt;", out);
        return;
    case '"':
        fputs("&quot;", out);
        return;
    case '\'':
        fputs("&#39;", out);
        return;
    default:
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
            fputs("&#65533;", out);
        else
            fputc(c, out);
    }
}

void html_text(FILE *out, const char *text)
{
    html_label(out, text, SIZE_MAX);
}

void html_label(FILE *out, const char *text, size_t most)
{
    size_t characters = 0;
    for (; *text; text++) {
        bool starts = ((unsigned char)*text & 0xc0) != 0x80;
        if (starts && characters++ == most) {
            fputs("&#8230;", out);
            return;
        }
        put_char(out, (unsigned char)*text);
    }
}

void html_number(FILE *out, double value, int decimals)
{
    if (!isfinite(value))
        fputs("&#8211;", out);
    else if (fabs(value) >= 1e9)
        fprintf(out, "%.3g", value);
    else
        fprintf(out, "%.*f", decimals, value);
}

void html_interval(FILE *out, double value, double low, double high)
{
    html_number(out, value, 3);
    if (!isfinite(low) || !isfinite(high))
        return;
    fputs(" (", out);
    html_number(out, low, 3);
    fputs(" to ", out);
    html_number(out, high, 3);
    fputc(')', out);
}

void html_bytes(FILE *out, double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1000;
    html_number(out, bytes, unit && bytes < 100 ? 1 : 0);
    fprintf(out, " %s", units[unit]);
}

void html_seconds(FILE *out, double seconds)
{
    if (!isfinite(seconds) || seconds < 60 || seconds >= 1e9) {
        html_number(out, seconds, seconds < 10 ? 2 : 0);
        fputs(" s", out);
        return;
    }
    long whole = lround(seconds);
    if (whole >= 3600)
        fprintf(out, "%ld h %ld min", whole / 3600, whole / 60 % 60);
    else
        fprintf(out, "%ld min %ld s", whole / 60, whole % 60);
}

double html_tick_step(double range, int ticks)
{
    if (!(range > 0) || !isfinite(range))
        return 1;
    double raw = range / ticks, power = pow(10, floor(log10(raw))), mantissa = raw / power;
    return power * (mantissa <= 1 ? 1 : mantissa <= 2 ? 2 : mantissa <= 5 ? 5 : 10);
}
