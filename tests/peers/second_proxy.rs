//! The command line of a proxy in Python, and the examples of its README, as they stand: its users type the same.

use crate::documents::{play, Script};
use crate::programs::have;
use crate::support::skip;

/// Starts a proxy that logs to files, and waits until it serves.
const LAUNCH: &str = r#"
chmod 755 "$tree"
mkdir config
printf '# what nobody needs\nexample.com   # a name\n*.tracker.com\n10.0.0.0/8\n' >config/blocked_domains.txt
launch() {
    finish
    echo "$1"
    (PIDFILE="$tree/pid"; export PIDFILE; eval "$1") >"$tree/log" 2>&1 &
    proxy=$!
    until curl -s -o "$tree/out" http://127.0.0.1:8080/health; do
        kill -0 "$proxy" 2>/dev/null || fail 'it has not started'
        sleep 0.05
    done
}
# A line, and what it has to print.
says() {
    echo "$1"
    eval "$1" >"$tree/out" 2>&1 </dev/null || fail "code $?"
    grep -qF "$2" "$tree/out" || fail "it does not say $2"
}
wait_for() {
    until grep -qF "$1" "$2"; do kill -0 "$proxy" || fail "no $1 in $2"; sleep 0.05; done
}
"#;

const CLOSED: &str = r#"
printf '# user:password\nadmin:secret123\n' >config/users.txt
chmod 644 config/users.txt
launch 'exaproxy --host 0.0.0.0 --port 8888 --blacklist config/blocked_domains.txt --auth-file config/users.txt --cache --log-dir logs'
says 'curl -v -x http://admin:secret123@127.0.0.1:8888 http://httpbin.org/get' 'origin of httpbin.org'
says 'curl -s -w %{http_code} -o /dev/null -x http://127.0.0.1:8888 http://httpbin.org/get' '407'
says 'curl -s -w %{http_code} -o /dev/null -x http://admin:wrong@127.0.0.1:8888 http://httpbin.org/get' '407'
"#;

const OPEN: &str = r#"
launch 'exaproxy --host 0.0.0.0 --port 8888 --blacklist config/blocked_domains.txt --cache --log-dir logs --max-connections 5000'
says 'curl -v -x http://127.0.0.1:8888 https://www.google.com' 'origin of www.google.com'
says 'curl -x http://127.0.0.1:8888 http://example.com' 'blocked: a list refuses it'
wait_for 'GET http://example.com/ HTTP/1.1" 403 ' logs/access.log
wait_for 'Starting exaproxy' logs/exaproxy.log
says 'curl -s http://127.0.0.1:8080/json/configuration' '"exaproxy.http.connections": 5000'
says 'curl -s http://127.0.0.1:8080/json/configuration' '"exaproxy.cache.enable": true'
"#;

#[test]
fn its_users_type_the_same() {
    if !have(&["unshare", "ip", "curl", "openssl", "/usr/bin/python3"]) {
        return;
    }
    let script = Script::of(format!("{LAUNCH}{OPEN}{CLOSED}"));
    match play(&script) {
        None => skip("a network of its own cannot be had"),
        Some((code, said)) => assert_eq!(code, Some(0), "{said}"),
    }
}
