/* SPDX-License-Identifier: Apache-2.0 */
/* The programs' log on stderr: one line per event, "time level component: sentence".
 *
 * Only main programs and their shells log; libraries return results. Never give it a secret or
 * anything from a patient's row. */
#ifndef CONSILIUM_BASE_LOG_H
#define CONSILIUM_BASE_LOG_H

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

enum { LOG_LINE_BYTES = 1024 /* a longer line is cut */ };

/* Names the program in every line from now on (cut at 31 characters) and drops lines below lowest.
 * Before it: component "consilium", LOG_LEVEL_INFO. */
void log_start(const char *component, enum log_level lowest);

/* Writes one line with one write(2). Control characters become '?', so that nothing from outside
 * can forge a line. Time is UTC with milliseconds. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
