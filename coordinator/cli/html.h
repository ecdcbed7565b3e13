/* SPDX-License-Identifier: Apache-2.0 */
/* Writing HTML and SVG text: everything from outside passes html_text; numbers as people read. */
#ifndef CONSILIUM_CLI_HTML_H
#define CONSILIUM_CLI_HTML_H

#include <jansson.h>
#include <stdio.h>

/* Of a JSON object: a number (NAN where there is none), a string ("" where there is none). */
double number_at(const json_t *object, const char *key);
const char *string_at(const json_t *object, const char *key);

/* Text for element content and quoted attributes: & < > " ' escaped, control characters replaced.
 * text is UTF-8. */
void html_text(FILE *out, const char *text);

/* The same, cut with an ellipsis after `most` characters, for labels in pictures. */
void html_label(FILE *out, const char *text, size_t most);

/* A number with so many decimals; an en dash where it is not finite. */
void html_number(FILE *out, double value, int decimals);

/* "0.871 (0.846 to 0.893)"; without the brackets where the interval is not known. */
void html_interval(FILE *out, double value, double low, double high);

/* 1234567 as "1.2 MB"; 123.4 as "2 min 3 s". */
void html_bytes(FILE *out, double bytes);
void html_seconds(FILE *out, double seconds);

/* Distance of about `ticks` round axis marks over a range: 1, 2 or 5 times a power of ten. */
double html_tick_step(double range, int ticks);

#endif
