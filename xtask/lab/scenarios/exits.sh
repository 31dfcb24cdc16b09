# A server with a client and an exit on one machine, for the scenarios about exits. Whatever of the client is seen on eth0
# has escaped.
# shellcheck shell=bash

# There is no resolver in this world that the exit could be asked for.
probe=probe=off
programs="phantom-api phantom-wg-device phantom-multihop phantom-watch"
in_sync='api core reconcile dry_run=true | jq -e .data.in_sync'
repaired="api core reconcile | jq -e .success; $in_sync"
captures=/var/lib/lab/captures

# The client, the exit and the Internet behind it: namespaces that come before there is a network, at every boot. The
# client floods from then on; tcpdump writes down what passes any interface of the server.
{ echo '#!/bin/bash'; declare -f wireguard; cat; } > /usr/local/sbin/lab-world << 'X'
ip netns add client && ip -n client link set lo up
ip link add to-client type veth peer name eth0 netns client
ip addr add 192.0.2.1/30 dev to-client && ip link set to-client up
ip -n client addr add 192.0.2.2/30 dev eth0 && ip -n client link set eth0 up
ip -n client route add default via 192.0.2.1
ip netns add exit && ip -n exit link set lo up
ip link add to-exit type veth peer name eth0 netns exit
ip addr add 198.51.101.1/30 dev to-exit && ip link set to-exit up
ip -n exit addr add 198.51.101.2/30 dev eth0 && ip -n exit link set eth0 up
ip -n exit addr add 198.18.0.2/32 dev lo
ip -n exit route add default via 198.51.101.1
if [ ! -e /var/lib/lab/exit-is-gone ]; then
  wireguard wgx exit
  ip netns exec exit wg setconf wgx /var/lib/lab/exit.conf
  ip -n exit addr add 10.99.1.1/24 dev wgx && ip -n exit link set wgx up
fi
if [ -e /var/lib/lab/tunnel ]; then
  ip netns exec client setsid /var/lib/lab/tunnel > /run/lab-tunnel 2>&1 < /dev/null &
fi
if [ -e /var/lib/lab/client.conf ]; then
  wireguard c1 client
  ip netns exec client wg setconf c1 /var/lib/lab/client.conf
  ip -n client addr add 10.8.0.2/32 dev c1 && ip -n client link set c1 up mtu 1420
  ip -n client route add 203.0.113.5/32 via 192.0.2.1
  ip -n client route add 198.18.0.0/16 dev c1 && ip -n client route add 8.8.8.8/32 dev c1
fi
X
cat > /usr/local/sbin/lab-flood << 'X'
#!/bin/bash
# Old and new connections, datagrams, echo requests, questions for names.
ping -q -i 0.2 198.18.0.2 > /dev/null &
while :; do timeout 5 bash -c 'exec 3<> /dev/tcp/198.18.0.2/9; while :; do echo old >&3 || exit; sleep 0.3; done'; sleep 0.2; done 2> /dev/null &
while :; do
  echo datagram > /dev/udp/198.18.0.2/7
  echo question > /dev/udp/8.8.8.8/53
  timeout 0.3 bash -c ': > /dev/tcp/198.18.0.2/80'
  echo x >> /run/lab-flood
  sleep 0.2
done 2> /dev/null
X
cat > /usr/local/sbin/lab-capture << 'X'
#!/bin/bash
mkdir -p /var/lib/lab/captures
exec tcpdump -i any -U -Z root -s 96 -w "/var/lib/lab/captures/boot-$(cat /proc/sys/kernel/random/boot_id).pcap" 'host 198.18.0.2 or host 8.8.8.8'
X
chmod 755 /usr/local/sbin/lab-*

lab_units() {
  local early="DefaultDependencies=no
After=local-fs.target systemd-modules-load.service
Before=network-pre.target"
  printf '%s\n' "[Unit]" "$early" Wants=network-pre.target "Before=lab-world.service" "[Service]" ExecStart=/usr/local/sbin/lab-capture "[Install]" WantedBy=sysinit.target > /etc/systemd/system/lab-capture.service
  printf '%s\n' "[Unit]" "$early" "[Service]" Type=oneshot RemainAfterExit=yes ExecStart=/usr/local/sbin/lab-world "[Install]" WantedBy=sysinit.target > /etc/systemd/system/lab-world.service
  printf '%s\n' "[Unit]" "$early" After=lab-world.service "[Service]" "NetworkNamespacePath=/run/netns/client" ExecStart=/usr/local/sbin/lab-flood "[Install]" WantedBy=sysinit.target > /etc/systemd/system/lab-flood.service
  systemctl daemon-reload
  systemctl enable lab-capture lab-world lab-flood
}

# escaped: how many packets of the client were seen on eth0 since the capture began.
escaped() {
  sleep 1
  tcpdump -nn -r "$(ls -t $captures/*.pcap | head -n 1)" 2> /dev/null | grep -c ' eth0 \|^[^ ]* eth0 ' || true
}
# begin: a new capture, and a flood that goes on.
begin() {
  systemctl restart lab-capture
  soon 'test -s $(ls -t /var/lib/lab/captures/*.pcap | head -n 1)'
  sleep 0.5
}
# floods: the client goes on sending.
floods() { local then; then=$(stat -c %s /run/lab-flood 2> /dev/null || echo 0); soon "test \$(stat -c %s /run/lab-flood) -gt $((then + 8))"; }
# tight COMMAND: nothing escapes while something is done and after it.
tight() {
  begin && floods && bash -eo pipefail -c "$1" && floods
  local status=$? count
  count=$(escaped)
  echo "status $status, $count packets escaped"
  tcpdump -nn -r "$(ls -t $captures/*.pcap | head -n 1)" 2> /dev/null | grep ' eth0 ' | head -n 5
  [ $status = 0 ] && [ "$count" = 0 ]
}
# leaks: the observer sees the client when nothing keeps it in.
leaks() { begin && floods; local count; count=$(escaped); echo "$count packets seen"; [ "$count" -gt 5 ]; }
# through: the client gets an answer from the Internet by the exit.
through() { soon "ip netns exec client ping -q -c 1 -W 2 198.18.0.2"; }
active="api multihop status | jq -e '.data.enabled and .data.active_exit == \"uk\" and .data.vpn_interface.active and .data.kill_switch and .data.monitor_status.type == \"systemd\"'"
export -f escaped begin floods through soon
export captures

# client_and_exit: sets the server up, with the client and the exit before it, and the exit in use.
client_and_exit() {
  umask 077
  for program in $programs; do install -m 755 "bin/$program" /usr/local/bin/; done
  # The server's public address is not that of eth0, so that clients find it by their own cable.
  ip addr add 203.0.113.5/32 dev lo
  check "setup with the $backend backend" holds "api core setup server_ip=203.0.113.5 backend=$backend | jq -e '.data.backend == \"$backend\"'; api core add_client client_name=anna"
  wg genkey > /var/lib/lab/exit.key; wg genkey > /var/lib/lab/uk.key
  printf '[Interface]\nPrivateKey = %s\nListenPort = 51821\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.99.1.2/32\n' "$(cat /var/lib/lab/exit.key)" "$(wg pubkey < /var/lib/lab/uk.key)" > /var/lib/lab/exit.conf
  printf '[Interface]\nPrivateKey = %s\nAddress = 10.99.1.2/24\nDNS = 10.99.1.1\n[Peer]\nPublicKey = %s\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 198.51.101.2:51821\n' "$(cat /var/lib/lab/uk.key)" "$(wg pubkey < /var/lib/lab/exit.key)" > /root/uk.conf
  api core export_client client_name=anna | jq -r .data.config | grep -v '^\(Address\|DNS\|MTU\)' > /var/lib/lab/client.conf
  umask 022
  check "the lab's units" lab_units
  check "the world stands" systemctl start lab-world lab-flood
  check "the observer sees a client without an exit" leaks
  check "an exit is imported" holds "api multihop import_vpn_config config_path=/root/uk.conf | jq -e '.data.exit_name == \"uk\"'"
  check "enable" holds "api multihop enable_multihop exit_name=uk $probe | jq -e '.data.handshake_established and .data.monitor_started'"
  check "the client goes by the exit" through
}

# client_by_tunnel: the client goes to the server through the tunnel of Ghost Mode from now on, also after a boot, with the
# program that it has now.
client_by_tunnel() {
  local domain=vpn.example.org
  cp "$(command -v phantom-ghost)" /var/lib/lab/old-tunnel
  (umask 077 && phantom-casper --json anna | jq -r .wstunnel.secret > /var/lib/lab/secret)
  printf '%s\n' '#!/bin/sh' "exec /var/lib/lab/old-tunnel connect --server wss://$domain --address 203.0.113.5 --listen 127.0.0.1:52000 --secret-file /var/lib/lab/secret --ca-file /opt/phantom-wg/certs/$domain/fullchain.pem" > /var/lib/lab/tunnel
  chmod 755 /var/lib/lab/tunnel
  ip netns exec client setsid /var/lib/lab/tunnel > /run/lab-tunnel 2>&1 < /dev/null &
  sed -i 's/^Endpoint.*/Endpoint = 127.0.0.1:52000/' /var/lib/lab/client.conf
  ip netns exec client wg setconf c1 /var/lib/lab/client.conf
  soon "grep -q 'is open' /run/lab-tunnel"
}
