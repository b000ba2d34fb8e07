//! What a process does to itself: descriptors, accounts, pidfile, background.
