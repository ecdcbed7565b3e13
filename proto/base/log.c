/* SPDX-License-Identifier: Apache-2.0 */
/* The programs' log on stderr. */
#include "proto/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static char component_name[32] = "consilium";
static enum log_level lowest_level = LOG_LEVEL_INFO;

void log_start(const char *component, enum log_level lowest)
{
    snprintf(component_name, sizeof component_name, "%s", component);
    lowest_level = lowest;
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG:
        return "debug";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_ERROR:
        return "error";
    }
    return "?";
}

void log_line(enum log_level level, const char *format, ...)
{
    if (level < lowest_level)
        return;
    char line[LOG_LINE_BYTES];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t)snprintf(line + used, sizeof line - used,
                             ".%03dZ %s %s: ", (int)(now.tv_nsec / 1000000), level_name(level),
                             component_name);
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    size_t end = used + (wanted > 0 ? (size_t)wanted : 0);
    if (end > sizeof line - 2)
        end = sizeof line - 2;
    for (size_t i = used; i < end; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f)
            line[i] = '?';
    }
    line[end] = '\n';
    /* A log that cannot be written has nowhere to complain. */
    ssize_t written = write(STDERR_FILENO, line, end + 1);
    (void)written;
}
