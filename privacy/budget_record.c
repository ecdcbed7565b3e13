/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's records: one line of text each, chained by BLAKE2b.
 *
 *   consilium-ledger 1 open time=T epsilon=E delta=D previous=0.. hash=H
 *   consilium-ledger 1 charge time=T study=S purpose=P order=A rho=R events=LIST previous=H hash=H'
 *
 * hash is BLAKE2b-256 of everything before " hash=". A line cut short by a crash has no good hash:
 * what it would have paid for never started. */
#include "privacy/budget_inner.h"
#include "privacy/rdp.h"

#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEX = 2 * BUDGET_HASH_BYTES + 1 };

static int append(char *record, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int append(char *record, const char *format, ...)
{
    va_list args;
    size_t used = strnlen(record, BUDGET_RECORD_MAX);
    va_start(args, format);
    int n = vsnprintf(record + used, BUDGET_RECORD_MAX - used, format, args);
    va_end(args);
    return n < 0 || (size_t)n >= BUDGET_RECORD_MAX - used ? -1 : 0;
}

static void hash_text(const char *text, size_t length, char hex[HEX])
{
    unsigned char hash[BUDGET_HASH_BYTES];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, length, NULL, 0);
    sodium_bin2hex(hex, HEX, hash, sizeof hash);
}

int budget_record_close(char record[BUDGET_RECORD_MAX],
                        const unsigned char previous[BUDGET_HASH_BYTES])
{
    char hex[HEX];
    sodium_bin2hex(hex, sizeof hex, previous, BUDGET_HASH_BYTES);
    if (append(record, " previous=%s", hex) != 0)
        return -1;
    hash_text(record, strlen(record), hex);
    return append(record, " hash=%s", hex);
}

int budget_open(double epsilon, double delta, uint64_t time_ms, char record[BUDGET_RECORD_MAX])
{
    static const unsigned char nothing[BUDGET_HASH_BYTES];
    record[0] = '\0';
    if (!budget_good_opening(epsilon, delta))
        return -1;
    if (append(record, "consilium-ledger 1 open time=%llu epsilon=%.17g delta=%.17g",
               (unsigned long long)time_ms, epsilon, delta) != 0)
        return -1;
    return budget_record_close(record, nothing);
}

int budget_record_charge(char record[BUDGET_RECORD_MAX], const struct budget *b,
                         const struct budget_charge *c, int order, double rho)
{
    record[0] = '\0';
    if (append(record,
               "consilium-ledger 1 charge time=%llu study=%s purpose=%s order=%d rho=%.17g "
               "events=",
               (unsigned long long)c->time_ms, c->study, c->purpose, order, rho) != 0)
        return -1;
    size_t used = strlen(record);
    if (event_list_text(c->events, record + used, BUDGET_RECORD_MAX - used) < 0)
        return -1;
    return budget_record_close(record, b->head);
}

/* Copies the value of " name=" into out[size]; -1 when it is absent or too long. Values hold no
 * blanks. */
static int field(const char *record, const char *name, char *out, size_t size)
{
    char key[32];
    snprintf(key, sizeof key, " %s=", name);
    const char *at = strstr(record, key);
    if (!at)
        return -1;
    at += strlen(key);
    size_t length = strcspn(at, " ");
    if (length == 0 || length >= size)
        return -1;
    memcpy(out, at, length);
    out[length] = '\0';
    return 0;
}

static int number_field(const char *record, const char *name, double *ret)
{
    char text[40], *end;
    if (field(record, name, text, sizeof text) != 0)
        return -1;
    *ret = strtod(text, &end);
    return *end == '\0' && isfinite(*ret) ? 0 : -1;
}

static int complain(char *error, const char *what)
{
    snprintf(error, BUDGET_TEXT_MAX, "%s", what);
    return -1;
}

/* Form, place in the chain, hash; leaves the new head. */
static int check_chain(const struct budget *b, const char *record,
                       unsigned char head[BUDGET_HASH_BYTES], char *error)
{
    char stated[HEX], hex[HEX];
    const char *tail = strstr(record, " hash=");
    if (strnlen(record, BUDGET_RECORD_MAX) >= BUDGET_RECORD_MAX)
        return complain(error, "a ledger record is too long");
    if (strncmp(record, "consilium-ledger 1 ", 19) != 0)
        return complain(error, "this is not a ledger record of version 1");
    if (!tail || strlen(tail) != strlen(" hash=") + HEX - 1 ||
        field(record, "hash", stated, sizeof stated) != 0)
        return complain(error, "a ledger record is cut short");
    hash_text(record, (size_t)(tail - record), hex);
    if (strcmp(hex, stated) != 0)
        return complain(error, "a ledger record does not match its hash");
    if (sodium_hex2bin(head, BUDGET_HASH_BYTES, hex, HEX - 1, NULL, NULL, NULL) != 0)
        return complain(error, "a ledger record does not match its hash");
    sodium_bin2hex(hex, sizeof hex, b->head, BUDGET_HASH_BYTES);
    if (field(record, "previous", stated, sizeof stated) != 0 || strcmp(hex, stated) != 0)
        return complain(error, "a ledger record does not follow the one before it");
    return 0;
}

static int apply_open(struct budget *b, const char *record, char *error)
{
    double epsilon, delta;
    if (b->records != 0)
        return complain(error, "the ledger is opened twice");
    if (number_field(record, "epsilon", &epsilon) != 0 ||
        number_field(record, "delta", &delta) != 0 || !budget_good_opening(epsilon, delta))
        return complain(error, "the ledger's epsilon or delta is out of range");
    b->epsilon = epsilon;
    b->delta = delta;
    return 0;
}

/* The charge's events into list, and its order and divergence recomputed. */
static int read_charge(const struct budget *b, const char *record, struct event_list *list,
                       int *ret_order, double *ret_rho, char *error)
{
    char name[BUDGET_NAME_MAX], reason[EVENT_ERROR_MAX];
    double order, stated;
    char *text = malloc(BUDGET_RECORD_MAX);
    if (!text)
        return complain(error, "out of memory");
    int rc = field(record, "events", text, BUDGET_RECORD_MAX);
    if (rc == 0)
        rc = event_list_parse(list, text, reason);
    free(text);
    if (rc != 0 || event_list_check(list, reason) != 0 ||
        field(record, "study", name, sizeof name) != 0 || !budget_good_name(name) ||
        field(record, "purpose", name, sizeof name) != 0 || !budget_good_name(name) ||
        number_field(record, "rho", &stated) != 0 || number_field(record, "order", &order) != 0)
        return complain(error, "a charge in the ledger cannot be read");
    if (!(order >= 2 && order <= 1024 && order == floor(order)) ||
        (b->order != 0 && order != b->order))
        return complain(error, "a charge in the ledger is at another order");
    *ret_order = (int)order;
    *ret_rho = fmax(stated, rdp_list(list, ADJACENCY_ADD_REMOVE, *ret_order));
    /* Another machine's libm may differ in the last bits, no more. */
    if (!(*ret_rho >= 0 && *ret_rho <= stated * (1 + 1e-9)))
        return complain(error, "a charge in the ledger states too little for its events");
    return 0;
}

static int apply_charge(struct budget *b, const char *record, char *error)
{
    if (b->records == 0)
        return complain(error, "the ledger does not start with its opening");
    struct event_list *list = malloc(sizeof *list);
    int order, rc = list ? 0 : complain(error, "out of memory");
    double rho;
    if (rc == 0)
        rc = read_charge(b, record, list, &order, &rho, error);
    if (rc == 0 && event_list_append(&b->charged, list) != 0)
        rc = complain(error, "the ledger holds more kinds of events than can be added up");
    if (rc == 0) {
        b->order = order;
        b->limit = budget_limit(b->epsilon, b->delta, order);
        b->spent = budget_add(b->spent, rho);
    }
    free(list);
    return rc;
}

int budget_apply(struct budget *b, const char *record, char *error)
{
    unsigned char head[BUDGET_HASH_BYTES];
    error[0] = '\0';
    if (check_chain(b, record, head, error) != 0)
        return -1;
    int rc;
    if (strncmp(record + 19, "open ", 5) == 0)
        rc = apply_open(b, record, error);
    else if (strncmp(record + 19, "charge ", 7) == 0)
        rc = apply_charge(b, record, error);
    else
        rc = complain(error, "a ledger record of an unknown kind");
    if (rc != 0)
        return -1;
    memcpy(b->head, head, sizeof head);
    b->records++;
    return 0;
}
