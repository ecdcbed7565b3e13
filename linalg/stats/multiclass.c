/* SPDX-License-Identifier: Apache-2.0 */
/* One-against-rest AUROC and its averages. */
#include "linalg/stats/multiclass.h"

#include <math.h>
#include <stdlib.h>

static bool labels_ok(size_t n, size_t classes, const double *label)
{
    for (size_t i = 0; i < n; i++) {
        if (!(label[i] >= 0.0 && label[i] < (double)classes) || label[i] != floor(label[i]))
            return false;
    }
    return true;
}

enum stat_status multiclass_auroc(size_t n, size_t classes, const double *label,
                                  const double *score, struct auroc *per_class,
                                  struct multiclass *out)
{
    *out = (struct multiclass){.macro = NAN, .weighted = NAN};
    if (classes < 2 || classes > MULTICLASS_MAX || !labels_ok(n, classes, label))
        return out->status = STAT_INVALID_INPUT;
    double *y = calloc(n ? n : 1, 2 * sizeof *y);
    if (!y)
        return out->status = STAT_NO_MEMORY;
    double *column = y + n;
    double sum = 0.0;
    double weighted = 0.0;
    double members = 0.0;
    enum stat_status status = STAT_SINGLE_CLASS;
    for (size_t c = 0; c < classes; c++) {
        for (size_t i = 0; i < n; i++) {
            y[i] = label[i] == (double)c;
            column[i] = score[i * classes + c];
        }
        enum stat_status one = auroc_delong(n, y, column, NULL, &per_class[c]);
        if (one == STAT_INVALID_INPUT || one == STAT_NO_MEMORY || one == STAT_TOO_LARGE) {
            free(y);
            return out->status = one;
        }
        if (isnan(per_class[c].auc))
            continue;
        status = STAT_OK;
        out->classes_defined++;
        sum += per_class[c].auc;
        weighted += (double)per_class[c].n_pos * per_class[c].auc;
        members += (double)per_class[c].n_pos;
    }
    free(y);
    if (status == STAT_OK) {
        out->macro = sum / (double)out->classes_defined;
        out->weighted = weighted / members;
    }
    return out->status = status;
}
