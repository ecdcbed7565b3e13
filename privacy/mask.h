/* SPDX-License-Identifier: Apache-2.0 */
/* Secure aggregation: the coordinator learns the sum of the sites' integer vectors and nothing
 * else. Bonawitz et al. 2017, Practical Secure Aggregation for Privacy-Preserving Machine Learning,
 * with X25519, ChaCha20 and Shamir shares over GF(2^8).
 *
 *   1 advert   site -> all      two public keys, a commitment to the self-mask seed
 *   2 shares   site -> site     shares of the mask key and of the self-mask seed, sealed
 *   3 input    site -> coord.   x + self mask +- pairwise masks, modulo 2^bits
 *   4 agree    site -> site     a tag on who takes part and whose input arrived (the survivors)
 *   5 reveal   site -> coord.   of each survivor the share of its self-mask seed, of each site that
 *                               dropped out the share of its mask key
 *
 * All messages pass through the coordinator. Adverts must be signed by the sites' identities and
 * checked before they get here; everything after is protected by the keys in them.
 *
 * Invariants a site keeps, whatever the coordinator says:
 *   - it shares, masks, agrees and reveals once, for one list of survivors;
 *   - it reveals only what at least `threshold` sites have agreed on, its own list;
 *   - of one other site it reveals the seed's share or the key's share, never both;
 *   - a list of fewer than `threshold` survivors, or without itself, is refused.
 * With 2 threshold > sites + colluders, two different lists cannot both find `threshold` sites: of
 * the honest ones, sites - colluders, each list needs threshold - colluders that agree on no other.
 * So nobody collects both secrets of one site and a single input is never opened; mask_threshold
 * gives 2/3. All of this is for one round: keys and seeds are drawn anew for the next. */
#ifndef CONSILIUM_PRIVACY_MASK_H
#define CONSILIUM_PRIVACY_MASK_H

#include "privacy/rng.h"
#include "privacy/shamir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MASK_KEY_BYTES = 32,
    MASK_SITES_MAX = SHAMIR_SHARES_MAX,
    MASK_SITES_MIN = 3,
    /* nonce, authenticator, two share values */
    MASK_SEALED_BYTES = 24 + 16 + 2 * SHAMIR_SECRET_BYTES,
    MASK_TAG_BYTES = 32
};

/* Both shares for one site, sealed to it. */
struct mask_sealed {
    unsigned char bytes[MASK_SEALED_BYTES];
};

/* One site's word to another on the two lists. */
struct mask_tag {
    unsigned char bytes[MASK_TAG_BYTES];
};

/* What a site makes public at the start of a round. */
struct mask_advert {
    unsigned char mask_public[MASK_KEY_BYTES];
    unsigned char box_public[MASK_KEY_BYTES];
    unsigned char commitment[MASK_KEY_BYTES]; /* hash of the self-mask seed */
};

/* What one site reveals about another. */
struct mask_reveal {
    bool survivor; /* share of the self-mask seed, else of the mask key */
    struct shamir_share share;
};

enum mask_result {
    MASK_OK,
    MASK_BAD_INPUT, /* a number out of range, or a call out of order */
    MASK_BAD_KEY,   /* a peer's public key is no key */
    MASK_BAD_SHARE, /* a sealed share does not open, or shares do not give what was committed to */
    MASK_TOO_FEW,   /* fewer than threshold sites are left */
    MASK_TWICE,     /* a second input or a second list of survivors: refused */
    MASK_NO_MEMORY,
};

const char *mask_text(enum mask_result result);

/* Least threshold that keeps single inputs secret with up to a third of the sites colluding:
 * floor(2n/3) + 1. */
unsigned mask_threshold(unsigned sites);

/* A site's side of one round. */
struct mask_site;

/* Site number `index` of `sites` (3 .. 255), 2 threshold > sites + 1. round goes into every mask.
 * NULL on numbers out of range or no memory. */
struct mask_site *mask_site_new(struct rng *rng, unsigned index, unsigned sites, unsigned threshold,
                                uint64_t round);
void mask_site_free(struct mask_site *site); /* wipes */

void mask_site_advert(const struct mask_site *site, struct mask_advert *advert);

/* Everyone's adverts, adverts[sites], all zeros for a site that takes no part; the own one must
 * come back unchanged. MASK_TOO_FEW below threshold. */
enum mask_result mask_site_peers(struct mask_site *site, const struct mask_advert *adverts);

/* Shares for each site, sealed[sites] (the own entry stays zero). */
enum mask_result mask_site_shares(struct mask_site *site, struct rng *rng,
                                  struct mask_sealed *sealed);

/* What site `from` sealed for this one. */
enum mask_result mask_site_receive(struct mask_site *site, unsigned from,
                                   const struct mask_sealed *sealed);

/* Adds the masks to values[n], modulo 2^bits (1 .. 64), towards the sites in present[sites]: those
 * whose shares everyone has. Once only. */
enum mask_result mask_site_mask(struct mask_site *site, const bool *present, uint64_t *values,
                                size_t n, unsigned bits);

/* Settles on survivors[sites], a part of the present, and writes a tag for each of them,
 * tags[sites]. Once only; again for the very same list it gives the same tags until it reveals. */
enum mask_result mask_site_agree(struct mask_site *site, const bool *survivors,
                                 struct mask_tag *tags);

/* Shares that open the sum over the survivors it settled on, reveals[sites], given the tags it got:
 * tags[j] from site j, zeros where there is none. Once only; MASK_TOO_FEW when, with itself, fewer
 * than threshold sites settled on the same, and it may be asked again with more tags. */
enum mask_result mask_site_reveal(struct mask_site *site, const struct mask_tag *tags,
                                  struct mask_reveal *reveals);

/* A site's state after masking, for its own disk: what it needs to agree and to reveal, its shares
 * of the others' secrets. Its own secrets are wiped by then: with what is kept nobody opens an
 * input who has not what `threshold` sites keep.
 * mask_site_keep writes bytes[mask_kept_bytes(sites)]; MASK_BAD_INPUT before masking and after
 * revealing. mask_site_again makes the site of them anew; NULL when they are malformed or memory is
 * short. Keep them secret and whole: no check here finds a change. */
size_t mask_kept_bytes(unsigned sites);
enum mask_result mask_site_keep(const struct mask_site *site, unsigned char *bytes);
struct mask_site *mask_site_again(const unsigned char *bytes, size_t n);

/* Coordinator: opens the sum. total[n] is the survivors' inputs added modulo 2^bits; reveals[k][j]
 * is what the k-th answering site said about site j, answers >= threshold. On MASK_OK total holds
 * the survivors' sum modulo 2^bits. A wrong share in one answer does no harm while threshold others
 * are there. */
struct mask_opening {
    unsigned sites, threshold, answers;
    uint64_t round;
    const struct mask_advert *adverts;        /* [sites] */
    const bool *present, *survivors;          /* [sites] */
    const struct mask_reveal *const *reveals; /* [answers][sites] */
};
enum mask_result mask_open(const struct mask_opening *opening, uint64_t *total, size_t n,
                           unsigned bits);

/* Centred residue: the integer in [-2^{bits-1}, 2^{bits-1}) that v is modulo 2^bits. */
int64_t mask_centred(uint64_t v, unsigned bits);

/* Noise multiplier of each site's own share when the sum over any n - missing sites must carry
 * `noise`: noise / sqrt(n - missing), missing the drop-outs and colluders tolerated. */
double mask_noise_share(double noise, unsigned sites, unsigned missing);

/* What to add to delta for accounting such a sum of rounded Gaussians as one Gaussian: a bound on
 * steps times the total variation, (sites + 1) sqrt(d KL / 2), KL about 1 / (576 s^4) at s = 2^24.
 */
double mask_noise_delta(uint64_t d, uint64_t steps, unsigned sites);

#endif
