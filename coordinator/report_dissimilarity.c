/* SPDX-License-Identifier: Apache-2.0 */
/* (G, B)-dissimilarity of the sites (Karimireddy et al., ICLR 2022): mean |g_i - g|^2 <= G^2 + B^2
 * |g|^2, fitted to the rounds by least squares with G^2, B^2 >= 0, after the privacy noise's share
 * was taken out of both sides. No rule stands f of n hostile sites with f/n >= 1/(2 + B^2). */
#include "coordinator/report_dissimilarity.h"

#include <math.h>
#include <stdbool.h>

struct fit {
    double count, x, y, xx, xy; /* sums; x = |g|^2, y = spread^2 */
};

/* False where the round has no figures. */
static bool point_of(const json_t *line, double *ret_x, double *ret_y)
{
    const json_t *spread = json_object_get(line, "spread");
    const json_t *mean = json_object_get(line, "mean_norm");
    double n = json_number_value(json_object_get(line, "rows"));
    double noise = json_number_value(json_object_get(line, "noise")); /* 0 where it has none */
    if (!spread || !mean || n < 2)
        return false;
    double s = json_number_value(spread), m = json_number_value(mean);
    *ret_y = fmax(0, s * s - noise * noise * (n - 1) / n);
    *ret_x = fmax(0, m * m - noise * noise / n);
    return true;
}

static void solve(const struct fit *f, double *ret_g, double *ret_b)
{
    double determinant = f->count * f->xx - f->x * f->x;
    double slope = determinant > 0 ? (f->count * f->xy - f->x * f->y) / determinant : 0;
    double intercept = (f->y - slope * f->x) / f->count;
    if (slope < 0) {
        slope = 0;
        intercept = f->y / f->count;
    } else if (intercept < 0) {
        intercept = 0;
        slope = f->xx > 0 ? f->xy / f->xx : 0;
    }
    *ret_g = sqrt(fmax(0, intercept));
    *ret_b = sqrt(fmax(0, slope));
}

json_t *report_dissimilarity(const json_t *rounds, unsigned n, unsigned f)
{
    struct fit fit = {0};
    size_t i;
    const json_t *line;
    json_array_foreach(rounds, i, line)
    {
        double x, y;
        if (!point_of(line, &x, &y))
            continue;
        fit.count++;
        fit.x += x;
        fit.y += y;
        fit.xx += x * x;
        fit.xy += x * y;
    }
    double g, b;
    if (fit.count < 2)
        return json_null();
    solve(&fit, &g, &b);
    double most = f > 0 ? sqrt(fmax(0, (double)n / f - 2)) : (double)INFINITY;
    return json_pack("{s:i, s:f, s:f, s:o, s:b}", "rounds", (int)fit.count, "g", g, "b", b,
                     "b_most", f > 0 ? json_real(most) : json_null(), "holds", b < most);
}
