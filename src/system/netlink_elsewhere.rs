//! What takes the place of `netlink` on other systems than Linux: nothing tells of changed addresses there, so that they have to
//! be asked for. Knows no socket.

use std::io;

use ipnet::IpNet;
use mio::event::Source;

/// What has changed, were there a kernel that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing that is of use here.
    Nothing,
    /// A route to elsewhere.
    Route,
    /// An address of this machine.
    Address,
}

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

    /// What has changed.
    pub fn changed(&mut self) -> Changed {
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

/// Not known: the addresses of this machine have to do.
///
/// # Errors
/// Always.
pub fn ways_out() -> io::Result<[bool; 2]> {
    Err(io::ErrorKind::Unsupported.into())
}
