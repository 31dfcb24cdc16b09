# What the scenarios of the package share. In `packages` lie `old.deb` and `new.deb`, of which the second is the later
# version, and the tarball.
# shellcheck shell=bash
export DEBIAN_FRONTEND=noninteractive

in_sync='api core reconcile dry_run=true | jq -e .data.in_sync'
apt() { apt-get -qq -y -o Dpkg::Use-Pty=0 "$@"; }
export -f apt

# What is not ours and must be there afterwards: a packet filter, a policy rule, a WireGuard interface with its file. They
# do not outlive a boot. The client's cable, and a web site that only the server knows the way to.
world() {
  nft -f - <<< 'table inet others { chain in { type filter hook input priority 10; tcp dport 9999 drop; }; }'
  ip rule add pref 77 from 203.0.113.77 lookup 77
  wireguard other0 && ip addr add 10.77.0.1/24 dev other0
  ip netns add client && ip -n client link set lo up
  ip link add to-client type veth peer name eth0 netns client
  ip addr add 192.0.2.1/30 dev to-client && ip link set to-client addrgenmode none && ip link set to-client up
  ip -n client addr add 192.0.2.2/30 dev eth0 && ip -n client link set eth0 up
  ip -n client route add 10.0.2.15 via 192.0.2.1
  ip netns add web && ip -n web link set lo up
  ip link add to-web type veth peer name eth0 netns web
  ip addr add 198.51.100.1/30 dev to-web && ip link set to-web addrgenmode none && ip link set to-web up
  ip -n web addr add 198.51.100.2/30 dev eth0 && ip -n web link set eth0 up
  ip netns exec web perl -MIO::Socket::INET -e '$SIG{CHLD} = "IGNORE";
    $door = IO::Socket::INET->new(LocalAddr => "198.51.100.2", LocalPort => 7, Listen => 5, ReuseAddr => 1) or die;
    while ($one = $door->accept) { next if fork; $one->autoflush(1); print $one $_ while <$one>; exit }' > /dev/null 2>&1 &
  cat > /run/talk << 'X'
# One connection that is never opened again: a line to the web site and back, again and again. Writes down how many came
# back and the longest wait in milliseconds.
exec 3<> /dev/tcp/198.51.100.2/7 || exit
count=0 longest=0
while :; do
  before=${EPOCHREALTIME/[.,]/}
  echo "$count" >&3 && read -r -t 20 answer <&3 && [ "$answer" = "$count" ] || exit
  wait=$(((${EPOCHREALTIME/[.,]/} - before) / 1000)) count=$((count + 1))
  [ $wait -le $longest ] || longest=$wait
  echo "$count $longest" > /run/talk.new && mv /run/talk.new /run/talked
  sleep 0.1
done
X
}

# The client takes exactly what the server exports.
client_up() {
  api core export_client client_name=anna | jq -r .data.config > /run/anna.conf
  wireguard anna client
  wg-quick strip /run/anna.conf > /run/anna.strip
  ip netns exec client wg setconf anna /run/anna.strip
  ip -n client addr add "$(sed -n 's/^Address *= *\([0-9.]*\).*/\1/p' /run/anna.conf)/32" dev anna
  ip -n client link set anna up mtu 1420
  ip -n client route add 198.51.100.2 dev anna
  ip -n client route add 10.8.0.1 dev anna
  reaches
}
reaches() { soon "ip netns exec client ping -q -c 1 -W 2 10.8.0.1"; }
client_down() { [ ! -e /run/talking ] || kill "$(cat /run/talking)" 2> /dev/null; rm -f /run/talking; ip -n client link del anna; }
talks() {
  rm -f /run/talked
  setsid ip netns exec client bash /run/talk > /dev/null 2>&1 & echo $! > /run/talking
  soon 'test -s /run/talked'
}
# SECONDS: the connection goes on, and nothing in it has waited for longer.
still_talks() {
  local before
  before=$(cut -d ' ' -f 1 /run/talked)
  soon "test \$(cut -d ' ' -f 1 /run/talked) -gt $((before + 10))" || return
  cat /run/talked
  awk -v most="$1" '{ exit !($2 <= most * 1000) }' /run/talked && kill -0 "$(cat /run/talking)"
}
export -f client_up client_down reaches talks still_talks soon

set_up() { api core setup server_ip=10.0.2.15 | jq -e .success; api core add_client client_name=anna | jq -e .success; }
gone() {
  ! ip link show wg_main && ! nft list table inet phantom_wg && ! systemctl list-unit-files --no-legend | grep -E 'phantom|wg_main' &&
    ! grep -rl phantom-wg /etc/systemd /etc/sysctl.d /etc/wireguard && ! pgrep phantom-
}
pid_of() { systemctl show -p MainPID --value "$1"; }
since() { systemctl show -p ActiveEnterTimestampMonotonic --value wg-quick@wg_main; }
export -f set_up gone pid_of since

# The upgrade of a server that an older version has set up, whose unit said something else.
upgrades() {
  local unit=/etc/systemd/system/wg-quick@wg_main.service link started
  sed -i 's/^Description=.*/Description=what the older version said/' $unit && systemctl daemon-reload
  link=$(cat /sys/class/net/wg_main/ifindex) started=$(since)
  check "upgrade: apt" apt install ./packages/new.deb
  check "upgrade: the programs are new" holds "test \$(dpkg-query -W -f '\${Version}' phantom-wg) = \$(dpkg-deb -f packages/new.deb Version)"
  check "upgrade: the host is as the new programs want it" holds "$in_sync && ! grep -q 'older version' $unit"
  check "upgrade: the interface is the same one" holds "test \$(cat /sys/class/net/wg_main/ifindex) = $link; test \$(since) = $started"
  check "upgrade: the client's connection has gone on" still_talks 5
}
