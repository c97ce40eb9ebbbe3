//! What the pipeline writes to the audit log: a line before and after each signature, and one
//! for each decision. Never a token, a key or a proof.

use super::{Error, Inner, Issued};
use crate::audit::{self, Event, Value};
use crate::ca::Plan;
use crate::identity::{Principal, San};
use crate::time::UnixMillis;

impl Inner {
    /// The line before a signature (`…_signing`), with the exact octets to be signed.
    pub(super) fn signing(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        plan: &Plan,
        tbs: &[u8],
    ) -> Result<(), audit::Error> {
        self.about(kind, request_id, now, plan, ("tbs", Value::Octets(tbs)))
    }

    /// The line after it (`…_signed`), with the signature: with the line before, the certificate.
    pub(super) fn signed(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        plan: &Plan,
        signature: &[u8],
    ) -> Result<(), audit::Error> {
        let signature = ("signature", Value::Octets(signature));
        self.about(kind, request_id, now, plan, signature)
    }

    fn about(
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
        self.write(kind, request_id, now, &fields)
    }

    /// A certificate is about to leave.
    pub(super) fn issued(
        &self,
        request_id: &str,
        now: UnixMillis,
        issued: &Issued,
    ) -> Result<(), audit::Error> {
        let ca = self.parts.authority.id();
        let repeated = if issued.repeated { "true" } else { "false" };
        let fields = [
            ("serial", Value::Octets(issued.serial.octets())),
            ("ca", Value::Octets(&ca.0)),
            ("not_after", Value::Text(&issued.not_after.to_string())),
            ("repeated", Value::Text(repeated)),
        ];
        self.write("issued", request_id, now, &fields)
    }

    /// A request ends without one.
    pub(super) fn refused(
        &self,
        request_id: &str,
        now: UnixMillis,
        error: &Error,
    ) -> Result<(), audit::Error> {
        let fields = [("reason", Value::Text(error.reason().as_str()))];
        self.write("refused", request_id, now, &fields)
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
