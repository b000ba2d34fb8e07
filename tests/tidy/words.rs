//! How comments speak: subject, verb, object, with the thing named that is meant.

use crate::source;

/// Words that name no one: what they stand for is a client, a session, a helper, and is to be written so.
const RIDDLES: &[&str] = &["nobody", "somebody", "whoever", "whatever"];

/// Most of them in all comments together. The number only falls.
const MOST: usize = 0;

#[test]
fn comments_name_what_they_mean() {
    let mut found = Vec::new();
    for file in source::all() {
        for (at, line) in file.comments.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase);
            let riddles = words.filter(|word| RIDDLES.contains(&word.as_str()));
            found.extend(riddles.map(|word| format!("{}:{}: {word}", file.path, at + 1)));
        }
    }
    let count = found.len();
    if count > MOST {
        crate::report(&format!("{count} riddles in comments, {MOST} may be"), found);
    }
}
