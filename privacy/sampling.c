/* SPDX-License-Identifier: Apache-2.0 */
/* Patient p is in step t when word p of ChaCha20(key of the run, nonce t) is below the threshold.
 */
#include "privacy/sampling.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

int sampling_init_seeded(struct sampling *sampling, double rate,
                         const unsigned char key[RNG_KEY_BYTES])
{
    memset(sampling, 0, sizeof *sampling);
    if (!(rate > 0 && rate <= 1))
        return -1;
    memcpy(sampling->key, key, RNG_KEY_BYTES);
    double scaled = floor(ldexp(rate, 64));
    if (rate < 1)
        sampling->threshold = scaled < 1 ? 1 : (uint64_t)scaled;
    return 0;
}

int sampling_init(struct sampling *sampling, double rate)
{
    struct rng rng;
    unsigned char key[RNG_KEY_BYTES];
    rng_init_system(&rng);
    rng_bytes(&rng, key, sizeof key);
    int rc = sampling_init_seeded(sampling, rate, key);
    sodium_memzero(key, sizeof key);
    rng_wipe(&rng);
    return rc;
}

double sampling_rate(const struct sampling *sampling)
{
    return sampling->threshold == 0 ? 1 : ldexp((double)sampling->threshold, -64);
}

size_t sampling_draw(const struct sampling *sampling, uint64_t step, size_t patients,
                     size_t *chosen)
{
    struct rng rng;
    size_t count = 0;
    rng_init_seeded(&rng, sampling->key, step);
    for (size_t p = 0; p < patients; p++) {
        uint64_t word = rng_u64(&rng);
        chosen[count] = p; /* kept when counted: no branch on who is in */
        count += sampling->threshold == 0 || word < sampling->threshold;
    }
    rng_wipe(&rng);
    return count;
}

void sampling_wipe(struct sampling *sampling)
{
    sodium_memzero(sampling, sizeof *sampling);
}
