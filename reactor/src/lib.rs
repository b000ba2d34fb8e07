//! Readiness, buffers, alarms and streams for one mio event loop. Knows no protocol.
//!
//! What is pure here (`arena`, `ready`, `buffer`, `alarm`) can be tested without a socket; what touches the system is
//! `stream`, `packets`, `parking`, `pipe`, `listener`, `inherited`, `unix`, `poller`, and `sys`, the only module of the project that may say `unsafe`.

pub mod alarm;
pub mod arena;
pub mod buffer;
pub mod bus;
pub mod frame;
pub mod inherited;
pub mod listener;
pub mod packets;
pub mod parking;
pub mod pipe;
pub mod poller;
pub mod ready;
pub mod stream;
pub mod sys;
pub mod unix;

/// Milliseconds since the start of the loop. The loop reads the clock once a turn.
pub type Millis = u64;
