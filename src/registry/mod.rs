//! Floor 4: the distribution protocol.
