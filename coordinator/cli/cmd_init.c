/* SPDX-License-Identifier: Apache-2.0 */
/* consilium init: makes a consortium's folder. */
#include "coordinator/cli/cli.h"
#include "coordinator/consortium.h"
#include "proto/base/cleanup.h"
#include "proto/base/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "usage: consilium init DIR --name NAME [--host HOST] [--port PORT] [--json]\n\n"
    "Makes a consortium in DIR: its certificate authority, the coordinator's identity, the\n"
    "broker's certificate and configuration, a roster, and an operator.\n\n"
    "  --name NAME   of the consortium: a-z, 0-9, - and _, starting with a letter\n"
    "  --host HOST   how members reach the broker: DNS name or address (localhost)\n"
    "  --port PORT   of the broker (8883)\n";

static bool parse_port(const char *text, uint16_t *port)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > UINT16_MAX)
        return false;
    *port = (uint16_t)number;
    return true;
}

static int show(const struct consortium *c, bool json)
{
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    char words[WORDS_BYTES];
    struct why why;
    struct result r = consortium_fingerprint(c, fingerprint, &why);
    if (!ok(r))
        return cli_fail(r, &why);
    words_of(words, fingerprint);
    if (json) {
        CLEANUP(close_record) struct record *record = record_new();
        record_put_text(record, "consortium", c->identity.consortium);
        record_put_text(record, "folder", c->folder);
        record_put_text(record, "host", c->identity.host);
        record_put_number(record, "port", c->identity.port);
        record_put_text(record, "words", words);
        CLEANUP(free_pointer) char *text = record_print(record);
        fputs(text ? text : "", stdout);
        return text ? CLI_OK : CLI_SYSTEM;
    }
    printf("Consortium '%s' is in %s.\n", c->identity.consortium, c->folder);
    printf("Its words, for members to compare when they install their bundle:\n     %s\n\n", words);
    printf("Start the broker:    mosquitto -c %s/broker/mosquitto.conf\n", c->folder);
    printf("Admit a site:        consilium site approve %s SITE.request\n", c->folder);
    printf("The operator's own identity is %s/operator.\n", c->folder);
    return CLI_OK;
}

int cmd_init(int argc, char **argv)
{
    if (cli_take_flag(&argc, argv, "--help")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    const char *host = cli_take_option(&argc, argv, "--host");
    const char *port = cli_take_option(&argc, argv, "--port");
    struct consortium_options options = {
        .name = cli_take_option(&argc, argv, "--name"),
        .host = host ? host : "localhost",
        .port = 8883,
    };
    if (cli_odd_option(argc, argv))
        return CLI_USAGE;
    if (argc != 2 || argv[1][0] == '-' || !options.name)
        return cli_usage("init needs a folder and --name NAME; --help tells more");
    if (port && !parse_port(port, &options.port))
        return cli_usage("'%s' is not a port (1 to 65535)", port);
    struct consortium c;
    struct why why;
    struct result r = consortium_init(argv[1], &options, &why);
    if (ok(r))
        r = consortium_open(argv[1], &c, &why);
    return ok(r) ? show(&c, json) : cli_fail(r, &why);
}
