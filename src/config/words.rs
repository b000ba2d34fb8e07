//! Kinds of values that are one of a few words, each the name of what it stands for. Knows neither which options exist nor where
//! their texts come from.

use super::place::PathContext;
use super::value::ValueType;
use crate::exchange::ingress::{Diversion, HostCheck, Onward};
use crate::http::request::Announce;
use crate::icap::Respmod;

/// Makes a kind of value from a type with a list of all its values and a name for each.
macro_rules! words {
    ($(#[doc = $about:literal] $kind:ident = $value:ident;)*) => {$(
        #[doc = $about]
        pub struct $kind;

        impl ValueType for $kind {
            type Value = $value;
            const QUOTED: bool = true;

            fn form() -> String {
                format!("one of {}", $value::ALL.map($value::name).join(" "))
            }

            fn parse(text: &str, _: &PathContext) -> Option<$value> {
                $value::ALL.into_iter().find(|value| value.name() == text)
            }

            fn print(value: &$value, _: &PathContext) -> String {
                value.name().to_owned()
            }
        }
    )*};
}

words! {
    /// How the network diverts connections to the proxy.
    DivertMode = Diversion;
    /// Where diverted requests go.
    OnwardWord = Onward;
    /// What is done about hosts that are not where a connection was going.
    HostCheckWord = HostCheck;
    /// Which PROXY protocol header connections begin with.
    AnnounceWord = Announce;
    /// What becomes of responses that come over ICAP.
    RespmodWord = Respmod;
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::reprint;
    use super::*;

    #[test]
    fn each_word_is_read_as_it_is_written_and_no_other() {
        for word in ["redirect", "tproxy"] {
            assert_eq!(reprint::<DivertMode>(word).as_deref(), Some(word));
        }
        for word in ["log", "refuse", "ignore"] {
            assert_eq!(reprint::<HostCheckWord>(word).as_deref(), Some(word));
        }
        assert_eq!(
            (reprint::<OnwardWord>("name").as_deref(), reprint::<OnwardWord>("original").is_some()),
            (Some("name"), true)
        );
        assert_eq!((reprint::<AnnounceWord>("v2").as_deref(), reprint::<AnnounceWord>("on")), (Some("v2"), None));
        assert_eq!((reprint::<DivertMode>("Redirect"), reprint::<HostCheckWord>("")), (None, None));
        assert_eq!(HostCheckWord::form(), "one of log refuse ignore");
    }
}
