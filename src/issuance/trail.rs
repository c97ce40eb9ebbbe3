//! What the pipeline writes to the audit log: a line before and after each signature, and one
//! for each decision about somebody. Never a token, a key or a proof.

use super::terms::InForce;
use super::{Inner, Issued, Refused};
use crate::audit::{self, Event, Value};
use crate::ca::{IssuingCaId, Plan};
use crate::identity::{Principal, San};
use crate::time::UnixMillis;

/// The flag on a line about a key that another identity had certified a moment ago.
const KEY_OF_ANOTHER: &str = "key_of_another_identity";

impl Inner {
    /// The line before a signature (`…_signing`), with the exact octets to be signed.
    pub(super) async fn signing(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        plan: &Plan,
        tbs: &[u8],
    ) -> Result<(), audit::Error> {
        let tbs = ("tbs", Value::Octets(tbs));
        self.about(kind, request_id, now, plan, tbs).await
    }

    /// The line after it (`…_signed`), with the signature: with the line before, the certificate.
    pub(super) async fn signed(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        plan: &Plan,
        signature: &[u8],
    ) -> Result<(), audit::Error> {
        let signature = ("signature", Value::Octets(signature));
        self.about(kind, request_id, now, plan, signature).await
    }

    async fn about(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        plan: &Plan,
        what: (&'static str, Value<'_>),
    ) -> Result<(), audit::Error> {
        let (serial, ca, profile) = (plan.serial(), plan.authority().id(), plan.profile().hash());
        let fields = [
            ("serial", Value::Octets(serial.octets())),
            ("ca", Value::Octets(&ca.0)),
            ("profile", Value::Octets(&profile.0)),
            what,
        ];
        self.write_with_others(kind, request_id, now, &fields).await
    }

    /// A certificate is about to leave.
    pub(super) async fn issued(
        &self,
        request_id: &str,
        now: UnixMillis,
        ca: IssuingCaId,
        issued: &Issued,
    ) -> Result<(), audit::Error> {
        let repeated = if issued.repeated { "true" } else { "false" };
        let not_after = issued.not_after.to_string();
        let usual = [
            ("serial", Value::Octets(issued.serial.octets())),
            ("ca", Value::Octets(&ca.0)),
            ("issuer", Value::Text(&issued.issuer)),
            ("subject", Value::Text(&issued.subject)),
            ("san", Value::Text(&issued.san)),
            ("key", Value::Octets(&issued.spki_hash)),
            ("not_after", Value::Text(&not_after)),
            ("repeated", Value::Text(repeated)),
        ];
        // Where there are no rules none decided, and only what is out of the ordinary has a flag.
        let rule = issued
            .rule
            .as_deref()
            .map(|rule| ("rule", Value::Text(rule)));
        let rules = issued
            .rules
            .as_ref()
            .map(|rules| ("rules", Value::Octets(rules)));
        let refused = issued
            .would_refuse
            .then_some(("would_refuse", Value::Text("true")));
        let flag = issued
            .key_of_another
            .then_some(("flag", Value::Text(KEY_OF_ANOTHER)));
        let further = [rule, rules, refused, flag].into_iter().flatten();
        let fields: Vec<_> = usual.into_iter().chain(further).collect();
        let fields = &fields[..];
        self.write_with_others("issued", request_id, now, fields)
            .await
    }

    /// A request ends without one: a line, or one more to be told of later.
    pub(super) fn refused(
        &self,
        request_id: &str,
        now: UnixMillis,
        refused: &Refused,
    ) -> Result<(), audit::Error> {
        if !refused.is_about_somebody() {
            self.tally.add(refused.reason(), now);
            return Ok(());
        }
        let whom = &refused.whom;
        let known = [
            ("issuer", refused.issuer()),
            ("subject", whom.subject.as_deref()),
            ("san", whom.san.as_deref()),
            ("rule", refused.rule()),
        ];
        let mut fields = vec![("reason", Value::Text(refused.reason().as_str()))];
        let known = known.into_iter();
        fields.extend(known.filter_map(|(name, value)| Some((name, Value::Text(value?)))));
        if let Some(rules) = &whom.rules {
            fields.push(("rules", Value::Octets(rules)));
        }
        self.write("refused", request_id, now, &fields)
    }

    /// How many refusals had no line since the last of these; nothing where there were none.
    pub(super) fn refusals(&self, now: UnixMillis) -> Result<(), audit::Error> {
        let Some(counts) = self.tally.take() else {
            return Ok(());
        };
        let since = counts.since.to_string();
        let numbers = counts.by_reason.iter();
        let numbers: Vec<_> = numbers.map(|(word, n)| (*word, n.to_string())).collect();
        let numbers = numbers.iter().map(|(word, n)| (*word, Value::Text(n)));
        let since = [("since", Value::Text(&since))].into_iter();
        let fields: Vec<_> = since.chain(numbers).collect();
        let written = self.write("refusals", "", now, &fields);
        if written.is_err() {
            self.tally.put_back(counts);
        }
        written
    }

    /// An instance comes up.
    pub(super) fn started(
        &self,
        now: UnixMillis,
        configuration: Option<&[u8; 32]>,
    ) -> Result<(), audit::Error> {
        let parts = &self.parts;
        let terms = self.terms.get();
        let (ca, profile) = (terms.authority.id(), parts.profile.hash());
        let instance = [parts.instance.octet()];
        let fields = [
            ("version", Value::Text(env!("CARGO_PKG_VERSION"))),
            ("instance", Value::Octets(&instance)),
            ("ca", Value::Octets(&ca.0)),
            ("profile_name", Value::Text(parts.profile.name())),
            ("profile", Value::Octets(&profile.0)),
            (
                "configuration",
                Value::Octets(configuration.map_or(&[], |digest| digest)),
            ),
        ];
        // An instance that no configuration describes has none to name.
        let known = fields.len() - usize::from(configuration.is_none());
        let mut fields = fields[..known].to_vec();
        if let Some(issuers) = &terms.issuers_digest {
            fields.push(("issuers", Value::Octets(issuers)));
        }
        if let Some(rules) = &terms.rules {
            fields.push(("rules", Value::Octets(rules.hash())));
        }
        self.write("start", "", now, &fields)
    }

    /// Others are believed, others of them may, or another CA signs, from here on: what changed, as
    /// it is and as it was.
    pub(super) fn terms_change(
        &self,
        now: UnixMillis,
        before: &InForce,
        new: &InForce,
    ) -> Result<(), audit::Error> {
        let named = |terms: &InForce| {
            let rules = terms.rules.as_ref().map(|rules| *rules.hash());
            [Some(terms.authority.id().0), terms.issuers_digest, rules]
        };
        let (new, before) = (named(new), named(before));
        let names = [
            ("ca", "ca_before"),
            ("issuers", "issuers_before"),
            ("rules", "rules_before"),
        ];
        let mut fields = Vec::new();
        for ((name, name_before), (new, before)) in names.iter().zip(new.iter().zip(&before)) {
            if new != before {
                let sides = [(*name, new), (*name_before, before)].into_iter();
                fields.extend(sides.filter_map(|(n, v)| Some((n, Value::Octets(v.as_ref()?)))));
            }
        }
        match fields.is_empty() {
            true => Ok(()),
            false => self.write("terms", "", now, &fields),
        }
    }

    /// It goes.
    pub(super) fn stopped(&self, now: UnixMillis) -> Result<(), audit::Error> {
        self.refusals(now)?;
        let instance = [self.parts.instance.octet()];
        self.write("stop", "", now, &[("instance", Value::Octets(&instance))])
    }

    /// For what every certificate takes.
    async fn write_with_others(
        &self,
        kind: &'static str,
        request_id: &str,
        at: UnixMillis,
        fields: &[(&'static str, Value<'_>)],
    ) -> Result<(), audit::Error> {
        let event = Event {
            kind,
            at,
            request_id,
            fields,
        };
        self.parts.audit.append_with_others(&event).await
    }

    pub(super) fn write(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        fields: &[(&'static str, Value<'_>)],
    ) -> Result<(), audit::Error> {
        self.parts.audit.append(&Event {
            kind,
            at: now,
            request_id,
            fields,
        })
    }
}

/// The name as records and selectors write it.
pub(super) fn san(principal: &Principal) -> String {
    match principal.san() {
        San::Email(email) => format!("email:{email}"),
        San::Uri(uri) => format!("uri:{uri}"),
        San::OtherName(name) => format!("othername:{name}"),
    }
}
