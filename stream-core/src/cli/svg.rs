//! `explain --format svg`: the graph as a picture that every browser shows.
//!
//! 1. *Layers*: a stage stands one layer below the lowest of its inputs.
//! 2. *Ways*: an edge across several layers has a place of its own in each layer between, so it
//!    passes beside the boxes and not under them.
//! 3. *Order*: from above, what stands in a layer is sorted by the middle of what it reads.
//! 4. *Places*: layers are centred, boxes as wide as their text.

use std::fmt::Write;

use super::explain::settings_of;
use crate::graph::GraphSpec;

/// How wide a letter is, of a font whose letters are all alike.
const LETTER: usize = 8;
/// What lies between the text of a box and its border, left and right together.
const PADDING: usize = 24;
/// How high a box is.
const HEIGHT: usize = 44;
/// From the top of one layer to that of the next.
const LAYER: usize = 92;
/// What lies between two boxes, and around the picture.
const GAP: usize = 28;

const STYLE: &str = "\
    <style>\
    text { font: 13px monospace; text-anchor: middle; fill: #222 } \
    .note { fill: #666 } \
    rect { fill: #fff; stroke: #555 } \
    path { fill: none; stroke: #555 } \
    .exchange { stroke-width: 3 } \
    @media (prefers-color-scheme: dark) { \
    text { fill: #eee } .note { fill: #aaa } rect { fill: #222; stroke: #aaa } \
    path { stroke: #aaa } }\
    </style>";

/// What stands in a layer: a stage, or an edge on its way.
struct Item {
    /// The stage; the one that an edge leads to.
    node: usize,
    is_way: bool,
    /// What it reads, in the layer above or higher.
    reads: Vec<usize>,
    layer: usize,
    width: usize,
    /// The middle.
    x: usize,
}

impl Item {
    fn top(&self) -> usize {
        GAP + self.layer * LAYER
    }

    /// Where an edge leaves it.
    fn bottom(&self) -> usize {
        match self.is_way {
            true => self.top(),
            false => self.top() + HEIGHT,
        }
    }
}

/// The picture.
pub(super) fn svg(spec: &GraphSpec) -> String {
    let mut items = items(spec);
    let (width, height) = place(&mut items);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n  <title>{}</title>\n  {STYLE}\n",
        escaped(&spec.name)
    );
    for item in &items {
        let node = &spec.nodes[item.node];
        let class = if node.exchange {
            " class=\"exchange\""
        } else {
            ""
        };
        for from in item.reads.iter().map(|index| &items[*index]) {
            let (from, top, to, end) = (from.x, from.bottom(), item.x, item.top());
            let middle = usize::midpoint(top, end);
            let _ = writeln!(
                text,
                "  <path{class} d=\"M{from} {top} C{from} {middle} {to} {middle} {to} {end}\"/>"
            );
        }
    }
    for item in items.iter().filter(|item| !item.is_way) {
        let node = &spec.nodes[item.node];
        let (left, top) = (item.x - item.width / 2, item.top());
        let round = if node.port().is_some() { HEIGHT / 2 } else { 3 };
        let _ = writeln!(
            text,
            "  <rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{HEIGHT}\" rx=\"{round}\"/>\n  \
             <text x=\"{x}\" y=\"{}\">{}</text>\n  \
             <text class=\"note\" x=\"{x}\" y=\"{}\">{}</text>",
            item.width,
            top + 19,
            escaped(&node.id),
            top + 36,
            escaped(&settings_of(node)),
            x = item.x,
        );
    }
    text + "</svg>\n"
}

/// The stages in their layers, and the ways of the edges between.
fn items(spec: &GraphSpec) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (index, node) in spec.nodes.iter().enumerate() {
        let above = node.inputs.iter().map(|input| items[input.node].layer + 1);
        let letters = node
            .id
            .chars()
            .count()
            .max(settings_of(node).chars().count());
        items.push(Item {
            node: index,
            is_way: false,
            reads: node.inputs.iter().map(|input| input.node).collect(),
            layer: above.max().unwrap_or(0),
            width: letters * LETTER + PADDING,
            x: 0,
        });
    }
    for index in 0..spec.nodes.len() {
        for read in 0..items[index].reads.len() {
            let from = items[index].reads[read];
            for layer in items[from].layer + 1..items[index].layer {
                let above = items[index].reads[read];
                items.push(Item {
                    node: index,
                    is_way: true,
                    reads: vec![above],
                    layer,
                    width: LETTER,
                    x: 0,
                });
                items[index].reads[read] = items.len() - 1;
            }
        }
    }
    items
}

/// Gives every item its place, and tells how large the picture is.
fn place(items: &mut [Item]) -> (usize, usize) {
    let layers = items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
    let in_layer = |items: &[Item], layer: usize| -> Vec<usize> {
        let indices = 0..items.len();
        indices
            .filter(|index| items[*index].layer == layer)
            .collect()
    };
    let width_of = |items: &[Item], layer: &[usize]| -> usize {
        let widths = layer.iter().map(|index| items[*index].width + GAP);
        widths.sum::<usize>() + GAP
    };
    let widths = (0..layers).map(|layer| width_of(items, &in_layer(items, layer)));
    let width = widths.max().unwrap_or(GAP);
    for layer in 0..layers {
        let mut row = in_layer(items, layer);
        row.sort_by_key(|index| {
            let reads = &items[*index].reads;
            let sum: usize = reads.iter().map(|read| items[*read].x).sum();
            sum / reads.len().max(1)
        });
        let mut left = (width - width_of(items, &row)) / 2 + GAP;
        for index in row {
            items[index].x = left + items[index].width / 2;
            left += items[index].width + GAP;
        }
    }
    let height = layers.saturating_sub(1) * LAYER + HEIGHT + 2 * GAP;
    (width, height)
}

/// Text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Job;

    /// An input that two stages read, one of them far below.
    fn spec() -> GraphSpec {
        let job = Job::new("pairs", |graph| {
            let numbers = graph.input::<u64>("numbers");
            let far = numbers.clone().map(|n| n + 1).map(|n| n + 1);
            graph.output("all", far.union(numbers));
        });
        job.explain().unwrap()
    }

    #[test]
    fn every_stage_has_a_box_and_every_edge_a_way_beside_the_boxes() {
        let items = items(&spec());
        assert_eq!(items.iter().filter(|item| item.is_way).count(), 2);
        let picture = svg(&spec());
        assert_eq!(picture.matches("<rect").count(), 5, "{picture}");
        // Five edges, one of them in three pieces.
        assert_eq!(picture.matches("<path").count(), 7, "{picture}");
        assert!(picture.ends_with("</svg>\n"), "{picture}");
    }

    #[test]
    fn boxes_of_one_layer_do_not_overlap() {
        let mut items = items(&spec());
        let (width, _) = place(&mut items);
        for (index, one) in items.iter().enumerate() {
            assert!(one.x + one.width / 2 < width);
            let others = items[index + 1..].iter();
            for other in others.filter(|other| other.layer == one.layer) {
                assert!(one.x.abs_diff(other.x) * 2 >= one.width + other.width);
            }
        }
    }

    #[test]
    fn names_are_no_tags() {
        assert_eq!(escaped("a<b> & c"), "a&lt;b&gt; &amp; c");
    }
}
