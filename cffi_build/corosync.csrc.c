/* SPDX-License-Identifier: Apache-2.0
 *
 * The C side of the binding: callbacks that copy what corosync lends them into a batch, and a
 * dispatch that fills one. No Python runs inside a callback, so none can raise there.
 *
 * A batch is a row of records: a head, then `size` bytes of body. rgmgr/adapters/corosync/batch.py
 * reads them and says what each kind holds; native byte order, no padding between records.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <netinet/in.h>
#include <corosync/corotypes.h>
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <corosync/votequorum.h>
#include <corosync/cfg.h>
#include <corosync/cmap.h>

enum rgmgr_library {
    RGMGR_CPG, RGMGR_QUORUM, RGMGR_VOTEQUORUM, RGMGR_CFG, RGMGR_CMAP
};

enum rgmgr_kind {
    RGMGR_DELIVERY = 1, RGMGR_TOO_LONG, RGMGR_GROUP, RGMGR_RING, RGMGR_VERDICT, RGMGR_RING_NODES,
    RGMGR_VOTES, RGMGR_EXPECTED, RGMGR_SHUTDOWN, RGMGR_KEY
};

struct rgmgr_batch {
    char *data;
    size_t room;        /* bytes in data */
    size_t reserve;     /* of them, for the next event: a dispatch that has less left ends */
    size_t used;
    uint32_t is_short;  /* an event did not fit: it was lost */
};

struct rgmgr_head {
    uint32_t kind;
    uint32_t size;
    uint32_t values[4];
    uint64_t seq;
};

/* Callbacks run inside a dispatch only, on its thread, so they need no look-up by handle. */
static _Thread_local struct rgmgr_batch *rgmgr_filling;

static char *rgmgr_put(struct rgmgr_head head)
{
    struct rgmgr_batch *batch = rgmgr_filling;
    char *body;

    if (batch == NULL) {
        return NULL;
    }
    if (batch->room - batch->used < sizeof(head) + head.size) {
        batch->is_short = 1;
        return NULL;
    }
    memcpy(batch->data + batch->used, &head, sizeof(head));
    body = batch->data + batch->used + sizeof(head);
    batch->used += sizeof(head) + head.size;
    return body;
}

static char *rgmgr_copy(char *body, const void *data, size_t size)
{
    if (body != NULL && size > 0) {
        memcpy(body, data, size);
    }
    return body == NULL ? NULL : body + size;
}

/* ---- libcpg ---- */
static void rgmgr_cpg_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t nodeid,
                              uint32_t pid, void *message, size_t size)
{
    struct rgmgr_head head = {RGMGR_DELIVERY, (uint32_t)size, {nodeid, pid, 0, 0}, size};

    (void)handle;
    (void)group;
    if (rgmgr_filling != NULL && size > rgmgr_filling->reserve - sizeof(head)) {
        head.kind = RGMGR_TOO_LONG;  /* libcpg puts together what others send in pieces */
        head.size = 0;
    }
    rgmgr_copy(rgmgr_put(head), message, head.size);
}

static char *rgmgr_copy_addresses(char *body, const struct cpg_address *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t entry[3] = {list[i].nodeid, list[i].pid, list[i].reason};
        body = rgmgr_copy(body, entry, sizeof(entry));
    }
    return body;
}

static void rgmgr_cpg_confchg(cpg_handle_t handle, const struct cpg_name *group,
                              const struct cpg_address *members, size_t member_count,
                              const struct cpg_address *left, size_t left_count,
                              const struct cpg_address *joined, size_t joined_count)
{
    struct rgmgr_head head = {
        RGMGR_GROUP, (uint32_t)(12 * (member_count + left_count + joined_count)),
        {(uint32_t)member_count, (uint32_t)left_count, (uint32_t)joined_count, 0}, 0
    };
    char *body = rgmgr_put(head);

    (void)handle;
    (void)group;
    body = rgmgr_copy_addresses(body, members, member_count);
    body = rgmgr_copy_addresses(body, left, left_count);
    rgmgr_copy_addresses(body, joined, joined_count);
}

static void rgmgr_cpg_totem(cpg_handle_t handle, struct cpg_ring_id ring, uint32_t count,
                            const uint32_t *nodes)
{
    struct rgmgr_head head = {RGMGR_RING, 4 * count, {ring.nodeid, count, 0, 0}, ring.seq};

    (void)handle;
    rgmgr_copy(rgmgr_put(head), nodes, head.size);
}

static cs_error_t rgmgr_cpg_open(uint64_t *handle)
{
    cpg_model_v1_data_t model = {
        .model = CPG_MODEL_V1,
        .cpg_deliver_fn = rgmgr_cpg_deliver,
        .cpg_confchg_fn = rgmgr_cpg_confchg,
        .cpg_totem_confchg_fn = rgmgr_cpg_totem,
        .flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF,
    };

    return cpg_model_initialize(handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL);
}

/* Send `count` messages; tell how many were taken. Many in one call, since corosync is woken for
 * each that comes when it has nothing to do. */
static cs_error_t rgmgr_cpg_multicast(uint64_t handle, char *const *messages,
                                      const uint32_t *sizes, unsigned int count,
                                      unsigned int *taken)
{
    cs_error_t code = CS_OK;

    for (*taken = 0; *taken < count; (*taken)++) {
        struct iovec whole = {messages[*taken], sizes[*taken]};

        code = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &whole, 1);
        if (code != CS_OK) {
            break;
        }
    }
    return code;
}

/* ---- libquorum ---- */
static void rgmgr_quorum_verdict(quorum_handle_t handle, uint32_t quorate,
                                 struct quorum_ring_id ring, uint32_t count, const uint32_t *nodes)
{
    struct rgmgr_head head = {
        RGMGR_VERDICT, 4 * count, {ring.nodeid, count, quorate, 0}, ring.seq
    };

    (void)handle;
    rgmgr_copy(rgmgr_put(head), nodes, head.size);
}

static void rgmgr_quorum_nodes(quorum_handle_t handle, struct quorum_ring_id ring,
                               uint32_t count, const uint32_t *nodes,
                               uint32_t joined_count, const uint32_t *joined,
                               uint32_t left_count, const uint32_t *left)
{
    struct rgmgr_head head = {
        RGMGR_RING_NODES, 4 * (count + joined_count + left_count),
        {ring.nodeid, count, joined_count, left_count}, ring.seq
    };
    char *body = rgmgr_put(head);

    (void)handle;
    body = rgmgr_copy(body, nodes, 4 * (size_t)count);
    body = rgmgr_copy(body, joined, 4 * (size_t)joined_count);
    rgmgr_copy(body, left, 4 * (size_t)left_count);
}

static cs_error_t rgmgr_quorum_open(uint64_t *handle, uint32_t *type)
{
    quorum_model_v1_data_t model = {
        .model = QUORUM_MODEL_V1,
        .quorum_notify_fn = rgmgr_quorum_verdict,
        .nodelist_notify_fn = rgmgr_quorum_nodes,
    };

    return quorum_model_initialize(handle, QUORUM_MODEL_V1, (quorum_model_data_t *)&model, type,
                                   NULL);
}

/* ---- libvotequorum ---- */
static void rgmgr_votes(votequorum_handle_t handle, uint64_t context, uint32_t quorate,
                        uint32_t count, votequorum_node_t *nodes)
{
    struct rgmgr_head head = {RGMGR_VOTES, 8 * count, {quorate, count, 0, 0}, 0};
    char *body = rgmgr_put(head);

    (void)handle;
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t entry[2] = {nodes[i].nodeid, nodes[i].state};
        body = rgmgr_copy(body, entry, sizeof(entry));
    }
}

static void rgmgr_expected(votequorum_handle_t handle, uint64_t context, uint32_t votes)
{
    struct rgmgr_head head = {RGMGR_EXPECTED, 0, {votes, 0, 0, 0}, 0};

    (void)handle;
    (void)context;
    rgmgr_put(head);
}

static cs_error_t rgmgr_votequorum_open(uint64_t *handle)
{
    votequorum_callbacks_t callbacks = {
        .votequorum_quorum_notify_fn = rgmgr_votes,
        .votequorum_expectedvotes_notify_fn = rgmgr_expected,
    };

    return votequorum_initialize(handle, &callbacks);
}

/* ---- libcfg ---- */
static void rgmgr_shutdown(corosync_cfg_handle_t handle, corosync_cfg_shutdown_flags_t flags)
{
    struct rgmgr_head head = {RGMGR_SHUTDOWN, 0, {flags, 0, 0, 0}, 0};

    (void)handle;
    rgmgr_put(head);
}

static cs_error_t rgmgr_cfg_open(uint64_t *handle)
{
    corosync_cfg_callbacks_t callbacks = {.corosync_cfg_shutdown_callback = rgmgr_shutdown};

    return corosync_cfg_initialize(handle, &callbacks);
}

/* ---- libcmap ---- */
static void rgmgr_key(cmap_handle_t handle, cmap_track_handle_t track, int32_t event,
                      const char *key, struct cmap_notify_value new_value,
                      struct cmap_notify_value old_value, void *context)
{
    uint32_t key_size = (uint32_t)strlen(key);
    uint32_t value_size = event == CMAP_TRACK_DELETE ? 0 : (uint32_t)new_value.len;
    struct rgmgr_head head = {
        RGMGR_KEY, key_size + value_size, {(uint32_t)event, key_size, new_value.type, 0}, track
    };
    char *body = rgmgr_put(head);

    (void)handle;
    (void)old_value;  /* in the stats map it is the new one */
    (void)context;
    body = rgmgr_copy(body, key, key_size);
    rgmgr_copy(body, new_value.data, value_size);
}

static cs_error_t rgmgr_cmap_track(uint64_t handle, const char *key, int32_t events,
                                   uint64_t *track)
{
    return cmap_track_add(handle, key, events, rgmgr_key, NULL, track);
}

/* ---- all of them ---- */
static cs_error_t rgmgr_dispatch_one(int library, uint64_t handle)
{
    switch (library) {
    case RGMGR_CPG:
        return cpg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
    case RGMGR_QUORUM:
        return quorum_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
    case RGMGR_VOTEQUORUM:
        return votequorum_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
    case RGMGR_CFG:
        return corosync_cfg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
    case RGMGR_CMAP:
        return cmap_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
    default:
        return CS_ERR_INVALID_PARAM;
    }
}

/* Fill the batch with the events that are due, `events_max` at most; never waits.
 * CS_OK: more may be due. CS_ERR_TRY_AGAIN: nothing is. Else: the error that came after them. */
static cs_error_t rgmgr_dispatch(int library, uint64_t handle, struct rgmgr_batch *batch,
                                 unsigned int events_max)
{
    cs_error_t code = CS_OK;

    batch->used = 0;
    batch->is_short = 0;
    rgmgr_filling = batch;
    for (unsigned int n = 0; n < events_max && code == CS_OK && !batch->is_short
                             && batch->room - batch->used >= batch->reserve; n++) {
        code = rgmgr_dispatch_one(library, handle);
    }
    rgmgr_filling = NULL;
    return code;
}

static cs_error_t rgmgr_finalize(int library, uint64_t handle)
{
    switch (library) {
    case RGMGR_CPG:
        return cpg_finalize(handle);
    case RGMGR_QUORUM:
        return quorum_finalize(handle);
    case RGMGR_VOTEQUORUM:
        return votequorum_finalize(handle);
    case RGMGR_CFG:
        return corosync_cfg_finalize(handle);
    case RGMGR_CMAP:
        return cmap_finalize(handle);
    default:
        return CS_ERR_INVALID_PARAM;
    }
}

static cs_error_t rgmgr_fd(int library, uint64_t handle, int *fd)
{
    switch (library) {
    case RGMGR_CPG:
        return cpg_fd_get(handle, fd);
    case RGMGR_QUORUM:
        return quorum_fd_get(handle, fd);
    case RGMGR_VOTEQUORUM:
        return votequorum_fd_get(handle, fd);
    case RGMGR_CFG:
        return corosync_cfg_fd_get(handle, fd);
    case RGMGR_CMAP:
        return cmap_fd_get(handle, fd);
    default:
        return CS_ERR_INVALID_PARAM;
    }
}
