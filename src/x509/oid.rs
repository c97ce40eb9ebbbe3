//! Object identifiers, as the content octets of their DER form.
