//! What the table says of an option beside its value: how it stands to the original's, and how its name is written.

/// How an option stands to the original program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionHistory {
    /// As it was.
    Kept,
    /// Not in the original.
    New,
    /// In the original, with this difference.
    Changed(&'static str),
    /// Accepted for old files, and without effect for this reason.
    Obsolete(&'static str),
    /// A switch whose part of the program does not exist yet: `true` stops the start.
    Unbuilt,
}

/// The name of a field without the mark of one that is a word of the language.
pub(super) const fn bare(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', rest @ ..] => match std::str::from_utf8(rest) {
            Ok(rest) => rest,
            Err(_) => field,
        },
        _ => field,
    }
}

/// The name of a field with dashes for underscores, made when the program is compiled.
pub(super) const fn dashed<const LENGTH: usize>(field: &str) -> [u8; LENGTH] {
    let mut bytes = [b'-'; LENGTH];
    let mut at = 0;
    while at < LENGTH {
        if field.as_bytes()[at] != b'_' {
            bytes[at] = field.as_bytes()[at];
        }
        at += 1;
    }
    bytes
}
