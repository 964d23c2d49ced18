#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Disable a service, do something, enable it on this very node: maintain.sh SERVICE COMMAND...
service=$1
shift

clusvcadm -q -d "$service" || { echo "cannot disable $service: $?"; exit 1; }
clustat -s "$service" > /dev/null
[ $? -eq 119 ] || { echo "$service is not disabled"; exit 1; }

"$@" || echo "the work failed"

clusvcadm -e "$service" || exit 1
clustat -l -s "$service" | grep "Owner"
