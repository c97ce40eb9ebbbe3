//! An issuer's URL taken apart, to see whether it is one of a preset's and what it says.
//!
//! Its parts go into templates, so their characters are few: nothing here can be read as a
//! template, escape from a path or be spelt in a second way.

/// What stands in tables for the address of the instance, such as `https://gitlab.example.com`.
pub(super) const INSTANCE: &str = "{instance}";
/// The same without its scheme.
const HOST: &str = "{host}";
/// What stands in tables for the account, where an issuer is of one account.
pub(super) const ACCOUNT: &str = "{account}";

/// Where tokens of an issuer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Address of the instance, without a slash at its end.
    pub(super) instance: String,
    /// The account, if the issuer is of one.
    pub(super) account: Option<String>,
}

impl Place {
    /// A service that everybody uses at the same address.
    pub(super) fn at(instance: &str) -> Option<Self> {
        Some(Self {
            instance: instance.to_owned(),
            account: None,
        })
    }

    /// The same, when the issuer is of one account.
    pub(super) fn of(instance: &str, account: &str) -> Option<Self> {
        Some(Self {
            instance: instance.to_owned(),
            account: Some(account.to_owned()),
        })
    }

    /// A table's text with this place in it.
    pub(super) fn fill(&self, text: &str) -> String {
        let host = self.instance.split_once("://").map_or("", |(_, host)| host);
        text.replace(INSTANCE, &self.instance)
            .replace(HOST, host)
            .replace(ACCOUNT, self.account.as_deref().unwrap_or_default())
    }
}

/// A URL of plain parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site<'a> {
    /// `https://host:port`, or `http://` on this very machine.
    pub(super) origin: &'a str,
    /// The host without its port.
    pub(super) host: &'a str,
    /// The path between its slashes; a slash at the end makes an empty last one.
    pub(super) path: Vec<&'a str>,
}

impl<'a> Site<'a> {
    /// Lower-case host, optional port, path without anything relative or empty in between.
    pub(super) fn read(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path.split('/').collect()),
            None => (rest, Vec::new()),
        };
        let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
        let local = matches!(host, "127.0.0.1" | "localhost");
        let scheme = scheme == "https" || (scheme == "http" && local);
        let port = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        let (last, inner) = path.split_last().map_or(("", &path[..]), |(l, i)| (*l, i));
        let path_is_plain = inner.iter().all(|segment| is_segment(segment))
            && (last.is_empty() || is_segment(last));
        let plain = scheme && port && host.split('.').all(is_label) && path_is_plain;
        plain.then(|| Self {
            origin: &url[..url.len() - rest.len() + authority.len()],
            host,
            path,
        })
    }

    /// Whether this is one https host at its usual port.
    pub(super) fn is(&self, host: &str) -> bool {
        self.origin.strip_prefix("https://") == Some(host)
    }

    /// Everybody's `instance`, if this is the one issuer of it: the host and nothing behind it.
    pub(super) fn only(&self, host: &str, instance: &str) -> Option<Place> {
        (self.is(host) && self.path.is_empty()).then(|| Place::at(instance))?
    }

    /// Origin and path, if the path ends in `end` and not in a slash.
    pub(super) fn before(&self, end: &[&str]) -> Option<String> {
        let start = self.path.strip_suffix(end)?;
        let closed = start.last().is_none_or(|last| !last.is_empty());
        closed.then(|| [&[self.origin], start].concat().join("/"))
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !label.is_empty() && label.bytes().all(allowed)
}

fn is_segment(segment: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed)
}

/// One name of an account in a path: letters, digits, `-` and `_`.
pub(super) fn is_slug(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.bytes().all(allowed)
}

/// RFC 9562 §4, in lower case.
pub(super) fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
    parts == [8, 4, 4, 4, 12] && text.bytes().all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_plain_parts_is_taken_apart() {
        let site = Site::read("https://git.example.com:8443/a/b.c/").unwrap();
        assert_eq!(
            (site.origin, site.host, site.path),
            (
                "https://git.example.com:8443",
                "git.example.com",
                vec!["a", "b.c", ""]
            )
        );
        assert_eq!(Site::read("https://h.example").unwrap().path, [""; 0]);
        assert_eq!(
            Site::read("http://127.0.0.1:9/x").unwrap().origin,
            "http://127.0.0.1:9"
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_site() {
        for url in [
            "h.example",
            "http://h.example",
            "HTTPS://h.example",
            "https://H.example",
            "https://",
            "https:///a",
            "https://h..example",
            "https://h.example:",
            "https://h.example:123456",
            "https://h.example:x",
            "https://u@h.example",
            "https://h.example//a",
            "https://h.example/a//b",
            "https://h.example/../a",
            "https://h.example/./a",
            "https://h.example/a?b",
            "https://h.example/a#b",
            "https://h.example/{{.sub}}",
            "https://h.example/{instance}",
            "https://h.example/a b",
            "https://h.example/ä",
            "https://[::1]/a",
        ] {
            assert_eq!(Site::read(url), None, "{url}");
        }
    }

    #[test]
    fn what_stands_before_the_end_of_a_path_is_the_instance() {
        let before = |url| Site::read(url).unwrap().before(&["api", "actions"]);
        let instance = before("https://h.example:1/forge/api/actions");
        assert_eq!(instance.as_deref(), Some("https://h.example:1/forge"));
        let instance = before("https://h.example/api/actions");
        assert_eq!(instance.as_deref(), Some("https://h.example"));
        for other in [
            "https://h.example",
            "https://h.example/api",
            "https://h.example/api/actions/",
            "https://h.example/api/actions/x",
        ] {
            assert_eq!(before(other), None, "{other}");
        }
    }

    #[test]
    fn a_place_is_written_into_a_table() {
        let place = Place::of("https://h.example:1/forge", "acme").unwrap();
        let text = place.fill("{instance}/{account}|{host}|{{ .sub }}");
        assert_eq!(
            text,
            "https://h.example:1/forge/acme|h.example:1/forge|{{ .sub }}"
        );
    }

    #[test]
    fn a_uuid_has_one_spelling() {
        assert!(is_uuid("0ca3ddd9-f0b0-4635-a98c-5866526961b6"));
        for text in [
            "",
            "0CA3DDD9-f0b0-4635-a98c-5866526961b6",
            "0ca3ddd9f0b04635a98c5866526961b6",
            "{0ca3ddd9-f0b0-4635-a98c-5866526961b6}",
            "0ca3ddd9-f0b0-4635-a98c-5866526961bg",
        ] {
            assert!(!is_uuid(text), "{text}");
        }
    }
}
