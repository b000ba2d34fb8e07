//! The questions that wait for a helper, fair by client: clients take turns, those first that no helper works for, and each
//! client's questions go in their order, so that one who asks much waits behind itself and not in front of the others. Knows
//! how many questions of each client helpers have, but neither helpers nor time.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Ticket, Waiting};
use crate::policy::shares::ClientKey;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    /// Clients with questions, here or before helpers.
    clients: HashMap<ClientKey, Asker>,
    /// Clients whose turn is before that of all others: no helper has a question of theirs, or one was lost there.
    first: VecDeque<ClientKey>,
    /// The other clients with questions that wait, the one whose turn it is first.
    turns: VecDeque<ClientKey>,
    /// Whose each question is. The first is the oldest.
    owners: BTreeMap<Ticket, ClientKey>,
}

/// A client with questions.
#[derive(Debug, Default)]
struct Asker {
    waiting: BTreeMap<Ticket, Waiting>,
    /// Its questions that helpers have before them.
    busy: usize,
}

impl FairQueue {
    /// Number of questions that wait.
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// True without questions that wait.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Number of clients with questions that wait or that helpers have before them.
    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Does a helper have a question of this client?
    pub(super) fn is_served(&self, client: ClientKey) -> bool {
        self.clients.get(&client).is_some_and(|asker| asker.busy > 0)
    }

    /// Is it the turn of a client that waits for its first helper, or again for one that it lost?
    pub(super) fn is_first(&self) -> bool {
        !self.first.is_empty()
    }

    /// Does this question wait?
    pub(super) fn contains(&self, ticket: Ticket) -> bool {
        self.owners.contains_key(&ticket)
    }

    /// The question that has waited longest.
    pub(super) fn oldest(&self) -> Option<&Waiting> {
        let (ticket, client) = self.owners.first_key_value()?;
        self.clients.get(client)?.waiting.get(ticket)
    }

    /// Adds a question. One that was asked before in vain is its client's next, and its client's turn is at once.
    pub(super) fn insert(&mut self, ticket: Ticket, waiting: Waiting) {
        let client = waiting.client;
        self.owners.insert(ticket, client);
        let asker = self.clients.entry(client).or_default();
        let is_new = asker.waiting.is_empty();
        let again = waiting.again;
        asker.waiting.insert(ticket, waiting);
        match (again, is_new, asker.busy) {
            (true, ..) => {
                self.forget_turn(client);
                self.first.push_front(client);
            }
            (false, true, 0) => self.first.push_back(client),
            (false, true, _) => self.turns.push_back(client),
            (false, false, _) => {}
        }
    }

    /// Takes a question out.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let client = self.owners.remove(&ticket)?;
        let asker = self.clients.get_mut(&client)?;
        let waiting = asker.waiting.remove(&ticket);
        if asker.waiting.is_empty() {
            self.forget_turn(client);
            self.forget_idle(client);
        }
        waiting
    }

    /// Takes the question out whose turn it is, for a helper: the oldest of the client that has waited longest for one of its
    /// own. [`FairQueue::give_back`] tells when the helper is done with it.
    pub(super) fn pop(&mut self) -> Option<(Ticket, Waiting)> {
        let client = self.first.pop_front().or_else(|| self.turns.pop_front())?;
        let asker = self.clients.get_mut(&client)?;
        let (ticket, waiting) = asker.waiting.pop_first()?;
        asker.busy += 1;
        self.owners.remove(&ticket);
        if !asker.waiting.is_empty() {
            self.turns.push_back(client);
        }
        Some((ticket, waiting))
    }

    /// A helper has a question of this client no more.
    pub(super) fn give_back(&mut self, client: ClientKey) {
        let Some(asker) = self.clients.get_mut(&client) else { return };
        asker.busy = asker.busy.saturating_sub(1);
        if asker.busy == 0 && !asker.waiting.is_empty() {
            self.forget_turn(client);
            self.first.push_back(client);
        }
        self.forget_idle(client);
    }

    /// The question that gives way to one of `client` where there is no more room: the newest of the client that has most, if
    /// that has more than `client` would have.
    pub(super) fn displaced_by(&self, client: ClientKey) -> Option<Ticket> {
        let held = self.clients.get(&client).map_or(0, |asker| asker.waiting.len());
        let (_, most) = self.clients.iter().max_by_key(|(_, asker)| asker.waiting.len())?;
        (most.waiting.len() > held + 1).then(|| most.waiting.last_key_value().map(|(ticket, _)| *ticket))?
    }

    /// Takes all questions out, which no helper gets.
    pub(super) fn drain(&mut self) -> Vec<(Ticket, Waiting)> {
        let all: Vec<(Ticket, Waiting)> = std::iter::from_fn(|| self.pop()).collect();
        all.iter().for_each(|(_, waiting)| self.give_back(waiting.client));
        all
    }

    fn forget_turn(&mut self, client: ClientKey) {
        self.first.retain(|other| *other != client);
        self.turns.retain(|other| *other != client);
    }

    /// Only who has a question is remembered.
    fn forget_idle(&mut self, client: ClientKey) {
        if self.clients.get(&client).is_some_and(|asker| asker.busy == 0 && asker.waiting.is_empty()) {
            self.clients.remove(&client);
        }
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
        assert!(queue.is_empty() && queue.clients.is_empty() && queue.turns.is_empty() && !queue.is_first());
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
        assert!(queue.contains(Ticket(4)) && queue.remove(Ticket(4)).is_some());
        assert_eq!((queue.first.len(), queue.clients()), (1, 1));
    }

    #[test]
    fn b2_who_has_no_helper_comes_before_those_who_have() {
        let mut queue = FairQueue::default();
        (1..=3).for_each(|ticket| queue.insert(Ticket(ticket), waiting(1, false)));
        assert!(queue.is_first() && !queue.is_served(client(1)));
        queue.pop();
        assert!(!queue.is_first() && queue.is_served(client(1)));
        queue.insert(Ticket(4), waiting(2, false));
        assert!(queue.is_first());
        assert_eq!(queue.pop().map(|(ticket, _)| ticket), Some(Ticket(4)));
        queue.give_back(client(2));
        assert_eq!(queue.clients(), 1, "who has no question is forgotten");
        queue.give_back(client(1));
        assert!(queue.is_first() && queue.turns.is_empty(), "it has no helper any more");
        assert_eq!(order(&mut queue), [2, 3]);
        assert_eq!(queue.clients(), 0);
    }
}
