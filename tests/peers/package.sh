#!/bin/sh
# Installs, starts, upgrades and removes the Debian package, as dpkg does it, on a copy of this machine that is laid over it
# and in a network of its own. Arguments: a folder to work in, the package, and the same of a later version.
#   unshare --mount --net --pid --fork sh tests/peers/package.sh FOLDER OLD.deb NEW.deb
set -eu
folder=$1 old=$2 new=$3
root=$folder/root
ip link set lo up
mount -t tmpfs -o mode=755 none "$folder"
mkdir "$folder/upper" "$folder/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root" || exit 99
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs none "$root/run"
rm -f "$root/var/lib/man-db/auto-update"    # no index of all pages of the manual for this
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

inside() { chroot "$root" "$@"; }
fail() { echo "FAILED: $*"; cat "$folder/log" 2>/dev/null; exit 1; }
has() { [ -e "$root$1" ] || fail "$1 is missing"; }

# Starts the program as the unit says: its command, its environment, its account.
start() {
    program=$(sed -n 's/^ExecStart=//p' "$unit")
    : >"$folder/log"
    # shellcheck disable=SC2046
    chroot "$root" setpriv --reuid=exaproxy --regid=exaproxy --clear-groups --no-new-privs \
        env $(sed -n 's/^Environment=//p' "$unit") exaproxy_access_enable=true \
        exaproxy_access_destination=/var/log/exaproxy/access.log "$program" >"$folder/log" 2>&1 &
    proxy=$!
    until grep -q 'Starting exaproxy' "$folder/log"; do
        kill -0 $proxy 2>/dev/null || fail 'it has not started'
        sleep 0.05
    done
}
stop() { kill "$proxy" && wait "$proxy" || fail "it ended with $?"; }
asked() { curl -sS -o /dev/null -w '%{http_code}' -x http://127.0.0.1:3128 http://127.0.0.1/; }

cp "$old" "$root/old.deb"
cp "$new" "$root/new.deb"
inside dpkg -i /old.deb
for file in /usr/sbin/exaproxy /lib/systemd/system/exaproxy.service /lib/systemd/system/exaproxy.socket /etc/logrotate.d/exaproxy /etc/exaproxy/html/deny.html \
    /etc/exaproxy/redirector/url-allow /usr/share/man/man8/exaproxy.8.gz /usr/share/man/man5/exaproxy.conf.5.gz \
    /usr/share/bash-completion/completions/exaproxy /usr/share/zsh/vendor-completions/_exaproxy; do has $file; done
inside getent passwd exaproxy || fail 'there is no account'
inside exaproxy --check
unit=$root/lib/systemd/system/exaproxy.service
grep -qx User=exaproxy "$unit" && ! grep -q DynamicUser "$unit" || fail 'the unit has another account'
grep -q '    su exaproxy exaproxy' "$root/etc/logrotate.d/exaproxy" || fail 'root would work in a folder of another'

# What an administrator changes is obeyed, and stays.
printf '[web]\nport = 8081\nhtml = /etc/exaproxy/html\n' >"$root/etc/exaproxy/exaproxy.conf"
echo 'No page for you.' >"$root/etc/exaproxy/html/noconnect.html"
inside install -d -o exaproxy -g exaproxy /var/log/exaproxy
start
[ "$(curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:8081/health)" = 200 ] || fail 'its file is not read'
[ "$(asked)" = 403 ] || fail 'it does not serve'
curl -sS -x http://127.0.0.1:3128 -H 'Accept: text/html' http://127.0.0.1/ | grep -q 'No page for you' || fail 'not the page'

# The logs are put aside, and opened anew.
inside logrotate -f /etc/logrotate.d/exaproxy
has /var/log/exaproxy/access.log.1
kill -HUP "$proxy"
until [ -e "$root/var/log/exaproxy/access.log" ]; do kill -0 "$proxy" || fail 'it has ended'; sleep 0.05; done

# The program of a process that runs is replaced below it.
inside dpkg -i /new.deb
grep -q 8081 "$root/etc/exaproxy/exaproxy.conf" && grep -q 'for you' "$root/etc/exaproxy/html/noconnect.html" || fail 'not kept'
[ "$(asked)" = 403 ] || fail 'it does not serve any more'
stop
start
[ "$(asked)" = 403 ] || fail 'the new one does not serve'
stop

inside dpkg -r exaproxy
[ ! -e "$root/usr/sbin/exaproxy" ] || fail 'the program has stayed'
grep -q 8081 "$root/etc/exaproxy/exaproxy.conf" || fail 'the configuration has gone'
inside dpkg -P exaproxy
rm -r "$root/var/log/exaproxy"
# What was taken away is a character device in the upper layer.
left=$(cd "$folder/upper" && find . \( -type f -o -type l \) -path '*exaproxy*')
[ -z "$left" ] || fail "left behind: $left"
echo ALL DONE
