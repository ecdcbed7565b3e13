/* SPDX-License-Identifier: Apache-2.0 */
/* Where a site's files are. */
#include "agent/folder.h"

#include "proto/base/cleanup.h"

#include <stdio.h>
#include <string.h>

struct result folder_at(struct folder *folder, const char *path, const char *data, struct why *why)
{
    const struct {
        char *out;
        const char *name;
    } parts[] = {
        {folder->keys, "."},
        {folder->policy, "policy.yaml"},
        {folder->mapping, "mapping.yaml"},
        {folder->data, "data"},
        {folder->vault, "vault"},
        {folder->ledger, "vault/ledger"},
        {folder->epochs, "vault/epochs"},
        {folder->heads, "vault/heads"},
        {folder->outbox, "vault/outbox"},
        {folder->secure, "vault/secure"},
        {folder->released, "vault/released.jsonl"},
        {folder->decisions, "vault/decisions"},
        {folder->holdout_key, "vault/holdout.key"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        TRY(fs_join(parts[i].out, path, parts[i].name, why));
    if (!data)
        return DONE;
    if (strlen(data) >= FS_PATH_BYTES)
        return failed(why, RESULT_INPUT, "the path of the data folder is too long");
    snprintf(folder->data, sizeof folder->data, "%s", data);
    return DONE;
}

struct result folder_policy(const struct folder *folder, struct policy *policy, struct why *why)
{
    if (!fs_exists(folder->policy)) {
        policy_default(policy);
        return DONE;
    }
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(folder->policy, POLICY_BYTES_MAX, &text, &n, why));
    return policy_parse(policy, folder->policy, text, n, why);
}

struct result folder_mapping(const struct folder *folder, struct mapping *mapping,
                             char data_file[FS_PATH_BYTES], struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(folder->mapping, MAPPING_BYTES_MAX, &text, &n, why));
    TRY(mapping_parse(mapping, folder->mapping, text, n, why));
    struct result r = DONE;
    if (mapping->data[0] == '/')
        r = failed(why, RESULT_INPUT,
                   "%s: data: give the file's path from the data folder, not '%s'", folder->mapping,
                   mapping->data);
    if (ok(r))
        r = fs_join(data_file, folder->data, mapping->data, why);
    if (!ok(r))
        mapping_free(mapping);
    return r;
}
