//! How a record is written: one row per serial, to which each step adds its part.
//!
//! A version octet and the intent, its fields in a fixed order, lengths before everything of
//! variable length, integers big-endian; behind it parts, each with its own octet first, as the
//! issuance gets there. What the certificate to be signed says already is not said again: a text
//! that stands in it is where it stands, and the certificates are what differs from it (`delta`).

use super::delta;
use super::fields::{Reader, Writer};
use crate::ca::{IssuingCaId, ProfileHash, Serial};
use crate::issuance::store::{Final, Intent, Record, StoreError, Submission};
use crate::time::UnixSeconds;
use crate::token::TokenId;

/// The layout below. A later one gets another octet and its own reader; this one stays.
const VERSION: u8 = 2;

// Which of the two an intent has.
const RULE: u8 = 1;
/// Not in records of before it was kept.
const RULES: u8 = 2;

const SUBMISSION: u8 = 1;
const FINAL: u8 = 2;
const ABANDONED: u8 = 3;

// Where the fields that the store itself looks at stand, for every record alike.
const SERIAL: usize = 1;
const AT: usize = SERIAL + 19;
const NOT_AFTER: usize = AT + 8;
const TOKEN_ID: usize = NOT_AFTER + 8;
const SPKI_HASH: usize = TOKEN_ID + 32;
const UNSIGNED: usize = SPKI_HASH + 32;

/// What the other parts of a row take, about.
const ROOM_FOR_PARTS: usize = 800;

/// A row: at least a whole intent's beginning, up to what is to be signed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Row(Vec<u8>);

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Row({} of {} octets)",
            self.view().serial(),
            self.0.len()
        )
    }
}

impl Row {
    /// The intent, without any part behind it.
    pub(super) fn new(intent: &Intent) -> Self {
        let unsigned = &*intent.unsigned;
        let mut out = Writer::new(Vec::with_capacity(unsigned.len() + ROOM_FOR_PARTS));
        out.fixed(&[VERSION]);
        out.fixed(intent.serial.octets());
        out.seconds(intent.at);
        out.seconds(intent.not_after);
        out.fixed(intent.token_id.octets());
        out.fixed(&intent.spki_hash);
        out.bytes(unsigned);
        out.fixed(&intent.token_hash);
        out.fixed(&intent.issuing_ca.0);
        out.fixed(&intent.profile.0);
        out.bytes(intent.request_id.as_bytes());
        out.fixed(&[u8::from(intent.kid.is_some())]);
        intent.kid.iter().for_each(|kid| out.bytes(kid.as_bytes()));
        let (rule, rules) = (intent.rule.as_deref(), intent.rules.as_ref());
        out.fixed(&[(u8::from(rule.is_some()) * RULE) | (u8::from(rules.is_some()) * RULES)]);
        rule.iter().for_each(|rule| out.bytes(rule.as_bytes()));
        rules.iter().for_each(|rules| out.fixed(&rules[..]));
        out.bytes(intent.subject.as_bytes());
        // `email:` or `uri:`, and what stands in the certificate.
        let kind = intent.san.find(':').map_or(0, |colon| colon + 1);
        let (kind, san) = intent.san.split_at(kind);
        out.bytes(kind.as_bytes());
        let mut said = Said::by(unsigned);
        said.put(&mut out, san);
        said.put(&mut out, &intent.issuer);
        out.count(intent.extensions.len());
        for (arc, value) in intent.extensions.iter() {
            out.fixed(&[*arc]);
            said.put(&mut out, value);
        }
        Self(out.into_bytes())
    }

    /// `None` if these octets do not begin as a row does.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        View::new(&bytes)?;
        Some(Self(bytes))
    }

    pub(super) fn view(&self) -> View<'_> {
        View(&self.0)
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn add_submission(&mut self, submission: &Submission) {
        let part = Part::submission(self.view(), submission);
        self.add(&part);
    }

    pub(super) fn add_final(&mut self, leaf: &Final) {
        let part = Part::leaf(self.view(), leaf);
        self.add(&part);
    }

    pub(super) fn add_abandoned(&mut self, at: UnixSeconds) {
        self.0.push(ABANDONED);
        self.0.extend_from_slice(&at.0.to_be_bytes());
    }

    /// Adds a part that was made for the record of the same intent.
    pub(super) fn add(&mut self, part: &Part) {
        self.0.extend_from_slice(&part.0);
    }
}

/// A submission or a final as it stands in the row of its own intent, which says what it differs from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part(Vec<u8>);

impl Part {
    pub(super) fn submission(row: View<'_>, submission: &Submission) -> Self {
        let mut out = Writer::new(Vec::with_capacity(ROOM_FOR_PARTS / 2));
        out.fixed(&[SUBMISSION]);
        delta::put(&mut out, row.unsigned(), &submission.precert_der);
        out.count(submission.scts.len());
        submission.scts.iter().for_each(|sct| out.bytes(sct));
        Self(out.into_bytes())
    }

    pub(super) fn leaf(row: View<'_>, leaf: &Final) -> Self {
        let mut out = Writer::new(Vec::with_capacity(ROOM_FOR_PARTS / 2));
        out.fixed(&[FINAL]);
        out.seconds(leaf.at);
        delta::put(&mut out, row.unsigned(), &leaf.leaf_der);
        Self(out.into_bytes())
    }

    /// `None` if these octets do not begin as a part does.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        matches!(bytes.first(), Some(&(SUBMISSION | FINAL))).then_some(Self(bytes))
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_final(&self) -> bool {
        self.0.first() == Some(&FINAL)
    }

    /// The final it is in that row.
    pub(super) fn final_in(&self, row: View<'_>) -> Option<Final> {
        let mut from = Reader::new(self.0.strip_prefix(&[FINAL])?);
        read_final(&mut from, row.unsigned(), row.serial())
    }
}

/// A row where it stands. What is at a fixed place can be read; the rest is read with care.
#[derive(Clone, Copy)]
pub(super) struct View<'a>(&'a [u8]);

impl<'a> View<'a> {
    /// `None` if these octets do not begin as a row does.
    pub(super) fn new(row: &'a [u8]) -> Option<Self> {
        let mut from = Reader::new(row);
        let version = from.fixed()?;
        from.serial()?;
        from.take(UNSIGNED - AT)?;
        from.bytes()?;
        (version == [VERSION]).then_some(Self(row))
    }

    pub(super) fn octets(self) -> &'a [u8] {
        self.0
    }

    /// A copy of it, with room for the parts to come.
    pub(super) fn to_row(self) -> Row {
        let mut row = Vec::with_capacity(self.0.len() + ROOM_FOR_PARTS);
        row.extend_from_slice(self.0);
        Row(row)
    }

    pub(super) fn serial(self) -> Serial {
        Serial::from_octets(&self.0[SERIAL..AT]).expect("looked at when this was made")
    }

    pub(super) fn at(self) -> i64 {
        self.number(AT)
    }

    pub(super) fn not_after(self) -> i64 {
        self.number(NOT_AFTER)
    }

    pub(super) fn token_id(self) -> [u8; 32] {
        self.octets_at(TOKEN_ID)
    }

    pub(super) fn spki_hash(self) -> [u8; 32] {
        self.octets_at(SPKI_HASH)
    }

    /// Token id and SPKI hash, one after the other.
    pub(super) fn token_and_key(self) -> [u8; 64] {
        self.octets_at(TOKEN_ID)
    }

    /// Whether this is the intent, whatever parts it has.
    pub(super) fn has_intent_of(self, other: &Row) -> bool {
        // A whole intent does not go on, so what is behind it are parts.
        self.0.starts_with(&other.0)
    }

    fn unsigned(self) -> &'a [u8] {
        let mut from = Reader::new(&self.0[UNSIGNED..]);
        from.bytes().expect("looked at when this was made")
    }

    fn number(self, at: usize) -> i64 {
        i64::from_be_bytes(self.octets_at(at))
    }

    fn octets_at<const N: usize>(self, at: usize) -> [u8; N] {
        let octets = self.0[at..].first_chunk();
        *octets.expect("looked at when this was made")
    }

    /// The intent alone, and what is behind it.
    pub(super) fn intent(self) -> Result<(Intent, Parts<'a>), StoreError> {
        let mut from = Reader::new(&self.0[UNSIGNED..]);
        let intent = self.read_intent(&mut from);
        let intent = intent.ok_or(StoreError::Corrupt { what: "intent" })?;
        let (unsigned, rest) = (self.unsigned(), from);
        Ok((intent, Parts { unsigned, rest }))
    }

    fn read_intent(self, from: &mut Reader<'a>) -> Option<Intent> {
        let unsigned = from.bytes()?;
        let (token_hash, issuing_ca, profile) = (from.fixed()?, from.fixed()?, from.fixed()?);
        let request_id = from.text()?;
        let kid = match from.fixed()? {
            [0] => None,
            [1] => Some(from.text()?),
            [_] => return None,
        };
        let [given] = from.fixed()?;
        if given > RULE | RULES {
            return None;
        }
        let rule = match given & RULE {
            0 => None,
            _ => Some(from.text()?),
        };
        let rules = match given & RULES {
            0 => None,
            _ => Some(from.fixed()?),
        };
        let subject = from.text()?;
        let mut san = from.text()?;
        san.push_str(&Said::take(unsigned, from)?);
        Some(Intent {
            serial: self.serial(),
            unsigned: unsigned.into(),
            token_hash,
            token_id: TokenId::from_octets(self.token_id()),
            spki_hash: self.spki_hash(),
            issuing_ca: IssuingCaId(issuing_ca),
            profile: ProfileHash(profile),
            request_id,
            kid,
            issuer: Said::take(unsigned, from)?,
            subject,
            san,
            rule,
            rules,
            extensions: (0..from.count()?)
                .map(|_| {
                    from.fixed()
                        .map(|[arc]| arc)
                        .zip(Said::take(unsigned, from))
                })
                .collect::<Option<_>>()?,
            at: UnixSeconds(self.at()),
            not_after: UnixSeconds(self.not_after()),
        })
    }

    pub(super) fn record(self) -> Result<Record, StoreError> {
        let (intent, parts) = self.intent()?;
        parts.record(intent)
    }
}

/// What stands behind an intent.
pub(super) struct Parts<'a> {
    unsigned: &'a [u8],
    rest: Reader<'a>,
}

impl Parts<'_> {
    /// The whole record. Of two parts of a kind the later one counts.
    pub(super) fn record(mut self, intent: Intent) -> Result<Record, StoreError> {
        let serial = intent.serial;
        let mut record = Record {
            intent,
            submission: None,
            leaf: None,
            abandoned: None,
        };
        let damaged = |what| StoreError::Corrupt { what };
        let from = &mut self.rest;
        while let Some(part) = from.fixed() {
            match part {
                [SUBMISSION] => {
                    let read = read_submission(from, self.unsigned, serial);
                    record.submission = Some(read.ok_or(damaged("submission"))?);
                }
                [FINAL] => {
                    let read = read_final(from, self.unsigned, serial);
                    record.leaf = Some(read.ok_or(damaged("final"))?);
                }
                [ABANDONED] => {
                    let at = from.seconds().ok_or(damaged("abandoned"))?;
                    record.abandoned = Some(at);
                }
                [_] => return Err(damaged("part")),
            }
        }
        Ok(record)
    }
}

fn read_submission(from: &mut Reader<'_>, unsigned: &[u8], serial: Serial) -> Option<Submission> {
    Some(Submission {
        serial,
        precert_der: delta::take(from, unsigned)?.into(),
        scts: (0..from.count()?)
            .map(|_| from.bytes().map(<[u8]>::to_vec))
            .collect::<Option<_>>()?,
    })
}

fn read_final(from: &mut Reader<'_>, unsigned: &[u8], serial: Serial) -> Option<Final> {
    Some(Final {
        serial,
        at: from.seconds()?,
        leaf_der: delta::take(from, unsigned)?.into(),
    })
}

/// Texts that a certificate says, as where they stand in it: one more than the place, and the
/// length; for others zero and the text.
///
/// They are asked for in the certificate's own order, so each is looked for from where the one before
/// stands. Not from behind it: the issuer is asked for twice, by its name and as the first extension.
struct Said<'a> {
    certificate: &'a [u8],
    last: usize,
}

impl<'a> Said<'a> {
    /// Shorter ones cost no more when they are written out.
    const SHORTEST: usize = 4;

    fn by(certificate: &'a [u8]) -> Self {
        // Places are written in two octets.
        let certificate = &certificate[..certificate.len().min(usize::from(u16::MAX))];
        Self {
            certificate,
            last: 0,
        }
    }

    fn put(&mut self, out: &mut Writer, text: &str) {
        let text = text.as_bytes();
        match self.find(text) {
            Some(at) => {
                out.short(at + 1);
                out.short(text.len());
            }
            None => {
                out.short(0);
                out.bytes(text);
            }
        }
    }

    fn find(&mut self, text: &[u8]) -> Option<usize> {
        let first = *text.first().filter(|_| text.len() >= Self::SHORTEST)?;
        let mut from = self.last;
        loop {
            let rest = &self.certificate[from..];
            let at = from + rest.iter().position(|octet| *octet == first)?;
            if self.certificate[at..].starts_with(text) {
                self.last = at;
                return Some(at);
            }
            from = at + 1;
        }
    }

    fn take(certificate: &[u8], from: &mut Reader<'_>) -> Option<String> {
        let text = match from.short()? {
            0 => from.bytes()?,
            place => {
                let length = from.short()?;
                certificate.get(place - 1..)?.get(..length)?
            }
        };
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests;
