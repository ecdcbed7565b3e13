/* SPDX-License-Identifier: Apache-2.0 */
/* No connection of this process speaks anything older than TLS 1.3: the MQTT client has no working
 * switch for it, so OpenSSL's own configuration carries the floor. */
#include "proto/tls_floor.h"

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/ssl.h>
#include <pthread.h>

static const char CONFIGURATION[] = "openssl_conf = consilium\n"
                                    "[consilium]\n"
                                    "ssl_conf = contexts\n"
                                    "[contexts]\n"
                                    "system_default = floor\n"
                                    "[floor]\n"
                                    "MinProtocol = TLSv1.3\n";

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load_configuration(void)
{
    /* The system's file must not be read later and undo ours. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    BIO *text = BIO_new_mem_buf(CONFIGURATION, (int)sizeof CONFIGURATION - 1);
    CONF *conf = NCONF_new(NULL);
    long line = 0;
    if (text && conf && NCONF_load_bio(conf, text, &line) > 0)
        CONF_modules_load(conf, NULL, 0);
    NCONF_free(conf);
    BIO_free(text);
}

struct result tls_floor(struct why *why)
{
    pthread_once(&once, load_configuration);
    SSL_CTX *probe = SSL_CTX_new(TLS_client_method());
    bool holds = probe && SSL_CTX_get_min_proto_version(probe) == TLS1_3_VERSION;
    SSL_CTX_free(probe);
    if (!holds)
        return failed(why, RESULT_SYSTEM, "OpenSSL does not accept TLS 1.3 as its oldest version");
    return DONE;
}
