//! A password from the terminal, which does not show it, or from standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use nix::sys::termios::{tcgetattr, tcsetattr, LocalFlags, SetArg, Termios};
use zeroize::Zeroizing;

/// Most bytes of a line that is taken for a password.
const MAX_LINE: u64 = 4096;

/// Reads a password: from a terminal twice, else the first line.
///
/// # Errors
/// Those of reading; that the two differ; that it is not UTF-8.
pub fn read_password() -> io::Result<Zeroizing<String>> {
    let input = io::stdin();
    if !input.is_terminal() {
        return line(&mut input.lock());
    }
    let _hidden = Hidden::new()?;
    let first = asked("Password: ")?;
    match asked("The same again: ")? == first {
        true => Ok(first),
        false => Err(io::Error::other("they are not the same")),
    }
}

fn asked(question: &str) -> io::Result<Zeroizing<String>> {
    let mut error = io::stderr();
    write!(error, "{question}")?;
    let answer = line(&mut io::stdin().lock());
    writeln!(error)?;
    answer
}

/// The first line, without its end.
fn line(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LINE as usize));
    input.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A terminal that does not show what is typed, until this goes.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Hidden> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &hidden)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        for (text, password) in [("a b \r\nc\n", "a b "), ("ü", "ü"), ("", ""), ("\n", "")] {
            assert_eq!(&*line(&mut text.as_bytes()).unwrap(), password, "{text:?}");
        }
        assert!(line(&mut &b"\xff\n"[..]).is_err());
    }
}
