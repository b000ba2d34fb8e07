//! A kind of value that names the hosts that browsers reach without a proxy. Knows neither which options exist nor where their
//! texts come from.

use super::place::PathContext;
use super::value::{list_words, ValueType};
use crate::web::pac::PacHosts;

/// Names and networks.
pub struct PacDirect;

impl ValueType for PacDirect {
    type Value = PacHosts;
    const QUOTED: bool = true;

    fn form() -> String {
        "names, *.name or .name, addresses and networks with blanks or commas between them".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<PacHosts> {
        PacHosts::parse(&list_words(text)?.join(" "))
    }

    fn print(value: &PacHosts, _: &PathContext) -> String {
        value.print()
    }
}
