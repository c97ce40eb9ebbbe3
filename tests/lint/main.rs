//! The lint rules against certificates made for them, and our certificates against outside judges.

mod fixture;
mod rules;
