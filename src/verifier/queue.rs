//! Checks that wait for a thread, fair by client: clients take turns, and one alone gets no more than half of the places. Knows
//! neither what is checked nor who waits for it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::policy::shares::ClientKey;

/// Most checks that wait.
pub(super) const PLACES: usize = 256;

/// There is no place for a check of this client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueFull;

/// The queue.
#[derive(Debug)]
pub(super) struct CheckQueue<T> {
    clients: HashMap<ClientKey, BTreeMap<u64, T>>,
    /// Clients with checks, the one whose turn it is first.
    turns: VecDeque<ClientKey>,
    length: usize,
}

impl<T> Default for CheckQueue<T> {
    fn default() -> CheckQueue<T> {
        CheckQueue { clients: HashMap::new(), turns: VecDeque::new(), length: 0 }
    }
}

impl<T> CheckQueue<T> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Adds a check. Numbers rise.
    ///
    /// # Errors
    /// The client has as many as are left free.
    pub(super) fn push(&mut self, client: ClientKey, number: u64, check: T) -> Result<(), QueueFull> {
        let held = self.clients.get(&client).map_or(0, BTreeMap::len);
        if held >= PLACES.saturating_sub(self.length) {
            return Err(QueueFull);
        }
        if held == 0 {
            self.turns.push_back(client);
        }
        self.clients.entry(client).or_default().insert(number, check);
        self.length += 1;
        Ok(())
    }

    /// Takes the check out whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        let client = self.turns.pop_front()?;
        let own = self.clients.get_mut(&client)?;
        let first = own.pop_first()?;
        self.length -= 1;
        match own.is_empty() {
            true => drop(self.clients.remove(&client)),
            false => self.turns.push_back(client),
        }
        Some(first)
    }

    /// Takes a check out that is not wanted any more; false if it does not wait.
    pub(super) fn remove(&mut self, client: ClientKey, number: u64) -> bool {
        let Some(own) = self.clients.get_mut(&client) else { return false };
        let removed = own.remove(&number).is_some();
        self.length -= usize::from(removed);
        if own.is_empty() {
            self.clients.remove(&client);
            self.turns.retain(|other| *other != client);
        }
        removed
    }

    /// Takes all checks of a client out, and gives their numbers.
    pub(super) fn remove_all(&mut self, client: ClientKey) -> Vec<u64> {
        let own = self.clients.remove(&client).unwrap_or_default();
        self.length -= own.len();
        self.turns.retain(|other| *other != client);
        own.into_keys().collect()
    }

    /// Does this check wait?
    pub(super) fn contains(&self, client: ClientKey, number: u64) -> bool {
        self.clients.get(&client).is_some_and(|own| own.contains_key(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn client(last: u8) -> ClientKey {
        ClientKey::from(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn clients_take_turns_and_one_alone_gets_half() {
        let mut queue = CheckQueue::default();
        for number in 0..PLACES as u64 / 2 {
            queue.push(client(1), number, ()).unwrap();
        }
        assert_eq!(queue.push(client(1), 900, ()), Err(QueueFull));
        queue.push(client(2), 901, ()).unwrap();
        queue.push(client(2), 902, ()).unwrap();
        queue.push(client(3), 903, ()).unwrap();
        assert!(queue.contains(client(3), 903) && queue.remove(client(3), 903) && !queue.remove(client(3), 903));
        queue.push(client(3), 904, ()).unwrap();
        assert_eq!(queue.remove_all(client(3)), [904]);
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|(number, ())| number).collect();
        assert_eq!(order[..6], [0, 901, 1, 902, 2, 3]);
        assert_eq!((order.len(), queue.len(), queue.clients.len(), queue.turns.len()), (130, 0, 0, 0));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut queue = CheckQueue::default();
        let pushed = (0..10_000).filter(|number| queue.push(client((number % 200) as u8), *number, ()).is_ok()).count();
        // The last place is for a client that holds none, and all of these hold one.
        assert_eq!((pushed, queue.len()), (PLACES - 1, PLACES - 1));
    }
}
