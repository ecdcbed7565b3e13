/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's keys: read once, wiped when it ends. */
#include "agent/vault/keys.h"

#include "proto/base/cleanup.h"
#include "proto/base/fs.h"

#include <stdlib.h>
#include <string.h>

const struct vault_member *vault_researcher(const struct vault_keys *keys, const char *name)
{
    for (size_t i = 0; i < keys->researchers_count; i++) {
        if (strcmp(keys->researchers[i].name, name) == 0)
            return &keys->researchers[i];
    }
    return NULL;
}

static struct result take_researchers(struct vault_keys *keys, const struct roster *roster,
                                      struct why *why)
{
    keys->researchers = calloc(roster->count ? roster->count : 1, sizeof *keys->researchers);
    if (!keys->researchers)
        return failed(why, RESULT_SYSTEM, "no memory for the roster");
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *member = &roster->members[i];
        if (member->role != ROLE_RESEARCHER || member->revoked_s != 0)
            continue;
        struct vault_member *out = &keys->researchers[keys->researchers_count++];
        memcpy(out->name, member->name, sizeof out->name);
        memcpy(out->sign_public, member->sign_key, sizeof out->sign_public);
    }
    return DONE;
}

static struct result read_roster(struct vault_keys *keys, const char *path, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    CLEANUP(free_pointer) struct roster *roster = malloc(sizeof *roster);
    size_t n = 0;
    if (!roster)
        return failed(why, RESULT_SYSTEM, "no memory for the roster");
    TRY(fs_read(path, ROSTER_FILE_MAX, &text, &n, why));
    struct result r = roster_parse(roster, text, n, keys->coordinator_sign, why);
    if (!ok(r))
        return failed_in(why, r, "%s", path);
    if (strcmp(roster->consortium, keys->consortium) != 0)
        return failed(why, RESULT_REFUSED, "%s: the roster is of another consortium", path);
    return take_researchers(keys, roster, why);
}

struct result vault_keys_load(struct vault_keys *keys, const char *identity_folder,
                              const char *roster_file, struct why *why)
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
    TRY(identity_load_secrets(identity, &keys->secrets, why));
    struct result r = read_roster(keys, roster_file, why);
    if (!ok(r))
        vault_keys_free(keys);
    return r;
}

void vault_keys_free(struct vault_keys *keys)
{
    identity_wipe(&keys->secrets);
    free(keys->researchers);
    *keys = (struct vault_keys){0};
}
