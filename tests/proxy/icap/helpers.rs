//! Helpers of either language behind the icap listener: what they are asked, what becomes of their verdicts, and of their failures.

use super::{ask, get, post, reply, reqmod, with_content, Service, ALLOW, OPTIONS};
use crate::support::{Gate, Helpers};

#[test]
fn verdicts_of_url_helpers_become_replies() {
    let helpers = Helpers::answering(|line| match line.split('/').next() {
        Some("page.test") => "file://deny.html".to_owned(),
        Some("moved.test") => "redirect://http://other.test/".to_owned(),
        Some("rewritten.test") => "http://rewritten.test/new".to_owned(),
        Some("elsewhere.test") => "intercept://192.0.2.7:81".to_owned(),
        _ => String::new(),
    });
    let service = Service::asking(&helpers, &[]);
    let mut client = service.client();
    assert_eq!(ask(&mut client, OPTIONS).field("Methods"), Some("REQMOD"));
    assert_eq!(ask(&mut client, reqmod(ALLOW, &get("a.test"))).status(), "204");
    let page = ask(&mut client, reqmod(ALLOW, &get("page.test")));
    assert!(
        page.head.starts_with("HTTP/1.1 200 OK\r\n") && page.content.is_some_and(|text| text.contains("page.test"))
    );
    let moved = ask(&mut client, reqmod(ALLOW, &get("moved.test")));
    assert!(moved.head.starts_with("HTTP/1.1 302 ") && moved.head.contains("\r\nLocation: http://other.test/\r\n"));
    // Content comes along, and the client is asked for what is behind its preview.
    client.send(with_content("Preview: 2\r\n", &post("rewritten.test", 5), "2\r\nhe\r\n0\r\n\r\n"));
    assert_eq!(reply(&mut client).status(), "100");
    let new = ask(&mut client, "3\r\nllo\r\n0\r\n\r\n");
    assert!(new.head.starts_with("POST http://rewritten.test/new HTTP/1.1\r\nHost: rewritten.test\r\n"), "{new:?}");
    assert_eq!(new.content.as_deref(), Some("hello"));
    let elsewhere = ask(&mut client, reqmod(ALLOW, &get("elsewhere.test")));
    assert!(
        elsewhere.head.starts_with("GET http://192.0.2.7:81/p HTTP/1.1\r\nHost: elsewhere.test\r\n"),
        "{elsewhere:?}"
    );
}

#[test]
fn icap_helpers_are_asked_as_ever_and_about_the_service_too() {
    let helpers = Helpers::answering_icap(|question| match question {
        _ if question.starts_with("OPTIONS ") => {
            b"ICAP/1.0 200 OK\nMethods: REQMOD\nISTag: \"mine\"\nPreview: 16\nX-Mine: y\nEncapsulated: null-body=0\n\n"
                .to_vec()
        }
        _ if question.contains("host=deny.test") => {
            let head = "HTTP/1.1 403 Forbidden\r\nX-Why: because\r\n\r\n";
            format!("ICAP/1.0 200 OK\nEncapsulated: res-hdr=0, res-body={}\n\n{head}2\r\nno\r\n0\r\n\r\n", head.len())
                .into()
        }
        _ => b"ICAP/1.0 204 No Content\n\n".to_vec(),
    });
    let service = Service::asking(&helpers, &[("redirector.protocol", "icap://srv.name/some/path")]);
    let mut client = service.client();
    let told = ask(&mut client, OPTIONS);
    assert_eq!(
        (told.field("ISTag"), told.field("Preview"), told.field("X-Mine")),
        (Some("\"mine\""), Some("16"), Some("y"))
    );
    assert_eq!((told.field("Allow"), told.field("Transfer-Preview")), (Some("204"), None));
    let fields = "Allow: 204\r\nX-Client-IP: 198.51.100.7\r\nX-Authenticated-Groups: staff\r\n";
    let bytes = reqmod(fields, &get("a.test")).replace("icap://h/s", "icap://h/s,ann");
    assert_eq!(ask(&mut client, bytes).status(), "204");
    let denied = ask(&mut client, reqmod(ALLOW, &get("deny.test")));
    assert!(denied.head.starts_with("HTTP/1.1 403 Forbidden\r\n") && denied.head.contains("\r\nX-Why: because\r\n"));
    assert_eq!(denied.content.as_deref(), Some("no"));
    let asked = helpers.asked();
    let head = get("a.test");
    assert_eq!(
        asked[1].trim_start(),
        format!(
            "REQMOD icap://srv.name/some/path ICAP/1.0\nHost: srv.name\nPragma: transport=http\nPragma: proxy=test\n\
             Pragma: scheme=http\nPragma: accept=127.0.0.1\nPragma: accept-port={}\nPragma: client=198.51.100.7\n\
             Pragma: host=a.test\nPragma: path=/p\nPragma: method=GET\nX-Client-IP: 198.51.100.7\n\
             X-Authenticated-Groups: staff\nX-Customer-Name: ann\nAllow: 204\nEncapsulated: req-hdr=0, null-body={}\n\n{head}",
            service.port,
            head.len()
        )
    );
    assert!(asked[0].starts_with("OPTIONS icap://srv.name/some/path ICAP/1.0\nPragma: transport=\n"), "{}", asked[0]);
}

#[test]
fn a_helper_that_is_silent_or_down_costs_no_service() {
    let silent = Helpers::start(|desk| desk.hang());
    let service = Service::asking(&silent, &[("redirector.protocol", "icap://srv/x"), ("redirector.timeout", "60")]);
    let mut client = service.client();
    assert_eq!(ask(&mut client, OPTIONS).field("Methods"), Some("REQMOD"));
    let down = Helpers::start(|desk| desk.exit(1));
    let service = Service::asking(&down, &[("redirector.protocol", "icap://srv/x"), ("http.decision-timeout", "2")]);
    let mut client = service.client();
    for _ in 0..3 {
        assert_eq!(ask(&mut client, OPTIONS).field("Methods"), Some("REQMOD"));
    }
    // A request gets a page within ICAP, which is no failure of the service.
    let failed = ask(&mut client, reqmod(ALLOW, &get("a.test")));
    assert!(failed.status() == "200" && failed.head.starts_with("HTTP/1.1 503 "), "{failed:?}");
    let open = Service::asking(&down, &[("redirector.protocol", "icap://srv/x"), ("redirector.on-failure", "permit")]);
    assert_eq!(ask(&mut open.client(), reqmod(ALLOW, &get("a.test"))).status(), "204");
}

#[test]
fn one_client_waits_for_no_other() {
    let gate = Gate::default();
    let helpers = Helpers::start({
        let gate = gate.clone();
        move |desk| {
            while let Some(line) = desk.line()? {
                if line.starts_with("slow.test") {
                    gate.pass()?;
                }
                desk.say("\n")?;
            }
            Ok(())
        }
    });
    let service = Service::asking(&helpers, &[("redirector.minimum", "2"), ("redirector.maximum", "2")]);
    let (mut slow, mut quick) = (service.client(), service.client());
    slow.send(reqmod(ALLOW, &get("slow.test")));
    helpers.wait_asked(1);
    for _ in 0..20 {
        assert_eq!(ask(&mut quick, reqmod(ALLOW, &get("a.test"))).status(), "204");
    }
    gate.open();
    assert_eq!(reply(&mut slow).status(), "204");
}
