#!/bin/bash
# The life of a server on Debian: set up, used, sabotaged, rebooted, moved to the embedded device, rebooted, removed.
# Runs once for each boot; the phase says which.
. "$(dirname "$0")/lab.sh"

# A client in a namespace behind eth0's network, set up by wg-quick from exactly the exported configuration. The server's
# own address is in another network than the client's cable, as on the Internet.
client_up() {
  local name=$1
  ip netns add "$name" && ip -n "$name" link set lo up
  ip link add "to-$name" type veth peer name eth0 netns "$name"
  ip addr add 192.0.2.1/30 dev "to-$name" && ip link set "to-$name" up
  ip -n "$name" addr add 192.0.2.2/30 dev eth0 && ip -n "$name" link set eth0 up
  ip -n "$name" route add default via 192.0.2.1
  mkdir -p "/etc/netns/$name" && : > "/etc/netns/$name/resolv.conf"
  api core export_client "client_name=$name" | jq -r .data.config > "/root/$name.conf"
  chmod 600 "/root/$name.conf"
  mkdir -p /root/bin && printf '#!/bin/sh\n[ "$1" = -a ] && cat > /etc/resolv.conf\nexit 0\n' > /root/bin/resolvconf
  chmod 755 /root/bin/resolvconf
  ip netns exec "$name" env "PATH=/root/bin:$PATH" wg-quick up "/root/$name.conf"
}
client_down() {
  local name=$1
  ip netns exec "$name" env "PATH=/root/bin:$PATH" wg-quick down "/root/$name.conf"
  ip netns del "$name" && ip link del "to-$name" 2> /dev/null
  rm -rf "/etc/netns/$name"
}
# A handshake and an answer through the tunnel.
reaches() { soon "ip netns exec $1 ping -q -c 1 -W 2 10.8.0.1 && ip netns exec $1 wg show $1 latest-handshakes | awk '{ exit !(\$2 > 0) }'"; }
whole_client() { client_up "$1" && reaches "$1"; local good=$?; client_down "$1"; return $good; }
export -f client_up client_down reaches whole_client soon

# comes_back REMOVER HOLDS: what a line removes is there again within two seconds, and the repair is over. In the emulator,
# where every program takes some twenty times as long, within forty.
comes_back() {
  local end limit=2000000
  [ "$backend" = embedded ] || limit=40000000
  bash -ec "$1"
  end=$((${EPOCHREALTIME/[.,]/} + limit))
  until bash -eo pipefail -c "$2" > /dev/null 2>&1; do
    [ "${EPOCHREALTIME/[.,]/}" -lt $end ] || { journalctl -u phantom-watch -u phantom-repair --no-pager | tail -n 20; return 1; }
    sleep 0.05
  done
  soon '[ "$(systemctl show -p ActiveState --value phantom-repair)" = inactive ]'
}

# With a web server in front: who may connect to the tunnel server's socket, and what that one may do.
front_is_closed() {
  local pid
  test "$(stat -c "%a %G" /run/phantom-web /run/phantom-web/http | tr "\n" ,)" = "750 www-data,660 www-data,"
  pid=$(systemctl show -P MainPID phantom-ghost)
  grep -q "^CapEff:.*0000000000000000" "/proc/$pid/status"
  test "$(stat -c %u "/proc/$pid")" -ge 61184
}
front_opens() {
  local pid opened
  phantom-casper --json anna | jq -r .wstunnel.secret > /run/secret
  phantom-ghost connect --server wss://vpn.example.org --address 127.0.0.1 --listen 127.0.0.1:52000 --secret-file /run/secret \
    --ca-file /opt/phantom-wg/certs/vpn.example.org/fullchain.pem > /run/connected 2>&1 &
  pid=$!
  soon "grep 'is open' /run/connected"
  opened=$?
  kill $pid; wait $pid
  rm /run/secret
  return $opened
}
export -f front_opens front_is_closed blocks

in_sync='api core reconcile dry_run=true | jq -e .data.in_sync'
repaired="api core reconcile | jq -e .success; $in_sync"

after_boot() { # BACKEND: everything is there without a hand
  check "boot: the system is running" soon "systemctl --failed --no-legend --plain; state=\$(systemctl is-system-running || true); echo \"\$state\"; [ \"\$state\" = running ] || [ \"\$state\" = degraded ]; ! systemctl --failed --no-legend | grep -E 'phantom|wg-quick'"
  check "boot: wg-quick@wg_main is active" soon "systemctl is-active wg-quick@wg_main"
  check "boot: wg shows both clients" soon "test \$(wg show wg_main peers | wc -l) = 2"
  check "boot: address and link" holds "ip -br addr show wg_main | grep -q 10.8.0.1/24"
  check "boot: packet filter" holds "nft list table inet phantom_wg | grep -q masquerade"
  check "boot: forwarding" holds "test \$(sysctl -n net.ipv4.ip_forward) = 1"
  check "boot: host and stored state agree" soon "$in_sync"
  check "boot: a client connects" whole_client anna
  check "boot: the backend is $1" holds "api core server_status | jq -e '.data.system.backend == \"$1\"'"
}

programs="phantom-api phantom-wg-device phantom-ghost phantom-casper phantom-watch"

case $LAB_PHASE in
0)
  host_dump > /var/lib/lab/before
  for program in $programs; do install -m 755 "bin/$program" /usr/local/bin/; done
  check "setup chooses the $backend WireGuard" holds "api core setup server_ip=10.0.2.15 | jq -e '.data.backend == \"$backend\"'"
  check "two clients" holds "api core add_client client_name=anna; api core add_client client_name=bob"
  check "the unit is known to systemctl" holds "systemctl status wg-quick@wg_main | grep -q 'WireGuard server'; systemctl is-enabled wg-quick@wg_main"
  check "the unit's log is in the journal" holds "journalctl -u wg-quick@wg_main --no-pager | grep -q .; api core service_logs | jq -e '.data.source == \"journald\" and .data.count > 0'"
  check "a client connects" whole_client anna
  check "host and stored state agree" holds "$in_sync"

  check "repair: the link is deleted" holds "ip link del wg_main; $repaired"
  check "repair: the packet filter is flushed" holds "nft flush ruleset; $repaired"
  check "repair: a peer is removed" holds "wg set wg_main peer \$(wg show wg_main peers | head -n 1) remove; $repaired; test \$(wg show wg_main peers | wc -l) = 2"
  check "repair: the address is deleted" holds "ip addr del 10.8.0.1/24 dev wg_main; $repaired"
  check "repair: forwarding is switched off" holds "sysctl -qw net.ipv4.ip_forward=0; $repaired"
  check "repair: networkd restarts" holds "systemctl restart systemd-networkd; sleep 1; $repaired; ip -br addr show wg_main | grep -q 10.8.0.1"
  check "a client connects after all that" whole_client anna

  # The watcher: within two seconds, without a command. Each but the first is another object, since what was put back a
  # moment ago is put back later.
  check "watch: it runs as nobody, with one capability" holds 'pid=$(systemctl show -p MainPID --value phantom-watch); test $(stat -c %u /proc/$pid) -ge 61184; grep -q "^CapEff:.*0000000000001000" /proc/$pid/status; systemctl is-active phantom-repair.path'
  check "reach of what runs always" exposed 20 phantom-watch
  check "reach of what runs once" exposed 30 phantom-boot phantom-repair
  sleep 12
  check "watch: the packet filter is flushed" comes_back "nft flush ruleset" "nft list table inet phantom_wg | grep -q masquerade"
  check "watch: the link is deleted" comes_back "ip link del wg_main" "test \$(wg show wg_main peers | wc -l) = 2"
  check "watch: the address is deleted" comes_back "ip addr del 10.8.0.1/24 dev wg_main" "ip -br addr show wg_main | grep -q 10.8.0.1"
  check "watch: forwarding is switched off" comes_back "sysctl -qw net.ipv4.ip_forward=0" "test \$(sysctl -n net.ipv4.ip_forward) = 1"
  sleep 12
  check "watch: nftables restarts" comes_back "systemctl restart nftables" "nft list table inet phantom_wg | grep -q masquerade"
  check "watch: wg-quick down" comes_back "wg-quick down wg_main" "ip -br addr show wg_main | grep -q 10.8.0.1"
  check "watch: host and stored state agree" soon "$in_sync"
  check "watch: systemctl stop stays stopped" holds "systemctl stop wg-quick@wg_main; sleep 3; ! ip link show wg_main"
  check "watch: systemctl start brings it back" holds "systemctl start wg-quick@wg_main; test \$(wg show wg_main peers | wc -l) = 2; $in_sync"
  check "a client connects after the watcher's repairs" whole_client anna

  check "service: stop" holds "api core stop_service | jq -e '.data.service_active == false' && ! ip link show wg_main && $in_sync"
  check "service: start" holds "api core start_service | jq -e .data.interface_up; $in_sync"
  check "service: systemctl restart" holds "systemctl restart wg-quick@wg_main; test \$(wg show wg_main peers | wc -l) = 2; $in_sync"

  check "ufw: our rules come with it" holds "ufw --force enable; $repaired; ufw status | grep -q '51820/udp.*ALLOW.*phantom-wg'"
  check "ufw: a client connects" whole_client anna
  check "ufw: off and gone" holds "ufw --force disable; $repaired"

  check "ghost: on" holds "api ghost enable domain=vpn.example.org skip_dns_check=true self_signed=true | jq -e '.data.status == \"active\"'; $in_sync"
  check "ghost: the server has a user of its own and one capability" holds 'pid=$(systemctl show -p MainPID --value phantom-ghost); test $(stat -c %u /proc/$pid) -ge 61184; grep -q "^CapEff:.*0000000000000400" /proc/$pid/status; grep -q "^NoNewPrivs:.*1" /proc/$pid/status'
  check "ghost: reach of both processes" exposed 20 phantom-ghost phantom-ghost-keeper
  check "ghost: nothing of it can be dumped" holds 'for unit in phantom-ghost phantom-ghost-keeper; do pid=$(systemctl show -p MainPID --value $unit); grep -q "^Max core file size *0 *0 " /proc/$pid/limits; test "$(stat -c %u /proc/$pid/maps)" = 0; done'
  check "ghost: strangers see a site" holds "curl -ks https://127.0.0.1/ | grep -qi '<html'; test \$(curl -ks -o /dev/null -w '%{http_code}' https://127.0.0.1/nope) = 404"
  check "ghost: WireGuard is closed to the outside" holds "nft list table inet phantom_wg | grep -q 'iifname != \"lo\" udp dport 51820 drop'"
  check "ghost: the export" holds "phantom-casper anna | grep -q 'Endpoint = 127.0.0.1:51820'"
  check "ghost: nothing secret in units, journal and process list" holds 'phantom-casper --json anna | jq -r .wstunnel.secret > /run/secret; ! grep -rqf /run/secret /etc/systemd && ! journalctl --no-pager | grep -cf /run/secret && ! grep -alf /run/secret /proc/*/cmdline 2>/dev/null && rm /run/secret'
  lab-reboot
  ;;
1)
  check "boot: the tunnel serves" soon "api ghost status | jq -e '.data.status == \"active\"'"
  check "boot: a tunnel is opened" soon 'phantom-casper --json anna | jq -r .wstunnel.secret > /run/secret; { timeout 8 phantom-ghost connect --server wss://vpn.example.org --address 127.0.0.1 --listen 127.0.0.1:52000 --secret-file /run/secret --ca-file /opt/phantom-wg/certs/vpn.example.org/fullchain.pem 2>&1 || true; } > /run/connected; rm /run/secret; grep "is open" /run/connected'
  check "ghost: killed, it starts again" holds "systemctl kill -s KILL phantom-ghost phantom-ghost-keeper; soon 'api ghost status | jq -e \".data.status == \\\"active\\\"\"'"
  check "ghost: off, nothing is left of it" holds "api ghost disable | jq -e .data.restored; $in_sync; ! systemctl list-unit-files --no-legend | grep phantom-ghost && ! ss -Htln | grep ':443 '"
  check "ghost: on with a certificate in root's home" holds "install -m 600 /opt/phantom-wg/certs/vpn.example.org/fullchain.pem /root/cert.pem; install -m 600 /opt/phantom-wg/certs/vpn.example.org/privkey.pem /root/key.pem; api ghost enable domain=vpn.example.org skip_dns_check=true cert_path=/root/cert.pem key_path=/root/key.pem | tee /dev/stderr | jq -e '.data.certificate.source == \"operator\"'; api ghost status | jq -e '.data.status == \"active\" and .data.tunnel.certificate.last_error == null'; $in_sync"
  check "ghost: its keeper sees no other home" holds 'pid=$(systemctl show -p MainPID --value phantom-ghost-keeper); test -r /proc/$pid/root/root/cert.pem; test -z "$(ls -A /proc/$pid/root/home)"; test -z "$(ls -A /proc/$pid/root/run/user)"'
  check "ghost: off again" holds "api ghost disable | jq -e .data.restored; rm /root/cert.pem /root/key.pem"
  # nginx in front, configured by the very block of the documentation. It has the port before the tunnel is switched on.
  check "front: nginx has the port" holds 'mkdir -p /run/web /var/lib/nginx; cp /opt/phantom-wg/certs/vpn.example.org/fullchain.pem /run/web/vpn.example.org.pem; cp /opt/phantom-wg/certs/vpn.example.org/privkey.pem /run/web/vpn.example.org.key; { echo "user www-data; pid /run/web/pid; events {} http { access_log off;"; documents=. blocks ghost.md nginx | sed "s,/etc/ssl/,/run/web/,; /\[::\]/d"; echo "}"; } > /run/web/conf; systemd-run -q --unit=lab-nginx "$PWD/bin/nginx" -c /run/web/conf -e stderr -g "daemon off;"; soon "ss -Htln | grep :443"'
  check "front: on through nginx" holds "api ghost enable domain=vpn.example.org skip_dns_check=true self_signed=true listen=unix:/run/phantom-web/http public_port=443 | tee /dev/stderr | jq -e '.data.certificate.source == \"web_server\"'; $in_sync"
  check "front: the tunnel server has a socket for one group, and no right" holds front_is_closed
  check "front: a tunnel is opened through nginx" front_opens
  check "front: killed, it is let in again" holds 'old=$(systemctl show -P MainPID phantom-ghost); systemctl kill -s KILL phantom-ghost phantom-ghost-keeper; soon "test \$(systemctl show -P MainPID phantom-ghost) -gt 0; test \$(systemctl show -P MainPID phantom-ghost) != $old; front_is_closed"; soon "api ghost status | jq -e \".data.status == \\\"active\\\"\""; front_opens'
  check "front: off, and nginx is left alone" holds "api ghost disable | jq -e .data.restored; $in_sync; systemctl is-active lab-nginx; test ! -e /run/phantom-web; systemctl stop lab-nginx; rm -r /run/web /var/lib/nginx"
  after_boot "$backend"
  check "the embedded device takes over in place" holds "key=\$(wg show wg_main public-key); api core setup backend=embedded | jq -e '.data.backend == \"embedded\"'; test \$(wg show wg_main public-key) = \$key; test \$(wg show wg_main peers | wc -l) = 2; $in_sync"
  check "a client connects to it" whole_client anna
  check "reach of the embedded device" exposed 16 wg-quick@wg_main
  check "the embedded device is a user of its own" holds 'pid=$(systemctl show -P MainPID wg-quick@wg_main); test "$(awk "/^Uid:/ { print \$2 }" /proc/$pid/status)" -gt 0; test "$(awk "/^CapPrm:/ { print \$2 }" /proc/$pid/status)" = 0000000000001400; test "$(stat -c %a:%u /run/wireguard /run/phantom-wg-device-wg_main | head -n 1)" = 700:0; setpriv --bounding-set=-all wg show wg_main > /dev/null; test ! -e "/proc/$pid/root/root/anna.conf"'
  check "it starts again when it is killed" holds "systemctl kill -s KILL wg-quick@wg_main; soon 'systemctl is-active wg-quick@wg_main; test \$(wg show wg_main peers | wc -l) = 2'; $repaired"
  lab-reboot
  ;;
2)
  after_boot embedded
  check "reset" bin/factory-reset --uninstall --yes
  for program in $programs; do rm "/usr/local/bin/$program"; done
  rm -rf /opt/phantom-wg /root/anna.conf /root/bin /etc/netns
  rmdir /run/wireguard 2> /dev/null
  host_dump > /var/lib/lab/after
  check "the host is as it was" diff -u /var/lib/lab/before /var/lib/lab/after
  ;;
esac
finish
