//! "Did you mean": the name nearest to one that does not exist.
//!
//! For keys, sections, words and the argument of `saslgate config`.

/// The candidate nearest to `word`, if it is near enough to have been meant:
/// at most one edit (typing, leaving out, adding, swapping) in three
/// characters. The first of several equally near.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = word.to_ascii_lowercase();
    let bound = word.chars().count().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| {
            let folded = candidate.to_ascii_lowercase();
            (strsim::osa_distance(&word, &folded), candidate)
        })
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["max_message", "max_recipients", "tls", "socket"];

    #[test]
    fn finds_a_name_with_a_slip() {
        assert_eq!(nearest("max_mesage", NAMES.iter().copied()), Some("max_message"));
        assert_eq!(nearest("Max_Message", NAMES.iter().copied()), Some("max_message"));
        assert_eq!(nearest("tsl", NAMES.iter().copied()), Some("tls"));
    }

    #[test]
    fn suggests_nothing_for_another_word() {
        assert_eq!(nearest("workers", NAMES.iter().copied()), None);
        assert_eq!(nearest("", NAMES.iter().copied()), None);
    }
}
