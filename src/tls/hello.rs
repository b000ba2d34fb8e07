//! What a ClientHello says in the clear (RFC 8446 section 4.1.2): the server's name, whether another name may be hidden in it,
//! the protocols that are offered. Knows nothing of what becomes of it.

use smallvec::SmallVec;

use super::fault::HelloFault;
use super::reader::VectorReader;
use super::record::{message, MESSAGE_HEAD};
use crate::http::target::Host;

/// Extensions that matter here: server_name (RFC 6066), application_layer_protocol_negotiation (RFC 7301),
/// encrypted_client_hello (RFC 9849).
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const ECH: u16 = 0xfe0d;

/// Most extensions of a hello; fewer than a hundred are registered, and browsers send some twenty.
const MAX_EXTENSIONS: usize = 256;

/// Most bytes that are remembered of the protocols.
const MAX_PROTOCOLS: usize = 255;

/// Bytes of protocols that need no memory of their own: `h2,http/1.1` has 11.
const USUAL_PROTOCOLS: usize = 24;

/// What is read of a hello.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ClientHello {
    /// The name that the server is to have: a host as a Host field would have it. An IPv4 address is none by RFC 6066, and some
    /// clients send one.
    pub name: Option<Host>,
    /// It has the extension in which another hello is hidden, or that looks so: browsers send it as a decoration too.
    pub ech: bool,
    /// The protocols that are offered on top (ALPN), with commas between, as far as they are plain words; perhaps empty.
    pub protocols: SmallVec<[u8; USUAL_PROTOCOLS]>,
}

impl ClientHello {
    /// Reads a whole hello in its records, as [`super::record::HelloScan`] has found it.
    ///
    /// # Errors
    /// When two servers could read it differently, or none at all.
    pub fn parse(records: &[u8]) -> Result<ClientHello, HelloFault> {
        let message = message(records)?;
        let mut reader = VectorReader(message.get(MESSAGE_HEAD..).ok_or(HelloFault::Length)?);
        // Version and random; the session, the cipher suites and the compression methods.
        reader.take(2 + 32)?;
        if reader.vector(1)?.0.len() > 32 {
            return Err(HelloFault::Length);
        }
        let suites = reader.vector(2)?.0.len();
        if suites == 0 || suites % 2 != 0 || reader.vector(1)?.is_empty() {
            return Err(HelloFault::Length);
        }
        // One of TLS 1.2 may end here (RFC 5246 section 7.4.1.2).
        if reader.is_empty() {
            return Ok(ClientHello::default());
        }
        let extensions = reader.vector(2)?;
        reader.end()?;
        ClientHello::of(extensions)
    }

    fn of(mut extensions: VectorReader<'_>) -> Result<ClientHello, HelloFault> {
        let mut hello = ClientHello::default();
        let mut seen = SmallVec::<[u16; 32]>::new();
        while !extensions.is_empty() {
            let (kind, content) = (extensions.short()?, extensions.vector(2)?);
            if seen.contains(&kind) || seen.len() == MAX_EXTENSIONS {
                return Err(HelloFault::Extensions);
            }
            seen.push(kind);
            match kind {
                SERVER_NAME => hello.name = Some(server_name(content)?),
                ALPN => hello.protocols = protocols(content).unwrap_or_default(),
                ECH => hello.ech = true,
                _ => {}
            }
        }
        Ok(hello)
    }
}

/// The one name of the extension. Other kinds of names than that of a host were never defined, and servers that skip them
/// could read another name than this does.
fn server_name(mut extension: VectorReader<'_>) -> Result<Host, HelloFault> {
    const HOST_NAME: u8 = 0;
    let mut names = extension.vector(2)?;
    extension.end()?;
    if names.byte()? != HOST_NAME {
        return Err(HelloFault::Name);
    }
    let name = names.vector(2)?;
    match Host::parse(name.0) {
        Ok(host @ (Host::Name(_) | Host::V4(_))) if names.is_empty() => Ok(host),
        _ => Err(HelloFault::Name),
    }
}

/// The protocols, for the log. What is wrong with them is the server's to say.
fn protocols(mut extension: VectorReader<'_>) -> Result<SmallVec<[u8; USUAL_PROTOCOLS]>, HelloFault> {
    let mut list = extension.vector(2)?;
    let mut text = SmallVec::new();
    while !list.is_empty() {
        let protocol = list.vector(1)?.0;
        let plain = protocol.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
        if plain && text.len() + protocol.len() < MAX_PROTOCOLS {
            if !text.is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(protocol);
        }
    }
    Ok(text)
}
