//! Every command line of the README and of the documents, run as it stands: in a network and a tree of configuration of its
//! own, where `example.com` is an origin of the test. What is shown below a command has to be what it says. Knows no
//! option: the lines do.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::{find, have, run};
use crate::support::{skip, superuser};

/// Blocks that are not run, by the beginning of their first line, and lines within others. Each has to be there.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("README.md", "make test", "it would run this test within itself"),
    ("README.md", "make deb", "packaged.rs, contained.rs and installed.rs do what it says"),
    ("docs/configuration.md", "# a comment", "a file of options, which the tests of ini files read"),
    ("docs/configuration.md", "configuration issue", "a message"),
    ("docs/differences.md", "in : GET", "a request, not a command"),
    ("docs/operations.md", "ExaProxy 14806", "a line of a log"),
    ("docs/operations.md", "exaproxy --host", "second_proxy.rs runs it"),
    ("docs/operations.md", "goaccess", "it draws on a terminal; goaccess.rs reads the same forms to a file"),
    ("docs/redirectors.md", "HOST/PATH", "the form of a question"),
    ("docs/redirectors.md", "a.ok/p/q", "questions"),
    ("docs/redirectors.md", "http://a.ok:8080", "questions"),
    ("docs/redirectors.md", "> 41", "questions and replies"),
];

/// The examples of configurations, each with a document of its own.
const EXAMPLES: [&str; 2] = ["egress", "school"];

/// What a line of which more is known has to end with, and to say.
const SAYS: &[(&str, i32, &str)] = &[
    ("exaproxy --check-name www.games.example", 0, "is refused by /etc/exaproxy/games/domains:1"),
    ("curl -x http://127.0.0.1:3128 http://example.com/school", 0, "authentication"),
    ("curl -x http://anna:birch-lake-7@127.0.0.1:3128 http://example.com/school", 0, "origin of example.com"),
    ("curl -x http://anna:birch-lake-7@127.0.0.1:3128 -H 'Accept: text/html' http://ads", 0, "Not at school"),
    (
        "curl -x http://paul:stone-fern-4@127.0.0.1:3128 -H 'Accept: text/html' http://snake",
        0,
        "snake.games.example.org",
    ),
    ("curl -x http://paul:stone-fern-4@127.0.0.1:3128 http://chess", 0, "origin of chess.games.example.org"),
    ("curl -x http://paul:stone-fern-4@127.0.0.1:3128 'http://www.google.com/search", 0, "/search?q=cats&safe=active"),
    ("curl -x http://127.0.0.1:3128 http://example.com/", 0, "origin of example.com"),
    ("unshare --map-root-user --net curl --unix-socket", 0, "origin of example.com"),
    ("curl -x http://127.0.0.1:3128 https://example.com/", 0, "origin of example.com"),
    ("curl -x http://127.0.0.1:3128 -g 'http://[2001:db8::1]/'", 0, "origin of [2001:db8::1]"),
    ("exaproxy --check-name deb.debian.org", 0, "deb.debian.org:443 is allowed by /etc/exaproxy/allow:1"),
    ("exaproxy --check", 0, "configuration ok"),
    ("curl -x http://127.0.0.1:3128 http://example.org/", 0, "origin of example.org"),
    ("curl -s http://127.0.0.1:8080/json/running | grep lists.reported", 0, "\"lists.reported\": 1"),
    ("curl -x http://127.0.0.1:3128 -H 'Accept: application/json'", 0, "\"cause\":\"blocked\""),
    ("curl -x http://127.0.0.1:3128 http://www.example.com/", 0, "<html"),
    ("curl -x http://127.0.0.1:3128 https://www.example.com/", 56, "response 403"),
    ("curl -sS -x http://127.0.0.1:3128 https://other.example/", 56, "response 403"),
    ("curl -d token=$token", 0, "changed successfully"),
    ("curl http://127.0.0.1:8080/json/running", 0, "clients.requests"),
    ("./helper </dev/null", 0, "0\n"),
];

/// What has to run before each block of a document.
const BEFORE: &[(&str, &str)] = &[(
    "docs/monitor.md",
    "exaproxy_web_debug=true exaproxy_redirector_enable=true exaproxy_redirector_program=/usr/local/bin/no-example exaproxy",
)];

/// What answers for `example.com`, by HTTP and by HTTPS, and says which name it was asked for.
const ORIGIN: &str = r#"
import http.server, os, socket, ssl, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = ('origin of %s\n%s\n' % (self.headers['Host'], self.path)).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
plain, secret = Server(('::', 80), Handler), Server(('::', 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
secret.socket = context.wrap_socket(secret.socket, server_side=True)
threading.Thread(target=secret.serve_forever, daemon=True).start()
open(sys.argv[2], 'w').close()
plain.serve_forever()
"#;

/// The functions that the lines are run by. A proxy in the foreground runs on until another is started.
const PROLOGUE: &str = r#"
set -u
ip link set lo up && ip addr add 2001:db8::1/128 dev lo nodad || exit 99
mount --bind "$tree/etc" /etc && mount --bind "$tree/bin" /usr/local/bin || exit 99
export PATH="/usr/local/bin:$PATH" exaproxy_security_local='*:*' CURL_CA_BUNDLE="$tree/certificate"
cd "$tree/work" || exit 99
/usr/bin/python3 "$tree/origin.py" "$tree/certificate" "$tree/ready" &
origin=$!
finish() {
    [ -e "$tree/pid" ] && kill "$(cat "$tree/pid")" 2>/dev/null && wait "$proxy" 2>/dev/null
    rm -f "$tree/pid"
}
fail() {
    echo "FAILED: $1"
    cat "$tree/out" "$tree/log" 2>/dev/null
    finish
    kill $origin
    exit 1
}
until [ -e "$tree/ready" ]; do kill -0 $origin || fail 'no origin'; sleep 0.05; done
# Where a line stands, and the file that has it. It runs in this shell, for what it assigns.
play() {
    echo "$1"
    . "$tree/$2" >"$tree/out" 2>&1 </dev/null
    code=$?
}
start() {
    finish
    # What the last one has said must not pass for this one.
    : >"$tree/log"
    echo "$1"
    (PIDFILE="$tree/pid"; export PIDFILE; . "$tree/$2") >"$tree/log" 2>&1 &
    proxy=$!
    until grep -q 'Starting exaproxy' "$tree/log"; do
        kill -0 "$proxy" 2>/dev/null || fail 'it has not started'
        sleep 0.05
    done
}
"#;

/// A block of a document as it is indented or fenced.
struct Block {
    /// Where it begins.
    place: String,
    file: String,
    /// The word behind the fence; empty for indented blocks.
    language: String,
    /// The last line of text before it.
    before: String,
    lines: Vec<String>,
}

#[test]
fn b19_every_command_line_of_the_documents_does_what_it_says() {
    if !have(&["unshare", "ip", "curl", "openssl", "/usr/bin/python3"]) {
        return;
    }
    let mut left_out: Vec<_> = LEFT_OUT.iter().collect();
    for file in documents() {
        let blocks = blocks(&file);
        let script = script(&file, &blocks, &mut left_out);
        if script.text.is_empty() {
            continue;
        }
        match play(&script) {
            None => return skip("a network of its own cannot be had"),
            Some((code, said)) => assert_eq!(code, Some(0), "{file}:\n{said}"),
        }
    }
    assert!(left_out.is_empty(), "these are no longer there: {left_out:?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<String> {
    let folder = std::fs::read_dir(root().join("docs")).expect("a folder of documents");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name of text"));
    let mut names: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    names.push("README.md".to_owned());
    names.extend(EXAMPLES.map(|name| format!("conf/examples/{name}/README.md")));
    names.sort();
    names
}

fn blocks(file: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join(file)).expect("a document");
    let (mut blocks, mut open, mut before, mut blank) = (Vec::<Block>::new(), None::<&str>, "", true);
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        let inside = line.strip_prefix("    ");
        let block = |language: &str| Block {
            place: format!("{file}:{}", number + 1),
            file: file.to_owned(),
            language: language.to_owned(),
            before: before.to_owned(),
            lines: Vec::new(),
        };
        match (open, fence, inside) {
            (Some("fence"), Some(_), _) => open = None,
            (Some("fence"), None, _) => blocks.last_mut().expect("an open block").lines.push(line.to_owned()),
            (_, Some(language), _) => {
                blocks.push(block(if language.is_empty() { "text" } else { language }));
                open = Some("fence");
            }
            (Some(_), None, Some(line)) => blocks.last_mut().expect("an open block").lines.push(line.to_owned()),
            (Some(_), None, None) if line.is_empty() => {
                blocks.last_mut().expect("an open block").lines.push(String::new())
            }
            // An indented block does not interrupt a paragraph (CommonMark section 4.4).
            (None, None, Some(line)) if blank => {
                blocks.push(block(""));
                blocks.last_mut().expect("it was pushed").lines.push(line.to_owned());
                open = Some("indented");
            }
            _ => open = None,
        }
        blank = line.is_empty();
        if open.is_none() && !blank {
            before = line;
        }
    }
    blocks
}

/// What runs all lines of a document, one after the other.
fn script(file: &str, blocks: &[Block], left_out: &mut Vec<&(&str, &str, &str)>) -> Script {
    let mut script = Script::default();
    let before = BEFORE.iter().find(|(name, _)| *name == file).map(|(_, line)| *line);
    for block in blocks {
        let first = block.lines.first().map(String::as_str).unwrap_or_default();
        let mut skips = |line: &str| {
            let listed = LEFT_OUT.iter().any(|(name, start, _)| *name == block.file && line.starts_with(start));
            left_out.retain(|(name, start, _)| *name != block.file || !line.starts_with(start));
            listed
        };
        match block.language.as_str() {
            "sh" => script.save(block),
            "" if skips(first) => {}
            "" if first.starts_with("$ ") => script.transcript(block),
            "" => {
                if let Some(line) = before {
                    script.command(&block.place, line);
                }
                script.lines(block, skips);
            }
            _ => {}
        }
    }
    script
}

/// A shell script, and the files that it reads.
#[derive(Default)]
pub(crate) struct Script {
    text: String,
    files: Vec<(String, String)>,
}

impl Script {
    /// One that reads no files.
    pub(crate) fn of(text: String) -> Script {
        Script { text, ..Script::default() }
    }

    fn file(&mut self, content: &str) -> String {
        let name = format!("lines-{}", self.files.len());
        self.files.push((name.clone(), format!("{content}\n")));
        name
    }

    /// A program that the text before it tells to save.
    fn save(&mut self, block: &Block) {
        let path = block.before.split('`').find(|word| word.starts_with("/usr/local/bin/")).expect("where to save it");
        let name = path.rsplit('/').next().unwrap_or_default();
        self.files.push((format!("bin/{name}"), block.lines.join("\n") + "\n"));
    }

    fn lines(&mut self, block: &Block, mut skips: impl FnMut(&str) -> bool) {
        let mut unit = String::new();
        for line in block.lines.iter().filter(|line| !line.is_empty()) {
            if unit.is_empty() && skips(line) {
                continue;
            }
            unit = if unit.is_empty() { line.clone() } else { format!("{unit}\n{line}") };
            if is_whole(&unit) {
                self.command(&block.place, &std::mem::take(&mut unit));
            }
        }
        assert!(unit.is_empty(), "{}: no whole command: {unit}", block.place);
    }

    fn command(&mut self, place: &str, line: &str) {
        let file = self.file(line);
        if is_start(line) {
            let _ = writeln!(self.text, "\nstart '{place}' {file}");
            return;
        }
        let says = SAYS.iter().find(|(start, ..)| line.starts_with(start));
        let (code, text) = says.map_or((0, ""), |(_, code, text)| (*code, *text));
        let _ =
            writeln!(self.text, "play '{place}' {file}\n[ $code = {code} ] || fail \"code $code instead of {code}\"");
        if !text.is_empty() {
            let expected = self.file(text.trim_end());
            let _ =
                writeln!(self.text, "grep -qFf \"$tree/{expected}\" \"$tree/out\" || fail 'it says something else'");
        }
    }

    /// Lines with a prompt, and what each of them says.
    fn transcript(&mut self, block: &Block) {
        let lines = block.lines.join("\n");
        let steps = format!("\n{lines}");
        for step in steps.split("\n$").map(str::trim_start).filter(|step| !step.is_empty()) {
            let (line, said) = step.split_once('\n').unwrap_or((step, ""));
            let (file, expected) = (self.file(line), self.file(said));
            let same = format!("[ \"$(cat \"$tree/out\")\" = \"$(cat \"$tree/{expected}\")\" ]");
            let _ = writeln!(self.text, "play '{}' {file}\n{same} || fail 'it says something else'", block.place);
        }
    }
}

/// Does a shell take this for a whole command?
fn is_whole(text: &str) -> bool {
    run("sh", &["-n", "-c", text]).code == Some(0)
}

/// Does this line run a proxy until that is ended?
fn is_start(line: &str) -> bool {
    let words: Vec<&str> = line.split(" #").next().unwrap_or_default().split_whitespace().collect();
    let command: Vec<&str> = words.into_iter().skip_while(|word| word.contains('=')).collect();
    matches!(
        command.as_slice(),
        ["exaproxy"] | ["exaproxy", "-c", _] | ["exaproxy", "-d"] | ["cargo", "run", "--release"]
    )
}

/// Runs the script in namespaces of its own; None where these cannot be had.
pub(crate) fn play(script: &Script) -> Option<(Option<i32>, String)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree = folder.path();
    furnish(tree);
    for (name, text) in &script.files {
        write(&tree.join(name), text);
    }
    std::fs::copy(tree.join("bin/no-example"), tree.join("work/helper")).expect("a helper");
    let text = format!("tree='{}'\n{PROLOGUE}{}\nfinish\nkill $origin\necho ALL DONE\n", tree.display(), script.text);
    write(&tree.join("script"), &text);
    let mut words = vec!["-nm"];
    words.extend((!superuser()).then_some("-r"));
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "120"]).arg(find("unshare").expect("it was there a moment ago")).args(&words);
    if !superuser() {
        // There is no other account in a namespace of users.
        command.env("exaproxy_daemon_user", "root");
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let output = command.arg("sh").arg(tree.join("script")).stdin(Stdio::null()).output().expect("timeout runs it");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code();
    let refused = code == Some(99) || said.contains("unshare failed");
    assert!(refused || code != Some(0) || said.contains("ALL DONE"), "{said}");
    (!refused).then_some((code, said))
}

/// What the lines find on the machine: accounts, names, a configuration, programs, and an origin with a certificate.
fn furnish(tree: &Path) {
    for name in ["etc/exaproxy", "bin", "work"] {
        std::fs::create_dir_all(tree.join(name)).expect("a folder");
    }
    let conf = root().join("conf/exaproxy.conf");
    std::fs::copy(conf, tree.join("etc/exaproxy/exaproxy.conf")).expect("the sample of a configuration");
    for name in EXAMPLES {
        let (from, to) = (root().join("conf/examples").join(name), tree.join("work/conf/examples").join(name));
        copy_folder(&from, &to);
    }
    copy_folder(&root().join("helpers"), &tree.join("work/helpers"));
    write(&tree.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n");
    write(&tree.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n");
    write(
        &tree.join("etc/hosts"),
        "127.0.0.1 localhost example.com www.example.com example.org \
         httpbin.org www.google.com ads.example.org snake.games.example.org chess.games.example.org\n::1 localhost\n",
    );
    write(&tree.join("etc/resolv.conf"), "nameserver 127.0.0.1\n");
    write(&tree.join("origin.py"), ORIGIN);
    let program = env!("CARGO_BIN_EXE_exaproxy");
    let own = format!("#!/bin/sh\n[ -z \"${{PIDFILE-}}\" ] || echo $$ >\"$PIDFILE\"\nexec {program} \"$@\"\n");
    write(&tree.join("bin/exaproxy"), &own);
    // The program is built already; from a checkout it finds no helper folder of its own.
    write(&tree.join("bin/cargo"), "#!/bin/sh\nexec exaproxy\n");
    // The first of the redirectors' document, which that document brings itself.
    write(&tree.join("bin/no-example"), "#!/bin/sh\nwhile read -r line; do echo; done\n");
    let certificate = tree.join("certificate");
    let path = certificate.to_str().expect("a path of text");
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=example.com \
                   -addext subjectAltName=DNS:example.com,DNS:www.example.com,DNS:www.google.com";
    let mut words: Vec<&str> = request.split_whitespace().collect();
    words.extend(["-keyout", path, "-out", path]);
    let key = tree.join("key");
    let key_path = key.to_str().expect("a path of text");
    let at = words.iter().position(|word| *word == "-keyout").expect("it was just added");
    words[at + 1] = key_path;
    run("openssl", &words).content();
    let both = std::fs::read_to_string(&key).expect("a key") + &std::fs::read_to_string(&certificate).expect("one");
    write(&certificate, &both);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder of an example") {
        let path = entry.expect("an entry").path();
        let copy = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy_folder(&path, &copy),
            false => drop(std::fs::copy(&path, copy).expect("a file of an example")),
        }
    }
}

fn write(path: &PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file in the temporary folder");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
}
