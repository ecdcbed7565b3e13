/* SPDX-License-Identifier: Apache-2.0 */
/* First-order optimisers over one parameter block, with L2 and proximal penalties. */
#ifndef CONSILIUM_LINALG_OPTIM_H
#define CONSILIUM_LINALG_OPTIM_H

#include "linalg/model.h"

#include <stddef.h>

enum optim_kind { OPTIM_SGD, OPTIM_ADAM };

struct optim_settings {
    enum optim_kind kind;
    double rate;                  /* learning rate, > 0 */
    double momentum;              /* SGD: v = momentum v + g, w -= rate v; in [0, 1) */
    double beta1, beta2, epsilon; /* Adam */
    double l2;       /* adds l2 (w - centre) to the gradient of weights, never of biases; >= 0 */
    double proximal; /* FedProx mu: adds mu (w - anchor) to every coordinate; >= 0 */
};

/* SGD without momentum or penalty; Adam's constants as in Kingma and Ba (2015). */
struct optim_settings optim_defaults(void);

/* State for one model. Deterministic: the same sequence of gradients gives the same bits. */
struct optim {
    struct optim_settings settings;
    const struct model *model; /* borrowed */
    const double *centre;      /* [parameters] borrowed, of the L2 penalty; NULL = 0 */
    double *first, *second;    /* [parameters] moments; second only for Adam */
    size_t steps;
};

enum optim_status { OPTIM_OK = 0, OPTIM_BAD_SETTING, OPTIM_NO_MEMORY };

/* The model must outlive the state. End with optim_free, which accepts a zeroed struct too. */
enum optim_status optim_create(struct optim *optim, const struct model *model,
                               const struct optim_settings *settings);
void optim_free(struct optim *optim);

/* Forgets the moments. */
void optim_reset(struct optim *optim);

/* One step of w [parameters] along gradient [parameters] of the mean loss. The penalties are added
 * to gradient in place; anchor [parameters] is needed only where proximal > 0. */
void optim_step(struct optim *optim, double *w, double *gradient, const double *anchor);

#endif
