#!/bin/bash
# The first command of the README on a server as delivered, and the way back.
. "$(dirname "$0")/lab.sh"

quickstart() { bin/xtask quickstart --built "$PWD/bin" "$@"; }
uninstall() { bin/xtask uninstall --built "$PWD/bin" "$@"; }

host_dump > /var/lib/lab/before
quickstart > /var/lib/lab/first 2>&1
status=$?
sed 's/^/    /' /var/lib/lab/first | grep -v '█'
check "quickstart succeeds" test $status = 0
check "it says that the address is not public" grep -q 'no public IPv4 address' /var/lib/lab/first
check "it shows a QR code" grep -q '█▀▀' /var/lib/lab/first
check "it proves a handshake" grep -q '^  ok .*handshake' /var/lib/lab/first
check "it proves a ping" grep -q '^  ok .*ping 10.8.0.1' /var/lib/lab/first
check "it proves a DNS query" grep -q '^  ok .*DNS query' /var/lib/lab/first
check "it proves a file through the NAT" grep -q '^  ok .*file over HTTP' /var/lib/lab/first
check "the backend is $backend" holds "api core server_status | grep -q '\"backend\":\"$backend\"'"
check "nothing of the proof is left" holds "! ip link | grep proof && ! ip rule | grep 77357 && ! ip netns | grep ."
check "the manual is there" test -e /usr/local/share/man/man1/phantom-api.1

first_key=$(api core export_client client_name=first-client)
check "again: nothing changes, the proof holds" quickstart
check "again: the client keeps its keys" test "$(api core export_client client_name=first-client | sed 's/"timestamp":"[^"]*"//')" = "$(sed 's/"timestamp":"[^"]*"//' <<< "$first_key")"

check "uninstall" uninstall
check "the stored state stays" test -s /opt/phantom-wg/data/phantom.db
check "the programs and the link are gone" holds "! test -e /usr/local/bin/phantom-api && ! ip link show wg_main && ! nft list table inet phantom_wg"
check "quickstart finds the stored state" quickstart
check "the client has kept its keys" test "$(api core export_client client_name=first-client | sed 's/"timestamp":"[^"]*"//')" = "$(sed 's/"timestamp":"[^"]*"//' <<< "$first_key")"
check "uninstall --purge" uninstall --purge
host_dump > /var/lib/lab/after
check "the host is as it was" diff -u /var/lib/lab/before /var/lib/lab/after
check "uninstall of nothing" uninstall
finish
