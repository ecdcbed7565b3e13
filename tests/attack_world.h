/* SPDX-License-Identifier: Apache-2.0 */
/* Training a small network (inputs-hidden-classes, ReLU, softmax) at many sites of which some are
 * hostile, under a rule, an attack, unequal data and privacy noise: what the tests and the bench of
 * rules against attacks share. Everything follows from the seeds. */
#ifndef CONSILIUM_TESTS_ATTACK_WORLD_H
#define CONSILIUM_TESTS_ATTACK_WORLD_H

#include "privacy/rng.h"
#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>

enum { WORLD_SITES_MAX = 17, WORLD_INPUTS_MAX = 64, WORLD_HIDDEN_MAX = 32, WORLD_CLASSES_MAX = 10 };

/* Honest sites come first. Hostile sites that train (label flip) use the data of honest ones. */
struct attack_world {
    size_t inputs, hidden, classes;
    size_t samples, train; /* the first `train` samples are for training, the rest for the test */
    size_t n, f, steps, batch;
    double rate;
    double beta;                    /* of the momentum m <- beta m + (1 - beta) g at the sites */
    bool clip;                      /* gradients of a site to norm 1, also without noise */
    bool plain;                     /* by the plain twins in double, not the fast engine */
    size_t d;                       /* parameters; set by open */
    float *x;                       /* [samples][inputs] */
    size_t *label;                  /* [samples] */
    size_t *owned[WORLD_SITES_MAX]; /* rows of x that an honest site has */
    size_t owned_count[WORLD_SITES_MAX];
};

/* Allocates for the sizes that are set. */
void attack_world_open(struct attack_world *w);
void attack_world_close(struct attack_world *w);

/* Fills samples with classes of two bumps each, so that a linear rule does not do. */
void attack_world_make(struct attack_world *w, struct rng *rng);

/* Reorders samples and labels at random. */
void attack_world_shuffle(struct attack_world *w, struct rng *rng);

/* Deals the training samples to the honest sites: alpha 0 at random, else by Dirichlet(alpha)
 * shares of each class. */
void attack_world_deal(struct attack_world *w, double alpha, struct rng *rng);

/* Test accuracy after training under the rule and the attack; ratio: noise norm to clip norm 1 of
 * each site and step. RESULT_INPUT for names that are not known. */
struct result attack_world_train(const struct attack_world *w, const char *rule, const char *attack,
                                 double ratio, uint64_t seed, double *ret_accuracy,
                                 struct why *why) MUST_CHECK;

/* The columns and rows of the table. */
enum { WORLD_RULES = 5, WORLD_ATTACKS = 6, WORLD_SETTINGS = 4 };
extern const char *const WORLD_RULE[WORLD_RULES];
extern const char *const WORLD_ATTACK[WORLD_ATTACKS];
struct attack_setting {
    const char *name;
    double alpha; /* of the Dirichlet shares; 0 = at random */
    double ratio;
};
extern const struct attack_setting WORLD_SETTING[WORLD_SETTINGS];

#endif
