//! What is allowed: ports, methods, destination addresses.
