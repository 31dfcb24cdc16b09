#!/bin/bash
# A newcomer on a server as delivered, who does exactly what the README says, and then what the manual says: the commands
# are taken out of the documents.
# The one stand-in is cargo: compiling takes hours on this machine (`from-source.sh` does it elsewhere), so that `cargo xtask TASK` runs what has been built.
. "$(dirname "$0")/lab.sh"

host_dump > /var/lib/lab/before
job=$PWD documents=$PWD
mkdir -p /usr/local/sbin
cat > /usr/local/sbin/cargo <<END
#!/bin/sh
[ "\$1" = xtask ] || { echo "cargo \$*: not here" >&2; exit 1; }
shift
exec $job/bin/xtask "\$@" --built $job/bin
END
chmod 755 /usr/local/sbin/cargo
cd "$HOME" || exit 1

# clear_away: the other words that the README has for it.
clear_away() {
  check "the README names the way back" grep -q '`cargo xtask uninstall`' "$job/README.md"
  check "cargo xtask uninstall" cargo xtask uninstall --purge
  umask 022
}

walk README.md "sh packages"
walk README.md sh
check "the configuration is one" grep -q '^\[Interface\]' john.conf
check "only root can read it" test "$(stat -c %a john.conf)" = 600
check "the server runs" holds "api core server_status | grep -q '\"running\":true'"
check "the host is as stored" holds "api core reconcile dry_run=true | grep -q '\"in_sync\":true'"
echo "SKIPPED: the README's block for Ghost Mode: this machine has no Internet and no domain"
clear_away
rm john.conf

# The manual begins with the programs on the machine and nothing set up; quickstart is how they come here, and says
# what address it has taken.
cargo xtask quickstart --no-proof > /var/lib/lab/log 2>&1 || cat /var/lib/lab/log
for page in install daily trouble backup; do
  walk docs/en/$page.md sh
done
check "all clients have a file" test "$(ls clients | wc -l)" = 5
check "the port is the new one" holds "api core server_status | grep -q '\"port\":51830'"

# The backup on a machine without anything.
api core export_client client_name=john-laptop | sed 's/"timestamp":"[^"]*"//' > /var/lib/lab/client
check "the server is taken off" cargo xtask uninstall --purge
check "nothing is stored" test ! -e /opt/phantom-wg
walk docs/en/backup.md "sh restore"
check "quickstart finds what is stored" cargo xtask quickstart --no-proof
walk docs/en/backup.md "sh restored"
check "the clients have kept their keys" \
  diff <(api core export_client client_name=john-laptop | sed 's/"timestamp":"[^"]*"//') /var/lib/lab/client
rm -r clients john-laptop.conf phantom-backup.tar.gz
clear_away
rm /usr/local/sbin/cargo
apt-get -qq purge -y jq libjq1 libonig5 > /dev/null 2>&1
rm -f /root/phantom-state.db # the manual's copy, which is the administrator's own
host_dump > /var/lib/lab/after
check "the host is as it was" diff -u /var/lib/lab/before /var/lib/lab/after
finish
