#!/bin/sh
# Makes of the Containerfile what an engine would, an unpacked image, and runs it: as process 1 of its own, in a network of its
# own, on a root that cannot be written to, with what engines mount into it. Arguments: a folder to work in, the program.
#   unshare --mount --net --pid --fork sh tests/peers/container.sh FOLDER PROGRAM
set -eu
folder=$1 program=$2 file=$(dirname "$0")/../../Containerfile
root=$folder/root
ip link set lo up
mount -t proc proc /proc
mount -t tmpfs -o mode=755 none "$folder"
mkdir "$root"
mount --bind "$root" "$root"
fail() { echo "FAILED: $*"; cat "$folder/log" 2>/dev/null; exit 1; }

# The image.
grep -qx 'FROM scratch' "$file" || fail 'it is not made from nothing'
copied=$(sed -n 's/^COPY exaproxy //p' "$file")
[ "$(grep -cE '^(COPY|ADD|RUN) ' "$file")" = 1 ] && [ -n "$copied" ] || fail 'there is more in it than the program'
install -D -m 0755 "$program" "$root$copied"
user=$(sed -n 's/^USER //p' "$file")
entry=$(sed -n 's/^ENTRYPOINT \["\(.*\)"\]$/\1/p' "$file")
sed -n 's/^ENV //p' "$file" >"$folder/environment"

# What engines add: a kernel's view, devices, and the names of the network.
mkdir "$root/proc" "$root/dev" "$root/etc"
mount -t tmpfs none "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/1 "$root/dev/stdout"
echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
mount -o remount,bind,ro "$root"
! touch "$root/mark" 2>/dev/null || fail 'its root can be written to'

start() { # start USER NAME=VALUE...
    account=$1
    shift
    : >"$folder/log"
    # It is the first process of a namespace of its own, and sees no other.
    (
        while read -r line; do eval "export $line"; done <"$folder/environment"
        for line; do eval "export $line"; done
        unset PATH
        exec /usr/bin/unshare --pid --fork --kill-child --mount /bin/sh -c '/usr/bin/mount -t proc proc "$1/proc" &&
            exec /usr/sbin/chroot --userspec="$2" --groups= "$1" "$3"' sh "$root" "$account" "$entry"
    ) >"$folder/log" 2>&1 &
    outside=$!
    until grep -q 'Starting exaproxy' "$folder/log"; do
        kill -0 $outside 2>/dev/null || fail 'it has not started'
        sleep 0.05
    done
    inside=$(tr -d " " <"/proc/$outside/task/$outside/children")
    grep -q "^NSpid:.*[[:space:]]1$" "/proc/$inside/status" || fail 'it is not process 1'
    grep -q "^Uid:[[:space:]]*65534[[:space:]]" "/proc/$inside/status" || fail 'it has another account'
}
stop() { kill -TERM "$inside" && wait "$outside" || fail "it ended with $?"; }
code() { curl -sS -o /dev/null -w '%{http_code}' "$@"; }

# It serves by its addresses, says so on its standard output, and ends by TERM.
start "$user" exaproxy_access_enable=true exaproxy_access_destination=/dev/stdout
[ "$(code http://127.0.0.1:8080/health)" = 200 ] || fail 'it is not well'
[ "$(code -x http://127.0.0.1:3128 http://127.0.0.1/)" = 403 ] || fail 'it does not serve'
until grep -q '"GET http://127.0.0.1/ HTTP/1.1" 403' "$folder/log"; do kill -0 "$outside" || fail 'no line'; sleep 0.05; done
stop
grep -q 'SIGTERM received' "$folder/log" || fail 'it has not said why it ended'

# With a network of strangers it serves none of them.
ip addr add 198.51.100.1/24 dev lo
start "$user"
[ "$(code -x http://198.51.100.1:3128 http://198.51.100.1/)" = 403 ] || fail 'it serves'
curl -sS -x http://198.51.100.1:3128 http://198.51.100.1/ | grep -q 'may not use' || fail 'not for who asks'
stop

# As root it becomes what no list of accounts knows, by its name or number.
start 0:0
stop
start 0:0 exaproxy_daemon_user=65534
stop

# It loads no library of the system, which would be for another C library, whatever nsswitch.conf says.
mount -o remount,bind,rw "$root"
printf 'passwd: files systemd\nhosts: files myhostname\n' >"$root/etc/nsswitch.conf"
looked_up() { # looked_up SAID FILE WORD...: it ends with a mistake, after it has looked into the file and no other
    said=$1 where=$2
    shift 2
    ! strace -f -o "$folder/trace" chroot "$root" "$entry" "$@" >"$folder/log" 2>&1 || fail "no mistake: $*"
    grep -q "$said" "$folder/log" || fail "another mistake: $*"
    sed -i "1,/execve(\"\\$entry\"/d" "$folder/trace"
    grep -q "open.*$where" "$folder/trace" || fail "it has not looked into $where"
    ! grep -E 'open.*(libnss|ld\.so)' "$folder/trace" || fail 'it looks for libraries'
}
looked_up 'an address, or a name of one' /etc/hosts --host nosuch.example
export exaproxy_daemon_user=nosuch
looked_up 'user nosuch is not found' /etc/passwd
echo ALL DONE
