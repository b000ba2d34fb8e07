//! The makers, the licence, and where to report faults.

use maud::{html, Markup};

/// Where faults are reported.
const ISSUES: &str = "https://github.com/Exa-Networks/exaproxy/issues";

/// What it is.
pub(super) fn about() -> Markup {
    html! {
        h1 { "About" }
        p { "ExaProxy " (env!("CARGO_PKG_VERSION")) ": an HTTP proxy that filters with lists and helper programs, joins IPv4 and IPv6, and caches where that is asked for." }
        ul {
            li { a href="/about/email.html" { "Contact" } }
            li { a href="/about/licence.html" { "Licence" } }
            li { a href="/humans.html" { "Humans" } }
        }
    }
}

/// The original sent mail from here.
pub(super) fn email() -> Markup {
    html! {
        h1 { "Contact" }
        p { "Faults and wishes are gathered at " a href=(ISSUES) rel="noreferrer" { (ISSUES) } "." }
        p { "Version 1 could send mail to its authors from this page. This version sends no mail." }
    }
}

/// The licence in full.
pub(super) fn licence() -> Markup {
    html! { h1 { "Licence" } pre { (include_str!("../../LICENSE")) } }
}

/// See humanstxt.org.
pub(super) const HUMANS: &str =
    "/* TEAM */\nExaProxy 1: Thomas Mangin and David Farrar, Exa Networks\nExaProxy 2: its contributors\n";

/// The same as a page.
pub(super) fn humans() -> Markup {
    html! { h1 { "Humans" } pre { (HUMANS) } }
}
