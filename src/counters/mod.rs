//! Numbers that grow: what exchanges count, and how long something took. Knows neither the form in which numbers are shown
//! nor the time.

pub mod auth;
pub mod decided;
pub mod exchange;
pub mod histogram;
pub mod turns;
