//! Reads the vectors of TLS (RFC 8446 section 3.4): lengths in front of what they enclose. Knows no message.

use super::fault::HelloFault;

/// What is left to be read.
pub(super) struct VectorReader<'b>(pub(super) &'b [u8]);

impl<'b> VectorReader<'b> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], HelloFault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HelloFault::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of so many bytes, four at most.
    fn number(&mut self, bytes: usize) -> Result<usize, HelloFault> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    pub(super) fn byte(&mut self) -> Result<u8, HelloFault> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn short(&mut self) -> Result<u16, HelloFault> {
        // Two bytes fit.
        Ok(self.number(2)? as u16)
    }

    /// A vector whose length has so many bytes.
    pub(super) fn vector(&mut self, length_bytes: usize) -> Result<VectorReader<'b>, HelloFault> {
        let length = self.number(length_bytes)?;
        self.take(length).map(VectorReader)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), HelloFault> {
        self.is_empty().then_some(()).ok_or(HelloFault::Length)
    }
}
