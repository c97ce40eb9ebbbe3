//! What the pipeline writes to the audit log: a line before and after each signature, and one
//! for each decision. Never a token, a key or a proof.

use super::{Error, Inner, Issued};
use crate::audit::{self, Event};
use crate::ca::Plan;
use crate::hex;
use crate::identity::{Principal, San};
use crate::time::UnixMillis;

impl Inner {
    /// The line before (`…_signing`, with the exact bytes to be signed) or after (`…_signed`, with
    /// the certificate) a signature.
    pub(super) fn signing(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        plan: &Plan,
        der: &[u8],
    ) -> Result<(), audit::Error> {
        let fields = vec![
            ("serial", plan.serial().to_string()),
            ("ca", plan.authority().id().to_string()),
            ("profile", plan.profile().hash().to_string()),
            ("der", hex::encode(der)),
        ];
        self.write(kind, request_id, now, fields)
    }

    /// A certificate is about to leave.
    pub(super) fn issued(
        &self,
        request_id: &str,
        now: UnixMillis,
        issued: &Issued,
    ) -> Result<(), audit::Error> {
        let fields = vec![
            ("serial", issued.serial.to_string()),
            ("ca", self.parts.authority.id().to_string()),
            ("not_after", issued.not_after.to_string()),
            ("repeated", issued.repeated.to_string()),
        ];
        self.write("issued", request_id, now, fields)
    }

    /// A request ends without one.
    pub(super) fn refused(
        &self,
        request_id: &str,
        now: UnixMillis,
        error: &Error,
    ) -> Result<(), audit::Error> {
        let fields = vec![("reason", error.reason().as_str().to_owned())];
        self.write("refused", request_id, now, fields)
    }

    pub(super) fn write(
        &self,
        kind: &'static str,
        request_id: &str,
        now: UnixMillis,
        fields: Vec<(&'static str, String)>,
    ) -> Result<(), audit::Error> {
        self.parts.audit.append(&Event {
            kind,
            at: now,
            request_id: request_id.to_owned(),
            fields,
        })
    }
}

/// The name as records and selectors write it.
pub(super) fn san(principal: &Principal) -> String {
    match principal.san() {
        San::Email(email) => format!("email:{email}"),
        San::Uri(uri) => format!("uri:{uri}"),
    }
}
