//! The embedded SCTs: over this certificate, by a log we trust.

use super::inspect::Inspection;
use super::{Error, TrustedLog};
use crate::ct::{self, LogId, Sct};
use crate::der::{self, Reader, tag};
use crate::hash::sha256;
use crate::time::UnixSeconds;
use crate::x509::oid;

/// How far a log's clock may be ahead of the reader's, in seconds.
const LOG_AHEAD_MAX_S: i64 = 60;

/// Checks every SCT of a known log; at least one must be there. SCTs of logs we do not know say
/// nothing either way.
pub(super) fn verify(
    leaf: &Inspection,
    issuer_spki: &[u8],
    logs: &[TrustedLog],
    at: UnixSeconds,
) -> Result<Vec<LogId>, Error> {
    if leaf.named("signedCertificateTimestampList").is_none() {
        return Err(Error::NotLogged);
    }
    let what = "no seven fields and extensions with one SCT list";
    let tbs = tbs_without_sct_list(&leaf.tbs).ok_or(Error::Malformed { what })?;
    let issuer_key_hash = sha256(&[issuer_spki]);
    let mut verified = Vec::new();
    for sct in leaf.scts() {
        let Some(log) = logs.iter().find(|log| log.key.id() == sct.log_id) else {
            continue;
        };
        check_time(sct, log, at)?;
        ct::verify_embedded(sct, &log.key, &issuer_key_hash, &tbs).map_err(|source| {
            let log = sct.log_id;
            Error::SctInvalid { log, source }
        })?;
        verified.push(sct.log_id);
    }
    if verified.is_empty() {
        return Err(Error::NoKnownLog {
            scts: leaf.scts().len(),
            known: logs.len(),
        });
    }
    Ok(verified)
}

/// The log was trusted when it signed, and that moment is not ahead of the one asked about.
fn check_time(sct: &Sct, log: &TrustedLog, at: UnixSeconds) -> Result<(), Error> {
    let dated = sct.timestamp.seconds();
    if log.valid.contains(dated) && dated <= at.plus(LOG_AHEAD_MAX_S) {
        return Ok(());
    }
    let log = sct.log_id;
    Err(Error::SctTime { log, dated, at })
}

/// The TBSCertificate the log signed: this one with the SCT list cut out and nothing else touched
/// (RFC 6962 §3.3). `None` if it does not have exactly one.
fn tbs_without_sct_list(tbs: &[u8]) -> Option<Vec<u8>> {
    let content = der::single(tbs, tag::SEQUENCE).ok()?.content;
    let mut fields = Reader::new(content);
    fields.expect(tag::context_constructed(0)).ok()?; // version
    fields.expect(tag::INTEGER).ok()?; // serialNumber
    for _ in [
        "signature",
        "issuer",
        "validity",
        "subject",
        "subjectPublicKeyInfo",
    ] {
        fields.expect(tag::SEQUENCE).ok()?;
    }
    let (before, _) = content.split_at(content.len() - fields.rest().len());
    let extensions_tag = tag::context_constructed(3);
    let wrapped = der::single(fields.rest(), extensions_tag).ok()?;
    let mut all = Reader::new(der::single(wrapped.content, tag::SEQUENCE).ok()?.content);
    let mut kept = Vec::with_capacity(tbs.len());
    let mut removed = 0;
    while !all.is_empty() {
        let extension = all.expect(tag::SEQUENCE).ok()?;
        let name = Reader::new(extension.content).expect(tag::OID).ok()?;
        if name.content == oid::SCT_LIST {
            removed += 1;
        } else {
            kept.extend_from_slice(extension.whole);
        }
    }
    let extensions = der::tlv(extensions_tag, &[&der::tlv(tag::SEQUENCE, &[&kept])]);
    (removed == 1).then(|| der::tlv(tag::SEQUENCE, &[before, &extensions]))
}
