//! The SAN as a URL, printed the way Go's `net/url` prints what it parsed: that is the text Fulcio
//! puts into certificates, so it is the text policies are written against.
//!
//! The URL is not normalised beyond that: no `..` is resolved, no case folded, no port dropped.
//! A URL of the usual kind comes out as it went in. Stricter than Go in one thing: the authority
//! is a plain host with an optional port, since no SAN has use for user information.

use super::Problem;

/// Which characters a component keeps unescaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Component {
    Path,
    Fragment,
}

/// `text` parsed as an absolute URL with a host, and printed again.
pub(super) fn print_back(text: &str) -> Result<String, Problem> {
    let (before_fragment, fragment) = match text.split_once('#') {
        Some((before, fragment)) => (before, Some(fragment)),
        None => (text, None),
    };
    let (scheme, rest) = before_fragment.split_once("://").ok_or(Problem::NotAUrl)?;
    let (hierarchy, query) = match rest.split_once('?') {
        Some((hierarchy, query)) => (hierarchy, Some(query)),
        None => (rest, None),
    };
    let path_at = hierarchy.find('/').unwrap_or(hierarchy.len());
    let (host, path) = hierarchy.split_at(path_at);
    if !is_scheme(scheme) || !is_host(host) {
        return Err(Problem::NotAUrl);
    }

    let mut out = scheme.to_ascii_lowercase() + "://" + host;
    out += &reescape(path, Component::Path)?;
    if let Some(query) = query {
        out.push('?');
        out += query; // Go leaves it as it is
    }
    if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
        out.push('#');
        out += &reescape(fragment, Component::Fragment)?;
    }
    if out.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(out)
    } else {
        Err(Problem::NotAscii)
    }
}

/// RFC 3986 §3.1.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// A host name or IPv4 address, with a port perhaps.
fn is_host(authority: &str) -> bool {
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let name = host.bytes().all(in_name) && host.split('.').all(|label| !label.is_empty());
    let port = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    name && port
}

/// Keeps a component that was validly escaped, else escapes what it means.
fn reescape(component: &str, kind: Component) -> Result<String, Problem> {
    let meaning = unescape(component)?;
    if component.bytes().all(|b| b == b'%' || may_stand(b, kind)) {
        return Ok(component.to_owned());
    }
    let mut out = String::new();
    for octet in meaning {
        if stands(octet, kind) {
            out.push(char::from(octet));
        } else {
            out += &format!("%{octet:02X}");
        }
    }
    Ok(out)
}

/// Resolves `%` escapes; one without two hexadecimal digits is an error.
fn unescape(component: &str) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::with_capacity(component.len());
    let mut octets = component.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let mut nibble = || char::from(octets.next()?).to_digit(16);
        let (Some(high), Some(low)) = (nibble(), nibble()) else {
            return Err(Problem::BrokenEscape);
        };
        out.push((high << 4 | low) as u8);
    }
    Ok(out)
}

/// Characters Go writes unescaped when it escapes a component itself.
fn stands(octet: u8, kind: Component) -> bool {
    octet.is_ascii_alphanumeric()
        || b"-_.~$&+,/:;=@".contains(&octet)
        || (kind == Component::Fragment && b"?!()*".contains(&octet))
}

/// Characters Go accepts unescaped in a component that was escaped already.
fn may_stand(octet: u8, kind: Component) -> bool {
    stands(octet, kind) || b"!'()*[]".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `url.Parse(in).String()` of Go 1.24 gives.
    #[test]
    fn a_url_is_printed_as_go_prints_it() {
        for (text, printed) in [
            (
                "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main",
                None,
            ),
            ("https://github.com/o/r/../x/./y//z", None),
            ("https://GitHub.com:443/o", None),
            ("https://github.com", None),
            ("https://h/a!b'c(d)e*f[g]", None),
            ("https://h/a%2Fb", None),
            ("https://h/a%2fb", None),
            ("HTTPS://h/a", Some("https://h/a")),
            ("https://h/a b", Some("https://h/a%20b")),
            ("https://h/a b*c%2Fd", Some("https://h/a%20b%2Ac/d")),
            ("https://h/größe", Some("https://h/gr%C3%B6%C3%9Fe")),
            (
                "https://h/<\"{|}^`\\>",
                Some("https://h/%3C%22%7B%7C%7D%5E%60%5C%3E"),
            ),
            ("https://h/a?b=c&d", None),
            ("https://h/a?", None),
            ("https://h/w.yml@refs/heads/fix#12", None),
            ("https://h/a#", Some("https://h/a")),
            ("https://h/a#b c", Some("https://h/a#b%20c")),
            ("https://h/a#b#c", Some("https://h/a#b%23c")),
        ] {
            let expected = printed.unwrap_or(text).to_owned();
            assert_eq!(print_back(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_percent_sign_begins_two_hexadecimal_digits() {
        for text in [
            "https://h/%",
            "https://h/a%2",
            "https://h/%zz",
            "https://h/100%",
            "https://h/a#%g0",
        ] {
            assert_eq!(print_back(text), Err(Problem::BrokenEscape), "{text}");
        }
        assert_eq!(print_back("https://h/%41"), Ok("https://h/%41".into()));
    }

    #[test]
    fn a_url_is_absolute_and_has_a_plain_host() {
        for text in [
            "",
            "/o/r",
            "o/r",
            "//h/p",
            "https:/h",
            "https:h",
            "://h",
            "1a://h",
            "https://",
            "https:///p",
            "https://u@h/p",
            "https://u:p@h/p",
            "https://h h/p",
            "https://h:x/p",
            "https://h:/p",
            "https://[::1]/p",
            "https://.h/p",
            "https://h./p",
            "https://é/p",
            "https://h%41/p",
            "https://?q",
        ] {
            assert_eq!(print_back(text), Err(Problem::NotAUrl), "{text}");
        }
    }

    #[test]
    fn what_stays_outside_ascii_is_no_ia5_string() {
        assert_eq!(print_back("https://h/p?größe"), Err(Problem::NotAscii));
        assert_eq!(print_back("https://h/p?a b"), Err(Problem::NotAscii));
    }
}
