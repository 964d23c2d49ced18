#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Move everything off a node before work on it, as one did with rgmanager: evacuate.sh NODE TARGET
from=$1
to=$2

clustat -m "$to" > /dev/null || { echo "$to is not online"; exit 1; }

clustat | awk -v from="$from" '$1 ~ /^service:/ && $2 == from && $3 == "started" { print $1 }' |
while read -r service; do
    clusvcadm -r "$service" -m "$to" || exit 1
done || exit 1

left=$(clustat -x | grep -c " owner=\"$from\"")
[ "$left" -eq 0 ] || { echo "$left services are still on $from"; exit 1; }
echo "$from is empty"
