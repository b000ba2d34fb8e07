//! Readiness, buffers, alarms and streams for one mio event loop. Knows no protocol.
