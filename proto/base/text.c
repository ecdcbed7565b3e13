/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers on words. */
#include "proto/base/text.h"

#include <string.h>

int text_distance(const char *a, const char *b)
{
    enum { LONGEST = 31 };
    int row[LONGEST + 2];
    int la = (int)strnlen(a, LONGEST);
    int lb = (int)strnlen(b, LONGEST);
    for (int j = 0; j <= lb; j++)
        row[j] = j;
    for (int i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= lb; j++) {
            int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[lb];
}
