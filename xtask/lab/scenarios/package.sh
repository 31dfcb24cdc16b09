#!/bin/bash
# The life of the Debian package on a server as delivered: installed, set up, upgraded while a client is connected,
# rebooted, removed, installed again, upgraded over the embedded device, purged. Runs once for each boot; the phase says
# which.
. "$(dirname "$0")/lab.sh"
. "$(dirname "$0")/packages.sh"

case $LAB_PHASE in
0)
  apt install --no-install-recommends jq wireguard-tools wireguard-go nftables procps > /dev/null 2>&1
  mkdir -p /etc/wireguard && echo '# of somebody else' > /etc/wireguard/other.conf
  world
  host_dump > /var/lib/lab/before

  mkdir -p /opt/phantom-wg && echo 'file /usr/local/bin/phantom-api' > /opt/phantom-wg/install-manifest
  check "beside quickstart it is not installed" holds "! apt install ./packages/old.deb && ! test -e /usr/bin/phantom-api"
  rm -r /opt/phantom-wg

  check "install: apt" apt install ./packages/old.deb
  check "install: nothing is changed" holds "! test -e /run/phantom-wg && ! test -e /opt/phantom-wg/data && gone && test \$(sysctl -n net.ipv4.ip_forward) = 0"
  check "install: what it depends on came along" holds "command -v nft; command -v conntrack"
  check "install: the path of the factory reset" holds "/opt/phantom-wg/phantom/factory-reset.sh --version | grep -q factory-reset"
  check "install: removed before it was set up" apt purge phantom-wg
  check "install: again" apt install ./packages/old.deb
  check "set up, with the $backend WireGuard" holds "set_up; api core server_status | jq -e '.data.system.backend == \"$backend\"'"
  check "set up: units name the package's programs" holds "grep -q '^ExecStart=.*/usr/bin/phantom-api' /etc/systemd/system/phantom-boot.service && ! grep -r /usr/local /etc/systemd/system/*phantom* /etc/systemd/system/wg-quick@wg_main.service"
  check "ghost: on" holds "api ghost enable domain=vpn.example.org skip_dns_check=true self_signed=true | tee /dev/stderr | jq -e '.data.status == \"active\"'"
  server=$(pid_of phantom-ghost) keeper=$(pid_of phantom-ghost-keeper)
  check "upgrade with Ghost Mode: apt" apt install ./packages/new.deb
  check "upgrade with Ghost Mode: its server goes on, its keeper is new" holds "test \$(pid_of phantom-ghost) = $server; test \$(pid_of phantom-ghost-keeper) != $keeper; soon 'api ghost status | jq -e \".data.status == \\\"active\\\"\"'"
  check "ghost: off" holds "api ghost disable | jq -e .data.restored"
  check "back to the older version" apt install --allow-downgrades ./packages/old.deb
  check "a client connects" client_up
  check "a connection through the server" talks
  upgrades
  lab-reboot
  ;;
1)
  world
  check "boot: nothing failed" soon "! systemctl --failed --no-legend | grep -E 'phantom|wg-quick' && systemctl is-active wg-quick@wg_main && $in_sync"
  check "boot: a client connects" client_up
  check "boot: a connection through the server" talks
  flock -F /run/phantom-wg/lock sleep 600 &
  holder=$!
  check "remove: refused while another change holds the lock" holds "! apt remove phantom-wg && test \"\$(dpkg-query -W -f '\${db:Status-Status}' phantom-wg)\" = installed"
  kill $holder
  check "remove: refused, it has changed nothing" holds "$in_sync"
  check "remove: refused, it has dropped nobody" still_talks 5
  check "remove" apt remove phantom-wg
  check "remove: the server is off the host" gone
  check "remove: what is stored stays" test -s /opt/phantom-wg/data/phantom.db
  check "remove: the connection is dead" holds "before=\$(cat /run/talked); sleep 3; test \"\$before\" = \"\$(cat /run/talked)\""
  client_down
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
  check "where no service may start, none does" holds "apt install ./packages/new.deb; gone"
  rm /usr/sbin/policy-rc.d
  check "installed again, the server is back" holds "apt reinstall ./packages/new.deb; $in_sync; systemctl is-active wg-quick@wg_main"
  check "the client has kept its keys" client_up
  client_down
  check "the embedded device" holds "api core setup backend=embedded | jq -e '.data.backend == \"embedded\"'"
  check "embedded: a client connects" client_up
  check "embedded: a connection through the server" talks
  device=$(pid_of wg-quick@wg_main)
  check "embedded: upgrade" apt reinstall ./packages/new.deb
  check "embedded: the device goes on" holds "test $device != 0; test \$(pid_of wg-quick@wg_main) = $device; $in_sync"
  check "embedded: the client's connection has gone on" still_talks 5
  client_down
  check "factory reset by the path that is known" holds "key=\$(wg show wg_main public-key); /opt/phantom-wg/phantom/factory-reset.sh --yes; test \$(wg show wg_main public-key) != \$key; test -L /opt/phantom-wg/phantom/factory-reset.sh; $in_sync"
  echo mine > /opt/phantom-wg/notes
  check "purge" apt purge phantom-wg
  check "purge: the server is off the host" gone
  check "purge: what is stored is gone, a file of somebody else is not" holds "test \"\$(find /opt/phantom-wg -mindepth 1)\" = /opt/phantom-wg/notes"
  rm -r /opt/phantom-wg
  check "what came along goes" apt autoremove --purge
  host_dump > /var/lib/lab/after
  check "the host is as it was" diff -u /var/lib/lab/before /var/lib/lab/after
  ;;
esac
finish
