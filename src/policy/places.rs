//! How many connections each client has, and how many it may have. Knows neither sockets nor what is said on them. Pure.
//!
//! A connection has a place or waits for one. One that asks for something without a place is refused, so that the client
//! can be told why; as many as there are places may be open without one, and others are closed as they come.

use std::collections::HashMap;

use super::shares::ClientKey;

/// The connections of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PlaceCount {
    placed: u32,
    waiting: u32,
}

/// What becomes of a connection that comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlaceVerdict {
    /// It has a place.
    Placed,
    /// It waits: the client has as many with a place as it may have.
    Waiting,
    /// It is not counted: there is no place, and it may not wait for one.
    Refused,
}

/// The connections of all clients. Only those who have one are remembered, so that the table is bounded by the connections
/// that there may be.
#[derive(Debug)]
pub struct Places {
    most: u32,
    clients: HashMap<ClientKey, PlaceCount>,
}

impl Places {
    /// None are taken; each client may have `most`, which is at least 1.
    pub fn new(most: u32) -> Places {
        Places { most, clients: HashMap::new() }
    }

    /// How many each client may have.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Each client may have so many from now on. Those that have a place keep it.
    pub fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// A connection of this client comes in, or one that was not counted asks. One that has nothing to ask yet may wait.
    pub fn enter(&mut self, client: ClientKey, may_wait: bool) -> PlaceVerdict {
        let held = self.clients.get(&client).copied().unwrap_or_default();
        let (entry, placed, waiting) = match () {
            () if held.placed < self.most => (PlaceVerdict::Placed, 1, 0),
            () if may_wait && held.waiting < self.most => (PlaceVerdict::Waiting, 0, 1),
            () => return PlaceVerdict::Refused,
        };
        let held = self.clients.entry(client).or_default();
        (held.placed, held.waiting) = (held.placed + placed, held.waiting + waiting);
        entry
    }

    /// One that waits asks for something. True if there is a place for it by now, which it has then.
    pub fn place(&mut self, client: ClientKey) -> bool {
        let Some(held) = self.clients.get_mut(&client) else { return false };
        debug_assert!(held.waiting > 0, "{client} places a connection that does not wait");
        let may = held.placed < self.most;
        if may {
            held.placed += 1;
            held.waiting = held.waiting.saturating_sub(1);
        }
        may
    }

    /// A connection that was counted has ended, or counts for another client; `placed` tells how it was.
    pub fn leave(&mut self, client: ClientKey, placed: bool) {
        let Some(held) = self.clients.get_mut(&client) else {
            debug_assert!(false, "{client} has no connection that could end");
            return;
        };
        let count = if placed { &mut held.placed } else { &mut held.waiting };
        debug_assert!(*count > 0, "{client} has no such connection");
        *count = count.saturating_sub(1);
        if *held == PlaceCount::default() {
            self.clients.remove(&client);
        }
    }

    /// Clients that have a connection.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::V4(number.into())
    }

    #[test]
    fn as_many_wait_as_have_a_place_and_no_more() {
        let mut places = Places::new(2);
        let came: Vec<PlaceVerdict> = (0..5).map(|_| places.enter(client(1), true)).collect();
        assert_eq!(
            came,
            [
                PlaceVerdict::Placed,
                PlaceVerdict::Placed,
                PlaceVerdict::Waiting,
                PlaceVerdict::Waiting,
                PlaceVerdict::Refused
            ]
        );
        assert_eq!(places.enter(client(2), true), PlaceVerdict::Placed, "others are not concerned");
        assert!(!places.place(client(1)));
        places.leave(client(1), true);
        assert!(places.place(client(1)), "the place of the one that has gone");
        assert!(!places.place(client(1)));
        assert_eq!(places.enter(client(1), false), PlaceVerdict::Refused, "it does not wait");
        let came = [places.enter(client(1), true), places.enter(client(1), true)];
        assert_eq!(came, [PlaceVerdict::Waiting, PlaceVerdict::Refused]);
    }

    #[test]
    fn other_limits_hold_for_those_that_come() {
        let mut places = Places::new(3);
        assert!((0..4).all(|_| places.enter(client(1), true) != PlaceVerdict::Refused));
        places.set_most(1);
        assert_eq!((places.place(client(1)), places.enter(client(1), true)), (false, PlaceVerdict::Refused));
        places.leave(client(1), true);
        places.leave(client(1), true);
        assert!(!places.place(client(1)), "one is left, and one is allowed");
        places.set_most(2);
        assert!(places.place(client(1)));
    }

    #[test]
    fn clients_that_have_gone_are_forgotten() {
        let mut places = Places::new(1);
        for number in 0..1000 {
            assert_eq!(places.enter(client(number), true), PlaceVerdict::Placed);
            assert_eq!(places.enter(client(number), true), PlaceVerdict::Waiting);
            assert_eq!(places.enter(client(number), true), PlaceVerdict::Refused);
            places.leave(client(number), false);
            places.leave(client(number), true);
        }
        assert_eq!(places.clients(), 0);
    }
}
