#!/bin/bash
# The same as multihop.sh with the embedded device, whose services are daemons, at both ends of the server.
export LAB_BACKEND=embedded
. "$(dirname "$0")/multihop.sh"
