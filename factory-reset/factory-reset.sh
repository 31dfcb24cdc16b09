#!/bin/sh
# phantom-wg: the factory reset, by the path that is written down everywhere
exec "$(dirname "$(readlink -f "$0")")/factory-reset" "$@"
