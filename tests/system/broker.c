/* SPDX-License-Identifier: Apache-2.0 */
/* A consortium of its own for a test. */
#include "tests/system/broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct why why;

static void must(struct result r)
{
    if (!ok(r))
        fail_msg("%s", why.text);
}

uint64_t test_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void rest_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static bool answers(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool connected = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return connected;
}

void test_broker_start(struct test_broker *b)
{
    char conf[FS_PATH_BYTES + 32], log[160];
    snprintf(conf, sizeof conf, "%s/broker/mosquitto.conf", b->consortium.folder);
    snprintf(log, sizeof log, "%s/mosquitto.log", b->folder);
    b->pid = fork();
    assert_true(b->pid >= 0);
    if (b->pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", 1);
        execlp("mosquitto", "mosquitto", "-c", conf, NULL);
        _exit(127);
    }
    for (int i = 0; i < 200 && !answers(b->port); i++) {
        assert_int_equal(waitpid(b->pid, NULL, WNOHANG), 0);
        rest_ms(25);
    }
    assert_true(answers(b->port));
}

void test_broker_stop(struct test_broker *b)
{
    if (b->pid <= 0)
        return;
    kill(b->pid, SIGTERM);
    for (int i = 0; i < 100; i++) {
        if (waitpid(b->pid, NULL, WNOHANG) == b->pid) {
            b->pid = 0;
            return;
        }
        rest_ms(20);
    }
    kill(b->pid, SIGKILL);
    waitpid(b->pid, NULL, 0);
    b->pid = 0;
}

void test_broker_open(struct test_broker *b)
{
    char folder[160];
    *b = (struct test_broker){.folder = "/tmp/consilium-broker-XXXXXX"};
    assert_non_null(mkdtemp(b->folder));
    /* The broker's own user must be able to reach its files below. */
    assert_int_equal(chmod(b->folder, 0711), 0);
    b->port = free_port();
    snprintf(folder, sizeof folder, "%s/consortium", b->folder);
    struct consortium_options options = {.name = "demo", .host = "127.0.0.1", .port = b->port};
    must(consortium_init(folder, &options, &why));
    must(consortium_open(folder, &b->consortium, &why));
    test_broker_start(b);
}

void test_broker_close(struct test_broker *b)
{
    char command[160];
    test_broker_stop(b);
    snprintf(command, sizeof command, "rm -r %s", b->folder);
    assert_int_equal(system(command), 0);
}

const char *test_broker_file(const struct test_broker *b, const char *name, const char *file)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    bool inside = strcmp(name, CONSORTIUM_COORDINATOR) == 0 ||
                  strcmp(name, CONSORTIUM_OPERATOR) == 0 || strcmp(name, "ca") == 0;
    snprintf(path, 512, "%s/%s%s/%s", b->folder, inside ? "consortium/" : "", name, file);
    return path;
}

void test_broker_enrol(struct test_broker *b, const char *name, enum role role)
{
    unsigned char fingerprint[WORDS_FINGERPRINT_BYTES];
    static struct enrol_request request;
    static struct enrol_bundle bundle;
    char bundle_path[FS_PATH_BYTES], file[80];
    char *text = NULL;
    size_t n = 0;
    const char *folder = test_broker_file(b, name, "");
    must(enrol_create(folder, name, role, fingerprint, &why));
    snprintf(file, sizeof file, "%s.request", name);
    must(fs_read(test_broker_file(b, name, file), ENROL_FILE_MAX, &text, &n, &why));
    must(enrol_read_request(text, n, &request, &why));
    free(text);
    must(consortium_approve(&b->consortium, &request, bundle_path, &why));
    must(fs_read(bundle_path, ENROL_FILE_MAX, &text, &n, &why));
    must(enrol_read_bundle(text, n, &bundle, &why));
    free(text);
    must(enrol_install(folder, &bundle, &why));
    /* The broker reads its lists again on a signal, after a moment. */
    rest_ms(300);
}

struct link *test_broker_link(const struct test_broker *b, const char *name,
                              const char *const *subscriptions)
{
    struct link *link = NULL;
    struct link_options options = {
        .host = "127.0.0.1",
        .port = b->port,
        .name = name,
        .ca_file = test_broker_file(b, "ca", "ca.crt"),
        .cert_file = test_broker_file(b, name, "tls.crt"),
        .key_file = test_broker_file(b, name, "tls.key"),
        .subscriptions = subscriptions,
        .backoff_ms_min = 50,
        .backoff_ms_max = 500,
    };
    must(link_mqtt_open(&options, &link, &why));
    return link;
}

bool test_link_wait(struct link *link, enum link_event_kind kind, int ms, struct link_event *event)
{
    uint64_t end = test_now_ms() + (uint64_t)ms;
    for (;;) {
        while (link->operations->next(link, event)) {
            if (event->kind == kind)
                return true;
            free(event->payload);
        }
        uint64_t now = test_now_ms();
        if (now >= end)
            return false;
        struct pollfd p = {.fd = link->operations->descriptor(link), .events = POLLIN};
        poll(&p, 1, (int)(end - now));
    }
}
