#!/bin/bash
# The upgrade of a server that an older version set up, from the package of that version: two clients, Ghost Mode, and an exit
# in use. The client goes to the server through the tunnel and from there by the exit, before, during and after it.
# Runs once for each boot; the phase says which.
. "$(dirname "$0")/lab.sh"
. "$(dirname "$0")/exits.sh"
. "$(dirname "$0")/packages.sh"
programs= # the package brings them
probe= # the older version does not know it

# What people have and must keep: the clients' configurations, the operator's secret of the tunnel, the exits. New exports have
# secrets of the clients' own; the tunnel of the one that is connected goes on with the old one.
kept() {
  for client in anna bob; do
    api core export_client client_name=$client | jq -S .data.config
  done
  api ghost status | jq -S .data.secret
  wg show wg_main public-key
  api core get_tweak_settings | jq -S '.data | del(.ghost_operator_secret, .ghost_operator_secret_description)' # new
  api multihop list_exits | jq -S '.data.exits | map(.name)'
}
export -f kept
ghost_active='api ghost status | jq -e ".data.status == \"active\""'

case $LAB_PHASE in
0)
  apt install --no-install-recommends jq wireguard-tools wireguard-go nftables procps tcpdump > /dev/null 2>&1
  check "the older package" apt install ./packages/released.deb
  check "the older package: set up" set_up
  check "the older package: removed" apt remove phantom-wg
  check "the older package: the server is off the host" gone
  check "the older package: what is stored stays" test -s /opt/phantom-wg/data/phantom.db
  check "the older package: over what it left, the new one can be removed" holds "apt install ./packages/new.deb; $in_sync; apt remove phantom-wg; gone"
  check "the older package: purged" apt purge phantom-wg
  check "the older package again" apt install ./packages/released.deb
  client_and_exit
  check "a second client" holds "api core add_client client_name=bob"
  check "ghost: on" holds "api ghost enable domain=vpn.example.org skip_dns_check=true self_signed=true | jq -e '.data.status == \"active\"'"
  check "the client's tunnel" client_by_tunnel
  check "the client goes by tunnel and exit" through
  kept > /var/lib/lab/kept
  check "there is something to keep" holds "test \$(wc -l < /var/lib/lab/kept) -gt 10 && ! grep -q null /var/lib/lab/kept"

  check "upgrade: nothing escapes" tight "apt install ./packages/new.deb"
  check "upgrade: the programs are new" holds "test \$(dpkg-query -W -f '\${Version}' phantom-wg) = \$(dpkg-deb -f packages/new.deb Version)"
  check "upgrade: host and stored state agree" soon "$in_sync"
  check "upgrade: Ghost Mode is active" soon "$ghost_active"
  check "upgrade: the exit is in use" soon "$active"
  check "upgrade: the client goes by tunnel and exit" through
  check "upgrade: nothing is lost" holds "kept | diff /var/lib/lab/kept -"
  printf '[Match]\nName=lo\n[Network]\nAddress=203.0.113.5/32\n' > /etc/systemd/network/20-lab-lo.network
  lab-reboot
  ;;
1)
  check "boot: nothing failed" soon "! systemctl --failed --no-legend | grep -E 'phantom|wg-quick' && $in_sync"
  check "boot: Ghost Mode is active" soon "$ghost_active"
  check "boot: the exit is in use" soon "$active"
  check "boot: the client goes by tunnel and exit" through
  check "boot: nothing escaped since the first packet" holds 'count=$(escaped); echo "$count escaped"; test "$count" = 0'
  check "boot: nothing is lost" holds "kept | diff /var/lib/lab/kept -"
  check "the new version serves a change" holds "api core add_client client_name=carl; $in_sync"
  check "ghost: off" holds "api ghost disable | jq -e .data.restored"
  check "multihop: off" holds "api multihop disable_multihop | jq -e .data.interface_cleaned; $in_sync"
  check "purge" apt purge phantom-wg
  check "purge: the server is off the host" gone
  ;;
esac
finish
