/* SPDX-License-Identifier: Apache-2.0 */
/* The member's half of an enrolment at the terminal, the same for sites and for users: prints,
 * asks, and returns a command's exit code (enum cli_exit). */
#ifndef CONSILIUM_ENROL_DIALOG_H
#define CONSILIUM_ENROL_DIALOG_H

#include "proto/enrol.h"

#include <stdbool.h>

/* Makes keys and request, prints the words to read to the operator and what to do next; install is
 * the command line that installs a bundle into folder. */
int enrol_dialog_request(const char *folder, const char *name, enum role role, const char *install,
                         bool json);

/* Shows whose bundle it is with the words to compare, asks unless yes, installs it. */
int enrol_dialog_install(const char *folder, const char *bundle_path, bool yes, bool json);

/* Reads a request file for somebody who approves it. */
struct result enrol_dialog_read_request(const char *path, struct enrol_request *request,
                                        struct why *why) MUST_CHECK;

/* Asks on the terminal; true only for an answer of "yes". */
bool enrol_dialog_confirm(const char *question);

#endif
