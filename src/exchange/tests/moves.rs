//! The table of moves, pair by pair, against one that is written down a second time.

use super::PhaseKind;

/// A row is where a move starts, a column where it leads, both in the order of [`PhaseKind::ALL`].
const MOVES: [&str; 12] = [
    ".x.........x", // PROXY header
    "..xxx...x..x", // idle
    "....x...x..x", // head
    "....x...x..x", // hello
    ".....x..x..x", // deciding
    "......x.x..x", // resolving
    ".......xxx.x", // connecting
    ".x...x..xxxx", // relaying
    ".x........xx", // answering
    "........x.xx", // tunnel
    "...........x", // draining
    "............", // closed
];

#[test]
fn every_pair_of_phases_is_a_move_or_is_not() {
    for (from, row) in PhaseKind::ALL.into_iter().zip(MOVES) {
        for (to, mark) in PhaseKind::ALL.into_iter().zip(row.chars()) {
            assert_eq!(from.leads_to(to), mark == 'x', "{from} -> {to}");
        }
    }
}

#[test]
fn the_end_can_be_reached_from_everywhere_and_is_never_left() {
    for kind in PhaseKind::ALL {
        assert_eq!(kind.leads_to(PhaseKind::Closed), kind != PhaseKind::Closed, "{kind}");
        assert!(!PhaseKind::Closed.leads_to(kind), "{kind}");
        assert!(!kind.leads_to(kind), "{kind} is not entered from itself");
    }
}
