/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's two threads: the one that speaks and signs, and the one that works. */
#include "agent/vault/serve.h"

#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

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
    struct message *message;
    unsigned char session[SESSION_ID_BYTES];
    uint64_t sequence;
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
    serve->message = malloc(sizeof *serve->message);
    randombytes_buf(serve->session, sizeof serve->session);
    pthread_mutex_init(&serve->lock, NULL);
    pthread_cond_init(&serve->changed, NULL);
    if (serve->wake_fd < 0 || !serve->frame || !serve->message) {
        serve_close(serve);
        return failed(why, RESULT_SYSTEM, "cannot set up the vault's loop");
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
    free(serve->message);
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

static struct vault_reply welcome(const struct vault *vault)
{
    struct bytes_out out = {0};
    struct ipc_welcome *w = calloc(1, sizeof *w);
    if (w) {
        vault_welcome(vault, w);
        ipc_welcome_write(&out, w);
    }
    free(w);
    return (struct vault_reply){.type = IPC_WELCOME, .tail = out.bytes, .tail_n = out.n};
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
            reply = welcome(serve->vault);
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

static uint64_t own_peak_kb(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss;
}

/* Completes the head, signs, and appends the envelope as a block. */
static struct result sign(struct serve *serve, struct message *message, struct bytes_out *out,
                          struct why *why)
{
    const struct vault_keys *keys = &serve->vault->keys;
    struct message_head *head = &message->head;
    memcpy(head->consortium, keys->consortium, sizeof head->consortium);
    memcpy(head->sender, keys->site, sizeof head->sender);
    memcpy(head->receiver, keys->coordinator, sizeof head->receiver);
    memcpy(head->session, serve->session, sizeof head->session);
    head->sequence = ++serve->sequence;
    head->sent_ms = clock_unix_ms();
    CLEANUP(free_pointer) unsigned char *envelope = NULL;
    size_t n = 0;
    TRY(envelope_seal(message, keys->secrets.sign, &envelope, &n, why));
    bytes_out_block(out, envelope, n);
    return DONE;
}

static struct result push(struct serve *serve, enum ipc_type type, uint32_t request,
                          struct bytes_out *out, struct why *why)
{
    if (out->bad) {
        free(out->bytes);
        return failed(why, RESULT_SYSTEM, "no memory for a reply");
    }
    TRY(ipc_writer_push(&serve->writer, type, request, out->bytes, out->n, why));
    return ipc_writer_flush(&serve->writer, serve->fd, why);
}

static struct result refuse(struct serve *serve, uint32_t request, const char *sentence,
                            struct why *why)
{
    struct bytes_out out = {0};
    bytes_out_bytes(&out, sentence, strlen(sentence));
    return push(serve, IPC_REFUSED, request, &out, why);
}

static struct result speak(struct serve *serve, uint32_t request, struct vault_reply *reply,
                           struct why *why)
{
    CLEANUP(free_pointer) unsigned char *tail = reply->tail;
    struct bytes_out out = {0};
    if (reply->type == IPC_REFUSED) {
        log_warning("%s", reply->sentence);
        return refuse(serve, request, reply->sentence, why);
    }
    if (reply->sign) {
        struct result r = sign(serve, reply->message, &out, why);
        if (!ok(r)) {
            free(out.bytes);
            return r;
        }
    }
    bytes_out_bytes(&out, tail, reply->tail_n);
    return push(serve, reply->type, request, &out, why);
}

static struct result sign_control(struct serve *serve, const struct ipc_message *request,
                                  struct why *why)
{
    struct ipc_control control;
    struct why reason;
    struct result r = ipc_control_read(&control, request->body, request->n, &reason);
    if (!ok(r))
        return refuse(serve, request->request, reason.text, why);
    struct message *message = serve->message;
    memset(message, 0, sizeof *message);
    message->kind = control.kind;
    memcpy(message->head.study, control.study, sizeof message->head.study);
    message->head.task = control.task;
    switch ((int)control.kind) {
    case MESSAGE_HELLO:
        message->hello.protocol_oldest = PROTOCOL_VERSION_OLDEST;
        message->hello.protocol_newest = PROTOCOL_VERSION;
        snprintf(message->hello.software, sizeof message->hello.software,
                 "consilium " CONSILIUM_VERSION);
        message->hello.peak_memory_kb = control.agent_peak_kb + own_peak_kb();
        break;
    case MESSAGE_OBJECT_ACK:
        message->object_ack = control.ack;
        break;
    case MESSAGE_OBJECT_DONE:
        message->object_done = control.done;
        break;
    case MESSAGE_TASK_DECLINED:
        message->task_declined = control.declined;
        break;
    }
    struct vault_reply reply = {.type = IPC_SIGNED, .sign = true, .message = message};
    return speak(serve, request->request, &reply, why);
}

/* An offer that this site once signed is signed again, so that it is not taken for a replay. */
static struct result sign_again(struct serve *serve, const struct ipc_message *request,
                                struct why *why)
{
    struct bytes_in in = {.at = request->body, .left = request->n};
    size_t n = 0;
    const unsigned char *envelope = bytes_in_block(&in, MESSAGE_BYTES_MAX, &n);
    struct why reason;
    struct result r =
        in.bad || in.left > 0
            ? failed(&reason, RESULT_INPUT, "a request from the agent is malformed")
            : envelope_open(envelope, n, serve->vault->keys.sign_public, serve->message, &reason);
    if (ok(r) && serve->message->kind != MESSAGE_OBJECT_OFFER)
        r = failed(&reason, RESULT_REFUSED, "only offers of objects are signed again");
    if (!ok(r))
        return refuse(serve, request->request, reason.text, why);
    struct vault_reply reply = {.type = IPC_SIGNED, .sign = true, .message = serve->message};
    return speak(serve, request->request, &reply, why);
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
    if (request->type == IPC_CONTROL)
        r = sign_control(serve, request, why);
    else if (request->type == IPC_OFFER_AGAIN)
        r = sign_again(serve, request, why);
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
