//! Issuers' keys over HTTP: provider metadata and key sets, fetched, checked, kept.
