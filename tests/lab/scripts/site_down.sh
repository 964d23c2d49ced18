#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Before the power of the site goes: nothing may start any more; then stop the services given.
clusvcadm -l || exit 1
clusvcadm -S | grep -q "^Resource groups locked$" || exit 1
for service; do
    clusvcadm -s "$service" || exit 1
    clusvcadm -e "$service" && exit 1   # must not start
done
echo "ready to power off"
