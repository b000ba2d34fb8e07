//! A generational arena: a slab whose keys stop working when their entry has gone.

use slab::Slab;

/// Names one entry of an [`Arena`]. A key whose entry was removed misses, also when the slot is in use again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Slot number, reused after a removal.
    pub index: u32,
    /// Differs between the successive holders of one slot.
    pub generation: u32,
}

impl Key {
    /// No entry ever has this key: an arena would have to be full.
    pub const NONE: Key = Key { index: u32::MAX, generation: u32::MAX };

    /// The key as one number, for places that carry an opaque u64.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The opposite of [`Key::to_bits`].
    pub fn from_bits(bits: u64) -> Key {
        Key { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Entries of one kind, addressed by [`Key`].
#[derive(Debug)]
pub struct Arena<T> {
    entries: Slab<(u32, T)>,
    next_generation: u32,
    step: u32,
}

impl<T> Arena<T> {
    /// An empty arena, which allocates with its first entry.
    pub fn new() -> Arena<T> {
        Arena::numbered(1, 1)
    }

    /// The same, with generations that begin with `first` and rise by `step`, so that those of several arenas differ.
    pub fn numbered(first: u32, step: u32) -> Arena<T> {
        Arena { entries: Slab::new(), next_generation: first, step }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry; `make` is told the key that it will have.
    ///
    /// # Panics
    /// With more than 2^32 entries, which no process has descriptors for.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(self.step);
        let vacant = self.entries.vacant_entry();
        assert!(vacant.key() <= u32::MAX as usize, "more entries than a key can name");
        let key = Key { index: vacant.key() as u32, generation };
        vacant.insert((generation, make(key)));
        key
    }

    /// Adds an entry.
    pub fn insert(&mut self, entry: T) -> Key {
        self.insert_with(|_| entry)
    }

    /// The entry of this key, unless it has gone.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.entries.get(key.index as usize) {
            Some((generation, entry)) if *generation == key.generation => Some(entry),
            _ => None,
        }
    }

    /// The entry of this key, unless it has gone.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.index as usize) {
            Some((generation, entry)) if *generation == key.generation => Some(entry),
            _ => None,
        }
    }

    /// The key of the entry that this slot holds now.
    pub fn key_at(&self, index: u32) -> Option<Key> {
        self.entries.get(index as usize).map(|(generation, _)| Key { index, generation: *generation })
    }

    /// Takes the entry out.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        Some(self.entries.remove(key.index as usize).1)
    }

    /// All entries to change, with their keys, in slot order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.entries
            .iter_mut()
            .map(|(index, (generation, entry))| (Key { index: index as u32, generation: *generation }, entry))
    }

    /// All entries with their keys, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries
            .iter()
            .map(|(index, (generation, entry))| (Key { index: index as u32, generation: *generation }, entry))
    }

    /// The keys of all entries, in slot order.
    pub fn keys(&self) -> Vec<Key> {
        self.iter().map(|(key, _)| key).collect()
    }
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_entry_without_reaching_the_next_one() {
        let mut arena = Arena::new();
        let first = arena.insert("first");
        assert_eq!(arena.get(first), Some(&"first"));
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert("second");
        assert_eq!(first.index, second.index, "the slot is used again");
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.get_mut(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.key_at(second.index), Some(second));
        assert_eq!(arena.len(), 1);
    }

    #[test]
    fn keys_of_arenas_with_numbers_of_their_own_differ() {
        let (mut one, mut other) = (Arena::numbered(1, 2), Arena::numbered(2, 2));
        let keys: Vec<Key> = (0..3).flat_map(|_| [one.insert(()), other.insert(())]).collect();
        assert_eq!(keys.iter().map(|key| key.generation).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn bits_carry_the_whole_key() {
        let key = Key { index: 7, generation: u32::MAX };
        assert_eq!(Key::from_bits(key.to_bits()), key);
    }
}
