//! Kinds of values that are about parents: which there are, for which hosts, and whether names are resolved for them. Knows neither
//! which options exist nor where their texts come from.

use super::place::PathContext;
use super::value::{list_words, Flag, ValueType};
use crate::http::target::Target;
use crate::policy::parents::chain::MOST_PARENTS;
use crate::policy::parents::sites::is_entry;
use std::path::PathBuf;

/// The word for requests that go straight to their origins.
const DIRECT: &str = "direct";

/// What an entry begins with that names a file of them.
const FILE: &str = "file:";

/// Parents in their order.
pub struct ParentProxies;

/// The value of [`ParentProxies`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentPlaces {
    /// Where they are.
    pub parents: Vec<Target>,
    /// Behind the last of them requests go straight to their origins.
    pub direct: bool,
}

impl ValueType for ParentProxies {
    type Value = ParentPlaces;
    const QUOTED: bool = true;

    fn form() -> String {
        format!("host:port entries with blanks or commas between them, at most {MOST_PARENTS}, behind the last perhaps direct")
    }

    fn parse(text: &str, _: &PathContext) -> Option<ParentPlaces> {
        let mut words = list_words(text)?;
        let direct = words.last() == Some(&DIRECT);
        words.truncate(words.len() - usize::from(direct));
        let place = |word: &&str| Target::from_authority(word.as_bytes(), None).ok();
        let parents: Vec<Target> = words.iter().map(place).collect::<Option<_>>()?;
        let fits = parents.len() <= MOST_PARENTS && (!direct || !parents.is_empty());
        fits.then_some(ParentPlaces { parents, direct })
    }

    fn print(value: &ParentPlaces, _: &PathContext) -> String {
        let parents = value.parents.iter().map(Target::to_string);
        parents.chain(value.direct.then(|| DIRECT.to_owned())).collect::<Vec<_>>().join(" ")
    }
}

/// Names and networks, or files of them.
pub struct SiteEntries;

/// The value of [`SiteEntries`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteNames {
    /// Those that stand here.
    pub entries: Vec<String>,
    /// Files with others.
    pub files: Vec<PathBuf>,
}

impl SiteNames {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.files.is_empty()
    }
}

impl ValueType for SiteEntries {
    type Value = SiteNames;
    const QUOTED: bool = true;

    fn form() -> String {
        "names and networks as in lists, or file:NAME of an existing file of them, with blanks or commas between them"
            .into()
    }

    fn parse(text: &str, place: &PathContext) -> Option<SiteNames> {
        let mut names = SiteNames::default();
        for word in text.split_whitespace() {
            // The name of a file may have commas.
            if let Some(path) = word.strip_prefix(FILE).and_then(|path| place.lookup(path)) {
                names.files.push(path);
                continue;
            }
            for word in word.split(',').filter(|word| !word.is_empty()) {
                match word.strip_prefix(FILE) {
                    Some(path) => names.files.push(place.lookup(path)?),
                    None => names.entries.push(is_entry(word).then(|| word.to_owned())?),
                }
            }
        }
        (!names.is_empty() || text.trim().is_empty()).then_some(names)
    }

    fn print(value: &SiteNames, place: &PathContext) -> String {
        let files = value.files.iter().map(|path| format!("{FILE}{}", place.shorten(path)));
        value.entries.iter().cloned().chain(files).collect::<Vec<_>>().join(" ")
    }
}

/// True, false, or nothing where that was left open.
pub struct Said;

impl ValueType for Said {
    type Value = Option<bool>;

    fn form() -> String {
        format!("{}, or nothing", Flag::form())
    }

    fn parse(text: &str, _: &PathContext) -> Option<Option<bool>> {
        match text {
            "" => Some(None),
            text => Flag::word(text).map(Some),
        }
    }

    fn print(value: &Option<bool>, _: &PathContext) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn parents_stand_in_their_order_and_direct_is_the_last() {
        let text = " Parent.Example:3128  192.0.2.1:8080 [2001:db8::1]:80 direct";
        let commas = "Parent.Example:3128,192.0.2.1:8080, [2001:db8::1]:80, direct";
        let printed = "parent.example:3128 192.0.2.1:8080 [2001:db8::1]:80 direct";
        assert_eq!(reprint::<ParentProxies>(text).as_deref(), Some(printed));
        assert_eq!(reprint::<ParentProxies>(commas).as_deref(), Some(printed));
        assert_eq!(reprint::<ParentProxies>("").as_deref(), Some(""));
        let many = |count: usize| "p.example:1 ".repeat(count);
        assert!(reprint::<ParentProxies>(&many(16)).is_some() && reprint::<ParentProxies>(&many(17)).is_none());
        for text in
            ["direct", "direct p.example:1", "p.example", "p.example:0", "http://p.example:1", "u:p@p.example:1"]
        {
            assert_eq!(reprint::<ParentProxies>(text), None, "{text}");
        }
    }

    #[test]
    fn sites_are_entries_of_lists() {
        let text = "*.corp.example,  10.0.0.0/8 !x.corp.example a.example:8080";
        assert_eq!(
            reprint::<SiteEntries>(text).as_deref(),
            Some("*.corp.example 10.0.0.0/8 !x.corp.example a.example:8080")
        );
        for text in ["a..b", "10.0.0.0/33", "file:", "file:/nothing/there", "a/b", ","] {
            assert_eq!(reprint::<SiteEntries>(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_left_open_is_neither_true_nor_false() {
        for (text, printed) in [("", ""), ("yes", "true"), ("off", "false")] {
            assert_eq!(reprint::<Said>(text).as_deref(), Some(printed));
        }
        assert_eq!(reprint::<Said>("maybe"), None);
    }
}
