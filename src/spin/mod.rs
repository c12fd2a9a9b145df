//! Floor 6: Spin applications.
