/* SPDX-License-Identifier: Apache-2.0 */
/* Training a small network (inputs-32-classes, softmax) at many sites of which some are
 * hostile, under a rule, an attack, unequal data and privacy noise: what the tests and the bench of
 * rules against attacks share. Everything follows from the seeds. */
#ifndef CONSILIUM_TESTS_ATTACK_WORLD_H
#define CONSILIUM_TESTS_ATTACK_WORLD_H

#include "privacy/rng.h"
#include "proto/base/result.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    WORLD_SITES_MAX = 17,
    WORLD_INPUTS_MAX = 64,
    WORLD_HIDDEN = 32,
    WORLD_BATCH_MAX = 64,
    WORLD_CLASSES_MAX = 10
};

/* What a description of such an experiment can leave open. Zeros are the defaults. */
struct world_choice {
    enum world_start {
        START_UNIFORM,        /* weights and biases within 1/sqrt(inputs of the layer) */
        START_UNIFORM_NOBIAS, /* the same, biases 0 */
        START_HE,             /* normal, variance 2/inputs, biases 0 */
        START_GLOROT,         /* uniform within sqrt(6/(inputs + outputs)), biases 0 */
        START_LECUN,          /* normal, variance 1/inputs, biases 0 */
        START_SMALL,          /* normal, deviation 0.1, biases 0 */
        START_CHOICES
    } start;
    enum world_flip {
        FLIP_BORROWED, /* a hostile site flips labels of an honest site's patients */
        FLIP_OWN,      /* of its own; needs owners_all */
        FLIP_MEAN,     /* all send the mean of what honest sites would send with flipped labels */
        FLIP_CHOICES
    } flip;
    enum world_batch {
        BATCH_REPLACE,  /* samples drawn one by one, with replacement */
        BATCH_DISTINCT, /* no sample twice in a batch, where the site has enough */
        BATCH_EPOCH,    /* through all of a site's samples in random order, the last batch short */
        BATCH_CHOICES
    } batches;
    bool heavy;       /* m <- beta m + g in place of beta m + (1 - beta) g */
    bool owners_all;  /* hostile sites have data, too */
    bool by_site;     /* Dirichlet shares of the classes per site, not of sites per class */
    bool late_noise;  /* noise on the momentum, not on the gradient */
    bool late_clip;   /* the momentum is clipped, not the gradient */
    bool per_sample;  /* each sample's gradient is clipped, not the batch's mean */
    bool clip;        /* to norm 1 also without noise */
    bool tanh;        /* in place of ReLU */
    bool own_sign;    /* sign flip turns what the site itself would send, not the honest mean */
    bool mimic_first; /* mimic copies site 0, not the site that stands out most */
};

/* Honest sites come first. */
struct attack_world {
    size_t inputs, classes;
    size_t samples, train; /* the first `train` samples are for training, the rest for the test */
    size_t n, f, steps, batch;
    double rate;
    double beta; /* of the momentum at the sites */
    struct world_choice choice;
    bool plain;                     /* by the plain twins in double, not the fast engine */
    size_t d;                       /* parameters; set by open */
    float *x;                       /* [samples][inputs] */
    size_t *label;                  /* [samples] */
    size_t *owned[WORLD_SITES_MAX]; /* rows of x that a site has */
    size_t owned_count[WORLD_SITES_MAX];
};

/* Allocates for the sizes that are set. */
void attack_world_open(struct attack_world *w);
void attack_world_close(struct attack_world *w);

/* Fills samples with classes of two bumps each, so that a linear rule does not do. */
void attack_world_make(struct attack_world *w, struct rng *rng);

/* Reorders samples and labels at random. */
void attack_world_shuffle(struct attack_world *w, struct rng *rng);

/* Deals the training samples to the sites that have data: alpha 0 at random, else by
 * Dirichlet(alpha) shares. */
void attack_world_deal(struct attack_world *w, double alpha, struct rng *rng);

/* A rule of the table: an expression and its parameters. */
struct world_rule {
    const char *name; /* in tables */
    const char *expression;
    size_t f;     /* 0: the world's */
    bool follows; /* v0 is the previous output */
    bool buckets; /* a permutation is drawn each step */
    double nu, T; /* 0: the rule's default; with T iterations start from zero */
};

/* Test accuracy after training under the rule and the attack (of WORLD_ATTACK); ratio: noise norm
 * to clip norm 1 of each site and step. RESULT_INPUT for names that are not known. */
struct result attack_world_train(const struct attack_world *w, const struct world_rule *rule,
                                 const char *attack, double ratio, uint64_t seed,
                                 double *ret_accuracy, struct why *why) MUST_CHECK;

enum { WORLD_ATTACKS = 6 };
extern const char *const WORLD_ATTACK[WORLD_ATTACKS];

#endif
