//! Tests of reading a whole configuration: precedence, names, errors, and that what is printed reads back as the same.

use super::place::tests::Shelf;
use super::*;

const FILE_PATH: &str = "/etc/exaproxy/exaproxy.conf";

fn sources(environment: &[(&str, &str)]) -> Sources {
    let pairs = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Sources { environment: pairs.collect(), here: "/run".into(), ..Sources::default() }
}

fn read(environment: &[(&str, &str)], file: &str) -> Result<Loaded, String> {
    let shelf = Shelf::default().with(FILE_PATH, file).with("/bin/helper", "#!");
    load(&sources(environment), &shelf).map_err(|error| error.to_string())
}

fn text(loaded: &Loaded, name: &str) -> String {
    let value = loaded.values.iter().find(|value| value.entry.name() == name);
    value.map(|value| value.text.clone()).unwrap_or_default()
}

#[test]
fn sources_count_in_the_order_of_the_original() {
    let both = "[exaproxy.http]\nidle-connect=5\npool=5\n[http]\nidle-connect = 4\n";
    for (environment, file, expected) in [
        (&[("exaproxy.http.idle-connect", "1"), ("exaproxy_http_idle-connect", "2")][..], both, "1"),
        (&[("exaproxy.http.idle_connect", "1"), ("exaproxy_http_idle-connect", "2")], both, "1"),
        (&[("exaproxy_http_idle-connect", "2"), ("exaproxy_http_idle_connect", "3")], both, "2"),
        (&[("exaproxy_http_idle_connect", "3")], both, "3"),
        (&[("EXAPROXY_HTTP_IDLE_CONNECT", "3")], both, "4"),
        (&[], both, "4"),
        (&[], "[http]\nidle_connect=6\n", "6"),
        (&[], "[exaproxy.http]\nidle-connect=5\n[http]\npool=0", "5"),
        (&[], "", "300"),
    ] {
        let loaded = read(environment, file).expect("a sound configuration");
        assert_eq!(text(&loaded, "http.idle-connect"), expected, "{environment:?} {file}");
    }
}

#[test]
fn the_older_name_is_weaker_within_one_source_only() {
    for (environment, file, expected) in [
        (&[("exaproxy_http_allow-connect", "no")][..], "[http]\nconnect=yes", "false"),
        (&[("exaproxy_http_connect", "yes"), ("exaproxy.http.allow-connect", "no")], "", "true"),
        (&[], "[http]\nallow-connect=no", "false"),
    ] {
        assert_eq!(text(&read(environment, file).expect("a sound configuration"), "http.connect"), expected);
    }
}

#[test]
fn the_first_existing_file_is_read_and_a_named_one_has_to_exist() {
    let shelf = Shelf::default()
        .with("/opt/x/etc/exaproxy/exaproxy.conf", "[web]\nport=1")
        .with(FILE_PATH, "[web]\nport=2")
        .with("/run/mine.conf", "[web]\nport=3");
    let port = |sources: &Sources| load(sources, &shelf).map(|loaded| (loaded.config.web.port, loaded.file));
    let mut sources = sources(&[]);
    assert_eq!(port(&sources), Ok((2, Some(FILE_PATH.into()))));
    sources.program = Some("/opt/x/bin/exaproxy".into());
    assert_eq!(port(&sources).map(|(port, _)| port), Ok(1));
    sources.file = Some("mine.conf".into());
    assert_eq!(port(&sources), Ok((3, Some("/run/mine.conf".into()))));
    sources.file = Some("none.conf".into());
    let error = port(&sources).map_err(|error| error.to_string());
    assert!(error.is_err_and(|text| text.starts_with("configuration issue, /run/none.conf cannot be read : ")));
}

#[test]
fn mistakes_name_place_option_value_and_what_was_expected() {
    for (environment, file, expected) in [
        (
            &[("exaproxy_tcp4_port", "0")][..],
            "",
            "invalid value for tcp4.port : 0 (environment exaproxy_tcp4_port: expected a port between 1 and 65535)",
        ),
        (
            &[],
            "[http]\n\nmask = maybe",
            "invalid value for http.mask : maybe (/etc/exaproxy/exaproxy.conf:3: expected true or false (also yes no, \
             on off, enable disable, 1 0))",
        ),
        (&[], "[log]\nlevel=%(x)s", "/etc/exaproxy/exaproxy.conf:2 : %(x)s names no option of its section"),
        (
            &[("exaproxy.web.html", "/no/where")],
            "",
            "invalid value for web.html : /no/where (environment exaproxy.web.html: expected an existing folder)",
        ),
        (
            &[("exaproxy_tcp4_out", "no")],
            "[tcp6]\nout=no",
            "invalid value for tcp4.out : no (environment exaproxy_tcp4_out: expected true for tcp4.out or tcp6.out, \
             else no server can be reached)",
        ),
        (
            &[("exaproxy_web_port", "3128")],
            "",
            "invalid value for web.port : 3128 (environment exaproxy_web_port: expected another address than \
             127.0.0.1:3128, on which tcp4.host listens already)",
        ),
        (
            &[("exaproxy_intercept_enable", "yes")],
            "[intercept]\nport=3128",
            "invalid value for intercept.host : 127.0.0.1 (default: expected another address than 127.0.0.1:3128, on which \
             tcp4.host listens already)",
        ),
        (
            &[("exaproxy_intercept_spoof", "yes")],
            "",
            "invalid value for intercept.spoof : yes (environment exaproxy_intercept_spoof: expected false, or \
             intercept.mode=tproxy beside it: what comes back must find its way here)",
        ),
        (
            &[("exaproxy_intercept_host_check", "ignore")],
            "[intercept]\nenable=1\n[acl]\ndefault=deny\nallowlist=/bin/helper",
            "invalid value for intercept.host-check : ignore (environment exaproxy_intercept_host_check: expected log or refuse \
             beside acl.default=deny, else whoever says an allowed name may go anywhere)",
        ),
    ] {
        let found = read(environment, file).map(|loaded| loaded.config);
        assert_eq!(found, Err(format!("configuration issue, {expected}")));
    }
}

#[test]
fn a_value_that_could_not_be_read_back_is_refused_in_the_environment_too() {
    for (length, fits) in [(65_534, true), (65_535, false)] {
        let text = "x".repeat(length);
        let read = read(&[("exaproxy.http.extensions", &text)], "");
        assert_eq!(read.is_ok(), fits, "{length}");
    }
}

#[test]
fn unknown_names_are_reported_with_the_nearest_option() {
    let environment =
        [("exaproxy_tcp4_prot", "1"), ("exaproxy.colour", "red"), ("EXAPROXY_TCP4_PORT", "1"), ("EXAPROXY_HOME", "/")];
    let file = "[htpp]\npool=1\n[http]\nheadersize=1\n[exaproxy.http]\nbase=1\nvia=%(base)s\n";
    let loaded = read(&environment, file).expect("a sound configuration");
    let expected = [
        "unknown option tcp4.port (environment EXAPROXY_TCP4_PORT: names are written in small letters)",
        "unknown option colour (environment exaproxy.colour)",
        "unknown option tcp4.prot (environment exaproxy_tcp4_prot: the nearest is tcp4.port)",
        "unknown section [htpp] (/etc/exaproxy/exaproxy.conf:1: the nearest is http)",
        "unknown option http.headersize (/etc/exaproxy/exaproxy.conf:4: the nearest is http.header-size)",
    ];
    assert_eq!(loaded.warnings, expected.map(|line| format!("configuration issue, {line}")));
    let many: String = (0..1000).map(|number| format!("\nx{number}=1")).collect();
    let loaded = read(&[], &format!("[http]{many}")).expect("a sound configuration");
    assert_eq!(loaded.warnings.last().map(String::as_str), Some("configuration issue, 980 more unknown names"));
}

#[test]
fn a8_rules_under_unknown_names_and_parts_that_do_not_exist_are_refused() {
    let file = |text: &str| read(&[], text);
    let variable = |name: &str, value: &str| read(&[(name, value)], "");
    let pass = ": what it is to forbid would pass";
    for (loaded, expected) in [
        (variable("exaproxy_acl_bloklist", "/x"), format!("unknown option acl.bloklist {pass} (environment exaproxy_acl_bloklist: the nearest is acl.blocklist)")),
        (variable("exaproxy.auth.groups", "/x"), format!("unknown option auth.groups {pass} (environment exaproxy.auth.groups: the nearest is auth.users)")),
        (
            variable("exaproxy_security_dney", "::/0"),
            format!("unknown option security.dney {pass} (environment exaproxy_security_dney: the nearest is security.deny)"),
        ),
        (
            variable("exaproxy_secuirty_deny", "::/0"),
            format!("unknown option secuirty.deny {pass} (environment exaproxy_secuirty_deny: the nearest is security.deny)"),
        ),
        (
            variable("EXAPROXY_SECURITY_DENY", "::/0"),
            format!("unknown option security.deny {pass} (environment EXAPROXY_SECURITY_DENY: names are written in small letters)"),
        ),
        (file("[acl]\nurls=1"), format!("unknown option acl.urls {pass} ({FILE_PATH}:2: the nearest is acl.helpers)")),
        (file("[exaproxy.aut]\n"), format!("unknown section [exaproxy.aut] {pass} ({FILE_PATH}:1)")),
        (
            file("[secruity]\ndeny=::/0"),
            format!("unknown section [secruity] {pass} ({FILE_PATH}:1: the nearest is security)"),
        ),
        (
            file("[security]\ndney=::/0"),
            format!("unknown option security.dney {pass} ({FILE_PATH}:2: the nearest is security.deny)"),
        ),
        (variable("exaproxy_mirror_enable", "'Yes'"), "mirror.enable is true : the program has no such part (environment exaproxy_mirror_enable)".into()),
        (file("[mirror]\nenable = on"), format!("mirror.enable is true : the program has no such part ({FILE_PATH}:1)")),
    ] {
        let loaded = loaded.expect("it can be printed");
        assert_eq!(loaded.warnings, Vec::<String>::new(), "{expected}");
        assert_eq!(refusals(&loaded), [format!("configuration issue, {expected}")]);
    }
    // What names no rule, or switches nothing on, is told of as ever.
    for text in ["[mirror]\nenable = off\nsize = 1", "[http]\nenabel = 1", "[dns]\nenable=1"] {
        let loaded = file(text).expect("a sound configuration");
        assert_eq!((loaded.warnings.len(), refusals(&loaded).len()), (1, 0), "{text}");
    }
    let shelf = Shelf::default().with(FILE_PATH, "[http]\npol=1\n[acl]\nx=1\n[profile]\nenable=1");
    assert_eq!(check(&sources(&[]), &shelf).1.len(), 3);
    let run = load_to_run(&sources(&[]), &shelf).map_err(|wrong| wrong.lines().len());
    assert_eq!(run.map(|_| ()), Err(2), "an unknown name alone is no reason");
}

fn refusals(loaded: &Loaded) -> Vec<String> {
    let mut wrong = Mistakes::default();
    loaded.note_refusals(&mut wrong);
    wrong.lines()
}

#[test]
fn parts_that_are_not_built_are_read_printed_and_refused() {
    let file = "[redirector]\nprogram=/bin/helper\n[profile]\nenable = yes";
    let loaded = read(&[], file).expect("a sound configuration");
    assert!(loaded.print(PrintForm::DiffIni).contains("\n[profile]\nenable = true\n"));
    let place = "this part of the program is not built yet (/etc/exaproxy/exaproxy.conf:4)";
    assert_eq!(refusals(&loaded), [format!("configuration issue, profile.enable is true : {place}")]);
    assert_eq!(refusals(&read(&[], "").expect("sound defaults")), Vec::<String>::new());
}

#[test]
fn helpers_are_checked_when_they_are_to_run() {
    let shelf = |file: &str| {
        Shelf::default().with(FILE_PATH, file).with("/bin/helper", "#!").with("/bin/text", "x").with("/bin/", "")
    };
    let checked = |lines: &str| {
        let file = format!("[redirector]\n{lines}");
        load(&sources(&[]), &shelf(&file))
            .map(|loaded| loaded.config.redirector.program)
            .map_err(|error| error.to_string())
    };
    let program = checked("enable=true\nprogram=bin/helper -x  'a b'").expect("a program");
    assert_eq!(program.path, Ok("/bin/helper".into()));
    assert_eq!(program.arguments, ["-x", "'a", "b'"]);
    for (lines, expected) in [
        ("program=/bin/none", "a program that exists"),
        ("program=/bin/text", "a program that may be executed"),
        ("program=/bin/", "a program, which is a file"),
        ("program=/bin/helper\nminimum=5\nmaximum=4", "no more than redirector.maximum"),
    ] {
        assert!(checked(lines).is_ok(), "{lines}");
        let error = checked(&format!("enable=true\n{lines}")).expect_err("nothing that could run");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn checking_takes_unknown_names_for_mistakes() {
    let check = |file: &str| check(&sources(&[]), &Shelf::default().with(FILE_PATH, file)).1.len();
    assert_eq!(check("[http]\npool=1"), 0);
    assert_eq!(check("[http]\npol=1\n[profile]\nenable=1"), 2);
    assert_eq!(check("[http]\npool=x"), 1);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_in_which_they_stand() {
    let file = "[web]\nport = x\nlisten = maybe\nhtml = %(no)s\n[tcp4]\nword\nout = no\n[tcp6]\nout = no\n\
                [redirector]\nenable = yes\nprogram = /no\nminimum = 3\nmaximum = 2\n[acl]\ndefault = deny\n\
                allowlist = /none\n";
    let environment = [("exaproxy_http_mask", "maybe")];
    let told = |file: &str| read(&environment, file).map(|_| ()).unwrap_err();
    let lines = told(file);
    let places: Vec<&str> = lines.lines().map(|line| line.split([',', ':']).nth(1).unwrap_or_default()).collect();
    let values = ["invalid value for http.mask", "invalid value for web.port", "invalid value for web.listen"];
    for (at, part) in values.iter().enumerate() {
        assert!(lines.lines().nth(at).is_some_and(|line| line.contains(part)), "{lines}");
    }
    assert_eq!(places.len(), 6, "rules about several options wait until the file has its form: {lines}");
    assert!(lines.contains("exaproxy.conf:4 : %(no)s") && lines.contains("exaproxy.conf:6 : expected"), "{lines}");
    let lines = told(&file.replace("word\n", ""));
    for part in ["tcp4.out", "a program that exists", "redirector.maximum", ":4 : %(no)s"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert!(!lines.contains("acl.default"), "it would speak of an allowlist that is there, if wrong: {lines}");
}

/// Values other than the defaults for every option that accepts any, some of them awkward.
const AWKWARD: &str = r#"
[daemon]
identifier = 'a ;b'
pidfile = /run/a b
user = "o'neill"
drain-timeout = 7
[dns]
hosts =
resolver = /etc/resolv.conf
[http]
extensions = purge link
forward = X-Real-IP
header-size = 0
idle-connect = 0
via = edge.example:3128
[log]
base = 100%%
destination = '/var/log/%(base)s ;x'
level = DEBUG
[redirector]
program = '"/bin/x y" -a "it is"'
protocol = icap://h/p
[security]
connect = 443 8000-9000
deny = 10.1.2.3/8
  ::ffff:0:0/96
local = *:* [::1]:80 127.0.0.1:* host:1
[tcp6]
host = [::]
listen = on
[web]
html =
"#;

#[test]
fn what_is_printed_reads_back_as_the_same() {
    for file in ["", AWKWARD] {
        let loaded = read(&[], file).expect("a sound configuration");
        for form in [PrintForm::Ini, PrintForm::DiffIni] {
            let again = read(&[], &loaded.print(form)).expect("a sound configuration");
            assert_eq!((&again.config, &again.warnings), (&loaded.config, &Vec::new()), "{}", loaded.print(form));
        }
        for form in [PrintForm::Env, PrintForm::DiffEnv] {
            let printed = loaded.print(form);
            let pairs: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once('=')).collect();
            let again = read(&pairs, "").expect("a sound configuration");
            assert_eq!((&again.config, &again.warnings), (&loaded.config, &Vec::new()), "{printed}");
        }
    }
}

#[test]
fn printing_has_the_form_of_the_original() {
    let loaded = read(&[("exaproxy_daemon_user", "root"), ("exaproxy.web.port", "27080")], "").expect("sound values");
    assert_eq!(loaded.print(PrintForm::DiffIni), "\n[daemon]\nuser = 'root'\n\n[web]\nport = 27080\n");
    assert_eq!(loaded.print(PrintForm::DiffEnv), "\nexaproxy.daemon.user='root'\nexaproxy.web.port=27080\n");
    let ini = loaded.print(PrintForm::Ini);
    assert!(ini.starts_with("\n[access]\ndestination = 'stdout'\nenable = false\nformat = 'combined'\nkeep = 5\n"));
    assert!(ini.contains("\n\n[daemon]\ndaemonize = false\ndrain-delay = 0\ndrain-timeout = 0\nidentifier = ExaProxy\nno-new-privileges = true\npidfile = ''\n"));
    assert!(ini.contains("\n\n[dns]\ndefinitions = 'etc/exaproxy/dns/types'\nfqdn = true\n"));
    assert!(ini.contains("\n[security]\nconnect = '443 981 7000'\ndeny = ''\nech = 'follow'\nlocal = ''\n"));
    assert!(!ini.contains("[debug]") && !ini.contains("[proxy]"));
    let defaults = read(&[], "").expect("sound defaults");
    assert_eq!(defaults.print(PrintForm::DiffIni), "");
    assert!(defaults.print(PrintForm::Env).contains("\nexaproxy.http.header-size=65536\n"));
}

#[test]
fn set_outright_differs_from_left_alone() {
    let loaded = read(&[("exaproxy_daemon_user", "nobody")], "").expect("a sound configuration");
    assert!(loaded.is_set("daemon", "user"));
    assert!(!loaded.is_set("daemon", "pidfile"));
}

#[test]
fn values_arrive_in_their_types() {
    let config = read(&[], AWKWARD).expect("a sound configuration").config;
    assert_eq!(config.http.head_bytes(), 1024 * 1024);
    assert_eq!(config.http.idle_connect, None);
    assert_eq!(config.http.forward.as_deref(), Some("x-real-ip"));
    assert_eq!(config.log.destination, crate::logs::Destination::File("/var/log/100%% ;x".into()));
    assert_eq!(config.tcp6.host[0].at(80), "[::]:80".parse().expect("an address"));
    assert_eq!(config.security.connect, [443..=443, 8000..=9000]);
    assert_eq!(read(&[], "").expect("sound defaults").config.http.head_bytes(), 65536);
}

/// Next number of a xorshift generator.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

#[test]
fn no_file_makes_reading_panic_or_answer_without_a_place() {
    const INSERTS: [&str; 10] = ["\n", "[", "]", "=", "%(", ")s", "'", " ;", "\u{0}", "é"];
    let (mut state, mut refused) = (0x9E37_79B9_7F4A_7C15, 0);
    for _ in 0..1000 {
        let mut file = AWKWARD.to_owned();
        for _ in 0..=random(&mut state) % 3 {
            let at = random(&mut state) % file.len();
            let end = (at + random(&mut state) % 4).min(file.len());
            if file.is_char_boundary(at) && file.is_char_boundary(end) {
                file.replace_range(at..end, INSERTS[random(&mut state) % INSERTS.len()]);
            }
        }
        if let Err(lines) = read(&[], &file) {
            let told = |line: &str| line.starts_with("configuration issue, ") && !line.contains(char::is_control);
            assert!(lines.lines().all(told) && lines.lines().count() < 10, "{lines:?}");
            refused += 1;
        }
    }
    assert!((100..1000).contains(&refused), "{refused}");
}

#[test]
fn the_table_is_ordered_and_names_each_option_once() {
    let names: Vec<(&str, &str)> = OPTIONS.iter().map(|entry| (entry.section, entry.key)).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
}

#[test]
fn names_have_dashes_and_aliases_are_found() {
    assert_eq!(find("http", "idle-connect").map(OptionEntry::name).as_deref(), Some("http.idle-connect"));
    assert_eq!(find("http", "allow-connect").map(OptionEntry::name).as_deref(), Some("http.connect"));
    assert!(find("http", "idle_connect").is_none());
}

#[test]
fn help_is_one_line_without_full_stop() {
    for entry in OPTIONS {
        assert!(!entry.help.ends_with('.') && !entry.help.contains('\n'), "{}", entry.name());
    }
}
