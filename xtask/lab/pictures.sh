#!/bin/bash
# pictures.sh PROGRAMS PICTURES OUT: a server with six clients, of which three are connected, in namespaces of their own;
# PICTURES (phantom-pictures) takes the pictures of both languages there. Run by `cargo xtask pictures` inside
# `unshare --net --mount --pid`, of which nothing stays.
# All addresses are those that are kept for documentation (RFC 5737).
set -euo pipefail
programs=$1 pictures=$2 out=$3
quiet() { "$@" > /tmp/log 2>&1 || { echo "$*"; cat /tmp/log; exit 1; } >&2; }

mount -t tmpfs world /tmp
mount -t tmpfs world /run
mkdir -p /run/{lock,netns,wireguard,pictures/bin} /run/world/{etc,opt,lib}/{upper,work}
chmod 700 /run/wireguard
mount -t overlay world -o lowerdir=/etc,upperdir=/run/world/etc/upper,workdir=/run/world/etc/work /etc
mount -t overlay world -o lowerdir=/opt,upperdir=/run/world/opt/upper,workdir=/run/world/opt/work /opt
mount -t overlay world -o lowerdir=/var/lib,upperdir=/run/world/lib/upper,workdir=/run/world/lib/work /var/lib
mount -t sysfs world /sys
hostname server 2> /dev/null || true

# The server and the clients, with a router between them.
link() { # PREFIX NAMESPACE DEVICE ROUTER OTHER
  ip link add "$3" netns isp type veth peer name eth0 netns "$2"
  ip -n isp addr add "$1.$4/30" dev "$3"
  ip -n isp link set "$3" up
  ip -n "$2" addr add "$1.$5/30" dev eth0
  ip -n "$2" link set eth0 up
  ip -n "$2" route add default via "$1.$4"
}
touch /run/netns/server
mount --bind /proc/self/ns/net /run/netns/server
ip link set lo up
for name in isp c1 c2 c3; do
  ip netns add $name
  ip -n $name link set lo up
done
ip netns exec isp sysctl -qw net.ipv4.ip_forward=1
link 203.0.113 server to-server 9 10
link 198.51.100 c1 to-c1 21 22
link 192.0.2 c2 to-c2 45 46
link 192.0.2 c3 to-c3 129 130

# The programs by their names; the two that are seen in the pictures with their known randomness.
for name in phantom-wg-device phantom-ghost phantom-multihop phantom-casper factory-reset; do
  ln -s "$programs/$name" /run/pictures/bin/
done
ln -s "$pictures" /run/pictures/bin/phantom-api
ln -s "$pictures" /run/pictures/bin/phantom-wg
export PATH=/run/pictures/bin:$PATH PHANTOM_PICTURES_PROGRAMS=/run/pictures/bin PS1='# ' HOME=/root

quiet phantom-api core setup server_ip=203.0.113.10 backend=embedded
for name in john-laptop john-phone office-desktop ayse-laptop tablet guest; do
  quiet phantom-api core add_client client_name=$name
done

# Clients as anybody has them, with a foreign WireGuard, from exactly what is exported.
connect() { # NAMESPACE CLIENT PORT
  phantom-api core export_client client_name="$2" | jq -r .data.config |
    sed -e '/^DNS/d' -e "s/^\[Interface\]/&\nListenPort = $3/" > "/run/$1.conf"
  chmod 600 "/run/$1.conf"
  quiet ip netns exec "$1" wg-quick up "/run/$1.conf"
  quiet ip netns exec "$1" ping -q -c "$4" -i 0.01 -s 1300 -w 60 10.8.0.1
}
connect c1 john-laptop 51820 400
connect c2 john-phone 40312 90
connect c3 office-desktop 51820 900

for lang in en tr; do
  "$pictures" $lang "$out"
  # Both languages show the same server.
  quiet phantom-api core remove_client client_name=my-phone-$lang
done
