//! The one table of options, and where their values come from.
