#!/bin/bash
# container.sh WORK ROOT FILES: boots a copy of the folder ROOT as a Debian server with systemd, on this machine's kernel,
# with a copy of FILES as /job, and writes down what the job says. WORK has the job in `lab`; its result comes there too.
# Run by xtask in mount, process and network namespaces of its own, so that all of it ends with this script.
set -euo pipefail
work=$1 root=$2 files=$3

# The container's systemd needs a control group that it may divide; xtask has made them and removes them.
for group in /sys/fs/cgroup/{unified/,systemd/,}"${work##*/}"; do
  [ ! -d "$group" ] || echo 0 > "$group/cgroup.procs"
done

# What is written goes to memory. It stays over the reboots that the job asks for.
mount -t tmpfs -o mode=755 tmpfs "$work/written"
mkdir "$work"/written/{root,root.work,job,job.work}
overlay() { mount -t overlay overlay -o "lowerdir=$1,upperdir=$work/written/$2,workdir=$work/written/$2.work" "$work/$2"; }
overlay "$root" root
overlay "$files" job
chown root:root "$work/job"
mkdir -p "$work/root/job"
install -m 755 "$work/lab/agent" "$work/root/usr/local/lib/lab/agent"

# The gateway of the server's network, at each boot. It answers, and there is nothing behind it.
ip link set lo up
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
while sleep 0.05; do
  if ip link show gateway 2> /dev/null | grep -q 'state DOWN'; then
    ip addr replace 10.0.2.2/24 dev gateway && ip link set gateway up
  fi
done &

boot() {
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --directory="$work/root" \
    --machine=server --private-network --network-veth-extra=gateway:eth0 --capability=all --bind=/dev/net/tun \
    --bind="$work/job":/job --bind="$work/lab":/lab --bind="$work/out":/out \
    --console=pipe --kill-signal=SIGKILL --boot systemd.unit=multi-user.target < /dev/null
}
# nspawn ends with 133 when the container asks for a reboot. Twenty boots are more than any job wants.
for _ in {1..20}; do
  status=0
  boot || status=$?
  [ $status = 133 ] || break
done >> "$work/console" 2>&1 &
boots=$!
tail -q -s 0.05 -n +1 -f --pid=$boots "$work/lab/stream"
