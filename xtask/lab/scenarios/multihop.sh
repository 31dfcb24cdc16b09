#!/bin/bash
# Multihop on Debian: systemd, networkd, ufw; reboots while a client floods. Whatever of the client is
# seen on eth0 has escaped. Runs once for each boot; the phase says which.
. "$(dirname "$0")/lab.sh"
. "$(dirname "$0")/exits.sh"

case $LAB_PHASE in
0)
  client_and_exit
  check "status tells so" soon "$active"
  check "host and stored state agree" holds "$in_sync"
  check "the block comes before the network" holds "systemctl cat phantom-block | grep -q 'Before=.*network-pre.target'; systemctl is-enabled phantom-block"
  check "reach of what runs once" exposed 30 phantom-block phantom-boot phantom-repair
  # With the kernel's WireGuard they run once.
  check "reach of the interfaces" exposed "$([ "$backend" = embedded ] && echo 20 || echo 30)" wg-quick@wg_main wg-quick@wg_vpn
  check "reach of the monitor" exposed 20 phantom-multihop
  check "reach of what does its errands" exposed 30 phantom-multihop-errand
  check "the monitor has two capabilities" holds 'pid=$(systemctl show -p MainPID --value phantom-multihop); grep -q "^CapEff:.*0000000000003000" /proc/$pid/status; systemctl is-active phantom-multihop-errand.path'
  check "networkd is told to leave rules alone" holds "grep -rq ManageForeignRoutingPolicyRules=no /etc/systemd/networkd.conf.d"

  check "tight: nothing happens" tight true
  check "tight: networkd restarts" tight "systemctl restart systemd-networkd; sleep 2"
  check "rules are still there after that" holds "ip rule | grep -q 'lookup \(100\|multihop\)'; $in_sync"
  check "tight: the link is deleted" tight "ip link del wg_vpn"
  check "repaired" holds "$repaired"
  check "tight: the packet filter is flushed" tight "nft flush ruleset"
  check "repaired again" holds "$repaired"
  check "tight: ufw on" tight "ufw --force enable"
  check "repaired beside ufw" holds "$repaired"
  check "the client goes by the exit beside ufw" through
  check "tight: ufw reload" tight "ufw reload"
  check "tight: ufw off" tight "ufw --force disable"
  check "repaired without ufw" holds "$repaired"
  check "tight: the monitor is killed" tight "systemctl kill -s KILL phantom-multihop"
  check "tight: the service restarts" tight "systemctl restart wg-quick@wg_main wg-quick@wg_vpn"
  check "the client goes by the exit after all that" through
  check "status still tells so" soon "$active"
  # What the watcher does not look at the monitor has brought back, by the unit that waits for its file.
  check "the monitor's errand is done" tight 'wg set wg_vpn peer "$(wg show wg_vpn peers)" remove; soon "wg show wg_vpn peers | grep ="'
  check "the errand's unit says so" soon "journalctl -u phantom-multihop-errand --no-pager | grep 'phantom-api: errand'"
  check "nothing of the errand is left" soon '! ls /run/phantom-multihop/request /run/phantom-multihop/result; ! systemctl is-failed phantom-multihop-errand'
  check "the client goes by the exit after the errand" through
  # As a server that was set up for it has it: the address comes with the boot.
  printf '[Match]\nName=lo\n[Network]\nAddress=203.0.113.5/32\n' > /etc/systemd/network/20-lab-lo.network
  lab-reboot
  ;;
1)
  check "boot: the block was there before the network" holds "test \$(systemctl show -p ActiveEnterTimestampMonotonic --value phantom-block) -gt 0; test \$(systemctl show -p ActiveEnterTimestampMonotonic --value phantom-block) -le \$(systemctl show -p ActiveEnterTimestampMonotonic --value systemd-networkd)"
  check "boot: the client floods since before the network" holds "test \$(systemctl show -p ExecMainStartTimestampMonotonic --value lab-flood) -lt \$(systemctl show -p ActiveEnterTimestampMonotonic --value wg-quick@wg_main)"
  check "boot: status tells so" soon "$active"
  check "boot: the client goes by the exit" through
  check "boot: nothing escaped since the first packet" holds 'count=$(escaped); echo "$count escaped"; test "$count" = 0'
  check "boot: the capture saw the client" holds 'test $(tcpdump -nn -r $(ls -t $captures/*.pcap | head -n 1) 2> /dev/null | grep -c wg_main) -gt 5'
  check "boot: host and stored state agree" soon "$in_sync"
  # At the next boot the server itself has the exit's address.
  echo 'Address=10.99.1.2/32' >> /etc/systemd/network/20-lab-lo.network
  lab-reboot
  ;;
2)
  check "boot with a collision: the server runs" soon "systemctl is-active wg-quick@wg_main && systemctl is-active phantom-multihop"
  check "boot with a collision: it is named" soon "api multihop status | jq -e '.data.enabled and .data.kill_switch and (.data.vpn_interface.active | not) and (.data.collisions[0] | contains(\"10.99.1.2\"))'"
  check "boot with a collision: the exit is not brought up" soon "! ip link show wg_vpn && ! ip rule | grep 10.99.1.2 && test \$(ip -o -4 addr | grep -c 10.99.1.2) = 1"
  check "boot with a collision: no unit has failed" holds "! systemctl --failed --no-legend --plain | grep -E 'phantom|wg-quick'"
  check "boot with a collision: the client is connected" soon "ip netns exec client ping -q -c 1 -W 2 10.8.0.1 || test \$(wg show wg_main latest-handshakes | awk '{ print \$2 }') -gt 0"
  check "boot with a collision: it stays closed" holds 'floods; ! ip netns exec client ping -q -c 2 -W 2 198.18.0.2'
  check "boot with a collision: nothing escaped" holds 'count=$(escaped); echo "$count escaped"; test "$count" = 0'
  check "boot with a collision: host and stored state agree" soon "$in_sync"
  check "boot with a collision: the doctor says so" holds "api core doctor | jq -e '.data.checks[] | select(.name == \"collisions\") | .state == \"problem\"'"
  sed -i '/^Address=10.99.1.2/d' /etc/systemd/network/20-lab-lo.network
  ip addr del 10.99.1.2/32 dev lo
  check "without the collision the exit is back" holds "$repaired"
  check "without the collision the client goes by the exit" through
  check "without the collision status tells so" soon "$active"
  # The exit will not be there after the next boot.
  touch /var/lib/lab/exit-is-gone
  lab-reboot
  ;;
3)
  check "boot without the exit: the client is connected" soon "ip netns exec client ping -q -c 1 -W 2 10.8.0.1 || test \$(wg show wg_main latest-handshakes | awk '{ print \$2 }') -gt 0"
  check "boot without the exit: it stays closed" holds 'floods; ! ip netns exec client ping -q -c 2 -W 2 198.18.0.2'
  check "boot without the exit: nothing escaped" holds 'count=$(escaped); echo "$count escaped"; test "$count" = 0'
  check "boot without the exit: status tells so" soon "api multihop status | jq -e '.data.enabled and .data.kill_switch'"
  check "disable" holds "api multihop disable_multihop | jq -e '.data.interface_cleaned'; $in_sync"
  check "nothing is left" holds "! ip link show wg_vpn && ! ip rule | grep 'lookup \(100\|multihop\)' && ! systemctl list-unit-files --no-legend | grep -E 'phantom-(block|multihop)' && ! ls /etc/systemd/networkd.conf.d | grep phantom"
  check "the observer sees the client again" leaks
  ;;
esac
finish
