//! The two headers, to the letter of the Recommendation. Whatever is not whole is not there.

use super::{SpanId, TraceId};

/// Most octets of `tracestate` that are passed on, all its headers together; a longer one is
/// dropped whole (the Recommendation asks for 512 at least).
pub const STATE_BYTES_MAX: usize = 512;
/// Most members (§3.3.1.1).
pub const STATE_MEMBERS_MAX: usize = 32;

/// Octets of a `traceparent` of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
const PARENT_BYTES: usize = 55;

/// What a `traceparent` says.
#[derive(Clone, Copy)]
pub(super) struct Parent {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) sampled: bool,
}

/// Reads `traceparent` (§3.2). Of a version to come, the parts that this one knows are read, and
/// what follows them after a dash is left alone (§3.2.4).
pub(super) fn parent(value: &[u8]) -> Option<Parent> {
    let (known, rest) = value.split_at_checked(PARENT_BYTES)?;
    let [version] = octets(&known[..2])?;
    let fits = match version {
        0x00 => rest.is_empty(),
        0xff => false, // forbidden (§3.2.2.1)
        _ => matches!(rest.first(), None | Some(b'-')),
    };
    if !fits || [known[2], known[35], known[52]] != [b'-'; 3] {
        return None;
    }
    let trace_id: [u8; 16] = octets(&known[3..35])?;
    let span_id: [u8; 8] = octets(&known[36..52])?;
    let [flags] = octets(&known[53..55])?;
    if trace_id == [0; 16] || span_id == [0; 8] {
        return None;
    }
    Some(Parent {
        trace_id: TraceId(trace_id),
        span_id: SpanId(span_id),
        // The other bits mean nothing yet, and are not passed on (§3.2.2.5).
        sampled: flags & 1 == 1,
    })
}

/// Reads `tracestate` (§3.3), of one header or of several in their order. Empty members and the
/// blanks around members are left out, as is allowed; a key that comes twice, or anything that is
/// no member, costs all of it.
pub(super) fn state<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Option<String> {
    let mut state = String::new();
    let mut members: Vec<&[u8]> = Vec::new();
    for member in values
        .into_iter()
        .flat_map(|value| value.split(|octet| *octet == b','))
    {
        let member = trimmed(member);
        if member.is_empty() {
            continue;
        }
        let at = member.iter().position(|octet| *octet == b'=')?;
        let (key, value) = (&member[..at], &member[at + 1..]);
        let is_new = !members.contains(&key);
        if !(is_new && is_key(key) && is_value(value)) || members.len() == STATE_MEMBERS_MAX {
            return None;
        }
        members.push(key);
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(std::str::from_utf8(member).ok()?);
        if state.len() > STATE_BYTES_MAX {
            return None;
        }
    }
    Some(state).filter(|state| !state.is_empty())
}

/// Optional white space around a member (RFC 9110 §5.6.3).
fn trimmed(member: &[u8]) -> &[u8] {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let start = member.iter().take_while(|octet| blank(octet)).count();
    let member = &member[start..];
    let end = member.iter().rev().take_while(|octet| blank(octet)).count();
    &member[..member.len() - end]
}

/// `vendor`, or `tenant@vendor` (§3.3.1.3.1).
fn is_key(key: &[u8]) -> bool {
    let letter = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_lowercase);
    let word = |part: &[u8]| {
        part.iter().all(|octet| {
            octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"_-*/".contains(octet)
        })
    };
    match key.iter().position(|octet| *octet == b'@') {
        None => key.len() <= 256 && letter(key.first()) && word(key),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            let begins = letter(tenant.first()) || tenant.first().is_some_and(u8::is_ascii_digit);
            begins
                && tenant.len() <= 241
                && word(tenant)
                && system.len() <= 14
                && letter(system.first())
                && word(system)
        }
    }
}

/// Printable ASCII but `,` and `=`, a blank not last (§3.3.1.3.2).
fn is_value(value: &[u8]) -> bool {
    let fits = |octet: &u8| matches!(octet, 0x20..=0x7e) && !b",=".contains(octet);
    (1..=256).contains(&value.len()) && value.iter().all(fits) && value.last() != Some(&b' ')
}

/// Octets from lower-case hexadecimal digits, two each.
fn octets<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |octet: u8| match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    };
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trace::{Context, SEED_BYTES};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn read(text: &str) -> Option<(String, String, bool)> {
        let parent = parent(text.as_bytes())?;
        Some((
            parent.trace_id.to_string(),
            parent.span_id.to_string(),
            parent.sampled,
        ))
    }

    #[test]
    fn a_whole_parent_is_read() {
        let whole = |flags: &str| read(&format!("00-{TRACE}-{SPAN}-{flags}"));
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let expected = Some((TRACE.to_owned(), SPAN.to_owned(), sampled));
            assert_eq!(whole(flags), expected, "{flags}");
        }
    }

    #[test]
    fn anything_else_is_no_parent() {
        let zeros = ("0".repeat(32), "0".repeat(16));
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-what"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}0-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0G"),
            format!("00-{}-{SPAN}-01", zeros.0),
            format!("00-{TRACE}-{}-01", zeros.1),
            format!("00-{}é-{SPAN}-01", &TRACE[..30]),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("FF-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(read(&text), None, "{text:?}");
        }
    }

    #[test]
    fn of_a_version_to_come_the_known_part_is_read() {
        let expected = Some((TRACE.to_owned(), SPAN.to_owned(), true));
        for end in ["", "-", "-more-of-it"] {
            assert_eq!(
                read(&format!("cc-{TRACE}-{SPAN}-01{end}")),
                expected,
                "{end}"
            );
        }
        assert_eq!(read(&format!("cc-{TRACE}-{SPAN}-01.more")), None);
        assert_eq!(read(&format!("ff-{TRACE}-{SPAN}-01-more")), None);
    }

    fn passed_on(values: &[&'static str]) -> Option<String> {
        state(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn a_whole_state_is_passed_on_without_its_blanks() {
        for (values, expected) in [
            (&["a=1"][..], "a=1"),
            (&["a=1 , b=2\t,,c=3"], "a=1,b=2,c=3"),
            (&["a=1", "b=x y"], "a=1,b=x y"),
            (
                &["0tenant@vendor=1", "a_-*/0=!~"],
                "0tenant@vendor=1,a_-*/0=!~",
            ),
        ] {
            assert_eq!(passed_on(values).as_deref(), Some(expected), "{values:?}");
        }
    }

    #[test]
    fn a_state_with_anything_wrong_is_dropped_whole() {
        for values in [
            &[][..],
            &[""],
            &[" , ,"],
            &["a"],
            &["a="],
            &["=1"],
            &["A=1"],
            &["0a=1"],
            &["a=1=2"],
            &["a=\u{7f}"],
            &["a=é"],
            &["a=1,a=2"],
            &["a=1", "a=2"],
            &["a@b@c=1"],
            &["@b=1"],
            &["a@=1"],
            &["a@0b=1"],
            &["a@abcdefghijklmno=1"],
            &["good=1", "b a d=1"],
        ] {
            assert_eq!(passed_on(values), None, "{values:?}");
        }
    }

    #[test]
    fn a_state_over_its_limits_is_dropped_and_one_at_them_is_not() {
        let members = |count: usize| {
            let members: Vec<String> = (0..count).map(|at| format!("k{at}=v")).collect();
            state([members.join(",").as_bytes()])
        };
        assert!(members(STATE_MEMBERS_MAX).is_some());
        assert_eq!(members(STATE_MEMBERS_MAX + 1), None);
        let octets = |count: usize| {
            let text = format!("a={},b={}", "v".repeat(256), "v".repeat(count - 261));
            state([text.as_bytes()])
        };
        assert!(octets(STATE_BYTES_MAX).is_some());
        assert_eq!(octets(STATE_BYTES_MAX + 1), None);
        assert_eq!(state([format!("a={}", "v".repeat(257)).as_bytes()]), None);
    }

    proptest! {
        /// Whatever comes, what goes out is whole, and of the caller's trace only if he had one.
        #[test]
        fn any_headers_give_a_place_whose_calls_say_whole_headers(
            parents in proptest::collection::vec(header(), 0..3),
            states in proptest::collection::vec(header(), 0..3),
            seed: [u8; SEED_BYTES],
        ) {
            let place = Context::of(
                parents.iter().map(Vec::as_slice),
                states.iter().map(Vec::as_slice),
                &seed,
            );
            let out = place.outgoing();
            let read = parent(out.parent.as_bytes()).expect("what we write");
            prop_assert_eq!(read.trace_id, place.trace_id());
            if let Some(text) = &out.state {
                prop_assert!(text.len() <= STATE_BYTES_MAX);
                let again = state([text.as_bytes()]);
                prop_assert_eq!(again.as_ref(), Some(text));
                prop_assert!(place.parent().is_some());
            }
        }

        #[test]
        fn a_parent_with_one_octet_changed_is_another_or_none(at in 0..PARENT_BYTES, octet: u8) {
            let whole = format!("00-{TRACE}-{SPAN}-01");
            let mut changed = whole.clone().into_bytes();
            changed[at] = octet;
            if let Some(read) = parent(&changed) {
                let again = format!("{}-{}", read.trace_id, read.span_id);
                prop_assert_eq!(again.as_bytes(), &changed[3..52]);
            }
        }
    }

    /// Nonsense, and what is nearly right.
    fn header() -> impl Strategy<Value = Vec<u8>> {
        let nearly = "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,3})?";
        let member = "([a-z0-9@_*/-]{1,4}=[ -~]{0,4}[ ,]?){0,40}";
        prop_oneof![
            any::<Vec<u8>>(),
            nearly.prop_map(String::into_bytes),
            member.prop_map(String::into_bytes),
        ]
    }
}
