/* SPDX-License-Identifier: Apache-2.0 */
/* The server's optimiser: the global model, its momentum and the average of its iterates (pure). */
#ifndef CONSILIUM_COORDINATOR_SERVER_H
#define CONSILIUM_COORDINATOR_SERVER_H

#include "proto/payload.h"

/* What is carried over the rounds for one site of the plan. */
struct server_site {
    uint64_t momentum_rounds; /* updates in its momentum */
    /* Evidence on its privacy noise: squared norms in units of the noise, and their degrees of
     * freedom (coordinator/combine_noise.h). */
    double noise_sum;
    uint64_t noise_degrees;
};

/* Owns its arrays; server_free. Zero-initialised: empty. */
struct server {
    uint32_t round;     /* rounds applied */
    uint32_t averaged;  /* iterates in the average */
    double median_norm; /* of the last round's admitted updates; 0 before the first */
    size_t d;
    float *parameters;         /* [d] */
    double *velocity;          /* [d] */
    double *average;           /* [d] */
    size_t sites_count;        /* of the plan */
    struct server_site *sites; /* [sites_count] */
    float *momentum;           /* [sites_count][d] with aggregation.site_momentum, else NULL */
};

enum { SERVER_MOMENTUM_BYTES_MAX = 1 << 29 /* sites times parameters times 4 */ };

/* Bytes of the momentum that the plan asks for with d parameters; 0 = none. */
uint64_t server_momentum_bytes(const struct plan *plan, size_t d);

/* The model before the first round, from the plan's seed. RESULT_REFUSED when its momentum per site
 * is beyond SERVER_MOMENTUM_BYTES_MAX. */
struct result server_initial(const struct plan *plan, struct server *server,
                             struct why *why) MUST_CHECK;

/* One round: v <- momentum v + update; x <- x + rate v; and x enters the average when the plan says
 * so. RESULT_REFUSED, and nothing changes, when the new model would not be finite. */
struct result server_apply(const struct plan *plan, struct server *server, const float *update,
                           struct why *why) MUST_CHECK;

/* The average of iterates when there is one, else the model itself, into out [d]. */
void server_candidate(const struct server *server, float *out);

/* A payload of one model named "global": *ret_bytes owned by the caller, hash its BLAKE2b-256. */
struct result server_model(uint32_t number, const float *parameters, size_t d,
                           unsigned char **ret_bytes, size_t *ret_n,
                           unsigned char hash[PLAN_HASH_BYTES], struct why *why) MUST_CHECK;

/* To and from bytes for the store (of this machine; little endian, doubles as they are). */
struct result server_encode(const struct server *server, unsigned char **ret_bytes, size_t *ret_n,
                            struct why *why) MUST_CHECK;
struct result server_decode(struct server *server, const unsigned char *bytes, size_t n,
                            struct why *why) MUST_CHECK;

struct result server_copy(struct server *to, const struct server *from, struct why *why) MUST_CHECK;
void server_free(struct server *server);

#endif
