/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/types.h>
#include <sys/uio.h>
#include <corosync/corotypes.h>
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <corosync/cfg.h>
#include <corosync/cmap.h>
