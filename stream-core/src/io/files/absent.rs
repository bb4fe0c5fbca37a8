//! Fields of a record that a file does not have, though they may be missing.
//!
//! An `Option` without a field of its name is `None` in every record, which looks like an answer. So
//! it is told, and where a name that no field reads is so much like it that it must be meant, the
//! file of CSV is refused: its header speaks for every row. In JSON a field that is rare may be
//! missing anywhere, so only the likeness is told.

use crate::error::Problem;
use crate::shape::FieldNames;

/// How many letters a name has at least in which one is taken for a slip, and two.
const ONE_SLIP_FROM: usize = 5;
const TWO_SLIPS_FROM: usize = 8;
/// How many names are told at most.
const NAMES_TOLD: usize = 12;

/// Holds the names of a header against those of the fields. Gives what is to be told.
///
/// # Errors
/// When a name is misspelt.
pub(super) fn in_header(
    file: &str,
    fields: &FieldNames,
    header: &[String],
) -> Result<Vec<String>, Problem> {
    let absent = fields.absent(|name| header.iter().any(|other| other == name));
    if absent.is_empty() {
        return Ok(Vec::new());
    }
    let unread: Vec<_> = header.iter().filter(|name| !fields.has(name)).collect();
    let names = in_a_row(&unread);
    for field in &absent {
        if let Some(meant) = like(field, &unread) {
            let what = format!("`{file}`, line 1: the header has no field `{field}`");
            let detail = format!("of what it has, no field reads {names}");
            return Err(Problem::new(what).detail(detail).hint(format!(
                "`{meant}` looks like it: `#[serde(rename = \"{meant}\")]` names the field so; if it is \
                 something else, give the record a field of that name, too"
            )));
        }
    }
    let told = |field| match unread.is_empty() {
        true => format!("`{file}` has no `{field}`"),
        false => format!("`{file}` has no `{field}`, and no field reads {names}"),
    };
    Ok(absent.into_iter().map(told).collect())
}

/// The one of these names that is so much like the field's that it must be meant.
pub(super) fn like<'a>(field: &str, names: &[&'a String]) -> Option<&'a str> {
    let found = names.iter().find(|name| is_like(field, name));
    found.map(|name| name.as_str())
}

/// Whether two names differ in case, spaces and the like, or in a slip or two. Numbers are no slips.
fn is_like(left: &str, right: &str) -> bool {
    let plain = |name: &str| {
        let kept = name.chars().filter(|letter| letter.is_alphanumeric());
        kept.flat_map(char::to_lowercase).collect::<Vec<_>>()
    };
    let (left, right) = (plain(left), plain(right));
    let digits = |name: &[char]| {
        let digits = name.iter().filter(|letter| letter.is_numeric());
        digits.copied().collect::<String>()
    };
    let slips = match left.len().min(right.len()) {
        0 => return false,
        letters if letters >= TWO_SLIPS_FROM => 2,
        letters if letters >= ONE_SLIP_FROM => 1,
        _ => 0,
    };
    let is_near = left.len().abs_diff(right.len()) <= slips;
    is_near && digits(&left) == digits(&right) && distance(&left, &right) <= slips
}

/// How many letters have to be put in, taken out, replaced, or swapped with the next one.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, letter) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in right.iter().enumerate() {
            let replaced = above[j] + usize::from(letter != other);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == right[j - 1] && left[i - 1] == *other {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

fn in_a_row(names: &[&String]) -> String {
    let told = names.iter().take(NAMES_TOLD);
    let told: Vec<_> = told.map(|name| format!("`{name}`")).collect();
    let more = names.len() - told.len();
    match (told.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => told.join(", "),
        (false, more) => format!("{} and {more} more", told.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_but_for_case_spaces_and_slips() {
        let alike = [
            ("delay", " delay"),
            ("delay", "Delay"),
            ("dep_delay", "depDelay"),
            ("dep_delay", "Dep. delay"),
            ("delay", "dealy"),
            ("delay", "dellay"),
            ("passengers", "passangerss"),
            ("id", "ID"),
        ];
        for (left, right) in alike {
            assert!(is_like(left, right), "{left} {right}");
        }
        let others = [
            ("delay", "dep_delay"),
            ("date", "rate"),
            ("sensor_1", "sensor_2"),
            ("delay", ""),
            ("_", "-"),
            ("price", "prices_2"),
        ];
        for (left, right) in others {
            assert!(!is_like(left, right), "{left} {right}");
        }
    }
}
