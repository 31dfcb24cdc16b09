#!/bin/bash
# from-source.sh CHECKOUT DIR: the installation of the README on a bare Debian 12, from its first command to a client that
# connects, everything compiled: in a new root in DIR, in namespaces of its own. Run by `cargo xtask test --only source`, as
# root, on Debian 12 or 13.
# The new root sees no network: packages lie in its cache as on the bare virtual machine, crates and the toolchain are
# those of this machine. It has no systemd, as a container has none. Nothing is optimised, which would take three times as long and
# show nothing more.
set -euo pipefail
checkout=$1 dir=$2
here=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
root=$dir/root

# Everything below happens in this script once more, inside.
if [ "${3:-}" = inside ]; then
  set +eu
  documents=/root/phantom-wg
  . "$here/scenarios/lab.sh"
  export PATH=/root/.cargo/bin:$PATH HOME=/root CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never CARGO_TERM_QUIET=true
  export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
  export CARGO_TARGET_DIR=/root/phantom-wg/target
  ip link set lo up
  ip link add eth0 type veth peer name far
  ip link set far up
  ip addr add 192.0.2.10/24 dev eth0
  ip link set eth0 up
  ip route add default via 192.0.2.1
  cd "$documents"
  walk README.md "sh compiler"
  walk README.md "sh packages"
  walk README.md sh
  check "the server runs" holds "api core server_status | grep -q '\"running\":true'"
  check "it is the embedded one, or the kernel's" holds "api core server_status | grep -Eq '\"backend\":\"(embedded|kernel)\"'"
  check "the way back" cargo xtask uninstall --purge
  check "nothing is left" holds "! ip link show wg_main 2>&1 | grep -q mtu; ! test -e /opt/phantom-wg; ! command -v phantom-api"
  finish
fi

rm -rf --one-file-system "$dir"
mkdir -p "$dir/hooks"
# The packages that the installation may ask for, into the cache of the new root.
cat > "$dir/hooks/cache" <<'END'
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
rm -f "$1"/var/cache/apt/archives/*.deb
apt-get -qq -y --no-install-recommends --download-only install \
  wireguard-tools wireguard-go nftables iproute2 iputils-ping
apt-get -qq -y -o APT::Install-Recommends=true --download-only install gcc libc6-dev ca-certificates jq
END
mmdebstrap -q --variant=minbase --include=iproute2,procps \
  --skip=output/dev,cleanup/apt/lists,cleanup/apt/cache --aptopt='APT::Sandbox::User "root"' \
  --customize-hook="sh $dir/hooks/cache \"\$1\"" bookworm "$root"
: > "$root/etc/resolv.conf"
mkdir -p "$root"/root/{.cargo/registry,.rustup,phantom-wg} "$root/job"
git -C "$checkout" archive HEAD | tar -x -C "$root/root/phantom-wg"
cp -r "$here" "$root/job/lab"

cargo_home=${CARGO_HOME:-$HOME/.cargo} rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
export root cargo_home rustup_home
exec unshare --net --mount --propagation private --pid --fork --kill-child --uts --mount-proc bash -ec '
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs sys "$root/sys"
  mount -t tmpfs dev "$root/dev"
  for file in null zero random urandom tty; do touch "$root/dev/$file"; mount --bind /dev/$file "$root/dev/$file"; done
  ln -s /proc/self/fd "$root/dev/fd"
  mkdir -p "$root/dev/net" "$root/dev/shm" "$root/dev/pts" "$root/root/.cargo/bin"
  mount -t devpts -o newinstance,ptmxmode=666 pts "$root/dev/pts"; ln -s pts/ptmx "$root/dev/ptmx"
  touch "$root/dev/net/tun"; mount --bind /dev/net/tun "$root/dev/net/tun"
  mount -t tmpfs run "$root/run"; mkdir -p "$root/run/lock"
  # Read only, below what may be written to and is thrown away.
  mkdir -p "$root/run/cargo/upper" "$root/run/cargo/work"
  mount -t overlay crates -o "lowerdir=$cargo_home/registry,upperdir=$root/run/cargo/upper,workdir=$root/run/cargo/work" "$root/root/.cargo/registry"
  mount --bind -o ro "$cargo_home/bin" "$root/root/.cargo/bin"
  mount --bind -o ro "$rustup_home" "$root/root/.rustup"
  exec chroot "$root" bash /job/lab/from-source.sh /root/phantom-wg /job inside
'
