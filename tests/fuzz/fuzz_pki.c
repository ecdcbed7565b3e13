/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile certificates and certificate requests, and topics: refused with a reason, or read within
 * their bounds. */
#include "proto/pki.h"
#include "proto/topic.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check(struct result r, const struct why *why)
{
    if (!ok(r) && !why->text[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pki_pem pem;
    static unsigned char der[PKI_DER_BYTES];
    struct pki_subject subject;
    struct topic topic;
    struct why why = {""};
    size_t n = size < sizeof pem.text ? size : sizeof pem.text;
    size_t der_n = 0;
    memset(&pem, 0, sizeof pem);
    memcpy(pem.text, data, n);
    check(pki_check_request(&pem, &subject, &why), &why);
    check(pki_check_certificate(&pem, &pem, NULL, &subject, &why), &why);
    struct result r = pki_der(&pem, der, &der_n, &why);
    check(r, &why);
    if (ok(r) && der_n > sizeof der)
        abort();
    if (memchr(pem.text, 0, sizeof pem.text))
        check(topic_parse(&topic, "demo", pem.text, &why), &why);
    return 0;
}
