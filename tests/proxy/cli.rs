//! The command line: what is printed, what is refused, and with which exit code.

use crate::support::{eventually, ports, superuser, Client, Finished, Origin, Proxy, Refusing};

/// Runs with an ini file of this text.
fn with_file(arguments: &[&str], options: &[(&str, &str)], ini: &str) -> Finished {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("test.conf");
    std::fs::write(&file, ini).expect("an ini file");
    let mut all = vec!["-c", file.to_str().expect("a path of text")];
    all.extend_from_slice(arguments);
    Proxy::run(&all, options)
}

/// Options for a start that is expected to fail after its configuration was read.
fn starting<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut options = more.to_vec();
    if superuser() {
        options.push(("daemon.user", "root"));
    }
    options
}

#[test]
fn the_version_is_printed() {
    for arguments in [&["-v"][..], &["--version"], &["-v", "-h"]] {
        let run = Proxy::run(arguments, &[]);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout.trim(), concat!("exaproxy ", env!("EXAPROXY_VERSION")), "{arguments:?}");
    }
}

#[test]
fn the_help_fits_a_terminal_and_names_the_list_of_every_option() {
    for argument in ["-h", "--help"] {
        let run = Proxy::run(&[argument], &[]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for part in ["--help-options", "--check", "-c"] {
            assert!(run.stdout.contains(part), "{part} is missing: {}", run.stdout);
        }
        assert!(run.stdout.lines().count() <= 40, "{}", run.stdout);
    }
    let run = Proxy::run(&["--help-options"], &[]);
    for part in ["exaproxy.tcp4.port", "default (3128)", "exaproxy.http.header-size", "SIGHUP"] {
        assert!(run.stdout.contains(part), "{part} is missing: {}", run.stdout);
    }
}

#[test]
fn the_configuration_is_printed_as_ini_in_all_spellings() {
    for argument in ["-i", "-fi", "--ini"] {
        let run = with_file(&[argument], &[], "[tcp4]\nport = 4000\n");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.starts_with("\n[access]\n"), "{}", run.stdout);
        assert!(run.stdout.contains("\n[tcp4]\n") && run.stdout.contains("\nport = 4000\n"), "{}", run.stdout);
        assert!(!run.stdout.contains("[debug]") && !run.stdout.contains("[proxy]"), "{}", run.stdout);
    }
}

#[test]
fn the_configuration_is_printed_as_environment_in_all_spellings() {
    for argument in ["-e", "-fe", "--env"] {
        let run = with_file(&[argument], &[("tcp4.port", "4000")], "");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains("exaproxy.tcp4.port=4000\n"), "{}", run.stdout);
        assert!(run.stdout.contains("exaproxy.security.connect='443 981 7000'\n"), "{}", run.stdout);
    }
}

#[test]
fn only_differences_are_printed_when_asked() {
    for argument in ["-di", "--diff-ini", "-de", "--diff-env"] {
        let same = with_file(&[argument], &[], "");
        assert_eq!((same.code, same.stdout.trim()), (Some(0), ""), "{argument}: {}", same.stderr);
        let changed = with_file(&[argument], &[], "[tcp4]\nport = 4000\n");
        assert!(
            changed.stdout.contains("4000") && !changed.stdout.contains("backlog"),
            "{argument}: {}",
            changed.stdout
        );
    }
}

#[test]
fn what_is_printed_can_be_read_back() {
    let ini = "[http]\nextensions = REPORT LINK\nforward = X-Client\n[security]\ndeny = 10.0.0.0/8 2001:db8::/32\n\
               local = *:80 127.0.0.1:* [::1]:8080\nconnect = 443 7000-7010\n[daemon]\nidentifier = two words\n";
    let first = with_file(&["-i"], &[], ini);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = with_file(&["-i"], &[], &first.stdout);
    assert_eq!(first.stdout, second.stdout, "{}", second.stderr);
}

#[test]
fn sources_have_an_order() {
    let port = |run: Finished| {
        let line = run.stdout.lines().find_map(|line| line.strip_prefix("exaproxy.tcp4.port=").map(str::to_owned));
        line.unwrap_or_else(|| panic!("no port: {}{}", run.stdout, run.stderr))
    };
    let with = |variables: &[(&str, &str)], ini: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("test.conf");
        std::fs::write(&file, ini).expect("an ini file");
        let mut command = crate::support::proxy::command(&["-e", "-c"]);
        command.arg(&file).envs(variables.iter().copied());
        port(Proxy::finish(command))
    };
    let file = "[tcp4]\nport = 3\n[exaproxy.tcp4]\nport = 4\n";
    assert_eq!(with(&[("exaproxy.tcp4.port", "1"), ("exaproxy_tcp4_port", "2")], file), "1");
    assert_eq!(with(&[("exaproxy_tcp4_port", "2")], file), "2");
    assert_eq!(with(&[("EXAPROXY_TCP4_PORT", "2")], file), "3");
    assert_eq!(with(&[], "[exaproxy.tcp4]\nport = 4\n"), "4");
    assert_eq!(with(&[], ""), "3128");
}

#[test]
fn dashes_in_option_names_may_be_underscores() {
    for name in ["exaproxy.http.header-size", "exaproxy_http_header-size", "exaproxy_http_header_size"] {
        let mut command = crate::support::proxy::command(&["-de"]);
        command.env(name, "1234");
        let run = Proxy::finish(command);
        assert!(run.stdout.contains("http.header-size=1234"), "{name}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn wrong_values_are_one_line_and_exit_code_1() {
    let cases = [
        ("tcp4.port", "0"),
        ("tcp4.port", "70000"),
        ("tcp4.port", "http"),
        ("tcp4.host", "localhost"),
        ("tcp4.listen", "maybe"),
        ("log.level", "LOUD"),
        ("security.connect", "443 x"),
        ("security.local", "127.0.0.1"),
        ("security.deny", "10.0.0.0/33"),
        ("http.connections", "-1"),
        ("http.connections", "99999999999999999999"),
        ("redirector.protocol", "carrier-pigeon"),
        ("web.html", "/nonexistent/folder"),
        ("dns.resolver", "/nonexistent/resolv.conf"),
    ];
    for (key, value) in cases {
        let run = Proxy::run(&["--check"], &[(key, value)]);
        assert_eq!(run.code, Some(1), "{key}={value}: {}{}", run.stdout, run.stderr);
        assert_eq!(run.stderr.trim().lines().count(), 1, "{key}={value}: {}", run.stderr);
        for part in [key, value, "configuration issue, invalid value for"] {
            assert!(run.stderr.contains(part), "{key}={value} without {part:?}: {}", run.stderr);
        }
    }
}

#[test]
fn wrong_values_stop_every_command() {
    for argument in ["-i", "-e", "-di", "-de", "--check"] {
        let run = with_file(&[argument], &[], "[tcp4]\nport = none\n");
        assert_eq!(run.code, Some(1), "{argument}");
        assert!(run.stderr.contains("test.conf:2"), "{argument}: the place is not named: {}", run.stderr);
    }
}

#[test]
fn broken_files_are_one_line_and_exit_code_1() {
    for ini in ["port = 1\n", "[tcp4\nport = 1\n", "[tcp4]\nno value here\n", "[tcp4]\nport = %(nothing)s\n", "\u{0}\n"]
    {
        let run = with_file(&["--check"], &[], ini);
        assert_eq!((run.code, run.stderr.trim().lines().count()), (Some(1), 1), "{ini:?}: {}", run.stderr);
    }
    let missing = Proxy::run(&["--check", "-c", "/nonexistent/exaproxy.conf"], &[]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("/nonexistent/exaproxy.conf"), "{}", missing.stderr);
    let folder = Proxy::run(&["--check", "-c", "/"], &[]);
    assert_eq!(folder.code, Some(1), "{}", folder.stderr);
}

#[test]
fn check_says_that_all_is_well_or_names_an_unknown_option() {
    let good = with_file(&["--check"], &[], "[tcp4]\nport = 4000\n");
    assert_eq!((good.code, good.stdout.trim()), (Some(0), "configuration ok"), "{}", good.stderr);
    let unknown = with_file(&["--check"], &[], "[tcp4]\nprot = 4000\n");
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("prot") && unknown.stderr.contains("port"), "{}", unknown.stderr);
}

#[test]
fn check_and_start_tell_all_mistakes_at_once_each_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("a path of text").to_owned();
    let (script, list, shut) = (at("helper"), at("list"), at("no/such/folder/file"));
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("a script");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("our own file");
    std::fs::write(&list, "a..b\n").expect("a list");
    let user = if superuser() { "root" } else { "nobody" };
    let files = format!(
        "[daemon]\nuser = {user}\npidfile = {shut}\n[tcp4]\nhost = 192.0.2.250\nport = {}\n[web]\nhost = 192.0.2.251\n\
         port = {}\n[acl]\nblocklist = {list}\n[unix]\npath = {shut}\n",
        ports::next(),
        ports::next()
    );
    let account = format!("[log]\ndestination = {shut}\n[redirector]\nenable = yes\nprogram = {script}\n");
    let values = "[http]\npool = many\nidle-timeout = 5\n[tls]\nport = x\n";
    // Line by line what has to be told, as far as a start comes.
    let of_files = [":3)", ":5)", ":9)", ":11)", ":13)"];
    let (of_account, of_values) = ([":15)", ":18)"], [":2: expected", ":5: expected"]);
    let told = |arguments: &[&str], ini: &str, places: &[&str]| {
        let run = with_file(arguments, &[], ini);
        assert_eq!(run.code, Some(1), "{}", run.stdout);
        let lines: Vec<&str> = run.stderr.lines().filter(|line| line.contains("test.conf")).collect();
        assert!(places.iter().all(|place| lines.iter().any(|line| line.contains(place))), "{places:?}: {}", run.stderr);
        assert_eq!(lines.len(), places.len(), "{}", run.stderr);
    };
    told(&["--check"], &format!("{files}{account}"), &[&of_files[..], &of_account].concat());
    told(&[], &format!("{files}{account}"), &of_files);
    told(&[], values, &of_values);
    let below = format!("[daemon]\nuser = {user}\n[tcp4]\nport = {}\n[web]\nport = {}\n", ports::next(), ports::next());
    told(&[], &format!("{below}{account}"), &[":8)", ":11)"]);
    told(
        &["--check"],
        &format!("{values}{files}{account}"),
        &[":2: expected", ":5: expected", ":8)", ":10)", ":14)", ":16)", ":18)", ":20)", ":23)"],
    );
}

#[test]
fn words_that_are_no_option_are_refused() {
    for arguments in [&["--verison"][..], &["-x"], &["start"], &["-c"]] {
        let run = Proxy::run(arguments, &[]);
        assert_eq!((run.code, run.stderr.trim().lines().count()), (Some(1), 1), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn a_section_that_is_not_built_stops_the_start_with_a_line() {
    let helper = ("redirector.program", "/bin/cat");
    let run = Proxy::run(&[], &starting(&[("profile.enable", "true"), helper]));
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("profile.enable"), "{}", run.stderr);
    assert_eq!(run.stderr.trim().lines().count(), 1, "{}", run.stderr);
}

#[test]
fn an_address_that_cannot_be_listened_on_stops_the_start() {
    let taken = Refusing::new();
    let port = taken.address().port().to_string();
    let web = ports::next().to_string();
    let cases = [
        vec![("tcp4.port", port.as_str()), ("web.port", web.as_str())],
        vec![("tcp4.host", "192.0.2.250"), ("web.port", web.as_str())],
    ];
    for options in cases {
        let run = Proxy::run(&[], &starting(&options));
        assert_eq!(run.code, Some(1), "{options:?}: {}{}", run.stdout, run.stderr);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(text.contains(options[0].1) && text.contains("unable to listen"), "{options:?}: {text}");
    }
}

#[test]
fn a_web_address_that_cannot_be_had_stops_the_start() {
    let (proxy, web) = (ports::next().to_string(), ports::next().to_string());
    let options = [("tcp4.port", proxy.as_str()), ("web.port", &web), ("web.host", "192.0.2.250")];
    let run = Proxy::run(&[], &starting(&options));
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("web server unable to listen"), "{}", run.stderr);
}

#[test]
fn no_family_to_connect_with_stops_the_start() {
    let (port, web) = (ports::next().to_string(), ports::next().to_string());
    let options = [("tcp4.out", "false"), ("tcp6.out", "false"), ("tcp4.port", &port), ("web.port", &web)];
    let run = Proxy::run(&[], &starting(&options));
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    let text = format!("{}{}", run.stdout, run.stderr);
    assert!(text.contains("tcp4.out") || text.contains("tcp6.out"), "{text}");
}

/// The value of an option, as the monitor has it.
fn shown(proxy: &Proxy, option: &str) -> String {
    let mut monitor = Client::connect(proxy.web());
    monitor.send("GET /json/configuration HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let options: serde_json::Value = serde_json::from_str(&monitor.reply().text()).expect("JSON");
    options[format!("exaproxy.{option}")].to_string()
}

#[test]
fn switches_win_over_environment_and_file_at_a_reload_too() {
    let file = |connections: u32| format!("[http]\nconnections = {connections}\npool = {connections}\n");
    let proxy = Proxy::launch(&[("http.connections", "8")], &file(9), |mut command| {
        command.args(["--max-connections", "7"]);
        command
    });
    assert_eq!((shown(&proxy, "http.connections"), shown(&proxy, "http.pool")), ("7".into(), "9".into()));
    std::fs::write(proxy.file(), file(10)).expect("an ini file");
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    proxy.wait_log("configuration reloaded");
    assert_eq!((shown(&proxy, "http.connections"), shown(&proxy, "http.pool")), ("7".into(), "10".into()));
}

#[test]
fn a_folder_for_logs_is_made_and_its_files_are_rotated() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("deep/logs");
    let at = |name: &str| logs.join(name);
    let rotate = [("access.rotate", "200"), ("log.rotate", "200"), ("access.enable", "false")];
    let proxy = Proxy::launch(&rotate, "", |mut command| {
        command.current_dir(folder.path()).args(["--log-dir", "deep/logs"]);
        command
    });
    let origin = Origin::site();
    for _ in 0..6 {
        assert_eq!(proxy.client().get(&origin.url("/logged")).status(), 200);
    }
    eventually("old files", || at("access.log.1").exists().then_some(()));
    let line = std::fs::read_to_string(at("access.log.1")).expect("a file");
    assert!(line.contains("/logged HTTP/1.1\" 200 "), "{line}");
    eventually("messages", || at("exaproxy.log.1").exists().then_some(()));
    assert!(!proxy.log().contains("Starting exaproxy"), "{}", proxy.log());
}

#[test]
fn what_a_switch_does_not_take_is_told_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let below = format!("{}/logs", file.display());
    for (arguments, said) in [
        (&["--port", "0"][..], "tcp4.port : 0 (command line --port: expected a port between 1 and 65535)"),
        (&["--max-connections", "many"], "http.connections : many (command line --max-connections: expected a number"),
        (
            &["--blacklist", "/no/such/file"],
            "acl.blocklist : /no/such/file (command line --blacklist: expected existing",
        ),
        (&["--host", "no-such-host.invalid"], "--host \"no-such-host.invalid\": expected an address, or a name"),
        (&["--cache", "12q"], "cache.size : 12q (command line --cache: expected a number of bytes"),
        (&["--log-dir", &below], "--log-dir: "),
        (&["--blacklst", "x"], "unknown option \"--blacklst\", the nearest is --blacklist"),
    ] {
        let all = [arguments, &["--check"]].concat();
        let run = Proxy::run(&all, &[]);
        assert_eq!(run.code, Some(1), "{arguments:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let logs = format!("{}/deep/logs", folder.path().display());
    let run = Proxy::run(&["--check", "--log-dir", &logs, "--host", "localhost", "--cache"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!folder.path().join("deep").exists(), "a check makes nothing");
    assert!(!run.stderr.contains("--cache"), "{}", run.stderr);
}

#[test]
fn the_address_of_a_switch_is_the_only_one() {
    for (host, lines) in [
        ("127.0.0.2", ["listen = true", "host = '127.0.0.2'", "listen = false"]),
        ("::1", ["listen = false", "host = '::1'", "listen = true"]),
    ] {
        let run = with_file(&["--host", host, "-i"], &[("tcp6.listen", "true")], "");
        let section = |name: &str| run.stdout.split(&format!("[{name}]\n")).nth(1).unwrap_or_default().to_owned();
        let (four, six) = (section("tcp4"), section("tcp6"));
        let four = four.split("[tcp6]").next().unwrap_or_default();
        assert!(four.contains(lines[0]) && six.contains(lines[2]), "{host}: {}", run.stdout);
        assert!(four.contains(lines[1]) || six.contains(lines[1]), "{host}: {}", run.stdout);
    }
}
