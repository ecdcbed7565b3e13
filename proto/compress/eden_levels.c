/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of the Lloyd-Max quantiser of |N(0,1)| for 1, 2, 3, 4 and 8 bits with the sign. */
#include "proto/compress/eden_levels.h"

#include <math.h>
#include <stddef.h>

static const float levels_1[1] = {
    0.797884561F,
};

static const float levels_2[2] = {
    0.452780035F,
    1.51041761F,
};

static const float levels_3[4] = {
    0.245094179F,
    0.756005281F,
    1.34390928F,
    2.1519457F,
};

static const float levels_4[8] = {
    0.12839503F, 0.388048299F, 0.656759119F, 0.942340456F,
    1.2562312F,  1.61804639F,  2.06901723F,  2.73258957F,
};

static const float levels_8[128] = {
    0.00844619323F, 0.0253393831F, 0.0422349838F, 0.0591346044F, 0.0760398564F, 0.0929523555F,
    0.109873722F,   0.126805581F,  0.143749568F,  0.160707322F,  0.177680496F,  0.194670749F,
    0.211679756F,   0.2287092F,    0.245760782F,  0.262836217F,  0.279937235F,  0.297065587F,
    0.314223039F,   0.33141138F,   0.348632422F,  0.365887997F,  0.383179964F,  0.400510208F,
    0.417880642F,   0.435293207F,  0.452749879F,  0.470252661F,  0.487803598F,  0.505404765F,
    0.52305828F,    0.5407663F,    0.558531025F,  0.576354701F,  0.594239621F,  0.612188126F,
    0.630202614F,   0.648285533F,  0.666439391F,  0.684666759F,  0.702970269F,  0.721352621F,
    0.739816586F,   0.75836501F,   0.777000815F,  0.795727008F,  0.814546679F,  0.833463012F,
    0.852479284F,   0.871598874F,  0.890825266F,  0.910162057F,  0.92961296F,   0.949181812F,
    0.968872581F,   0.988689375F,  1.00863644F,   1.02871819F,   1.04893919F,   1.06930417F,
    1.08981807F,    1.11048599F,   1.13131325F,   1.15230539F,   1.17346818F,   1.19480761F,
    1.21632997F,    1.23804179F,   1.25994992F,   1.2820615F,    1.30438402F,   1.32692534F,
    1.34969366F,    1.37269763F,   1.39594633F,   1.41944929F,   1.44321656F,   1.46725874F,
    1.49158699F,    1.51621314F,   1.54114966F,   1.56640979F,   1.59200755F,   1.61795784F,
    1.64427649F,    1.67098037F,   1.69808745F,   1.72561696F,   1.75358945F,   1.78202694F,
    1.81095309F,    1.84039334F,   1.87037512F,   1.90092806F,   1.93208422F,   1.9638784F,
    1.99634846F,    2.02953567F,   2.06348518F,   2.09824651F,   2.13387415F,   2.17042825F,
    2.20797546F,    2.24658993F,   2.28635445F,   2.32736194F,   2.36971713F,   2.41353874F,
    2.45896213F,    2.50614256F,   2.5552594F,    2.60652147F,   2.66017397F,   2.71650758F,
    2.77587065F,    2.83868579F,   2.9054729F,    2.97688213F,   3.05374202F,   3.13713253F,
    3.22850021F,    3.32984847F,   3.44407168F,   3.57558797F,   3.73166626F,   3.92563778F,
    4.18659544F,    4.60353561F,
};

bool eden_bits_known(unsigned bits)
{
    return eden_levels(bits) != NULL;
}

const float *eden_levels(unsigned bits)
{
    switch (bits) {
    case 1:
        return levels_1;
    case 2:
        return levels_2;
    case 3:
        return levels_3;
    case 4:
        return levels_4;
    case 8:
        return levels_8;
    default:
        return NULL;
    }
}

/* Levels below cell [c, c+1) / per_unit, and the threshold that may lie in it. */
static void fill_grid(const struct eden_quantiser *q, unsigned cells, unsigned per_unit, int *below,
                      float *cut)
{
    unsigned n = 0;
    for (unsigned c = 0; c < cells; c++) {
        below[c] = (int)n;
        cut[c] = q->threshold[n];
        if (q->threshold[n] < (float)(c + 1) / (float)per_unit)
            n++;
    }
}

static void fill_fine(struct eden_quantiser *q)
{
    int below[EDEN_CELLS];
    float cut[EDEN_CELLS];
    fill_grid(q, EDEN_CELLS, EDEN_CELLS_PER_UNIT, below, cut);
    for (int c = 0; c < EDEN_CELLS; c++) {
        int over = below[c] + 1 < (int)q->levels ? below[c] + 1 : below[c];
        q->cell[c] = (struct eden_cell){cut[c], q->level[below[c]], q->level[over], below[c]};
    }
}

/* The number of the threshold at a, less a half, and linear from one threshold to the next. */
static double rank_at(const struct eden_quantiser *q, double a)
{
    unsigned last = q->levels - 2, i = 0;
    while (i < last && a > (double)q->threshold[i])
        i++;
    double from = i ? (double)q->threshold[i - 1] : 0, to = (double)q->threshold[i];
    return fmin(i - 0.5 + (a - from) / (to - from), last + 0.75);
}

/* A cell's line meets the ranks at both of its ends. */
static void fill_lines(struct eden_quantiser *q)
{
    const double width = 1.0 / EDEN_LINES_PER_UNIT;
    for (int c = 0; c < EDEN_LINES; c++) {
        double from = rank_at(q, c * width), to = rank_at(q, (c + 1) * width);
        q->line_slope[c] = (float)((to - from) / width);
        q->line_offset[c] = (float)(from - c * (to - from));
    }
}

static void fill_near(unsigned bits, struct eden_quantiser *q)
{
    static const float per_unit[] = {0, 1, 1, 2, 3.375F};
    q->near_per_unit = per_unit[bits];
    q->near_cut[0] = -1;
    for (int k = 1; k < EDEN_NEAR_CELLS; k++)
        q->near_cut[k] = q->threshold[k - 1];
}

static void fill_coarse(unsigned bits, struct eden_quantiser *q)
{
    int below[EDEN_COARSE_CELLS], sign = 1 << (bits - 1);
    float cut[EDEN_COARSE_CELLS];
    fill_grid(q, EDEN_COARSE_CELLS, EDEN_COARSE_PER_UNIT, below, cut);
    for (int c = 0; c < EDEN_COARSE_CELLS; c++) {
        int mirrored = 2 * EDEN_COARSE_CELLS - 1 - c;
        q->coarse_code[c] = below[c];
        q->coarse_code[mirrored] = below[c] | sign;
        q->coarse_cut[c] = q->coarse_cut[mirrored] = cut[c] * EDEN_COARSE_PER_UNIT;
        q->coarse_level[c] = q->level[c & (sign - 1)];
    }
}

void eden_quantiser_init(unsigned bits, struct eden_quantiser *ret)
{
    const float *level = eden_levels(bits);
    unsigned n = 1u << (bits - 1);
    *ret = (struct eden_quantiser){.levels = n};
    for (unsigned i = 0; i < EDEN_MAX_LEVELS; i++) {
        ret->level[i] = i < n ? level[i] : 0.0F;
        ret->threshold[i] = i + 1 < n ? 0.5F * (level[i] + level[i + 1]) : INFINITY;
    }
    fill_fine(ret);
    if (bits <= 4) {
        fill_near(bits, ret);
        fill_coarse(bits, ret);
    } else {
        fill_lines(ret);
    }
}
