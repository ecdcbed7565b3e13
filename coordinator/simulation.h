/* SPDX-License-Identifier: Apache-2.0 */
/* A whole consortium in this process: the coordinator's drive and store, local sites behind their
 * seam (proto/local_site.h) and a link in memory between them. Everything above the link is what
 * the daemons run; time jumps over every wait.
 *
 * All keys are made for one run and never leave memory, and so do store, ledgers and updates. */
#ifndef CONSILIUM_COORDINATOR_SIMULATION_H
#define CONSILIUM_COORDINATOR_SIMULATION_H

#include "coordinator/store.h"
#include "proto/local_site.h"

/* What one hostile site does, beyond being a site. */
struct simulation_hostile {
    const char *site; /* NULL = everybody is honest */
    enum local_site_poison poison;
    unsigned declares; /* factor on its declared patients; 0 = 1 */
};

struct simulation_options {
    const struct local_site_operations *sites;
    const struct plan *plan; /* borrowed, as text, for the life of the simulation */
    const char *plan_text;
    size_t plan_n;
    const char *folder; /* of the sites' data, see struct local_site_options */
    struct simulation_hostile hostile;
    /* Called with each update before it is encoded, those of the hostile site last in each round;
     * NULL = nobody. */
    void (*tamper)(void *context, const char *site, float *update, size_t n);
    void *context;
};

struct simulation;

/* Makes the consortium; the plan's sites must all have data. */
struct result simulation_open(const struct simulation_options *options,
                              struct simulation **ret_simulation, struct why *why) MUST_CHECK;
void simulation_close(struct simulation *simulation); /* NULL is fine */

/* Launches the study and runs it to its end. RESULT_REFUSED with the reason when the plan is not
 * taken; a study that pauses or stops is RESULT_OK (see the report). */
struct result simulation_run(struct simulation *simulation, struct why *why) MUST_CHECK;

/* The study's report and the payload of its best model; owned by the caller (free). */
struct result simulation_report(struct simulation *simulation, char **ret_text,
                                struct why *why) MUST_CHECK;
struct result simulation_model(struct simulation *simulation, struct store_bytes *ret_payload,
                               struct why *why) MUST_CHECK;

#endif
