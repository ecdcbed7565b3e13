/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence: the envelope itself, so that whoever reads the log checks the person's own signature.
 */
#include "coordinator/command_evidence.h"

#include "coordinator/entry.h"
#include "proto/base/cleanup.h"
#include "proto/envelope.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define VARIANT sodium_base64_VARIANT_ORIGINAL

struct result command_evidence(const struct user_command *c, json_t **ret_evidence, struct why *why)
{
    char key[HEX_HASH_BYTES];
    *ret_evidence = NULL;
    if (c->envelope_n > EVIDENCE_ENVELOPE_MAX)
        return failed(why, RESULT_INPUT, "a command of %zu bytes is too long to be kept in the log",
                      c->envelope_n);
    size_t n = sodium_base64_ENCODED_LEN(c->envelope_n, VARIANT);
    CLEANUP(free_pointer) char *text = malloc(n);
    if (!text)
        return failed(why, RESULT_SYSTEM, "out of memory");
    sodium_bin2base64(text, n, c->envelope, c->envelope_n, VARIANT);
    hex_hash(key, c->user->sign_public);
    *ret_evidence =
        json_pack("{s:s, s:s, s:s}", "by", c->user->name, "sign_key", key, "envelope", text);
    return *ret_evidence ? DONE : failed(why, RESULT_SYSTEM, "out of memory");
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

struct result evidence_open(const json_t *entry, const char *verb, json_t **ret_arguments,
                            struct why *why)
{
    unsigned char envelope[EVIDENCE_ENVELOPE_MAX], key[ENVELOPE_SIGN_PUBLIC_BYTES];
    const char *text = text_of(entry, "envelope"), *hex = text_of(entry, "sign_key");
    size_t n = 0, key_n = 0;
    *ret_arguments = NULL;
    if (sodium_base642bin(envelope, sizeof envelope, text, strlen(text), NULL, &n, NULL, VARIANT) !=
            0 ||
        sodium_hex2bin(key, sizeof key, hex, strlen(hex), NULL, &key_n, NULL) != 0 ||
        key_n != sizeof key)
        return failed(why, RESULT_REFUSED, "the signed command in the entry is damaged");
    CLEANUP(free_pointer) struct message *message = calloc(1, sizeof *message);
    if (!message)
        return failed(why, RESULT_SYSTEM, "out of memory");
    TRY(envelope_open(envelope, n, key, message, why));
    if (message->kind == MESSAGE_COMMAND && strcmp(message->command.verb, verb) == 0 &&
        strcmp(message->head.sender, text_of(entry, "by")) == 0)
        *ret_arguments =
            json_loadb((const char *)message->command.text, message->command.text_n, 0, NULL);
    return *ret_arguments
               ? DONE
               : failed(why, RESULT_REFUSED, "the entry's person signed another command");
}
