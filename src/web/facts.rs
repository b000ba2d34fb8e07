//! Keys with their values and what they mean: beside one another where there is room, one below the other on a phone.

use maud::{html, Markup};

/// Keys that are explained together.
pub(super) struct Fact {
    /// Each key with its value.
    pub(super) pairs: Vec<(String, Markup)>,
    /// What they mean.
    pub(super) about: Markup,
    /// They stand out.
    pub(super) marked: bool,
}

/// All of them, below one another.
pub(super) fn facts(all: &[Fact]) -> Markup {
    html! {
        div .facts {
            @for Fact { pairs, about, marked } in all {
                div .fact .marked[*marked] {
                    dl { @for (key, value) in pairs { div { dt { (key) } dd { (value) } } } }
                    div .about { (about) }
                }
            }
        }
    }
}

/// A phrase as a sentence begins.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}
