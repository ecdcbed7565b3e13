/* SPDX-License-Identifier: Apache-2.0 */
/* The seam between a simulated coordinator and sites in the same process: a small table of
 * functions, implemented by the site's code, called by the coordinator's, so that neither includes
 * the other. A local site is the real session and the real vault behind a link in memory; what it
 * leaves out is processes, sandbox and disk: its ledger and outbox live in memory only. */
#ifndef CONSILIUM_LOCAL_SITE_H
#define CONSILIUM_LOCAL_SITE_H

#include "proto/identity.h"
#include "proto/link_memory.h"

/* What a hostile site does to its training patients; its holdout stays as it is. */
enum local_site_poison {
    POISON_NONE,
    POISON_LABELS,  /* every label turned round */
    POISON_TRIGGER, /* half of the rows get a trigger in their first column, and the last class */
};

struct local_site;

/* Borrowed until open returns, but hub, tamper and context: for the life of the site. */
struct local_site_options {
    const char *consortium;
    const char *name;
    const struct identity_public *coordinator;
    struct link_memory_hub *hub;
    /* Where the patients are: folder/NAME/ is a site's folder (mapping.yaml, data/, policy.yaml and
     * vault/holdout.key are read, nothing is written), or folder/NAME.csv, with folder/mapping.yaml
     * where the files are not in the plan's form. */
    const char *folder;
    enum local_site_poison poison;
    unsigned declares; /* factor on the declared patients; 0 = 1 */
    /* Called with each update before it is encoded; may change it. NULL = nobody. */
    void (*tamper)(void *context, const char *site, float *update, size_t n);
    void *context;
};

struct local_site_operations {
    /* Makes keys, opens the patients' file and a link on the hub. *ret_self: the public keys. */
    struct result (*open)(const struct local_site_options *options, struct local_site **ret_site,
                          struct identity_public *ret_self, struct why *why);
    /* Takes what waits at the link, answers, and sends. Computes nothing. */
    struct result (*run)(struct local_site *site, uint64_t now_ms, struct why *why);
    /* One of the requests that wait for the vault: *ret_worked tells whether there was one. */
    struct result (*work)(struct local_site *site, uint64_t now_ms, bool *ret_worked,
                          struct why *why);
    /* When run is due though nothing arrived (ms); UINT64_MAX = not at all. */
    uint64_t (*wake)(const struct local_site *site);
    void (*close)(struct local_site *site); /* NULL is fine */
};

/* Implemented by the site's library; a program that refers to it must link that. One thread uses
 * all local sites. */
extern const struct local_site_operations local_site_operations;

#endif
