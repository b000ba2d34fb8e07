//! Message log: levels, subsystems, destinations.
