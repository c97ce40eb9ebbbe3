//! What somebody meant who wrote something else.

/// The candidate closest to `word`, if one is close enough to be what was meant: spelled like it, begun
/// like it, or with a last part spelled much like its last part, in another section. Never `word`
/// itself, which may be right in another place.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let close = |a: &str, b: &str, part: usize| {
        let far = distance(a, b);
        (far <= a.len().max(b.len()) / part).then_some(far)
    };
    let far = |candidate: &str| {
        let whole = close(word, candidate, 2);
        let end = close(&last(word), &last(candidate), 4).map(|far| far + 1);
        let begun = (!word.is_empty() && candidate.starts_with(word)).then_some(2);
        whole.into_iter().chain(end).chain(begun).min()
    };
    candidates
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| Some((far(candidate)?, candidate)))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// What to append to an error about a word that is not there.
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|nearest| format!("; did you mean {nearest:?}?"))
        .unwrap_or_default()
}

/// Levenshtein distance over bytes: keys are ASCII, and short.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let words = ["server.listen", "server.public_url", "ca.key"].into_iter();
        assert_eq!(
            nearest("server.lissten", words.clone()),
            Some("server.listen")
        );
        assert_eq!(nearest("completely different words", words), None);
    }
}
