//! DER (X.690), the little of it that certificates need: a strict reader and plain writers.
