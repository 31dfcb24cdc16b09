#!/bin/bash
# The Debian package beside ufw, then the tarball by the words of its README. Runs once for each boot; the phase says
# which.
. "$(dirname "$0")/lab.sh"
. "$(dirname "$0")/packages.sh"

case $LAB_PHASE in
0)
  apt install --no-install-recommends jq wireguard-tools wireguard-go nftables procps ufw > /dev/null 2>&1
  check "on" holds "ufw allow 22/tcp; ufw --force enable"
  world
  host_dump > /var/lib/lab/before
  check "install" apt install ./packages/old.deb
  check "set up" holds "set_up; ufw status | grep -q '51820/udp.*ALLOW.*phantom-wg'"
  check "a client connects" client_up
  check "a connection through the server" talks
  upgrades
  lab-reboot
  ;;
1)
  world
  check "boot: nothing failed" soon "! systemctl --failed --no-legend | grep -E 'phantom|wg-quick' && systemctl is-active wg-quick@wg_main && $in_sync"
  check "boot: a client connects" client_up
  client_down
  check "remove" apt remove phantom-wg
  check "the rules of others alone are left" holds "gone && ufw status | grep -q '22/tcp' && ! ufw status | grep phantom-wg"
  check "purge" apt purge phantom-wg
  check "what came along goes" apt autoremove --purge
  host_dump > /var/lib/lab/after
  check "the host is as it was" diff -u /var/lib/lab/before /var/lib/lab/after

  # Its README's own words, first those of the way in and then those of the way out.
  mkdir /run/tarball && tar -xzf packages/*.tar.gz -C /run/tarball --strip-components=1
  sed -n '/^The way out/q; s/^    //p' /run/tarball/README.md > /run/in
  sed -n '/^The way out/,$ s/^    //p' /run/tarball/README.md > /run/out
  check "tarball: installed by its README" holds "cd /run/tarball; . /run/in"
  check "tarball: set up" holds "set_up; grep -q '^ExecStart=.*/usr/local/bin/phantom-api' /etc/systemd/system/phantom-boot.service"
  check "tarball: a client connects" client_up
  check "tarball: removed by its README" holds "cd /run/tarball; . /run/out; gone && ! test -e /opt/phantom-wg && ! ls /usr/local/bin | grep phantom"
  ;;
esac
finish
