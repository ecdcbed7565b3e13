/* SPDX-License-Identifier: Apache-2.0 */
/* Output heads with their canonical losses, so that dLoss/dz = score - target
 * (McCullagh and Nelder, Generalized Linear Models, chapter 2). The hazard is constant over time
 * and log-linear: exponential survival, which is Poisson regression with the follow-up as exposure
 * (Aitkin and Clayton, Appl. Statist. 29 (1980) 156); unlike Cox's partial likelihood it is a sum
 * over patients. */
#include "linalg/model_output.h"

#include "linalg/model.h"

#include <math.h>

static bool one_output(size_t outputs)
{
    return outputs == 1;
}

static bool class_outputs(size_t outputs)
{
    return outputs >= 2 && outputs <= MODEL_MAX_CLASSES;
}

static void linear_score(size_t n, const double *z, double *score)
{
    (void)n;
    score[0] = z[0];
}

static double linear_loss(size_t n, const double *z, const double *score, double y, double *delta)
{
    (void)n;
    (void)z;
    delta[0] = score[0] - y;
    return 0.5 * delta[0] * delta[0];
}

/* exp never sees a positive argument, so it cannot overflow. */
static void logistic_score(size_t n, const double *z, double *score)
{
    (void)n;
    double e = exp(-fabs(z[0]));
    score[0] = (z[0] >= 0.0 ? 1.0 : e) / (1.0 + e);
}

static double logistic_loss(size_t n, const double *z, const double *score, double y, double *delta)
{
    (void)n;
    delta[0] = score[0] - y;
    return fmax(z[0], 0.0) + log1p(exp(-fabs(z[0]))) - y * z[0];
}

static double largest(size_t n, const double *z)
{
    double top = z[0];
    for (size_t k = 1; k < n; k++)
        if (!(z[k] <= top))
            top = z[k];
    return top;
}

static void softmax_score(size_t n, const double *z, double *score)
{
    double top = largest(n, z), sum = 0.0;
    for (size_t k = 0; k < n; k++) {
        score[k] = exp(z[k] - top);
        sum += score[k];
    }
    for (size_t k = 0; k < n; k++)
        score[k] /= sum;
}

static double softmax_loss(size_t n, const double *z, const double *score, double y, double *delta)
{
    bool valid = y >= 0.0 && y < (double)n && y == floor(y);
    for (size_t k = 0; k < n; k++)
        delta[k] = valid ? score[k] - ((double)k == y ? 1.0 : 0.0) : (double)NAN;
    if (!valid)
        return (double)NAN;
    double top = largest(n, z), sum = 0.0;
    for (size_t k = 0; k < n; k++)
        sum += exp(z[k] - top);
    return top + log(sum) - z[(size_t)y];
}

/* Beyond it a risk of 1 is certain and e^z only a danger of overflow. */
static const double HAZARD_LOG_MAX = 30.0;

/* Risk of an event within one unit of time. */
static void hazard_score(size_t n, const double *z, double *score)
{
    (void)n;
    score[0] = -expm1(-exp(fmin(z[0], HAZARD_LOG_MAX)));
    if (isnan(z[0]))
        score[0] = z[0];
}

static double hazard_loss(size_t n, const double *z, const double *score, double y, double *delta)
{
    (void)n;
    (void)score;
    double expected = fabs(y) * exp(z[0] > HAZARD_LOG_MAX ? HAZARD_LOG_MAX : z[0]);
    delta[0] = expected - (y > 0.0 ? 1.0 : 0.0);
    return expected - (y > 0.0 ? z[0] : 0.0);
}

const struct model_head model_head_linear = {"linear", one_output, linear_score, linear_loss};
const struct model_head model_head_logistic = {"logistic", one_output, logistic_score,
                                               logistic_loss};
const struct model_head model_head_softmax = {"softmax", class_outputs, softmax_score,
                                              softmax_loss};
const struct model_head model_head_hazard = {"hazard", one_output, hazard_score, hazard_loss};
