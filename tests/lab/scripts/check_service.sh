#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A monitoring plug-in as they were written for rgmanager: check_service.sh SERVICE [OWNER]
# Exit codes of monitoring: 0 OK, 2 CRITICAL, 3 UNKNOWN.
service=$1
wanted=$2

clustat -Q || { echo "CRITICAL: no quorum"; exit 2; }

line=$(clustat -x | grep "<group name=\"service:$service\"")
[ -n "$line" ] || { echo "UNKNOWN: no service $service"; exit 3; }
state=$(echo "$line" | sed 's/.* state_str="\([a-z]*\)".*/\1/')
owner=$(echo "$line" | sed 's/.* owner="\([^"]*\)".*/\1/')

clustat -s "$service" > /dev/null
code=$?
if [ "$state" != started ] || [ $code -ne 0 ]; then
    echo "CRITICAL: $service is $state ($code)"
    exit 2
fi
if [ -n "$wanted" ] && [ "$owner" != "$wanted" ]; then
    echo "CRITICAL: $service runs on $owner"
    exit 2
fi
echo "OK: $service runs on $owner"
