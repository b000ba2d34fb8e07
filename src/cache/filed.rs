//! A head with what it is filed under, in one piece of memory: its key and the fields that select it. Knows no storage.

use super::select::{selects, Selecting};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::stored::{Keeping, StoredHead};

/// A moment by the order of events in a shard: how often something had been forgotten of it.
pub type Epoch = u64;

/// A key with its hash, which is made with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheKey<'a> {
    /// See [`super::invalidate::key`].
    pub text: &'a [u8],
    /// See [`super::shards::Shards::key`].
    pub hash: u64,
    /// When it was looked up; 0 before that.
    pub epoch: Epoch,
    /// Since when what was asked for under it is true; 0 before it is looked up.
    pub since: Epoch,
}

/// A head that is kept or is to be.
#[derive(Clone, Debug)]
pub struct FiledHead {
    /// The head; its annex is the key with what selects it behind.
    pub head: StoredHead,
    key: u32,
}

impl FiledHead {
    /// The head of a response that has just come.
    pub fn of(response: &Response<'_>, keeping: &Keeping<'_>, key: &[u8], selecting: &Selecting) -> FiledHead {
        // A key is no longer than a head, which has 1 MiB at most.
        FiledHead { head: StoredHead::of(response, keeping, &[key, selecting.bytes()]), key: key.len() as u32 }
    }

    /// What it answers.
    pub fn key(&self) -> &[u8] {
        &self.head.annex()[..self.key as usize]
    }

    /// The fields of requests that it answers.
    pub fn selecting(&self) -> &[u8] {
        &self.head.annex()[self.key as usize..]
    }

    /// Whether a request of this key selects it.
    pub fn answers(&self, request: &Request) -> bool {
        selects(self.selecting(), request)
    }

    /// The same with a newer head, which has its annex.
    pub fn with_head(&self, head: StoredHead) -> FiledHead {
        debug_assert_eq!(head.annex(), self.head.annex());
        FiledHead { head, key: self.key }
    }

    /// The same for other requests.
    pub fn with_selecting(&self, selecting: &Selecting) -> FiledHead {
        FiledHead { head: self.head.with_annex(&[self.key(), selecting.bytes()]), key: self.key }
    }
}
