//! Ports for listeners that another process will open: chosen below the range that the kernel gives out by itself,
//! so that no connection of any test can sit on one by chance.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::Mutex;

/// Above the ports that `security.ports` refuses, the last of which is 10080.
const FIRST: u16 = 10_100;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// What keeps a port from the tests of other processes for as long as this one lives: the proxy listens with
/// SO_REUSEPORT, so that two proxies on one port would take each other's clients.
static TAKEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port that was free on both loopback addresses a moment ago, and that no other test gets.
pub fn next() -> u16 {
    let start = (std::process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        let Ok(mark) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if free("127.0.0.1", port) && free("::1", port) {
            TAKEN.lock().expect("no holder panics").push(mark);
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

fn free(address: &str, port: u16) -> bool {
    match TcpListener::bind((address, port)) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::AddrNotAvailable,
    }
}
