//! What `#[pipeline]` gives: ports, settings, ids, the same graph as the fluent API.

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Click {
    user: u64,
    at: EventTime,
    is_bot: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    clicks: u64,
}

impl Session {
    fn start(_: Click) -> Self {
        Session { clicks: 1 }
    }
    fn extend(&mut self, _: Click) {
        self.clicks += 1;
    }
    fn merge(&mut self, later: Session) {
        self.clicks += later.clicks;
    }
}

/// Sessions of people.
#[pipeline]
fn sessions(clicks: Stream<Click>, gap: Gap) -> (Timed<Windowed<u64, Session>>, Stream<Click>) {
    let (timed, late) = clicks
        .filter(|click| !click.is_bot)
        .event_time(|click| click.at, Lateness::secs(30));
    let sessions = timed.key_by(|click| click.user).session(gap).fold(
        Session::start,
        Session::extend,
        Session::merge,
    );
    (sessions, late)
}

fn click(user: u64, at: i64) -> Click {
    let at = EventTime::secs(at);
    Click {
        user,
        at,
        is_bot: user == 0,
    }
}

#[test]
fn a_pipeline_runs_by_its_own_ports_and_settings() {
    let rows = sessions::test()
        .clicks([
            click(1, 0),
            click(0, 1),
            click(1, 20),
            click(2, 100),
            click(1, 10),
        ])
        .gap(Gap::secs(25))
        .rows();
    assert_eq!(rows.late, [click(1, 10)]);
    let mut found: Vec<_> = rows
        .sessions
        .iter()
        .map(|row| (row.key, row.value.clicks))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(1, 2), (2, 1)]);
}
