//! A kind of value that says where to connect to. Knows neither which options exist nor where their texts come from.

use super::place::PathContext;
use super::value::ValueType;
use crate::http::target::Target;

/// A host with its port, or nothing.
pub struct PassDestination;

impl ValueType for PassDestination {
    type Value = Option<Target>;
    const QUOTED: bool = true;

    fn form() -> String {
        "host:port, or nothing".into()
    }

    fn parse(text: &str, _: &PathContext) -> Option<Option<Target>> {
        match text {
            "" => Some(None),
            text => Target::from_authority(text.as_bytes(), None).ok().map(Some),
        }
    }

    fn print(value: &Option<Target>, _: &PathContext) -> String {
        value.as_ref().map(Target::to_string).unwrap_or_default()
    }
}
