//! Inputs for the targets: seeds, changed at random but repeatably, and grown by what led somewhere new. Knows nothing
//! of what the bytes mean, but for a list of texts that protocols like ours react to.

use crate::chance::Chance;

/// Longest input, in bytes: beyond every limit of the parsers, so that the limits are met too.
const LONGEST: usize = 160 * 1024;

/// Inputs kept because they led somewhere new; beyond it a random one gives way.
const KEPT: usize = 512;

/// Changes to one input at most.
const CHANGES: u64 = 8;

/// Texts on which parsers turn.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"=",
    b"\"",
    b"%",
    b"%(",
    b"[",
    b"]",
    b"//",
    b"@",
    b".",
    b"..",
    b"0",
    b"00000000000000000000",
    b"-1",
    b"+5",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"ffffffffffffffff",
    b"ffffffffffffffff0",
    b"GET ",
    b"CONNECT ",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 \r\n",
    b"http://",
    b"[::1]",
    b"[::ffff:127.0.0.1]",
    b"0x7f.1",
    b"Host: ",
    b"Content-Length: ",
    b"Transfer-Encoding: ",
    b"chunked",
    b"Connection: ",
    b"close",
    b"keep-alive",
    b"upgrade",
    b"Expect: 100-continue\r\n",
    b"Max-Forwards: 0\r\n",
    b"\xc0\x0c",
    b"\xc0\x00",
    b"\xff\xff",
    b"\x00\x01\x00\x01",
    b"\x80",
    b"nameserver ",
    b"options ",
    b"search ",
];

/// Seeds and what was kept on the way.
pub(crate) struct Corpus {
    inputs: Vec<Vec<u8>>,
    seeds: usize,
    chance: Chance,
}

impl Corpus {
    /// Begins with the seeds; an empty input is always one.
    pub(crate) fn new(seeds: &[&[u8]], chance: Chance) -> Corpus {
        let mut inputs: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
        inputs.push(Vec::new());
        Corpus { seeds: inputs.len(), inputs, chance }
    }

    /// The seeds as they are, to be run first.
    pub(crate) fn seeds(&self) -> Vec<Vec<u8>> {
        self.inputs[..self.seeds].to_vec()
    }

    /// Keeps an input that led somewhere new.
    pub(crate) fn keep(&mut self, input: &[u8]) {
        if self.inputs.len() < self.seeds + KEPT {
            self.inputs.push(input.to_vec());
        } else {
            let at = self.seeds + self.chance.below(KEPT);
            self.inputs[at] = input.to_vec();
        }
    }

    /// A new input.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let at = self.chance.below(self.inputs.len());
        let mut input = self.inputs[at].clone();
        for _ in 0..=self.chance.next() % CHANGES {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.chance.below(input.len() + 1);
        let some = 1 + self.chance.below(16);
        let end = (at + some).min(input.len());
        match self.chance.next() % 12 {
            0 | 1 => self.insert_word(input, at),
            2 if at < input.len() => input[at] ^= 1 << self.chance.below(8),
            3 if at < input.len() => input[at] = self.chance.next() as u8,
            4 => drop(input.drain(at..end)),
            5 => input.truncate(at),
            6 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            7 => self.repeat(input, at, end),
            8 => self.cross(input, at),
            9 => self.overwrite_word(input, at),
            10 => input.insert(at, self.chance.next() as u8),
            _ => {
                let other = self.chance.below(input.len() + 1);
                let (low, high) = (at.min(other), at.max(other));
                input[low..high].reverse();
            }
        }
    }

    fn insert_word(&mut self, input: &mut Vec<u8>, at: usize) {
        let word = WORDS[self.chance.below(WORDS.len())];
        input.splice(at..at, word.iter().copied());
    }

    fn overwrite_word(&mut self, input: &mut Vec<u8>, at: usize) {
        let word = WORDS[self.chance.below(WORDS.len())];
        let end = (at + word.len()).min(input.len());
        input.splice(at..end, word.iter().copied());
    }

    /// Many copies of one piece: what meets the limits on length and count.
    fn repeat(&mut self, input: &mut Vec<u8>, at: usize, end: usize) {
        let piece = input[at..end].to_vec();
        let times = 1 << self.chance.below(13);
        if input.len() + piece.len() * times <= LONGEST {
            input.splice(at..at, piece.repeat(times));
        }
    }

    /// The front of this input and the back of another.
    fn cross(&mut self, input: &mut Vec<u8>, at: usize) {
        let other = self.chance.below(self.inputs.len());
        let from = self.chance.below(self.inputs[other].len() + 1);
        input.truncate(at);
        input.extend_from_slice(&self.inputs[other][from..]);
    }
}
