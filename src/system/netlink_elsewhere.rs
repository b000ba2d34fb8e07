//! What takes the place of `netlink` on other systems than Linux: nothing tells of changed addresses there, so that they have to
//! be asked for. Knows no socket.

use std::io;

use ipnet::IpNet;
use mio::event::Source;

/// A socket that there is none of.
#[derive(Debug)]
pub enum AddressWatch {}

impl AddressWatch {
    /// None.
    ///
    /// # Errors
    /// Never.
    pub fn open() -> io::Result<Option<AddressWatch>> {
        Ok(None)
    }

    /// Whether an address has changed.
    pub fn has_changed(&mut self) -> bool {
        match *self {}
    }
}

impl Source for AddressWatch {
    fn register(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> io::Result<()> {
        match *self {}
    }

    fn reregister(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> io::Result<()> {
        match *self {}
    }

    fn deregister(&mut self, _: &mio::Registry) -> io::Result<()> {
        match *self {}
    }
}

/// None: there is no table to read.
///
/// # Errors
/// Never.
pub fn local_routes() -> io::Result<Vec<IpNet>> {
    Ok(Vec::new())
}
