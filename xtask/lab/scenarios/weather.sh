#!/bin/bash
# Ten minutes of an exit behind a bad line: every fiftieth packet lost, and up to 300 ms between one and the next. It is slow,
# and it works: nothing may be restarted, turned away from or called dead. Then it really is gone, which must be noticed.
. "$(dirname "$0")/lab.sh"
. "$(dirname "$0")/exits.sh"

# What the session's log says that is not "all is well".
troubles='api multihop get_session_log lines=10000 | jq -c ".data.logs[] | select(.event | IN(\"handshake_lost\", \"reconnect_attempt\", \"reconnected\", \"service_lost\", \"exit_switched\", \"session_ended\"))"'
pid='api multihop status | jq -e .data.monitor_status.pid'
# seconds_until_noticed: from now until the session's log says that the exit does not answer.
seconds_until_noticed() {
  local begun=$SECONDS
  until [ -n "$(eval "$troubles")" ]; do
    [ $((SECONDS - begun)) -lt 60 ] || return 1
    sleep 0.5
  done
  echo $((SECONDS - begun))
}

client_and_exit
systemctl stop lab-flood
modprobe sch_netem
bad="netem loss 1% delay 150ms 150ms"
check "a bad line, both ways" holds "tc qdisc add dev to-exit root $bad; tc -n exit qdisc add dev eth0 root $bad"
slow='test $(ip netns exec client ping -q -c 50 -i 0.2 -W 3 198.18.0.2 | awk -F / "/^rtt/ { print int(\$5) }") -gt 200'
check "the client feels it" holds "$slow"
before=$(eval "$pid") index=$(cat /sys/class/net/wg_vpn/ifindex)
check "a monitor watches over it" test "$before" -gt 0
# Traffic, half of the time; and none, so that it is the monitor who asks.
for minute in 1 2 3; do
  ip netns exec client ping -q -i 0.2 -w 95 198.18.0.2 | tail -n 3 >> /tmp/pings
  sleep 110
done
cat /tmp/pings
check "most of it arrives" holds '! grep -q " \([1-9][0-9]\|100\)\([.][0-9]*\)\?% packet loss" /tmp/pings'
check "no trouble was seen in ten minutes" holds "$troubles | tee /dev/stderr | wc -l | grep -qx 0"
check "the monitor is the same" test "$(eval "$pid")" = "$before"
check "the interface is the same" test "$(cat /sys/class/net/wg_vpn/ifindex)" = "$index"
check "the client goes by the exit" through

systemctl start lab-flood
check "packets flow again" floods
ip -n exit link set wgx down
noticed=$(seconds_until_noticed)
echo "NOTE noticed after ${noticed:-more than 60} s"
check "an exit that is gone is noticed within 20 s" test "${noticed:-99}" -lt 20
finish
