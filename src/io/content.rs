//! A file that is sent in pieces, because it is too large to be kept. Knows nothing of who gets it.

use std::fs::File;
use std::io::{self, Read};

/// A local file that is open, read from its start to its end.
#[derive(Debug)]
pub struct Content(File);

impl Content {
    /// The rest of a regular file.
    pub fn new(file: File) -> Content {
        Content(file)
    }

    /// Reads the next bytes; 0 is the end of the file. May wait for the disk, so `into` should be small.
    ///
    /// # Errors
    /// Those of read(2), but for an interrupted call, which is repeated.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}
