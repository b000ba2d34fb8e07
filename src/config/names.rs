//! The names under which an option is set: in the environment, and in sections of the ini file. Knows no value.

use super::options::OptionEntry;

/// The names of an option within its section: with dashes or underscores, and then the older name.
pub(super) fn keys(entry: &OptionEntry) -> Vec<String> {
    let mut keys = vec![entry.key.to_owned(), entry.key.replace('-', "_")];
    keys.extend(entry.alias.into_iter().flat_map(|alias| [alias.to_owned(), alias.replace('-', "_")]));
    keys.dedup();
    keys
}

/// All environment variables that set an option, the strongest first. Shells drop names with dots or dashes, so each
/// has a form with underscores alone.
pub(super) fn environment_names(entry: &OptionEntry) -> Vec<String> {
    let keys = keys(entry);
    let (own, older): (Vec<&String>, Vec<&String>) = keys.iter().partition(|key| key.replace('_', "-") == entry.key);
    let names = |keys: Vec<&String>| {
        let dotted: Vec<String> = keys.iter().map(|key| format!("exaproxy.{}.{key}", entry.section)).collect();
        dotted.into_iter().chain(keys.into_iter().map(|key| format!("exaproxy_{}_{key}", entry.section))).collect()
    };
    let (own, older): (Vec<String>, Vec<String>) = (names(own), names(older));
    own.into_iter().chain(older).collect()
}

/// The two ini sections in which an option may stand, the stronger first.
pub(super) fn ini_sections(entry: &OptionEntry) -> [String; 2] {
    [entry.section.to_owned(), format!("exaproxy.{}", entry.section)]
}
