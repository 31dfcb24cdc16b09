#!/bin/bash
# The lab's agent in a container: does the job in /lab/job, says what it says, and ends the container. The job's phase, one
# higher after each reboot that it asks for, is in /var/lib/lab.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
state=/var/lib/lab
exec 2>> /lab/agent.log
timeout 180 systemctl is-system-running --wait > /dev/null 2>&1
# A job may compare the host before and after: addresses that still change would differ.
for ((wait = 0; wait < 100; wait++)); do
  ip -4 -o addr show dev eth0 | grep -q 10.0.2.15 && ! ip -o addr show dev eth0 tentative | grep -q . && break
  sleep 0.05
done

if [ ! -e $state/phase ]; then
  echo 0 > $state/phase
elif [ -e $state/again ]; then
  rm $state/again
  echo $(($(cat $state/phase) + 1)) > $state/phase
else
  echo "lab: the container rebooted by itself" >> /lab/stream
  status=125
fi
if [ -z "$status" ]; then
  export LAB_PHASE=$(cat $state/phase) LAB_BACKEND=embedded
  # Through a pipe, so that a daemon that outlives the command does not hold the stream.
  mkfifo /run/lab-pipe
  cat /run/lab-pipe >> /lab/stream &
  writer=$!
  cd /job && bash /lab/job > /run/lab-pipe 2>&1 < /dev/null
  status=$?
  [ ! -e $state/again ] || sleep 600 # the reboot ends this
  for ((wait = 0; wait < 20; wait++)); do kill -0 $writer 2> /dev/null || break; sleep 0.1; done
fi
[ "$status" = 0 ] || journalctl -b --no-pager -n 3000 > /out/journal.txt
echo "$status" > /lab/status
systemctl -ff poweroff
