/* SPDX-License-Identifier: Apache-2.0
 *
 * The measure for the Python binding: a member of a group that polls and dispatches, in C.
 *
 *   corosync_loop GROUP receive
 *   corosync_loop GROUP send MEMBERS BYTES MILLISECONDS ROUNDS
 *
 * The sender waits for MEMBERS, sends for MILLISECONDS with a window of own messages that have not
 * come back, then ROUNDS messages one at a time, and writes a line of JSON.
 * Built by benchmarks/corosync.py.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <corosync/cpg.h>

#define WINDOW 256
#define RETRY_MS 1

static cpg_handle_t handle;
static uint32_t me;
static size_t members;
static long own; /* own messages that came back */

static void deliver(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid,
                    void *message, size_t size)
{
    (void)h; (void)group; (void)pid; (void)message; (void)size;
    own += node == me;
}

static void changed(cpg_handle_t h, const struct cpg_name *group,
                    const struct cpg_address *now, size_t count,
                    const struct cpg_address *left, size_t left_count,
                    const struct cpg_address *joined, size_t joined_count)
{
    (void)h; (void)group; (void)now; (void)left; (void)left_count; (void)joined; (void)joined_count;
    members = count;
}

static void must(cs_error_t code, const char *call)
{
    if (code != CS_OK) {
        fprintf(stderr, "%s: cs_error_t %d\n", call, code);
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static double cpu_us(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec
           + used.ru_stime.tv_usec;
}

static void turn(struct pollfd *watch, int timeout_ms)
{
    if (poll(watch, 1, timeout_ms) > 0) {
        must(cpg_dispatch(handle, CS_DISPATCH_ALL), "cpg_dispatch");
    }
}

static int multicast(struct iovec *message)
{
    cs_error_t code = cpg_mcast_joined(handle, CPG_TYPE_AGREED, message, 1);

    if (code == CS_ERR_TRY_AGAIN || code == CS_ERR_INTERRUPT) {
        return 0;
    }
    must(code, "cpg_mcast_joined");
    return 1;
}

static double throughput(struct pollfd *watch, struct iovec *message, double for_us)
{
    double begin = now_us(), end = begin + for_us;
    long sent = 0, before = own;

    while (now_us() < end) {
        int taken = 1;

        while (sent - (own - before) < WINDOW && (taken = multicast(message))) {
            sent++;
        }
        turn(watch, taken ? 100 : RETRY_MS);
    }
    long delivered = own - before;
    double took = now_us() - begin;
    while (own - before < sent) {
        turn(watch, 100);
    }
    return delivered / (took / 1e6);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    cpg_model_v1_data_t model = {.model = CPG_MODEL_V1, .cpg_deliver_fn = deliver,
                                 .cpg_confchg_fn = changed};
    struct cpg_name group;
    struct pollfd watch = {0, POLLIN, 0};

    must(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL), "init");
    must(cpg_local_get(handle, &me), "cpg_local_get");
    must(cpg_fd_get(handle, &watch.fd), "cpg_fd_get");
    group.length = strlen(argv[1]);
    memcpy(group.value, argv[1], group.length);
    must(cpg_join(handle, &group), "cpg_join");
    while (argc < 7) {
        turn(&watch, -1);
    }
    while (members < (size_t)atoi(argv[3])) {
        turn(&watch, -1);
    }

    struct iovec message = {calloc(1, atoi(argv[4])), atoi(argv[4])};
    double cpu = cpu_us();
    double rate = throughput(&watch, &message, atof(argv[5]) * 1e3);
    cpu = (cpu_us() - cpu) / own;
    int rounds = atoi(argv[6]);
    double *took = calloc(rounds, sizeof(*took));
    for (int i = 0; i < rounds; i++) {
        long before = own;
        double begin = now_us();

        while (!multicast(&message)) {
            turn(&watch, RETRY_MS);
        }
        while (own == before) {
            turn(&watch, 100);
        }
        took[i] = now_us() - begin;
    }
    qsort(took, rounds, sizeof(*took), by_value);
    printf("{\"per_second\": %.1f, \"cpu_us\": %.1f, \"median_us\": %.1f, \"p99_us\": %.1f}\n", rate,
           cpu, took[rounds / 2], took[rounds * 99 / 100]);
    return 0;
}
