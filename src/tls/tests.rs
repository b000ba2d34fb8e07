//! Hellos as tables: sound ones however they are cut, and those that lie. Real ones are recorded in `tests/peers`.

use super::alert::Alert;
use super::fault::HelloFault;
use super::hello::ClientHello;
use super::record::HelloScan;
use crate::http::target::Host;

const LIMIT: usize = 65_536;

/// A vector with its length in so many bytes.
fn vector(length_bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - length_bytes..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, content)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector(2, &[&[0][..], &vector(2, name)].concat()))
}

fn message(extensions: &[u8]) -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &vector(1, &[9; 32]), &vector(2, &[0x13, 1]), &vector(1, &[0]), extensions];
    [&[1][..], &vector(3, &body.concat())].concat()
}

/// The message in records of so many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector(2, part)].concat()).collect()
}

/// A hello in one record with these extensions behind one another.
fn with(extensions: &[Vec<u8>]) -> Vec<u8> {
    records(&message(&vector(2, &extensions.concat())), 16_384)
}

/// A sound hello in one record that names this server, or none.
pub(crate) fn hello(name: Option<&str>, ech: bool) -> Vec<u8> {
    let name = name.map(|name| server_name(name.as_bytes()));
    let decoration = ech.then(|| extension(0xfe0d, &[0; 40]));
    with(&[extension(0x0a0a, b""), name.unwrap_or_default(), decoration.unwrap_or_default()])
}

fn read(bytes: &[u8]) -> Result<Option<ClientHello>, HelloFault> {
    match HelloScan::default().find(bytes, LIMIT)? {
        Some(length) => ClientHello::parse(&bytes[..length]).map(Some),
        None => Ok(None),
    }
}

fn name_of(bytes: &[u8]) -> Result<Option<String>, HelloFault> {
    Ok(read(bytes)?.expect("it is whole").name.map(|host| host.to_string()))
}

#[test]
fn the_name_is_found_however_the_records_are_cut() {
    let message = message(&vector(2, &[server_name(b"WWW.A.example."), extension(0xfe0d, b"x")].concat()));
    for size in [1, 2, 3, 4, 5, 50, message.len() - 1, message.len()] {
        let bytes = records(&message, size);
        let hello = read(&bytes).unwrap().unwrap();
        assert_eq!((hello.name, hello.ech), (Some(Host::Name("www.a.example".into())), true), "{size}");
    }
}

#[test]
fn the_end_is_found_however_the_bytes_arrive() {
    for size in [1, 7, 16_384] {
        let hello = records(&message(&vector(2, &server_name(b"a.example"))), size);
        let bytes = [&hello[..], b"\x17\x03\x03\x00\x01x"].concat();
        let mut scan = HelloScan::default();
        for cut in 0..hello.len() {
            assert_eq!(scan.find(&bytes[..cut], LIMIT), Ok(None), "{cut} of {size}");
            assert_eq!(HelloScan::default().find(&bytes[..cut], LIMIT), Ok(None), "{cut} of {size}");
        }
        assert_eq!(scan.find(&bytes, LIMIT), Ok(Some(hello.len())));
        assert_eq!(HelloScan::default().find(&bytes, LIMIT), Ok(Some(hello.len())));
    }
}

#[test]
fn the_limit_holds_for_the_bytes_on_the_wire() {
    let hello = records(&message(&vector(2, &server_name(b"a.example"))), 1);
    assert_eq!(HelloScan::default().find(&hello, hello.len()), Ok(Some(hello.len())));
    assert_eq!(HelloScan::default().find(&hello, hello.len() - 1), Err(HelloFault::TooLarge));
    assert_eq!(HelloScan::default().find(&hello[..100], 100), Err(HelloFault::TooLarge));
    // What is announced is enough.
    assert_eq!(HelloScan::default().find(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff", 4096), Err(HelloFault::TooLarge));
    assert_eq!(
        HelloScan::default().find(b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x03", LIMIT),
        Err(HelloFault::TooLarge)
    );
}

/// First bytes, and what is said of them.
type FirstBytes = (&'static [u8], Result<Option<usize>, HelloFault>);

#[test]
fn what_is_no_hello_is_told_at_once() {
    use HelloFault::{Message, NotTls, Record, Ssl2, TooLarge};
    let table: &[FirstBytes] = &[
        (b"", Ok(None)),
        (b"\x16", Ok(None)),
        (b"\x15", Ok(None)),
        (b"\x80", Ok(None)),
        (b"\x80\x2e\x01", Ok(None)),
        (b"\x80\x2e\x01\x03", Err(Ssl2)),
        (b"\x80\x2e\x01\x00\x02", Err(Ssl2)),
        (b"\x80\x2e\x02", Err(NotTls)),
        (b"\x80\x2e\x01\x07", Err(NotTls)),
        (b"\x16\x03", Ok(None)),
        (b"\x16\x02\x00", Err(Record)),
        (b"\x16\x0f", Err(Record)),
        (b"\x16\xfe\xff", Err(NotTls)),
        (b"\x15\x03\x01\x00\x02\x01\x5a", Err(Record)),
        (b"\x14\x03\x03\x00\x01\x01", Err(Record)),
        (b"\x17\x03\x03", Err(Record)),
        (b"\x15-not", Err(NotTls)),
        (b"GET / HTTP/1.1\r\n", Err(NotTls)),
        (b"SSH-2.0-x\r\n", Err(NotTls)),
        (b"\0\x0e8", Err(NotTls)),
        (b"\x05\x01\0", Err(NotTls)),
        (b"PROXY TCP4 ", Err(NotTls)),
        (b"\x16\x03\x01\x00\x00", Err(Record)),
        (b"\x16\x03\x01\x40\x01", Err(TooLarge)),
        (b"\x16\x03\x01\x00\x04\x02", Err(Message)),
        (b"\x16\x03\x01\x00\x01\x01\x15", Err(Record)),
        (b"\x16\x03\x01\x00\x01\x01\x16\x02", Err(Record)),
        (b"\x16\x03\x01\x00\x09\x01\0\0\x04", Err(Message)),
    ];
    for (bytes, wanted) in table {
        assert_eq!(HelloScan::default().find(bytes, LIMIT), *wanted, "{}", bytes.escape_ascii());
    }
}

#[test]
fn hellos_that_two_servers_could_read_differently_are_refused() {
    use HelloFault::{Extensions, Length, Name};
    let two_names = vector(2, &[&[0][..], &vector(2, b"a.b"), &[0], &vector(2, b"c.d")].concat());
    let other_kind = vector(2, &[&[1][..], &vector(2, b"a.b")].concat());
    let long_name = [&[0, 8, 0][..], &[0, 9], b"a.b"].concat();
    let behind = [&vector(2, &[&[0][..], &vector(2, b"a.b")].concat())[..], b"x"].concat();
    let many: Vec<Vec<u8>> = (0..257).map(|kind| extension(kind + 100, b"")).collect();
    let table: &[(&str, Vec<u8>, HelloFault)] = &[
        ("two names", with(&[extension(0, &two_names)]), Name),
        ("two extensions with a name", with(&[server_name(b"a.b"), server_name(b"a.b")]), Extensions),
        ("another extension twice", with(&[extension(77, b""), extension(77, b"")]), Extensions),
        ("more extensions than there are", with(&many), Extensions),
        ("another kind of name", with(&[extension(0, &other_kind)]), Name),
        ("no list of names", with(&[extension(0, b"")]), Length),
        ("an empty list", with(&[extension(0, &[0, 0])]), Length),
        ("an empty name", with(&[server_name(b"")]), Name),
        ("a name that ends behind its list", with(&[extension(0, &long_name)]), Length),
        ("bytes behind the list", with(&[extension(0, &behind)]), Length),
        ("a NUL in the name", with(&[server_name(b"a.example\0.b")]), Name),
        ("a blank in the name", with(&[server_name(b"a.example ")]), Name),
        ("bytes beyond ASCII", with(&[server_name(b"b\xc3\xbccher.example")]), Name),
        ("an address of the old form", with(&[server_name(b"0x7f.1")]), Name),
        ("an IPv6 address", with(&[server_name(b"::1")]), Name),
        ("an IPv6 address in brackets", with(&[server_name(b"[::1]")]), Name),
        ("a name with a port", with(&[server_name(b"a.example:443")]), Name),
        ("a long label", with(&[server_name(&[b'a'; 64])]), Name),
        ("an extension that ends behind the hello", with(&[vec![0, 0, 0, 9, 1]]), Length),
        ("half an extension", with(&[vec![0, 0, 0]]), Length),
        ("bytes behind the extensions", records(&message(&[&vector(2, b"")[..], b"x"].concat()), 999), Length),
        ("half a length of extensions", records(&message(&[0]), 999), Length),
        ("an empty message", records(&[1, 0, 0, 0], 999), Length),
    ];
    for (what, bytes, fault) in table {
        assert_eq!(read(bytes), Err(*fault), "{what}");
        assert!(fault.is_tls() && fault.alert().is_some());
    }
    // Every length in the middle of the message is checked against what encloses it.
    let sound = message(&vector(2, &server_name(b"a.b")));
    for cut in 4..sound.len() {
        let short = [&[1][..], &vector(3, &sound[4..cut])].concat();
        let ends = name_of(&records(&short, 999));
        assert!(ends == Err(Length) || (ends == Ok(None) && cut == sound.len() - 14), "{cut}: {ends:?}");
    }
}

#[test]
fn hellos_without_a_name_are_sound() {
    assert_eq!(name_of(&with(&[])), Ok(None));
    assert_eq!(name_of(&records(&message(b""), 999)), Ok(None));
    assert_eq!(name_of(&with(&[server_name(b"127.0.0.1")])), Ok(Some("127.0.0.1".into())));
    assert_eq!(name_of(&hello(Some("a.example"), false)), Ok(Some("a.example".into())));
    assert!(read(&hello(None, true)).unwrap().unwrap().ech);
}

#[test]
fn protocols_are_for_the_log_alone() {
    let list = |protocols: &[&[u8]]| protocols.iter().flat_map(|one| vector(1, one)).collect::<Vec<u8>>();
    let table: &[(Vec<u8>, &str)] = &[
        (vector(2, &list(&[b"h2", b"http/1.1"])), "h2,http/1.1"),
        (vector(2, &list(&[b"\x0a\x0a", b"h2", b"a,b", b"c d"])), "h2"),
        (vector(2, &list(&[&[b'x'; 255]])), ""),
        (vec![0, 9, 2, b'h'], ""),
        (vec![], ""),
    ];
    for (content, wanted) in table {
        let hello = read(&with(&[extension(16, content)])).unwrap().unwrap();
        assert_eq!(hello.protocols.as_slice(), wanted.as_bytes());
    }
}

#[test]
fn an_alert_is_a_record() {
    assert_eq!(Alert::UnrecognizedName.record(), [21, 3, 1, 0, 2, 2, 112]);
    assert_eq!(Alert::AccessDenied.record()[6], 49);
}
