//! A connection to an origin, wherever it is: with a session, in the pool, or on its way between them; and the key that
//! says who may use it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::SocketAddr;

use reactor::arena::Key;
use reactor::stream::Stream;
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

/// A connection to an origin.
#[derive(Debug)]
pub struct Origin<T> {
    /// Its socket.
    pub stream: Stream<T>,
    /// Where it leads.
    pub address: SocketAddr,
    /// Which requests it may carry.
    pub key: OriginKey,
    /// Exchanges that it has carried before.
    pub exchanges: u32,
}

/// Whose a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Every client may use it.
    Shared,
    /// Only the client of this session.
    Private(Key),
    /// Only the client of this session, which a PROXY protocol header of this version has announced on it.
    Announced(Key, u8),
}

/// Says which requests a connection may carry: those with the same host in their Host field, and of the same scope.
///
/// A connection that carried a request for one name never carries one for another, even at the same address: a balancer
/// may have bound it to the backend of its first request, and what an origin still sends unasked must not be taken for
/// another site's response. It is a keyed hash of 128 bits, so that it costs no allocation, and that two names which
/// share one can neither be found nor met by chance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OriginKey([u64; 2]);

/// Makes keys, with a secret of this process.
#[derive(Clone, Debug, Default)]
pub struct OriginKeys(KeySecret);

/// What no client knows.
#[derive(Clone, Debug)]
struct KeySecret(u64, u64);

impl Default for KeySecret {
    fn default() -> KeySecret {
        let random = || RandomState::new().hash_one(0);
        KeySecret(random(), random())
    }
}

impl OriginKeys {
    /// The key of requests that have this host and port in their Host field. The host stands in its normal form.
    pub fn key(&self, host: &impl Hash, port: u16, scope: Scope) -> OriginKey {
        let mut hasher = SipHasher13::new_with_keys(self.0 .0, self.0 .1);
        (host, port, scope).hash(&mut hasher);
        let Hash128 { h1, h2 } = hasher.finish128();
        OriginKey([h1, h2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_a_key_is_one_of_host_port_and_scope() {
        let keys = OriginKeys::default();
        let (one, other) = (Key { index: 1, generation: 1 }, Key { index: 1, generation: 2 });
        let all = [
            keys.key(&"a.test", 80, Scope::Shared),
            keys.key(&"b.test", 80, Scope::Shared),
            keys.key(&"a.test", 81, Scope::Shared),
            keys.key(&"a.test", 80, Scope::Private(one)),
            keys.key(&"a.test", 80, Scope::Private(other)),
            keys.key(&"a.test", 80, Scope::Announced(one, 1)),
            keys.key(&"a.test", 80, Scope::Announced(one, 2)),
        ];
        for (at, key) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == key), Some(at), "only equal to itself");
            assert_ne!(key.0[0], key.0[1], "the halves say different things");
        }
        assert_eq!(keys.key(&"a.test", 80, Scope::Shared), all[0]);
        assert_ne!(OriginKeys::default().key(&"a.test", 80, Scope::Shared), all[0], "the secret is another");
    }
}
