#!/bin/bash
# The lab's agent in a guest: waits for a job, whose files are the second disk, does it, leaves what it made on the third,
# and ends the machine. The job and its phase, one higher after each reboot that it asks for, lie in /var/lib/lab.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
state=/var/lib/lab
# A boot that does not end is for the job to see.
timeout 180 systemctl is-system-running --wait > /dev/null 2>&1
# Opened before udev has made it, it would be a file that nobody writes to.
until [ -c /dev/virtio-ports/lab ]; do sleep 0.05; done
exec 3<> /dev/virtio-ports/lab

if [ ! -e $state/phase ]; then
  sync
  echo lab-ready > /dev/ttyS0
  # The machine is frozen here and wakes with the host's line on the port.
  until read -r epoch seed job <&3 && [ -n "$job" ]; do sleep 0.05; done
  date -s "@$epoch" > /dev/null
  # RNDADDENTROPY with the host's 32 bytes, then RNDRESEEDCRNG: without them every run would make the same keys.
  perl -e 'open(my $random, ">", "/dev/urandom") or die;
    ioctl($random, 0x40085203, pack("iia32", 256, 32, pack("H*", shift))) or die;
    ioctl($random, 0x5207, 0) or die;' "$seed"
  blockdev --flushbufs /dev/vdb
  mkdir -p /job /out
  perl -e 'print pack("H*", shift)' "$job" > $state/job
  echo 0 > $state/phase
elif [ -e $state/again ]; then
  rm $state/again
  echo $(($(cat $state/phase) + 1)) > $state/phase
else
  echo "lab: the machine rebooted by itself" >&3
  status=125
fi
mount -t ext4 -o noatime /dev/vdb /job
chown -hR root:root /job # whoever made it there
sync

if [ -z "$status" ]; then
  export LAB_PHASE=$(cat $state/phase)
  # Through a pipe, so that a daemon that outlives the command does not hold the port.
  mkfifo /run/lab-pipe
  cat /run/lab-pipe >&3 &
  writer=$!
  cd /job && bash $state/job > /run/lab-pipe 2>&1 < /dev/null 3>&-
  status=$?
  [ ! -e $state/again ] || sleep 600 # the reboot ends this
  for ((wait = 0; wait < 20; wait++)); do kill -0 $writer 2> /dev/null || break; sleep 0.1; done
fi
[ "$status" = 0 ] || journalctl -b --no-pager -n 3000 > /out/journal.txt 2> /dev/null
echo "$status" > /lab-status
tar -cf /dev/vdc -C / lab-status out
sync
blockdev --flushbufs /dev/vdc
echo o > /proc/sysrq-trigger
sleep 600
