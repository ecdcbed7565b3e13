/* SPDX-License-Identifier: Apache-2.0 */
/* Predetermined change control plan: which changes to a model were agreed beforehand, with what
 * bounds. A signed document; the gate's first rule refuses what lies outside it. */
#ifndef CONSILIUM_COORDINATOR_VALIDATE_PCCP_H
#define CONSILIUM_COORDINATOR_VALIDATE_PCCP_H

#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCCP_TYPE "application/vnd.consilium.pccp+json"

enum { PCCP_BYTES_MAX = 64 * 1024, PCCP_HASH_TEXT = 65 };

/* What differs between incumbent and candidate; a set of bits. */
enum pccp_change {
    PCCP_RETRAIN = 1 << 0,     /* same design, new patients */
    PCCP_RECALIBRATE = 1 << 1, /* intercept and slope only */
    PCCP_THRESHOLD = 1 << 2,   /* another decision threshold */
    PCCP_NEW_SITE = 1 << 3,    /* a site joined the training */
    PCCP_HYPERPARAMETERS = 1 << 4,
    PCCP_FEATURES = 1 << 5, /* columns added, removed or redefined */
    PCCP_ARCHITECTURE = 1 << 6,
    PCCP_INTENDED_USE = 1 << 7, /* never allowed by a plan */
};

struct pccp {
    unsigned allowed;                     /* pccp_change bits */
    double threshold_min, threshold_max;  /* where the decision threshold may move */
    uint64_t patients_min;                /* in the validation, over all sites */
    double ni_margin_max;                 /* the gate's margin must not be wider */
    double auc_floor_min;                 /* nor its floor lower */
    char test_set_sha256[PCCP_HASH_TEXT]; /* holdout definition that must be used; empty: any */
    bool notify_sites;                    /* tell the sites before it comes into use */
    int64_t expires_ms;                   /* 0: never */
};

/* Reads the plan's JSON: {"allowed": ["retrain", ...], "threshold": [min, max], "patients_min",
 * "ni_margin_max", "auc_floor_min", "test_set_sha256", "notify_sites", "expires_ms"}. Unknown keys
 * and change classes are INPUT errors: a plan is never half understood. */
struct result pccp_read(const char *text, size_t n, struct pccp *plan, struct why *why) MUST_CHECK;

/* The names of a set of changes as a list for people: "retrain, new_site"; "none" for no bit. */
void pccp_words(unsigned changes, char *text, size_t n);

/* A proposed change, as the coordinator worked it out itself. */
struct pccp_request {
    unsigned changes;
    double threshold;
    uint64_t patients;
    double ni_margin, auc_floor;
    const char *test_set_sha256; /* may be NULL */
    int64_t now_ms;
};

/* DONE when the plan covers the change; REFUSED with the first thing that it does not. */
struct result pccp_covers(const struct pccp *plan, const struct pccp_request *request,
                          struct why *why) MUST_CHECK;

#endif
