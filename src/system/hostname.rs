//! The name of this machine, and which addresses of it other names stand for.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

/// The name that the system has for this machine, and its first label where there are more, in lower case.
pub fn names() -> Vec<String> {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let mut names = vec![name.split('.').next().unwrap_or_default().to_owned(), name];
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}

/// The addresses of this machine that a name stands for, in the order of the system's resolver, which may ask name servers.
///
/// # Errors
/// What is expected of the name.
pub fn own_addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| format!("an address, or a name of one ({error})"))?;
    let mut own: Vec<IpAddr> =
        found.map(|address| address.ip()).filter(|ip| UdpSocket::bind((*ip, 0)).is_ok()).collect();
    own.dedup();
    match own.is_empty() {
        true => Err("an address, or a name whose address is one of this machine".to_owned()),
        false => Ok(own),
    }
}
