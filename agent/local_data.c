/* SPDX-License-Identifier: Apache-2.0 */
/* A local site's files, and data poisoning: label flipping (Biggio, Nelson and Laskov, "Support
 * vector machines under adversarial label noise", ACML 2011) and a trigger pattern with a target
 * class (Gu, Dolan-Gavitt and Garg, "BadNets", 2017). */
#include "agent/local_data.h"

#include "agent/folder.h"
#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECLARED_STEP = 50 };
static const double TRIGGER = 4.0; /* spreads from the centre: rare among patients, not absurd */

static struct result open_csv(const char *path, struct vault *vault, struct why *why)
{
    vault->data_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (vault->data_fd < 0)
        return failed(why, RESULT_INPUT, "%s: cannot open the patients' file: %s", path,
                      strerror(errno));
    vault->data_present = true;
    return DONE;
}

/* Lines but the header; a public constant of the simulated site. */
static struct result count_rows(const char *path, uint64_t *ret_rows, struct why *why)
{
    CLEANUP(close_file) FILE *file = fopen(path, "r");
    if (!file)
        return failed(why, RESULT_INPUT, "%s: cannot open the patients' file: %s", path,
                      strerror(errno));
    char block[65536];
    uint64_t lines = 0;
    for (size_t n = fread(block, 1, sizeof block, file); n > 0;
         n = fread(block, 1, sizeof block, file))
        for (size_t i = 0; i < n; i++)
            lines += block[i] == '\n';
    sodium_memzero(block, sizeof block);
    *ret_rows = lines > 0 ? lines - 1 : 0;
    return DONE;
}

static void key_of_name(const char *site, unsigned char key[DATASET_KEY_BYTES])
{
    static const char DOMAIN[] = "consilium simulated holdout 1";
    crypto_generichash(key, DATASET_KEY_BYTES, (const unsigned char *)site, strlen(site),
                       (const unsigned char *)DOMAIN, sizeof DOMAIN);
}

/* folder/NAME.csv. */
static struct result plain_file(const char *folder, const char *site, struct vault *vault,
                                struct why *why)
{
    char path[FS_PATH_BYTES], mapping[FS_PATH_BYTES], name[PLAN_NAME_BYTES + 8];
    snprintf(name, sizeof name, "%s.csv", site);
    TRY(fs_join(path, folder, name, why));
    TRY(fs_join(mapping, folder, "mapping.yaml", why));
    if (fs_exists(mapping)) {
        CLEANUP(free_pointer) char *text = NULL;
        size_t n = 0;
        TRY(fs_read(mapping, MAPPING_BYTES_MAX, &text, &n, why));
        TRY(mapping_parse(&vault->mapping, mapping, text, n, why));
    } else {
        vault->mapping.version = 1;
    }
    snprintf(vault->mapping.data, sizeof vault->mapping.data, "%s", name);
    snprintf(vault->data_name, sizeof vault->data_name, "%s", name);
    if (vault->mapping.declared_patients == 0) {
        uint64_t rows = 0;
        TRY(count_rows(path, &rows, why));
        vault->mapping.declared_patients = rows / DECLARED_STEP * DECLARED_STEP + DECLARED_STEP;
    }
    policy_default(&vault->policy);
    vault->policy.privacy_required = false;
    vault->policy.noise_shares = true;
    vault->policy.min_patients = 1;
    vault->policy.delta = 1e-5;
    vault->policy.epsilon_per_study = vault->policy.epsilon_per_year = vault->policy.epsilon_total =
        50;
    key_of_name(site, vault->holdout_key);
    return open_csv(path, vault, why);
}

static struct result holdout_key(const struct folder *folder, const char *site,
                                 unsigned char key[DATASET_KEY_BYTES], struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    if (!fs_exists(folder->holdout_key)) {
        key_of_name(site, key);
        return DONE;
    }
    TRY(fs_read(folder->holdout_key, DATASET_KEY_BYTES, &text, &n, why));
    if (n != DATASET_KEY_BYTES)
        return failed(why, RESULT_INPUT, "%s: not a holdout key", folder->holdout_key);
    memcpy(key, text, DATASET_KEY_BYTES);
    sodium_memzero(text, n);
    return DONE;
}

/* folder/NAME/ as consilium-agent uses it. */
static struct result site_folder(const char *path, const char *site, struct vault *vault,
                                 struct why *why)
{
    struct folder folder;
    char csv[FS_PATH_BYTES];
    TRY(folder_at(&folder, path, NULL, why));
    TRY(folder_mapping(&folder, &vault->mapping, csv, why));
    snprintf(vault->data_name, sizeof vault->data_name, "%s", vault->mapping.data);
    TRY(folder_policy(&folder, &vault->policy, why));
    TRY(holdout_key(&folder, site, vault->holdout_key, why));
    return open_csv(csv, vault, why);
}

struct result local_data_open(const char *folder, const char *site, struct vault *vault,
                              struct why *why)
{
    char path[FS_PATH_BYTES], mapping[FS_PATH_BYTES];
    TRY(fs_join(path, folder, site, why));
    TRY(fs_join(mapping, path, "mapping.yaml", why));
    TRY(fs_exists(mapping) ? site_folder(path, site, vault, why)
                           : plain_file(folder, site, vault, why));
    vault->policy.decision = DECISION_ALLOW;
    vault->policy.researchers_count = 0;
    return DONE;
}

void local_data_poison(struct dataset *data, enum local_site_poison poison, double classes)
{
    struct dataset_part *part = &data->train;
    for (size_t r = 0; r < part->rows; r++) {
        double *x = part->x + r * data->inputs;
        switch (poison) {
        case POISON_NONE:
            return;
        case POISON_LABELS:
            part->y[r] = classes - 1 - part->y[r];
            break;
        case POISON_TRIGGER:
            if (r % 2 == 0 || data->inputs == 0)
                break;
            part->square[r] += TRIGGER * TRIGGER - x[0] * x[0];
            x[0] = TRIGGER;
            part->y[r] = classes - 1;
            break;
        }
    }
}
