/* SPDX-License-Identifier: Apache-2.0 */
/* The consortium's members in one file signed by the coordinator. */
#include "proto/roster.h"

#include "proto/base/cleanup.h"
#include "proto/base/fs.h"
#include "proto/base/record.h"
#include "proto/signed_text.h"
#include "proto/topic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT[] = "consilium roster 1";
enum {
    MEMBER_FIELDS = 8,
    ROSTER_FIELDS = 4,
};

const char *role_name(enum role role)
{
    switch (role) {
    case ROLE_SITE:
        return "site";
    case ROLE_OPERATOR:
        return "operator";
    case ROLE_RESEARCHER:
        return "researcher";
    case ROLE_AUDITOR:
        return "auditor";
    case ROLE_COORDINATOR:
        return "coordinator";
    }
    return "unknown";
}

bool role_parse(enum role *role, const char *text)
{
    for (int r = ROLE_SITE; r <= ROLE_COORDINATOR; r++) {
        if (strcmp(text, role_name((enum role)r)) == 0) {
            *role = (enum role)r;
            return true;
        }
    }
    return false;
}

const struct roster_member *roster_find(const struct roster *roster, const char *name)
{
    const struct roster_member *member = roster_find_any(roster, name);
    return member && member->revoked_s == 0 ? member : NULL;
}

const struct roster_member *roster_find_any(const struct roster *roster, const char *name)
{
    for (size_t i = roster->count; i-- > 0;) {
        if (strcmp(roster->members[i].name, name) == 0)
            return &roster->members[i];
    }
    return NULL;
}

/* What must hold between a new member and those before it. */
static struct result check_new(const struct roster *roster, const struct roster_member *member,
                               struct why *why)
{
    if (roster_find(roster, member->name))
        return failed(why, RESULT_REFUSED,
                      "there is already a member '%s'; revoke it first or take another name",
                      member->name);
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *m = &roster->members[i];
        if (memcmp(m->sign_key, member->sign_key, ROSTER_KEY_BYTES) == 0 ||
            memcmp(m->seal_key, member->seal_key, ROSTER_KEY_BYTES) == 0)
            return failed(why, RESULT_REFUSED, "a key of '%s' is already in use by '%s'",
                          member->name, m->name);
    }
    if (roster->count == ROSTER_MEMBERS_MAX)
        return failed(why, RESULT_REFUSED, "the roster is full (%d members)", ROSTER_MEMBERS_MAX);
    return DONE;
}

struct result roster_add(struct roster *roster, const struct roster_member *member, struct why *why)
{
    TRY(check_new(roster, member, why));
    roster->members[roster->count++] = *member;
    roster->version++;
    return DONE;
}

struct result roster_revoke(struct roster *roster, const char *name, uint64_t now_s,
                            const char *reason, struct why *why)
{
    for (size_t i = roster->count; i-- > 0;) {
        struct roster_member *m = &roster->members[i];
        if (strcmp(m->name, name) != 0 || m->revoked_s != 0)
            continue;
        m->revoked_s = now_s ? now_s : 1;
        snprintf(m->reason, sizeof m->reason, "%s", reason);
        roster->version++;
        return DONE;
    }
    return failed(why, RESULT_INPUT, "there is no member '%.60s'", name);
}

static struct result read_member(struct roster_member *m, const struct record *record,
                                 struct why *why)
{
    char role[32];
    TRY(record_fields(record, MEMBER_FIELDS, why));
    TRY(record_text(record, "name", m->name, sizeof m->name, why));
    if (!topic_name_valid(m->name))
        return failed(why, RESULT_INPUT, "'%.60s' is not a valid name", m->name);
    TRY(record_text(record, "role", role, sizeof role, why));
    if (!role_parse(&m->role, role))
        return failed(why, RESULT_INPUT, "'%.30s' is not a role", role);
    TRY(record_bytes(record, "sign_key", m->sign_key, sizeof m->sign_key, why));
    TRY(record_bytes(record, "seal_key", m->seal_key, sizeof m->seal_key, why));
    TRY(record_bytes(record, "serial", m->serial, sizeof m->serial, why));
    TRY(record_number(record, "added", 0, INT64_MAX, &m->added_s, why));
    TRY(record_number(record, "revoked", 0, INT64_MAX, &m->revoked_s, why));
    return record_text(record, "reason", m->reason, sizeof m->reason, why);
}

static struct result read_members(struct roster *roster, const struct record *record,
                                  struct why *why)
{
    size_t count = 0;
    TRY(record_list(record, "members", ROSTER_MEMBERS_MAX, &count, why));
    for (size_t i = 0; i < count; i++) {
        const struct record *item = NULL;
        struct roster_member member = {0};
        TRY(record_item(record, "members", i, &item, why));
        struct result r = read_member(&member, item, why);
        if (ok(r))
            r = check_new(roster, &member, why);
        if (!ok(r))
            return failed_in(why, (struct result){RESULT_INPUT}, "member %zu", i + 1);
        roster->members[roster->count++] = member;
    }
    return DONE;
}

static struct result read_roster(struct roster *roster, const struct record *record,
                                 struct why *why)
{
    *roster = (struct roster){0};
    TRY(record_fields(record, ROSTER_FIELDS, why));
    TRY(record_exactly(record, "format", FORMAT, why));
    TRY(record_text(record, "consortium", roster->consortium, sizeof roster->consortium, why));
    if (!topic_name_valid(roster->consortium))
        return failed(why, RESULT_INPUT, "the consortium's name is not valid");
    TRY(record_number(record, "version", 0, INT64_MAX, &roster->version, why));
    return read_members(roster, record, why);
}

struct result roster_parse(struct roster *roster, const char *bytes, size_t n,
                           const unsigned char coordinator[ROSTER_KEY_BYTES], struct why *why)
{
    CLEANUP(close_record) struct record *record = NULL;
    const char *body = NULL;
    size_t body_n = 0;
    if (n > ROSTER_FILE_MAX)
        return failed(why, RESULT_INPUT, "a roster of more than %d bytes", ROSTER_FILE_MAX);
    TRY(signed_text_body(bytes, n, &body, &body_n, why));
    TRY(signed_text_check(FORMAT, bytes, n, coordinator, why));
    TRY(record_parse(body, body_n, &record, why));
    return read_roster(roster, record, why);
}

static char *print_body(const struct roster *roster)
{
    CLEANUP(close_record) struct record *record = record_new();
    record_put_text(record, "format", FORMAT);
    record_put_text(record, "consortium", roster->consortium);
    record_put_number(record, "version", roster->version);
    record_put_list(record, "members");
    for (size_t i = 0; i < roster->count; i++) {
        const struct roster_member *m = &roster->members[i];
        struct record *item = record_put_item(record, "members");
        record_put_text(item, "name", m->name);
        record_put_text(item, "role", role_name(m->role));
        record_put_bytes(item, "sign_key", m->sign_key, sizeof m->sign_key);
        record_put_bytes(item, "seal_key", m->seal_key, sizeof m->seal_key);
        record_put_bytes(item, "serial", m->serial, sizeof m->serial);
        record_put_number(item, "added", m->added_s);
        record_put_number(item, "revoked", m->revoked_s);
        record_put_text(item, "reason", m->reason);
    }
    return record_print(record);
}

struct result roster_print(const struct roster *roster,
                           const unsigned char secret[ROSTER_SIGN_SECRET_BYTES], char **ret_text,
                           size_t *ret_n, struct why *why)
{
    CLEANUP(free_pointer) char *body = print_body(roster);
    if (!body)
        return failed(why, RESULT_SYSTEM, "no memory for the roster");
    return signed_text_print(FORMAT, body, strlen(body), secret, ret_text, ret_n, why);
}

struct result roster_refresh(struct roster_file *file, struct roster *roster, bool *ret_changed,
                             struct why *why)
{
    struct stat st;
    *ret_changed = false;
    if (stat(file->path, &st) != 0)
        return failed(why, RESULT_INPUT, "cannot read %s: %s", file->path, strerror(errno));
    if (file->inode == st.st_ino && file->modified.tv_sec == st.st_mtim.tv_sec &&
        file->modified.tv_nsec == st.st_mtim.tv_nsec)
        return DONE;
    CLEANUP(free_pointer) char *text = NULL;
    CLEANUP(free_pointer) struct roster *fresh = malloc(sizeof *fresh);
    size_t n = 0;
    if (!fresh)
        return failed(why, RESULT_SYSTEM, "no memory for the roster");
    TRY(fs_read(file->path, ROSTER_FILE_MAX, &text, &n, why));
    struct result r = roster_parse(fresh, text, n, file->coordinator, why);
    if (!ok(r))
        return failed_in(why, r, "%s", file->path);
    if (roster->consortium[0] && fresh->version < roster->version)
        return failed(why, RESULT_REFUSED, "%s is older than the roster already read", file->path);
    *roster = *fresh;
    file->inode = st.st_ino;
    file->modified = st.st_mtim;
    *ret_changed = true;
    return DONE;
}
