/* SPDX-License-Identifier: Apache-2.0 */
/* A consortium of its own for a test: temporary folder, members, and a mosquitto on a free port. */
#ifndef CONSILIUM_TESTS_BROKER_H
#define CONSILIUM_TESTS_BROKER_H

#include "coordinator/consortium.h"
#include "proto/link.h"

#include <sys/types.h>

struct test_broker {
    char folder[128]; /* holds consortium/ and one folder per member */
    struct consortium consortium;
    uint16_t port;
    pid_t pid; /* 0 = not running */
};

/* Makes folder and consortium "demo", starts the broker; asserts on failure. */
void test_broker_open(struct test_broker *broker);

/* Stops the broker and removes the folder. */
void test_broker_close(struct test_broker *broker);

/* Starts and waits until it answers; stops by its process number. */
void test_broker_start(struct test_broker *broker);
void test_broker_stop(struct test_broker *broker);

/* A new member, enrolled through request, approval and bundle. */
void test_broker_enrol(struct test_broker *broker, const char *name, enum role role);

/* FOLDER/NAME/FILE, or the coordinator's and operator's inside the consortium; a buffer of its own
 * for each of the last eight calls. */
const char *test_broker_file(const struct test_broker *broker, const char *name, const char *file);

/* A member's link with its own certificate; the subscriptions are closed by NULL. */
struct link *test_broker_link(const struct test_broker *broker, const char *name,
                              const char *const *subscriptions);

/* Waits up to ms for an event of this kind and gives it; packets' payloads belong to the caller.
 * Other events before it are dropped. */
bool test_link_wait(struct link *link, enum link_event_kind kind, int ms, struct link_event *event);

uint64_t test_now_ms(void);

#endif
