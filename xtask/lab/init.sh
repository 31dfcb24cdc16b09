#!/bin/busybox sh
# The first program of a guest: finds the disk and hands over to the system on it.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do $b insmod "$module"; done
tries=0
until [ -b /dev/vda ] || [ $tries = 200 ]; do $b sleep 0.05; tries=$((tries + 1)); done
$b mount -t ext4 -o rw,noatime /dev/vda /root || $b poweroff -f
$b mount --move /dev /root/dev
exec $b switch_root /root /sbin/init
