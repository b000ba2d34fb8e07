//! HTTP/1.x messages as values: no sockets, no clock.
