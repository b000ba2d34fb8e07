//! Values that the shells hand to one another through the hub: a connection to an origin, the owner of a socket, an open
//! file. They know neither protocol nor policy.

pub mod content;
pub mod origin;
pub mod owner;
