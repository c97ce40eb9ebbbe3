//! A log over RFC 6962 HTTP.
