//! Floor 6: the embedded registry.
