/* SPDX-License-Identifier: Apache-2.0 */
/* Names of codecs in a plan, and which codec a study may use. */
#include "proto/compress/codec.h"

#include "proto/compress/codec_ops.h"
#include "proto/compress/eden_levels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct result parse_keep(const char *name, const char *text, double max, double *ret,
                                struct why *why)
{
    char *end = NULL;
    double keep = *text ? strtod(text, &end) : 0;
    if (!*text || *end || !(keep > 0) || keep > max || (keep > 1 && keep != floor(keep)))
        return failed(why, RESULT_INPUT,
                      "codec \"%.40s\": after the colon comes a share of the coordinates, over 0 "
                      "and at most 1%s",
                      name, max > 1 ? ", or a count" : "");
    *ret = keep;
    return DONE;
}

static bool parse_eden(const char *name, struct codec *ret)
{
    if (strncmp(name, "eden-", 5) || name[5] < '1' || name[5] > '8' || name[6])
        return false;
    *ret = (struct codec){.id = CODEC_EDEN, .bits = (unsigned)(name[5] - '0'), .rounds = 2};
    return eden_bits_known(ret->bits);
}

struct result codec_parse(const char *name, struct codec *ret, struct why *why)
{
    *ret = (struct codec){.id = CODEC_RAW32};
    if (!strcmp(name, "none") || !strcmp(name, "raw32") || parse_eden(name, ret))
        return DONE;
    *ret = (struct codec){.id = CODEC_BF16};
    if (!strcmp(name, "bf16"))
        return DONE;
    *ret = (struct codec){.id = CODEC_INT8B};
    if (!strcmp(name, "int8b"))
        return DONE;
    *ret = (struct codec){.id = CODEC_TOPK_EF};
    if (!strncmp(name, "topk-ef:", 8))
        return parse_keep(name, name + 8, CODEC_MAX_D, &ret->keep, why);
    *ret = (struct codec){.id = CODEC_RANDK_SHARED};
    if (!strncmp(name, "randk-shared:", 13))
        return parse_keep(name, name + 13, 1, &ret->keep, why);
    return failed(why, RESULT_INPUT,
                  "unknown codec \"%.40s\": none, raw32, bf16, int8b, eden-1, eden-2, eden-3, "
                  "eden-4, eden-8, topk-ef:K or randk-shared:R",
                  name);
}

void codec_name(const struct codec *codec, char name[CODEC_NAME_BYTES])
{
    switch (codec->id) {
    case CODEC_RAW32:
        snprintf(name, CODEC_NAME_BYTES, "raw32");
        return;
    case CODEC_BF16:
        snprintf(name, CODEC_NAME_BYTES, "bf16");
        return;
    case CODEC_INT8B:
        snprintf(name, CODEC_NAME_BYTES, "int8b");
        return;
    case CODEC_EDEN:
        snprintf(name, CODEC_NAME_BYTES, "eden-%u", codec->bits);
        return;
    case CODEC_TOPK_EF:
        snprintf(name, CODEC_NAME_BYTES, "topk-ef:%.10g", codec->keep);
        return;
    case CODEC_RANDK_SHARED:
        snprintf(name, CODEC_NAME_BYTES, "randk-shared:%.10g", codec->keep);
        return;
    }
}

struct result codec_allowed(const struct codec *codec, bool has_privacy_noise, bool rule_is_mean,
                            struct why *why)
{
    if (codec->id == CODEC_TOPK_EF && has_privacy_noise)
        return failed(why, RESULT_REFUSED,
                      "topk-ef keeps the largest coordinates, and with privacy noise those are the "
                      "noise's own: use eden-4");
    if (codec->id == CODEC_TOPK_EF && !rule_is_mean)
        return failed(
            why, RESULT_REFUSED,
            "topk-ef sends different coordinates from each site, so a robust rule "
            "compares zeros (the median is 0 almost everywhere): use eden-4, or the mean");
    if (codec->id == CODEC_EDEN && codec->rounds == 1 && !has_privacy_noise)
        return failed(why, RESULT_REFUSED,
                      "eden with one rotation is biased on sparse updates: use two rotations");
    return DONE;
}
