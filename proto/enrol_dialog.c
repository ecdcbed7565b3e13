/* SPDX-License-Identifier: Apache-2.0 */
/* The member's half of an enrolment at the terminal. */
#include "proto/enrol_dialog.h"

#include "proto/base/cleanup.h"
#include "proto/base/cli.h"
#include "proto/base/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool enrol_dialog_confirm(const char *question)
{
    char answer[16];
    printf("%s [yes/no] ", question);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin))
        return false;
    answer[strcspn(answer, "\r\n")] = '\0';
    return strcmp(answer, "yes") == 0 || strcmp(answer, "y") == 0;
}

struct result enrol_dialog_read_request(const char *path, struct enrol_request *request,
                                        struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(path, ENROL_FILE_MAX, &text, &n, why));
    struct result r = enrol_read_request(text, n, request, why);
    return ok(r) ? r : failed_in(why, r, "%s", path);
}

static int print_record(struct record *record)
{
    CLEANUP(free_pointer) char *text = record_print(record);
    fputs(text ? text : "", stdout);
    return text ? CLI_OK : CLI_SYSTEM;
}

int enrol_dialog_request(const char *folder, const char *name, enum role role, const char *install,
                         bool json)
{
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    char words[WORDS_BYTES];
    char path[FS_PATH_BYTES + ROSTER_NAME_BYTES + 16];
    struct why why;
    struct result r = enrol_create(folder, name, role, fingerprint, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    words_of(words, fingerprint);
    snprintf(path, sizeof path, "%s/%s.request", folder, name);
    if (json) {
        CLEANUP(close_record) struct record *record = record_new();
        record_put_text(record, "name", name);
        record_put_text(record, "role", role_name(role));
        record_put_text(record, "request", path);
        record_put_text(record, "words", words);
        record_put_bytes(record, "fingerprint", fingerprint, sizeof fingerprint);
        return print_record(record);
    }
    printf("Made the keys of %s '%s' in %s. They never leave this folder.\n\n", role_name(role),
           name, folder);
    printf("1. Send this file to the consortium's operator, by any means:\n     %s\n", path);
    printf("2. Read these words to the operator over the telephone:\n     %s\n", words);
    printf("3. Install the bundle that comes back:\n     %s\n", install);
    return CLI_OK;
}

static struct result read_bundle(const char *path, struct enrol_bundle *bundle,
                                 unsigned char fingerprint[WORDS_FINGERPRINT_BYTES],
                                 struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    TRY(fs_read(path, ENROL_FILE_MAX, &text, &n, why));
    struct result r = enrol_read_bundle(text, n, bundle, why);
    if (ok(r))
        r = enrol_consortium_fingerprint(bundle, fingerprint, why);
    return ok(r) ? r : failed_in(why, r, "%s", path);
}

int enrol_dialog_install(const char *folder, const char *bundle_path, bool yes, bool json)
{
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    char words[WORDS_BYTES];
    struct enrol_bundle bundle;
    struct why why;
    struct result r = read_bundle(bundle_path, &bundle, fingerprint, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    words_of(words, fingerprint);
    if (!json) {
        printf("Consortium '%s', broker %s port %u, for member '%s'.\n", bundle.consortium,
               bundle.host, bundle.port, bundle.member);
        printf("Its words, to compare with the operator over the telephone:\n     %s\n", words);
    }
    if (!yes && !enrol_dialog_confirm("Are these the operator's words?")) {
        fprintf(stderr, "Nothing was installed.\n");
        return CLI_FAILED;
    }
    r = enrol_install(folder, &bundle, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    if (json) {
        CLEANUP(close_record) struct record *record = record_new();
        record_put_text(record, "consortium", bundle.consortium);
        record_put_text(record, "member", bundle.member);
        record_put_text(record, "host", bundle.host);
        record_put_number(record, "port", bundle.port);
        record_put_text(record, "words", words);
        return print_record(record);
    }
    printf("'%s' is a member of consortium '%s' now.\n", bundle.member, bundle.consortium);
    return CLI_OK;
}
