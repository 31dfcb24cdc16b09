#!/bin/bash
# build.sh SUITE DIR TOOLS MIRROR [SECURITY]: makes in DIR the root file systems of a small Debian server, with and without
# TOOLS (packages), as disks for virtual machines and as folders for containers, and a kernel and an initrd that start the
# disks, from these mirrors. Run by `cargo xtask lab build`, as root, on Debian 12 or 13.
set -euo pipefail
suite=$1 dir=$2 tools=$3 mirror=$4 security=${5:-}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /var/tmp/phantom-wg-build.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"
root=$work/root
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

# What a Debian server comes with, and not more.
base=systemd-sysv,dbus,udev,kmod,iproute2,iputils-ping,procps,ca-certificates,netbase,less

key='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
cat > "$work/sources" <<END
deb $key $mirror $suite main
deb $key $mirror $suite-updates main
${security:+deb $key $security $suite-security main}
END

# Runs with the new system's apt: the kernel's package as a file, and the tools' packages into the cache of the new system,
# where its own apt-get finds them without a network.
cat > "$work/hook" <<END
set -eu
export APT_CONFIG="\$MMDEBSTRAP_APT_CONFIG"
rm -f "\$1"/var/cache/apt/archives/*.deb
image=\$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print \$2; exit }')
cd "$work/kernel"
apt-get -qq download "\$image"
apt-get -qq -y --no-install-recommends --download-only install $tools
END
mkdir "$work/kernel"
chmod 777 "$work/kernel"
mmdebstrap -q --variant=minbase --include="$base" \
  --skip=output/dev,cleanup/apt/lists,cleanup/apt/cache \
  --aptopt='APT::Sandbox::User "root"' --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="sh $work/hook \"\$1\"" "$suite" "$root" "$work/sources"

# The kernel's modules without its package: nothing in the guest is to build an initrd.
dpkg-deb -x "$work"/kernel/*.deb "$work/unpacked"
modules=$(find "$work/unpacked" -path '*/lib/modules/*' -prune)
version=${modules##*/}
mkdir -p "$root/usr/lib/modules"
cp -a "$modules" "$root/usr/lib/modules/"
chroot "$root" depmod "$version"
cp "$work/unpacked/boot/vmlinuz-$version" "$dir/vmlinuz"

# A server with one card and a fixed address, networkd in charge of it.
echo server > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 server\n::1 localhost\n' > "$root/etc/hosts"
echo 'nameserver 10.0.2.3' > "$root/etc/resolv.conf"
echo '/dev/vda / ext4 rw,noatime 0 0' > "$root/etc/fstab"
: > "$root/etc/machine-id"
cat > "$root/etc/systemd/network/10-card.network" <<'END'
[Match]
Name=e*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
END

# The agent does the jobs. Nothing else starts by the clock, which jumps when a frozen machine wakes.
install -D -m 755 "$here/agent.sh" "$root/usr/local/lib/lab/agent"
mkdir -p "$root/var/lib/lab"
cat > "$root/usr/local/bin/lab-reboot" <<'END'
#!/bin/sh
# Reboots; the job's command runs again afterwards, with LAB_PHASE one higher.
touch /var/lib/lab/again
sync
systemctl reboot
exec sleep 600
END
chmod 755 "$root/usr/local/bin/lab-reboot"
cat > "$root/etc/systemd/system/lab-agent.service" <<'END'
[Unit]
Description=Does the jobs of the lab
After=network.target
[Service]
Type=exec
ExecStart=/usr/local/lib/lab/agent
TimeoutStopSec=2
[Install]
WantedBy=multi-user.target
END
chroot "$root" systemctl -q enable lab-agent systemd-networkd
chroot "$root" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  fstrim.timer systemd-networkd-wait-online.service
chroot "$root" passwd -q -d root
# What finds nothing here, and would look for it again at every reload of systemd: half of a reload's time.
mkdir -p "$root/etc/systemd/system-generators"
for generator in cryptsetup debug gpt-auto hibernate-resume integritysetup rc-local run system-update veritysetup; do
  ln -s /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done

# Of the mirror's lists, what is installed or can be without a network: apt reads all of them each time.
(
  dpkg-query --root="$root" -W -f '${Package}\n'
  cd "$root/var/cache/apt/archives"
  for deb in *.deb; do echo "${deb%%_*}"; done
) > "$work/names"
for list in "$root"/var/lib/apt/lists/*_Packages; do
  awk -v names="$work/names" 'BEGIN { while ((getline name < names) > 0) kept["Package: " name]; RS = ""; ORS = "\n\n"; FS = "\n" }
    $1 in kept' "$list" > "$work/list"
  cat "$work/list" > "$list"
done
chroot "$root" apt-cache -q gencaches

disk() {
  truncate -s 4G "$work/$1"
  mke2fs -qF -t ext4 -O ^has_journal -m 0 -d "$root" "$work/$1"
  zstd -q -3 -T0 "$work/$1" -o "$dir/$1.pristine"
  rm "$work/$1"
  # Containers run on this machine's kernel, which loads no modules of another.
  mkdir "$dir/$1.root"
  tar -c -C "$root" --exclude=./usr/lib/modules . | tar -x -p -C "$dir/$1.root"
}
disk bare
# Installed services wait for an administrator, as in the bare image.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
# shellcheck disable=SC2086  # a list of packages
chroot "$root" apt-get -qq -y --no-install-recommends install $tools > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
rm "$root/usr/sbin/policy-rc.d"
disk full

# An initrd that loads the drivers of the disk and goes on from it.
initrd=$work/initrd
mkdir -p "$initrd"/{bin,modules,dev,root}
cp "$(command -v busybox)" "$initrd/bin/busybox"
number=10
for module in virtio_pci virtio_blk; do
  chroot "$root" modprobe -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
  case $file in
    *.xz) xz -dc "$root$file" ;;
    *.zst) zstd -qdc "$root$file" ;;
    *) cat "$root$file" ;;
  esac > "$initrd/modules/$number.ko"
  number=$((number + 1))
done
install -m 755 "$here/init.sh" "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc 2> /dev/null | gzip -1) > "$dir/initrd"
echo "Debian $suite, kernel $version"
