//! Clicks made fit for others: what cannot be used is left out, fields are read into types, and each click
//! says the how-manieth of its user it is.

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

use crate::sessions::Click;

/// What a click was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A look.
    Look,
    /// A step on the way to money.
    Act,
    /// A purchase.
    Buy,
}

/// A click, cleaned and enriched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Visit {
    /// The number of the user.
    pub user: u32,
    /// When, by the shop's clock.
    pub at: EventTime,
    /// What it was about.
    pub stage: Stage,
    /// How many clicks of the user there have been, with this one.
    pub nth: u64,
}

/// Cleans clicks and counts those of each user.
#[pipeline]
pub fn visits(clicks: Stream<Click>) -> Stream<Visit, Mixed> {
    let numbered = clicks.filter_map(clean).key_by(|visit| visit.user);
    let visits = numbered
        .scan(u64::default, |count, visit: Visit| {
            *count += 1;
            Visit {
                nth: *count,
                ..visit
            }
        })
        .map(|(_, visit)| visit);
    visits
}

/// What is known of a click by itself; none if it is nobody's.
fn clean(click: Click) -> Option<Visit> {
    let user = click.user_id.trim().strip_prefix("user_")?;
    Some(Visit {
        user: user.parse().ok()?,
        at: click.timestamp,
        stage: match &*click.event {
            "purchase" => Stage::Buy,
            "home" | "catalog" => Stage::Look,
            event if event.ends_with("_view") => Stage::Look,
            _ => Stage::Act,
        },
        nth: 0,
    })
}
