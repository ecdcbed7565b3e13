/* SPDX-License-Identifier: Apache-2.0 */
/* A site's state of a secure sum as bytes, from masking to revealing.
 *
 *   stage 1 | index 1 | sites 1 | threshold 1 | round 8
 *   | of each site: flags 1 | share of its key 32 | of its seed 32 | tag key to it 32 | from it 32
 */
#include "privacy/mask_inner.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES = 12,
    SITE_BYTES = 1 + 4 * MASK_KEY_BYTES,
    FLAG_HELD = 1,
    FLAG_PRESENT = 2,
    FLAG_SURVIVES = 4,
};

size_t mask_kept_bytes(unsigned sites)
{
    return HEAD_BYTES + (size_t)sites * SITE_BYTES;
}

static void put_site(const struct mask_site *s, unsigned j, unsigned char *at)
{
    const struct mask_held *held = &s->held[j];
    *at++ = (unsigned char)((held->have ? FLAG_HELD : 0) | (s->present[j] ? FLAG_PRESENT : 0) |
                            (s->survivors[j] ? FLAG_SURVIVES : 0));
    memcpy(at, held->key.value, MASK_KEY_BYTES);
    memcpy(at + MASK_KEY_BYTES, held->seed.value, MASK_KEY_BYTES);
    memcpy(at + 2 * MASK_KEY_BYTES, s->tag_to[j], MASK_KEY_BYTES);
    memcpy(at + 3 * MASK_KEY_BYTES, s->tag_from[j], MASK_KEY_BYTES);
}

enum mask_result mask_site_keep(const struct mask_site *s, unsigned char *bytes)
{
    if (s->stage != STAGE_MASKED && s->stage != STAGE_AGREED)
        return MASK_BAD_INPUT;
    bytes[0] = (unsigned char)s->stage;
    bytes[1] = (unsigned char)s->index;
    bytes[2] = (unsigned char)s->sites;
    bytes[3] = (unsigned char)s->threshold;
    for (unsigned i = 0; i < 8; i++)
        bytes[4 + i] = (unsigned char)(s->round >> (8 * i));
    for (unsigned j = 0; j < s->sites; j++)
        put_site(s, j, bytes + HEAD_BYTES + (size_t)j * SITE_BYTES);
    return MASK_OK;
}

static void take_site(struct mask_site *s, unsigned j, const unsigned char *at)
{
    struct mask_held *held = &s->held[j];
    unsigned flags = *at++;
    held->have = flags & FLAG_HELD;
    s->present[j] = flags & FLAG_PRESENT;
    s->survivors[j] = flags & FLAG_SURVIVES;
    held->key.at = held->seed.at = (uint8_t)(held->have ? s->index + 1 : 0);
    memcpy(held->key.value, at, MASK_KEY_BYTES);
    memcpy(held->seed.value, at + MASK_KEY_BYTES, MASK_KEY_BYTES);
    memcpy(s->tag_to[j], at + 2 * MASK_KEY_BYTES, MASK_KEY_BYTES);
    memcpy(s->tag_from[j], at + 3 * MASK_KEY_BYTES, MASK_KEY_BYTES);
}

/* As masking and agreeing leave it: present sites have shares, survivors are present, both lists
 * name the site itself and enough others. */
static bool makes_sense(const struct mask_site *s)
{
    unsigned present = 0, survivors = 0;
    bool agreed = s->stage == STAGE_AGREED;
    for (unsigned j = 0; j < s->sites; j++) {
        if ((s->present[j] && !s->held[j].have) || (s->survivors[j] && !s->present[j]))
            return false;
        present += s->present[j];
        survivors += s->survivors[j];
    }
    return s->present[s->index] && present >= s->threshold && s->survivors[s->index] == agreed &&
           (agreed ? survivors >= s->threshold : survivors == 0);
}

struct mask_site *mask_site_again(const unsigned char *bytes, size_t n)
{
    if (n < HEAD_BYTES || (bytes[0] != STAGE_MASKED && bytes[0] != STAGE_AGREED) ||
        bytes[2] < MASK_SITES_MIN || bytes[1] >= bytes[2] || bytes[3] > bytes[2] ||
        2 * bytes[3] <= bytes[2] + 1 || n != mask_kept_bytes(bytes[2]))
        return NULL;
    struct mask_site *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->stage = bytes[0] == STAGE_MASKED ? STAGE_MASKED : STAGE_AGREED;
    s->index = bytes[1];
    s->sites = bytes[2];
    s->threshold = bytes[3];
    for (unsigned i = 0; i < 8; i++)
        s->round |= (uint64_t)bytes[4 + i] << (8 * i);
    for (unsigned j = 0; j < s->sites; j++)
        take_site(s, j, bytes + HEAD_BYTES + (size_t)j * SITE_BYTES);
    if (makes_sense(s))
        return s;
    mask_site_free(s);
    return NULL;
}
