/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's keys: read once, wiped when it ends. */
#include "agent/vault/keys.h"

#include "proto/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

struct result vault_keys_load(struct vault_keys *keys, const char *identity_folder, struct why *why)
{
    CLEANUP(free_pointer) struct identity *identity = malloc(sizeof *identity);
    *keys = (struct vault_keys){0};
    if (!identity)
        return failed(why, RESULT_SYSTEM, "no memory for the site's identity");
    TRY(identity_load_enrolled(identity_folder, identity, why));
    if (identity->self.role != ROLE_SITE)
        return failed(why, RESULT_INPUT, "%s belongs to a %s, not to a site", identity_folder,
                      role_name(identity->self.role));
    memcpy(keys->site, identity->self.name, sizeof keys->site);
    memcpy(keys->consortium, identity->consortium, sizeof keys->consortium);
    memcpy(keys->coordinator, identity->coordinator.name, sizeof keys->coordinator);
    memcpy(keys->sign_public, identity->self.sign_key, sizeof keys->sign_public);
    memcpy(keys->seal_public, identity->self.seal_key, sizeof keys->seal_public);
    memcpy(keys->coordinator_sign, identity->coordinator.sign_key, sizeof keys->coordinator_sign);
    memcpy(keys->coordinator_seal, identity->coordinator.seal_key, sizeof keys->coordinator_seal);
    return identity_load_secrets(identity, &keys->secrets, why);
}

void vault_keys_free(struct vault_keys *keys)
{
    identity_wipe(&keys->secrets);
    *keys = (struct vault_keys){0};
}
