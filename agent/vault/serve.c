/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's two threads: the one that speaks and signs, and the one that works. */
#include "agent/vault/serve.h"

#include "agent/vault/speak.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOB_DECISIONS = 0 /* an ipc_type that no frame can carry */ };

struct serve {
    struct vault *vault; /* the worker's alone while it is at work, but keys */
    int fd, wake_fd;
    struct ipc_reader reader;
    struct ipc_writer writer;
    unsigned char *frame; /* [IPC_FRAME_MAX + 1] */
    struct speaker speaker;
    off_t decisions_size;

    pthread_t worker;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct ipc_message jobs[SERVE_QUEUE_MAX];
    size_t jobs_first, jobs_count;
    bool working, ending;
    bool replied; /* a reply waits for the speaker; the worker waits until it was taken */
    bool fatal;
    uint32_t reply_request;
    struct vault_reply reply;
    struct why fatal_why;
};

struct result serve_open(struct serve **ret_serve, struct vault *vault, int fd, uint64_t object_max,
                         struct why *why)
{
    struct serve *serve = calloc(1, sizeof *serve);
    if (!serve)
        return failed(why, RESULT_SYSTEM, "no memory for the vault's loop");
    serve->vault = vault;
    serve->fd = fd;
    serve->decisions_size = -1;
    serve->reader = (struct ipc_reader){.from_agent = true, .object_max = object_max};
    serve->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    serve->frame = malloc(IPC_FRAME_MAX + 1);
    pthread_mutex_init(&serve->lock, NULL);
    pthread_cond_init(&serve->changed, NULL);
    struct result r = speaker_open(&serve->speaker, &vault->keys, why);
    if (ok(r) && (serve->wake_fd < 0 || !serve->frame))
        r = failed(why, RESULT_SYSTEM, "cannot set up the vault's loop");
    if (!ok(r)) {
        serve_close(serve);
        return r;
    }
    *ret_serve = serve;
    return DONE;
}

void serve_close(struct serve *serve)
{
    if (serve->wake_fd >= 0)
        close(serve->wake_fd);
    ipc_reader_free(&serve->reader);
    ipc_writer_free(&serve->writer);
    free(serve->frame);
    speaker_close(&serve->speaker);
    pthread_mutex_destroy(&serve->lock);
    pthread_cond_destroy(&serve->changed);
    free(serve);
}

size_t serve_descriptors(const struct serve *serve, int keep[2])
{
    keep[0] = serve->fd;
    keep[1] = serve->wake_fd;
    return 2;
}

/* ---- the worker ---- */

static bool next_job(struct serve *serve, struct ipc_message *job)
{
    pthread_mutex_lock(&serve->lock);
    serve->working = false;
    while ((serve->jobs_count == 0 || serve->replied) && !serve->ending)
        pthread_cond_wait(&serve->changed, &serve->lock);
    bool found = !serve->ending;
    if (found) {
        *job = serve->jobs[serve->jobs_first];
        serve->jobs_first = (serve->jobs_first + 1) % SERVE_QUEUE_MAX;
        serve->jobs_count--;
        serve->working = true;
    }
    pthread_mutex_unlock(&serve->lock);
    return found;
}

static void wake_speaker(const struct serve *serve)
{
    const uint64_t one = 1;
    /* Fails only when the counter is full, and then the speaker is awake. */
    if (write(serve->wake_fd, &one, sizeof one) < 0)
        return;
}

/* The reply's message is the vault's scratch: no further job begins before it was taken. */
static void hand_in(struct serve *serve, uint32_t request, const struct vault_reply *reply,
                    const struct why *fatal)
{
    pthread_mutex_lock(&serve->lock);
    serve->replied = true;
    serve->reply_request = request;
    serve->reply = *reply;
    if (fatal) {
        serve->fatal = true;
        serve->fatal_why = *fatal;
    }
    pthread_mutex_unlock(&serve->lock);
    wake_speaker(serve);
}

static void *work(void *context)
{
    struct serve *serve = context;
    struct ipc_message job;
    while (next_job(serve, &job)) {
        struct vault_reply reply = {0};
        struct why why;
        struct result r = DONE;
        bool any = true;
        if ((int)job.type == JOB_DECISIONS)
            any = vault_decided(serve->vault, &reply);
        else if (job.type == IPC_HELLO)
            reply = speaker_welcome(serve->vault);
        else
            r = vault_handle(serve->vault, &job, &reply, &why);
        free(job.body);
        if (any)
            hand_in(serve, job.request, &reply, ok(r) ? NULL : &why);
        if (!ok(r))
            break;
    }
    return NULL;
}

/* ---- the speaker ---- */

static struct result push(struct serve *serve, uint32_t request, struct speech *speech,
                          struct why *why)
{
    struct bytes_out *out = &speech->body;
    if (out->bad) {
        free(out->bytes);
        return failed(why, RESULT_SYSTEM, "no memory for a reply");
    }
    TRY(ipc_writer_push(&serve->writer, speech->type, request, out->bytes, out->n, why));
    return ipc_writer_flush(&serve->writer, serve->fd, why);
}

static struct result refuse(struct serve *serve, uint32_t request, const char *sentence,
                            struct why *why)
{
    struct speech speech;
    speaker_refuse(sentence, &speech);
    return push(serve, request, &speech, why);
}

static struct result speak(struct serve *serve, uint32_t request, struct vault_reply *reply,
                           struct why *why)
{
    struct speech speech;
    TRY(speaker_reply(&serve->speaker, reply, &speech, why));
    return push(serve, request, &speech, why);
}

static struct result speak_for_agent(struct serve *serve, const struct ipc_message *request,
                                     struct why *why)
{
    struct speech speech;
    TRY(speaker_request(&serve->speaker, request, &speech, why));
    return push(serve, request->request, &speech, why);
}

/* Takes request's body over. false: the queue is full. */
static bool enqueue(struct serve *serve, const struct ipc_message *request)
{
    pthread_mutex_lock(&serve->lock);
    bool room = serve->jobs_count < SERVE_QUEUE_MAX;
    if (room) {
        serve->jobs[(serve->jobs_first + serve->jobs_count) % SERVE_QUEUE_MAX] = *request;
        serve->jobs_count++;
        pthread_cond_signal(&serve->changed);
    }
    pthread_mutex_unlock(&serve->lock);
    return room;
}

static struct result take_request(struct serve *serve, struct ipc_message *request, bool *ret_stop,
                                  struct why *why)
{
    struct result r = DONE;
    if (request->type == IPC_CONTROL || request->type == IPC_OFFER_AGAIN)
        r = speak_for_agent(serve, request, why);
    else if (request->type == IPC_STOP)
        *ret_stop = true;
    else if (enqueue(serve, request))
        return DONE;
    else
        r = refuse(serve, request->request, "the vault has too many requests waiting", why);
    free(request->body);
    return r;
}

/* The worker's reply, if there is one. *ret_fatal: the vault cannot go on. */
static struct result take_reply(struct serve *serve, struct why *why)
{
    uint64_t count;
    while (read(serve->wake_fd, &count, sizeof count) > 0)
        ;
    pthread_mutex_lock(&serve->lock);
    bool replied = serve->replied, fatal = serve->fatal;
    struct vault_reply reply = serve->reply;
    uint32_t request = serve->reply_request;
    pthread_mutex_unlock(&serve->lock);
    if (!replied)
        return DONE;
    struct result r = fatal ? failed(why, RESULT_SYSTEM, "%s", serve->fatal_why.text)
                            : speak(serve, request, &reply, why);
    pthread_mutex_lock(&serve->lock);
    serve->replied = false;
    pthread_cond_signal(&serve->changed);
    pthread_mutex_unlock(&serve->lock);
    return r;
}

/* The humans' file has changed: let the worker look, once it has nothing else to do. */
static void look_for_decisions(struct serve *serve)
{
    struct stat st;
    if (fstat(serve->vault->decisions_fd, &st) < 0 || st.st_size == serve->decisions_size)
        return;
    pthread_mutex_lock(&serve->lock);
    bool idle = !serve->working && serve->jobs_count == 0 && !serve->replied;
    pthread_mutex_unlock(&serve->lock);
    struct ipc_message job = {.type = (enum ipc_type)JOB_DECISIONS};
    if (idle && enqueue(serve, &job))
        serve->decisions_size = st.st_size;
}

static struct result read_requests(struct serve *serve, bool *ret_stop, bool *ret_gone,
                                   struct why *why)
{
    size_t n = 0;
    struct ipc_message request;
    bool complete = false;
    struct result r = ipc_receive(serve->fd, serve->frame, &n, why);
    if (r.code == RESULT_AGAIN)
        return DONE;
    TRY(r);
    if (n == 0) {
        *ret_gone = true;
        return DONE;
    }
    TRY(ipc_reader_frame(&serve->reader, serve->frame, n, &request, &complete, why));
    return complete ? take_request(serve, &request, ret_stop, why) : DONE;
}

static struct result loop(struct serve *serve, bool *ret_stop, struct why *why)
{
    bool gone = false;
    while (!*ret_stop && !gone) {
        struct pollfd fds[2] = {{.fd = serve->fd, .events = POLLIN},
                                {.fd = serve->wake_fd, .events = POLLIN}};
        int n = poll(fds, 2, SERVE_TICK_MS);
        if (n < 0 && errno != EINTR)
            return failed(why, RESULT_SYSTEM, "the vault cannot wait: %s", strerror(errno));
        if (n > 0 && fds[1].revents)
            TRY(take_reply(serve, why));
        if (n > 0 && fds[0].revents)
            TRY(read_requests(serve, ret_stop, &gone, why));
        look_for_decisions(serve);
    }
    return DONE;
}

/* Lets the worker finish what it is at, and drops what waits. */
static void end_worker(struct serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    serve->ending = true;
    while (serve->jobs_count > 0) {
        free(serve->jobs[serve->jobs_first].body);
        serve->jobs_first = (serve->jobs_first + 1) % SERVE_QUEUE_MAX;
        serve->jobs_count--;
    }
    pthread_cond_signal(&serve->changed);
    pthread_mutex_unlock(&serve->lock);
    pthread_join(serve->worker, NULL);
    if (serve->replied)
        free(serve->reply.tail);
}

struct result serve_run(struct serve *serve, struct why *why)
{
    bool stop = false;
    int r = pthread_create(&serve->worker, NULL, work, serve);
    if (r != 0)
        return failed(why, RESULT_SYSTEM, "cannot start the vault's worker: %s", strerror(r));
    struct result result = loop(serve, &stop, why);
    if (stop)
        _exit(0); /* at once: what was begun is settled by the ledger at the next start */
    end_worker(serve);
    return result;
}
