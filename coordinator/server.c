/* SPDX-License-Identifier: Apache-2.0 */
/* The server's optimiser. Reddi et al., "Adaptive federated optimization", ICLR 2021, algorithm 1
 * with momentum (FedAvgM, Hsu et al. 2019); Polyak and Juditsky 1992 for the average of iterates.
 *
 * Everything is computed in double in index order and rounded to float once, so that a replay on
 * any machine gives the same bits. */
#include "coordinator/server.h"

#include "proto/base/cleanup.h"
#include "proto/plan_model.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = "cnssrv2";

struct server_head {
    char magic[8];
    uint32_t round, averaged;
    double median_norm;
    uint64_t d;
    uint32_t sites_count, has_momentum;
};

void server_free(struct server *server)
{
    free(server->parameters);
    free(server->velocity);
    free(server->average);
    free(server->sites);
    free(server->momentum);
    memset(server, 0, sizeof *server);
}

uint64_t server_momentum_bytes(const struct plan *plan, size_t d)
{
    return plan->aggregation.site_momentum > 0 ? (uint64_t)plan->sites_count * d * sizeof(float)
                                               : 0;
}

static struct result allocate(struct server *server, size_t d, size_t sites, bool momentum,
                              struct why *why)
{
    memset(server, 0, sizeof *server);
    if (d == 0 || d > PAYLOAD_PARAMETERS_MAX || sites == 0 || sites > PLAN_SITES_MAX)
        return failed(why, RESULT_INPUT, "a model of %zu parameters for %zu sites is out of bounds",
                      d, sites);
    if (momentum && (uint64_t)sites * d > SERVER_MOMENTUM_BYTES_MAX / sizeof(float))
        return failed(why, RESULT_REFUSED,
                      "momentum for %zu sites of %zu parameters takes more than %d MB: set "
                      "aggregation.site_momentum to 0",
                      sites, d, SERVER_MOMENTUM_BYTES_MAX >> 20);
    server->sites_count = sites;
    server->sites = calloc(sites, sizeof *server->sites);
    server->momentum = momentum ? calloc(sites * d, sizeof *server->momentum) : NULL;
    server->d = d;
    server->parameters = calloc(d, sizeof *server->parameters);
    server->velocity = calloc(d, sizeof *server->velocity);
    server->average = calloc(d, sizeof *server->average);
    if (server->parameters && server->velocity && server->average && server->sites &&
        (server->momentum || !momentum))
        return DONE;
    server_free(server);
    return failed(why, RESULT_SYSTEM, "out of memory for a model of %zu parameters", d);
}

struct result server_initial(const struct plan *plan, struct server *server, struct why *why)
{
    struct model model;
    TRY(plan_build_model(plan, &model, why));
    CLEANUP(free_pointer) double *start = calloc(model.parameters, sizeof *start);
    if (!start)
        return failed(why, RESULT_SYSTEM, "out of memory for the initial model");
    TRY(allocate(server, model.parameters, plan->sites_count, plan->aggregation.site_momentum > 0,
                 why));
    plan_start(plan, &model, start);
    for (size_t i = 0; i < server->d; i++)
        server->parameters[i] = (float)start[i];
    return DONE;
}

struct result server_apply(const struct plan *plan, struct server *server, const float *update,
                           struct why *why)
{
    double momentum = plan->training.server_momentum;
    double rate = plan->training.server_learning_rate;
    for (size_t i = 0; i < server->d; i++) {
        double v = momentum * server->velocity[i] + (double)update[i];
        if (!isfinite((float)((double)server->parameters[i] + rate * v)))
            return failed(why, RESULT_REFUSED,
                          "the aggregated update would make parameter %zu of the model infinite",
                          i);
    }
    server->round++;
    if (plan_averages(plan, server->round))
        server->averaged++;
    for (size_t i = 0; i < server->d; i++) {
        server->velocity[i] = momentum * server->velocity[i] + (double)update[i];
        server->parameters[i] = (float)((double)server->parameters[i] + rate * server->velocity[i]);
        if (plan_averages(plan, server->round))
            server->average[i] +=
                ((double)server->parameters[i] - server->average[i]) / server->averaged;
    }
    return DONE;
}

void server_candidate(const struct server *server, float *out)
{
    for (size_t i = 0; i < server->d; i++)
        out[i] = server->averaged > 0 ? (float)server->average[i] : server->parameters[i];
}

struct result server_model(uint32_t number, const float *parameters, size_t d,
                           unsigned char **ret_bytes, size_t *ret_n,
                           unsigned char hash[PLAN_HASH_BYTES], struct why *why)
{
    CLEANUP(free_pointer) float *copy = malloc(d * sizeof *copy);
    if (!copy)
        return failed(why, RESULT_SYSTEM, "out of memory for the model");
    memcpy(copy, parameters, d * sizeof *copy);
    struct payload_model model = {.name = "global", .parameters = copy};
    struct payload_model_set set = {.round = number,
                                    .parameters_count = d,
                                    .models_count = 1,
                                    .models = &model};
    TRY(payload_model_set_encode(&set, ret_bytes, ret_n, why));
    crypto_generichash(hash, PLAN_HASH_BYTES, *ret_bytes, *ret_n, NULL, 0);
    return DONE;
}

/* The arrays as they lie in the bytes: one order for writing, reading and copying. */
struct part {
    void *at;
    size_t n;
};
enum { PARTS = 5 };

static void parts_of(const struct server *server, struct part part[PARTS])
{
    size_t d = server->d;
    part[0] = (struct part){server->velocity, d * sizeof(double)};
    part[1] = (struct part){server->average, d * sizeof(double)};
    part[2] = (struct part){server->parameters, d * sizeof(float)};
    part[3] = (struct part){server->sites, server->sites_count * sizeof *server->sites};
    part[4] = (struct part){server->momentum,
                            server->momentum ? server->sites_count * d * sizeof(float) : 0};
}

struct result server_encode(const struct server *server, unsigned char **ret_bytes, size_t *ret_n,
                            struct why *why)
{
    struct server_head head = {
        .round = server->round,
        .averaged = server->averaged,
        .median_norm = server->median_norm,
        .d = server->d,
        .sites_count = (uint32_t)server->sites_count,
        .has_momentum = server->momentum != NULL,
    };
    struct part part[PARTS];
    memcpy(head.magic, MAGIC, sizeof head.magic);
    parts_of(server, part);
    size_t n = sizeof head;
    for (int i = 0; i < PARTS; i++)
        n += part[i].n;
    unsigned char *bytes = malloc(n);
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "out of memory for the server's state");
    unsigned char *p = bytes;
    memcpy(p, &head, sizeof head);
    p += sizeof head;
    for (int i = 0; i < PARTS; i++) {
        if (part[i].n > 0)
            memcpy(p, part[i].at, part[i].n);
        p += part[i].n;
    }
    *ret_bytes = bytes;
    *ret_n = n;
    return DONE;
}

struct result server_decode(struct server *server, const unsigned char *bytes, size_t n,
                            struct why *why)
{
    struct server_head head;
    struct part part[PARTS];
    memset(server, 0, sizeof *server);
    if (n < sizeof head)
        return failed(why, RESULT_INPUT, "the server's state is damaged");
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.magic, MAGIC, sizeof head.magic) != 0 || head.d > PAYLOAD_PARAMETERS_MAX)
        return failed(why, RESULT_INPUT, "the server's state is damaged");
    TRY(allocate(server, (size_t)head.d, head.sites_count, head.has_momentum != 0, why));
    parts_of(server, part);
    size_t expected = sizeof head;
    for (int i = 0; i < PARTS; i++)
        expected += part[i].n;
    if (n != expected) {
        server_free(server);
        return failed(why, RESULT_INPUT, "the server's state is damaged");
    }
    server->round = head.round;
    server->averaged = head.averaged;
    server->median_norm = head.median_norm;
    const unsigned char *p = bytes + sizeof head;
    for (int i = 0; i < PARTS; i++) {
        if (part[i].n > 0)
            memcpy(part[i].at, p, part[i].n);
        p += part[i].n;
    }
    return DONE;
}

struct result server_copy(struct server *to, const struct server *from, struct why *why)
{
    struct part old[PARTS], new[PARTS];
    TRY(allocate(to, from->d, from->sites_count, from->momentum != NULL, why));
    to->round = from->round;
    to->averaged = from->averaged;
    to->median_norm = from->median_norm;
    parts_of(from, old);
    parts_of(to, new);
    for (int i = 0; i < PARTS; i++)
        if (old[i].n > 0)
            memcpy(new[i].at, old[i].at, old[i].n);
    return DONE;
}
