/* SPDX-License-Identifier: Apache-2.0 */
/* A passport as an Applied Model Card of the Coalition for Health AI (schema v0.2). */
#ifndef CONSILIUM_CLI_PASSPORT_CHAI_H
#define CONSILIUM_CLI_PASSPORT_CHAI_H

#include <jansson.h>
#include <stdio.h>

/* Writes the XML: what the machine knows from the passport's fields, what people stated from its
 * human part with its hash, and for the rest the sentence that the passport does not state it. */
void passport_chai(FILE *out, const json_t *passport);

#endif
