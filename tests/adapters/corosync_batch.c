/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls the callbacks of the binding as corosync's libraries do, from memory of the exact size that
 * is freed at once, and writes the batch to standard output. Made with AddressSanitizer.
 */
#include <stdio.h>
#include "../../cffi_build/corosync.csrc.c"

static void *lent(const void *data, size_t size)
{
    void *copy = malloc(size);

    memcpy(copy, data, size);
    return copy;
}

static void play_cpg(void)
{
    struct cpg_address members[] = {{1, 10, 0}, {2, 20, 0}};
    struct cpg_address left[] = {{3, 3, CPG_REASON_NODEDOWN}, {4, 4, CPG_REASON_PROCDOWN}, {5, 5, 77}};
    struct cpg_address joined[] = {{2, 20, CPG_REASON_NODEUP}, {6, 6, CPG_REASON_JOIN}, {7, 7, CPG_REASON_LEAVE}};
    uint32_t nodes[] = {3, 1};
    struct cpg_ring_id ring = {1, 1ULL << 40};
    void *message = lent("a\0b", 3), *m = lent(members, sizeof(members));
    void *l = lent(left, sizeof(left)), *j = lent(joined, sizeof(joined));
    void *n = lent(nodes, sizeof(nodes));

    rgmgr_cpg_deliver(7, NULL, 2, 200, message, 3);
    rgmgr_cpg_deliver(7, NULL, 2, 200, NULL, 0);
    rgmgr_cpg_confchg(7, NULL, m, 2, l, 3, j, 3);
    rgmgr_cpg_totem(7, ring, 2, n);
    free(message);
    free(m);
    free(l);
    free(j);
    free(n);
}

static void play_quorum(void)
{
    uint32_t nodes[] = {3, 1}, one[] = {1};
    votequorum_node_t voters[] = {{3, VOTEQUORUM_NODESTATE_LEAVING}, {0, 9},
                                  {2, VOTEQUORUM_NODESTATE_MEMBER}, {1, VOTEQUORUM_NODESTATE_DEAD}};
    struct quorum_ring_id ring = {1, 1ULL << 40};
    void *n = lent(nodes, sizeof(nodes)), *o = lent(one, sizeof(one));
    void *v = lent(voters, sizeof(voters));

    rgmgr_quorum_nodes(7, ring, 2, n, 1, o, 0, NULL);
    rgmgr_quorum_verdict(7, 1, ring, 2, n);
    rgmgr_votes(7, 0, 1, 4, v);
    rgmgr_expected(7, 0, 5);
    free(n);
    free(o);
    free(v);
}

static void play_others(void)
{
    uint16_t number = 513;
    struct cmap_notify_value none = {0, 0, NULL};
    struct cmap_notify_value seen = {CMAP_VALUETYPE_UINT16, sizeof(number), &number};
    struct cmap_notify_value text = {CMAP_VALUETYPE_STRING, 3, "n1"};

    rgmgr_shutdown(7, COROSYNC_CFG_SHUTDOWN_FLAG_REQUEST);
    rgmgr_shutdown(7, COROSYNC_CFG_SHUTDOWN_FLAG_REGARDLESS);
    rgmgr_key(7, 1, CMAP_TRACK_ADD, "a.number", seen, none, NULL);
    rgmgr_key(7, 1, CMAP_TRACK_MODIFY, "a.text", text, seen, NULL);
    rgmgr_key(7, 1, CMAP_TRACK_DELETE, "a.text", text, text, NULL);
}

/* Messages of 100 bytes until one does not fit, after one that is longer than any may be. */
static void play_flood(size_t room)
{
    char message[100] = {0}, *longer = calloc(1, room);

    rgmgr_cpg_deliver(7, NULL, 2, 200, longer, room);
    free(longer);
    while (!rgmgr_filling->is_short) {
        rgmgr_cpg_deliver(7, NULL, 2, 200, message, sizeof(message));
    }
}

int main(int argc, char **argv)
{
    size_t room = argc > 1 ? (size_t)atoi(argv[1]) : 65536;
    struct rgmgr_batch batch = {malloc(room), room, room / 2, 0, 0};

    rgmgr_cpg_deliver(7, NULL, 2, 200, "outside of a dispatch", 21);
    rgmgr_filling = &batch;
    if (argc > 1) {
        play_flood(room);
    } else {
        play_cpg();
        play_quorum();
        play_others();
    }
    rgmgr_filling = NULL;
    fwrite(batch.data, 1, batch.used, stdout);
    free(batch.data);
    return batch.is_short ? 3 : 0;
}
