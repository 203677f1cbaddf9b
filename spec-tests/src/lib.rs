//! Conformance tests at the Rust level; see `tests/`.
