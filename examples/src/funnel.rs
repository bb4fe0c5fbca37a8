//! Splits and unions: clicks go two ways, and what comes of them meets again.

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

use crate::sessions::Click;

/// Something worth telling of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Who.
    pub user: String,
    /// How near it is to money: 0 for a look, 1 for a click on the way, 2 for a purchase.
    pub stage: u8,
}

/// Counts how far users get, by step and user, and gives the purchases apart.
#[pipeline]
pub fn funnel(clicks: Stream<Click>) -> (Table<Step, u64>, Stream<String>) {
    let (purchases, others) = clicks.split(|click| click.event == "purchase");
    let (views, actions) = others.split(|click| click.event.ends_with("_view"));
    let viewed = views.map(|click| step(click, 0));
    let acted = actions.map(|click| step(click, 1));
    let bought = purchases.map(|click| step(click, 2));
    let steps = viewed
        .union(acted)
        .union(bought)
        .key_by(Step::clone)
        .count();
    let buyers = purchases.map(|click| click.user_id);
    (steps, buyers)
}

fn step(click: Click, stage: u8) -> Step {
    Step {
        user: click.user_id,
        stage,
    }
}
