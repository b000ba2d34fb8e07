//! What clients and origins do to others, beside ordinary traffic: the attacks of `tests/proxy/found`, by the numbers of their
//! faults. The other scenarios notice when one succeeds; each of these looks at what the attacker itself gets.

use crate::chance::Chance;
use crate::scenarios::{authority, compare, connect, echoed, exchange, open_tunnel, request, said, Kept, Outcome};
use crate::site::{Sum, BURST};
use crate::support::{pattern, Client, Wire};
use crate::traffic::Surroundings;
use std::time::Duration;

/// Where greedy clients come from: what they hold is counted apart from what the others do.
pub(crate) const GREEDY: [u8; 4] = [127, 0, 0, 66];

/// Connections, or names, that a greedy client uses in one go.
const GREED: usize = 16;

/// Two names at one address, whose server answers for the first Host of a connection.
pub(crate) fn a1_names_share_an_address(around: &Surroundings, chance: &mut Chance) -> Outcome {
    if !around.names {
        return Ok(());
    }
    let (port, number) = (around.sites[0].port(), chance.below(50));
    let mut kept = Kept::new(around);
    for side in ["a", "b", "b", "a"] {
        let authority = format!("ok-{side}{number}.test:{port}");
        let asked = request("GET", &authority, "/first", "");
        kept.exchange("GET", &asked, 200, authority.as_bytes())?;
    }
    Ok(())
}

/// An origin answers, and a moment later once more, unasked. Its name is its own: no other may be answered so.
pub(crate) fn a2_origin_answers_twice(around: &Surroundings, chance: &mut Chance) -> Outcome {
    if !around.names {
        return Ok(());
    }
    let authority = format!("ok-twice{}.test:{}", chance.below(1 << 30), around.sites[chance.below(2)].port());
    let asked = request("GET", &authority, "/twice", "");
    exchange(&mut connect(around)?, "GET", &asked, 200, b"a")
}

/// The content of a request is a request, and its origin takes it for one. The client that asks next must not get the answer to it.
pub(crate) fn a3_content_is_a_request(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let authority = authority(around, chance);
    let content = request("GET", &authority, "/sized/50/9999", "");
    let method = ["POST", "PUT", "PATCH", "OPTIONS", "BREW", "GET"][chance.below(6)];
    let fields = ["", "Connection: upgrade\r\nUpgrade: raw\r\n"][chance.below(2)];
    let fields = format!("Content-Length: {}\r\n{fields}", content.len());
    let asked = request(method, &authority, "/overlooked", &fields);
    exchange(&mut connect(around)?, method, &format!("{asked}{content}"), 200, b"no content seen")
}

/// A tunnel whose origin resets once all it sent has been acknowledged; the client reads slowly.
pub(crate) fn a4_slow_reader_of_a_reset(around: &Surroundings, _: &mut Chance) -> Outcome {
    let mut wire = open_tunnel(around, around.burst.port(), b"")?;
    for piece in pattern(BURST, 4).chunks(BURST / 10) {
        std::thread::sleep(Duration::from_millis(5));
        let got = wire.exact(piece.len()).map_err(|error| format!("before all was delivered: {error}"))?;
        if got != piece {
            return Err("other bytes than were sent".into());
        }
    }
    Ok(())
}

/// Names that were never asked for before, under a zone that says nothing; their clients are gone at once.
pub(crate) fn a5_unique_names(around: &Surroundings, chance: &mut Chance) -> Outcome {
    for _ in 0..if around.names { GREED } else { 0 } {
        let mut client = Client::connect_from(GREEDY, around.proxy);
        let asked = request("GET", &format!("silent-{}.test", chance.next()), "/", "");
        client.wire().send(asked).map_err(said)?;
        std::thread::sleep(Duration::from_millis(1));
        client.reset();
    }
    let asked = request("GET", &authority(around, chance), "/sized/100/5", "");
    exchange(&mut connect(around)?, "GET", &asked, 200, &pattern(100, 5))
}

/// A client asks an origin that takes its time, and closes without waiting for the answer.
pub(crate) fn a6_askers_that_leave(around: &Surroundings, chance: &mut Chance) -> Outcome {
    for _ in 0..GREED {
        let asked = request("GET", &authority(around, chance), "/hang", "");
        Client::connect_from(GREEDY, around.proxy).wire().send(asked).map_err(said)?;
    }
    let asked = request("GET", &authority(around, chance), "/sized/100/6", "");
    exchange(&mut connect(around)?, "GET", &asked, 200, &pattern(100, 6))
}

/// Bytes that are marked as urgent, in a tunnel and in an upload.
pub(crate) fn a9_urgent_bytes(around: &Surroundings, chance: &mut Chance) -> Outcome {
    let body = pattern(2 + chance.length(12), chance.next());
    let (first, rest) = body.split_at(1 + chance.below(body.len() - 1));
    let send = |wire: &mut Wire| {
        wire.send(first)?;
        wire.urgent(b"!")?;
        wire.send(rest)
    };
    let whole = [first, b"!", rest].concat();
    let mut tunnel = open_tunnel(around, around.echo.port(), b"")?;
    send(&mut tunnel).map_err(said)?;
    if tunnel.exact(whole.len()).map_err(said)? != whole {
        return Err("bytes of a tunnel came back changed".into());
    }
    echoed(&mut tunnel, b"and on it goes")?;
    let mut wire = connect(around)?;
    let asked = request("POST", &authority(around, chance), "/sum", &format!("Content-Length: {}\r\n", whole.len()));
    wire.send(&asked).map_err(said)?;
    send(&mut wire).map_err(said)?;
    compare(&mut wire, "POST", &asked, 200, Sum::of(&whole).to_string().as_bytes()).map(drop)
}
