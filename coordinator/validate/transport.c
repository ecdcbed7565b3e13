/* SPDX-License-Identifier: Apache-2.0 */
/* Random effects on the logit of AUROC: DerSimonian-Laird and REML, modified Hartung-Knapp
 * interval, prediction interval, I2 (linalg/stats/pool.h names the sources). */
#include "coordinator/validate/transport.h"

#include "linalg/special.h"
#include "proto/base/json.h"

#include <math.h>

void transport_pool(size_t n, const double *auc, const double *var, struct transport *out)
{
    double y[POOL_SITES_MAX], v[POOL_SITES_MAX];
    size_t k = 0;
    for (size_t i = 0; i < n && k < POOL_SITES_MAX; i++) {
        if (!(auc[i] > 0.0 && auc[i] < 1.0) || !(var[i] > 0.0))
            continue;
        double slope = auc[i] * (1.0 - auc[i]);
        y[k] = log(auc[i] / (1.0 - auc[i]));
        v[k] = var[i] / (slope * slope);
        k++;
    }
    *out = (struct transport){.k = k};
    pool_random(k, y, v, POOL_DL, 0.95, &out->dl);
    pool_random(k, y, v, POOL_REML, 0.95, &out->reml);
}

static json_t *pair(const double range[2])
{
    if (!isfinite(range[0]) || !isfinite(range[1]))
        return json_null();
    return json_pack("[f, f]", expit(range[0]), expit(range[1]));
}

static json_t *one(const struct pool *p)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "auc", number_or_null(expit(p->mu)), "ci",
                     pair(p->ci_mhksj), "pi", pair(p->pi_mhksj), "tau2", number_or_null(p->tau2),
                     "i2_percent", number_or_null(p->i2_percent));
}

json_t *transport_json(const struct transport *t)
{
    if (t->dl.status != STAT_OK || t->reml.status != STAT_OK)
        return NULL;
    return json_pack("{s:I, s:o, s:o}", "k", (json_int_t)t->k, "dl", one(&t->dl), "reml",
                     one(&t->reml));
}
