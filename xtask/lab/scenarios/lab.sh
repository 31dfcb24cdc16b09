# What the scenarios share: one line for each thing that is shown, `ok NAME` or `FAIL NAME`.
# shellcheck shell=bash
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
failures=0
# The WireGuard that setup chooses here: the kernel's own in a virtual machine, the embedded device in a container.
backend=${LAB_BACKEND:-kernel}
export backend

# check NAME COMMAND...: runs a command; what it wrote is shown when it failed.
check() {
  local name=$1 log
  shift
  if log=$("$@" 2>&1); then
    echo "ok $name"
  else
    echo "FAIL $name"
    printf '%s\n' "$log" | tail -n 25 | sed 's/^/    /'
    failures=$((failures + 1))
  fi
}

# holds SCRIPT: a bash line that must succeed, each of its commands included.
holds() { bash -eo pipefail -c "$1"; }

# soon SCRIPT: a bash line that must succeed within a minute and a half: this machine is slow.
soon() {
  local end=$((SECONDS + 90))
  until bash -eo pipefail -c "$1" > /tmp/soon 2>&1; do
    [ $SECONDS -lt $end ] || { cat /tmp/soon; return 1; }
    sleep 0.2
  done
}

# api WORD...: phantom-api, its answer on one line.
api() { phantom-api --compact "$@"; }
export -f api

# wireguard NAME [NAMESPACE]: a WireGuard interface of somebody else's, in the kernel or, where that has none, by wireguard-go.
wireguard() {
  ip ${2:+-n "$2"} link add "$1" type wireguard 2> /dev/null || ${2:+ip netns exec "$2"} wireguard-go "$1" > /dev/null 2>&1
}
export -f wireguard

# carriers: waits until no link that is up lacks its carrier. The kernel reports a new carrier up to a second late.
carriers() {
  local tries=0
  while ip -o link | grep -q '<NO-CARRIER,[^>]*UP' && [ $((tries += 1)) -le 50 ]; do sleep 0.1; done
}

# host_dump: what a server must leave as it found it, in a stable form.
host_dump() {
  carriers
  echo "# links"; ip -o link | sed 's/^[0-9]*: //; s/@if[0-9]*:/:/; s/ \(qlen\|link.ether\|promiscuity\).*//'
  echo "# addresses"; ip -o addr | sed 's/^[0-9]*: //; s/ *valid_lft.*//; /inet6 fe80/d'
  echo "# rules"; ip rule; ip -6 rule
  echo "# routes"; ip route show table all | sort; ip -6 route show table main | grep -v '^fe80' | sort
  # The ufw and iptables programs leave empty tables behind that only look.
  echo "# nft"; nft -s list ruleset 2> /dev/null | sed '/^table .*{$/{N;/\n}$/d}'
  echo "# settings"; sysctl -n net.ipv4.ip_forward
  echo "# ufw"; grep -h '^### tuple' /etc/ufw/user*.rules 2> /dev/null
  echo "# units"; systemctl list-unit-files --no-legend --plain --no-pager | sort; systemctl --failed --no-legend --plain
  echo "# packages"; dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sort
  echo "# files"
  find /etc /opt /usr /root /home /srv /var/lib -xdev \
    \( -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /var/lib/lab -o -path /etc/ld.so.cache \
      -o -path '/etc/ufw/user*.rules' \) -prune \
    -o \( -type f -o -type l -o -type d \) -printf '%M %p %s %l\n' | sed 's/^\(d[^ ]* [^ ]*\) [0-9]*/\1/' | sort -k2
}

# exposed LIMIT UNIT...: how much units reach, as systemd judges it, is at most the limit, in tenths. All are told, also when
# it holds.
exposed() {
  local limit=$1 unit line score worse=0
  shift
  for unit; do
    line=$(systemd-analyze security --no-pager "$unit.service" | tail -n 1)
    score=$(sed -nE 's/.*: ([0-9]+\.[0-9]) .*/\1/p' <<< "$line")
    echo "$line"
    # What a check says itself is shown only when it fails.
    echo "reach of $unit: $score" >> "/proc/$$/fd/1"
    [ -n "$score" ] && [ "$((10#${score/./}))" -le "$limit" ] || worse=1
  done
  return $worse
}

# blocks FILE INFO: the commands of the fenced blocks of this kind in a document below $documents.
blocks() {
  awk -v info="$2" '/^```/ { open = !open; take = open && substr($0, 4) == info; next }
    take { sub(/ +#.*/, ""); if ($0 != "" && $0 !~ /^#/) print }' "$documents/$1"
}

# walk FILE INFO: does them one after the other, in this shell. Whatever the document did not tell is a failure: a status
# other than 0, a word on standard error, an answer without success.
walk() {
  local command status count=0
  while read -r command <&9; do
    count=$((count + 1))
    eval "$command" > /tmp/walk.out 2> /tmp/walk.err < /dev/null
    status=$?
    # What the package manager says of itself where nobody sits at a terminal.
    sed -i '/^debconf: /d' /tmp/walk.err
    if [ $status = 0 ] && [ ! -s /tmp/walk.err ] && ! grep -q '"success": *false' /tmp/walk.out; then
      echo "ok $1: $command"
    else
      echo "FAIL $1: $command (status $status)"
      cat /tmp/walk.err /tmp/walk.out | grep -v '[█▀▄]' | tail -n 25 | sed 's/^/    /'
      failures=$((failures + 1))
    fi
  done 9< <(blocks "$1" "$2")
  check "$1: there are commands" test $count -gt 0
}

finish() { exit $((failures > 0)); }
