//! The questions that wait for a helper, fair by client: clients take turns, and each client's questions go in their order, so
//! that one who asks much waits behind itself and not in front of the others. Knows neither helpers nor time.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Ticket, Waiting};
use crate::policy::shares::ClientKey;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    clients: HashMap<ClientKey, BTreeMap<Ticket, Waiting>>,
    /// Clients with questions, the one whose turn it is first.
    turns: VecDeque<ClientKey>,
    /// Whose each question is. The first is the oldest.
    owners: BTreeMap<Ticket, ClientKey>,
}

impl FairQueue {
    /// Number of questions.
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// True without questions.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Does this question wait?
    pub(super) fn contains(&self, ticket: Ticket) -> bool {
        self.owners.contains_key(&ticket)
    }

    /// The question that has waited longest.
    pub(super) fn oldest(&self) -> Option<&Waiting> {
        let (ticket, client) = self.owners.first_key_value()?;
        self.clients.get(client)?.get(ticket)
    }

    /// Adds a question. One that was asked before in vain is its client's next, and its client's turn is at once.
    pub(super) fn insert(&mut self, ticket: Ticket, waiting: Waiting) {
        let client = waiting.client;
        self.owners.insert(ticket, client);
        let own = self.clients.entry(client).or_default();
        let is_new = own.is_empty();
        own.insert(ticket, waiting);
        if waiting.again {
            self.turns.retain(|other| *other != client);
            self.turns.push_front(client);
        } else if is_new {
            self.turns.push_back(client);
        }
    }

    /// Takes a question out.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let client = self.owners.remove(&ticket)?;
        let own = self.clients.get_mut(&client)?;
        let waiting = own.remove(&ticket);
        if own.is_empty() {
            self.clients.remove(&client);
            self.turns.retain(|other| *other != client);
        }
        waiting
    }

    /// Takes the question out whose turn it is: the oldest of the client that has waited longest for one of its own.
    pub(super) fn pop(&mut self) -> Option<(Ticket, Waiting)> {
        let client = self.turns.pop_front()?;
        let own = self.clients.get_mut(&client)?;
        let (ticket, waiting) = own.pop_first()?;
        self.owners.remove(&ticket);
        match own.is_empty() {
            true => drop(self.clients.remove(&client)),
            false => self.turns.push_back(client),
        }
        Some((ticket, waiting))
    }

    /// The question that gives way to one of `client` where there is no more room: the newest of the client that has most, if
    /// that has more than `client` would have.
    pub(super) fn displaced_by(&self, client: ClientKey) -> Option<Ticket> {
        let held = self.clients.get(&client).map_or(0, BTreeMap::len);
        let (_, most) = self.clients.iter().max_by_key(|(_, own)| own.len())?;
        (most.len() > held + 1).then(|| most.last_key_value().map(|(ticket, _)| *ticket))?
    }

    /// Takes all questions out.
    pub(super) fn drain(&mut self) -> Vec<(Ticket, Waiting)> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reactor::arena::Key;

    fn client(last: u8) -> ClientKey {
        ClientKey::from(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn waiting(last: u8, again: bool) -> Waiting {
        Waiting { who: Key { index: 0, generation: 0 }, client: client(last), since: 0, again }
    }

    fn order(queue: &mut FairQueue) -> Vec<u64> {
        queue.drain().into_iter().map(|(ticket, _)| ticket.0).collect()
    }

    #[test]
    fn b2_clients_take_turns() {
        let mut queue = FairQueue::default();
        (1..=4).for_each(|ticket| queue.insert(Ticket(ticket), waiting(1, false)));
        (5..=6).for_each(|ticket| queue.insert(Ticket(ticket), waiting(2, false)));
        queue.insert(Ticket(7), waiting(3, false));
        assert_eq!((queue.len(), queue.oldest().map(|oldest| oldest.client)), (7, Some(client(1))));
        assert_eq!(order(&mut queue), [1, 5, 7, 2, 6, 3, 4]);
        assert!(queue.is_empty() && queue.clients.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn one_that_is_asked_again_comes_first() {
        let mut queue = FairQueue::default();
        (2..=3).for_each(|ticket| queue.insert(Ticket(ticket), waiting(1, false)));
        queue.insert(Ticket(4), waiting(2, false));
        queue.insert(Ticket(1), waiting(2, true));
        assert_eq!(order(&mut queue), [1, 2, 4, 3]);
    }

    #[test]
    fn the_greediest_gives_way_where_there_is_no_room() {
        let mut queue = FairQueue::default();
        (1..=3).for_each(|ticket| queue.insert(Ticket(ticket), waiting(1, false)));
        assert_eq!(queue.displaced_by(client(1)), None, "not to itself");
        assert_eq!(queue.displaced_by(client(2)), Some(Ticket(3)));
        queue.remove(Ticket(3));
        queue.insert(Ticket(4), waiting(2, false));
        assert_eq!(queue.displaced_by(client(2)), None, "they have almost the same");
        assert!(queue.contains(Ticket(4)) && queue.remove(Ticket(4)).is_some() && queue.turns.len() == 1);
    }
}
