//! The folder of a category of squidGuard, read by the proxy itself, with squidGuard's own word for each verdict.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::programs::{find, have, run};
use crate::support::Proxy;

const DOMAINS: &str = "bad.example\nwww.only.example\n192.0.2.9\nUpper.Example\n";

const URLS: &str = "plain.example/secret\nfoo.example/a/b.html\nwww.kept.example/p\nport.example:8080/q\n\
    Case.example/CaSe\nq.example/s?id=1\ntrail.example/dir/\nbare.example\n";

const RULES: &str = "dbhome FOLDER\nlogdir FOLDER\ndest own {\n domainlist own/domains\n urllist own/urls\n}\n\
    acl { default { pass !own all\n redirect http://block.example/ } }\n";

/// What is asked for; 20 of them are refused.
const ASKED: &str =
    "bad.example/ www.bad.example/x notbad.example/ only.example/ www.only.example/ a.www.only.example/ \
    192.0.2.9/ 192.0.2.10/ upper.example/ plain.example/ plain.example/secret plain.example/secretary \
    plain.example/Secret/x?y www.plain.example/secret www2.plain.example/secret sub.plain.example/secret \
    plain.example:81/secret plain.example/%73ecret plain.example//secret foo.example/a/b.html foo.example/a/b \
    kept.example/p www.kept.example/p port.example/q case.example/case q.example/s?id=12 q.example/s?id=2 \
    trail.example/dir trail.example/dir/x a.bare.example/x";

/// What squidGuard says of the folder `own`, in lines of URL and verdict.
fn theirs(folder: &Path) -> String {
    let file = folder.join("conf").display().to_string();
    std::fs::write(&file, RULES.replace("FOLDER", &folder.display().to_string())).expect("a file");
    run("squidGuard", &["-c", &file, "-C", "all"]).content();
    let mut command = Command::new(find("squidGuard").expect("it was there a moment ago"));
    let command = command.args(["-c", &file]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("squidGuard");
    let mut questions = child.stdin.take().expect("a pipe");
    for url in ASKED.split(' ') {
        writeln!(questions, "http://{url} 127.0.0.1/- - GET").expect("a question");
    }
    drop(questions);
    let said = child.wait_with_output().expect("an end").stdout;
    let said = String::from_utf8_lossy(&said);
    ASKED.split(' ').zip(said.lines()).map(|(url, line)| format!("{url} {}\n", line.starts_with("OK"))).collect()
}

#[test]
fn a_folder_of_squidguard_is_read_as_squidguard_reads_it() {
    if !have(&["squidGuard"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = folder.path().join("own");
    std::fs::create_dir(&own).expect("a folder");
    for (name, text) in [("domains", DOMAINS), ("urls", URLS)] {
        std::fs::write(own.join(name), text).expect("a file of the folder");
    }
    let proxy = Proxy::start(&[("acl.blocklist", &own.display().to_string()), ("dns.hosts", "/dev/null")]);
    let ours = |url: &str| {
        let reply = proxy.client().get(&format!("http://{url}"));
        let blocked = reply.value("Proxy-Status").is_some_and(|value| value.contains("\"blocked: "));
        format!("{url} {blocked}\n")
    };
    let (ours, theirs) = (ASKED.split(' ').map(ours).collect::<String>(), theirs(folder.path()));
    assert_eq!(ours, theirs);
    assert_eq!(theirs.matches(" true\n").count(), 20, "{theirs}");
}
